//! How long somebody's writing takes beside clients who ask for as much as they can: alone, and with 16 of
//! them.
//!
//!     cargo bench -p benches --bench hostile_callers
//!
//! Over HTTP on a socket, on SQLite and on PostgreSQL if it is installed. The 16 have a token each and ask
//! without a pause, each for something that costs: rules that are refused, bookings that clash for decades,
//! quarters of slots, imports, calendars of decades. Beside them a member of the staff registers clients and
//! books for them, 600 times, every 10 ms. A commit is flushed on both databases.
//!
//! With `-- --test` it writes ten times.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use benches::database::{Database, Kind, servers};
use benches::decimal;
use chrono::{DateTime, Utc};
use clinic::{ClinicId, Role};
use scheduler_core::ClientId;
use serde_json::{Value, json};
use standing::admission::Admission;
use standing::clock::Clock;
use standing::stop::Stop;
use standing::vault::Vault;
use standing::{App, random, serve};
use tokio::runtime::Runtime;

const HOSTILE: usize = 16;
const PAUSE: Duration = Duration::from_millis(10);

fn main() -> anyhow::Result<()> {
    let trial = std::env::args().any(|arg| arg == "--test");
    let writes = if trial { 10 } else { 600 };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let servers = runtime.block_on(servers());
    println!(
        "\n{:12} {:>28} {:>28} {:>8}",
        "", "alone", "beside 16 hostile callers", "p99"
    );
    for server in servers {
        let kind = Kind::on(server.as_ref());
        let database = runtime.block_on(Database::new(server.as_ref()))?;
        let (clinic, address) = runtime.block_on(open(&database))?;
        let clinic = Arc::new(clinic.fill(address, &runtime)?);
        let quiet = write(&clinic, writes, "quiet")?;
        let stop = Arc::new(AtomicBool::new(false));
        let answers: Arc<[AtomicU64; 6]> = Arc::default();
        let hostile = (0..HOSTILE).map(|number| {
            let (clinic, stop, answers) = (clinic.clone(), stop.clone(), answers.clone());
            std::thread::spawn(move || attack(&clinic, number, &stop, &answers))
        });
        let hostile: Vec<_> = hostile.collect();
        std::thread::sleep(Duration::from_secs(1));
        let beside = write(&clinic, writes, "beside");
        stop.store(true, Ordering::Relaxed);
        for one in hostile {
            one.join()
                .map_err(|_| anyhow::anyhow!("a hostile caller stumbled"))??;
        }
        let beside = beside?;
        let (p50, p99) = (
            |of: &[u64]| of[of.len() / 2],
            |of: &[u64]| of[of.len() * 99 / 100],
        );
        println!(
            "{kind:12} p50 {:>6} p99 {:>6} us  p50 {:>6} p99 {:>6} us {:>7}x",
            p50(&quiet),
            p99(&quiet),
            p50(&beside),
            p99(&beside),
            decimal(p99(&beside), p99(&quiet), 1),
        );
        let [done, refused, many, busy, other, failed] =
            answers.each_ref().map(|of| of.load(Ordering::Relaxed));
        println!(
            "{:12} the 16: {done} done, {refused} refused, {many} too many, {busy} busy, {other} others, {failed} failed",
            ""
        );
    }
    Ok(())
}

/// Serves a clinic on a database, without a worker.
async fn open(database: &Database) -> anyhow::Result<(Clinic, SocketAddr)> {
    let now: DateTime<Utc> = "2026-03-02T08:00:00Z".parse()?;
    let app = App {
        vault: Arc::new(Vault::temporary()?),
        admission: Arc::new(Admission::new(match database.kind {
            Kind::Sqlite => 5,
            Kind::Postgres => 8,
        })),
        ..App::new(database.store.clone(), Clock::starting_at(now))
    };
    standing::worker::agree(&app).await;
    let mut clinic = Clinic {
        address: "127.0.0.1:0".parse()?,
        admin: String::new(),
        clients: Vec::new(),
        service: Value::Null,
        therapist: Value::Null,
        other: Value::Null,
        vault: app.vault.clone(),
        store: app.store.clone(),
        now,
    };
    clinic.admin = clinic.token(Role::Admin).await?;
    let listener = serve::bind(clinic.address).await?;
    let address = listener.local_addr()?;
    clinic.address = address;
    let routes = serve::routes(app.clone());
    tokio::spawn(serve::run(
        App {
            stop: Stop::never(),
            ..app
        },
        vec![(listener, routes)],
        None,
    ));
    Ok((clinic, address))
}

struct Clinic {
    address: SocketAddr,
    admin: String,
    /// The hostile clients, with their tokens.
    clients: Vec<(Value, String)>,
    service: Value,
    /// Whose calendar is full.
    therapist: Value,
    /// Whose calendar is empty.
    other: Value,
    vault: Arc<Vault>,
    store: Arc<dyn store::Store>,
    now: DateTime<Utc>,
}

impl Clinic {
    async fn token(&self, role: Role) -> anyhow::Result<String> {
        let secret = random::secret();
        let token = self
            .vault
            .token(ClinicId::FIRST, role, &secret, self.now, None)?;
        self.store.add_token(&token).await?;
        Ok(secret)
    }

    /// Therapists, a full week of standing bookings, and the hostile clients.
    fn fill(mut self, address: SocketAddr, runtime: &Runtime) -> anyhow::Result<Self> {
        let mut admin = Caller::new(address, &self.admin)?;
        let days = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
        let hours = days.map(|day| json!({ "day": day, "from": "00:00", "to": "24:00" }));
        let therapist = json!({ "name": "T", "zone": "Europe/London", "hours": hours });
        self.therapist = admin.made("/therapists", &therapist)?;
        self.other = admin.made("/therapists", &therapist)?;
        let service = json!({
            "name": "s", "minutes": 50, "price": { "minor": 1, "currency": "GBP" },
            "slots": { "step_minutes": 5 },
        });
        self.service = admin.made("/services", &service)?;
        for number in 0..80 {
            let client = self.client(&mut admin)?;
            let (day, hour) = (9 + number % 5, 4 + number / 5);
            let starts = format!("2026-03-{day:02}T{hour:02}:00:00");
            let booking = self.booking(&client, &self.therapist, &starts, "FREQ=WEEKLY");
            admin.made("/intents", &booking)?;
        }
        for _ in 0..HOSTILE {
            let client = self.client(&mut admin)?;
            let id = ClientId(client.as_str().context("an id")?.parse()?);
            let token = runtime.block_on(self.token(Role::Client(id)))?;
            self.clients.push((client, token));
        }
        Ok(self)
    }

    fn client(&self, admin: &mut Caller) -> anyhow::Result<Value> {
        let client =
            json!({ "name": "C", "zone": "Europe/London", "therapist_id": self.therapist });
        admin.made("/clients", &client)
    }

    fn booking(&self, client: &Value, therapist: &Value, starts: &str, rule: &str) -> Value {
        json!({
            "therapist_id": therapist, "client_id": client, "service_id": self.service,
            "starts_local": starts, "zone": "Europe/London", "rule": rule,
        })
    }
}

/// Registers a client and books for them, so many times; how long each took, in microseconds, ascending.
fn write(clinic: &Clinic, writes: usize, name: &str) -> anyhow::Result<Vec<u64>> {
    let mut admin = Caller::new(clinic.address, &clinic.admin)?;
    let mut times = Vec::new();
    for number in 0..writes {
        let began = Instant::now();
        if number % 2 == 0 {
            let client = json!({ "name": name, "zone": "Europe/London" });
            admin.made("/clients", &client)?;
        } else {
            let year = 2027 + number / 300 + if name == "quiet" { 0 } else { 10 };
            let starts = format!(
                "{year}-{:02}-{:02}T10:00:00",
                number / 28 % 12 + 1,
                number % 28 + 1
            );
            let client = clinic.clients[0].0.clone();
            let mut booking = clinic.booking(&client, &clinic.other, &starts, "");
            booking["rule"] = Value::Null;
            admin.made("/intents", &booking)?;
        }
        times.push(u64::try_from(began.elapsed().as_micros())?);
        std::thread::sleep(PAUSE);
    }
    times.sort_unstable();
    Ok(times)
}

/// Sends one request after another until `stop` is set.
fn attack(
    clinic: &Clinic,
    number: usize,
    stop: &AtomicBool,
    answers: &[AtomicU64; 6],
) -> anyhow::Result<()> {
    let (client, token) = &clinic.clients[number];
    let mut caller = Caller::new(clinic.address, token)?;
    let therapist = clinic.therapist.as_str().context("an id")?;
    let service = clinic.service.as_str().context("an id")?;
    let own = client.as_str().context("an id")?;
    let seconds = clinic.booking(
        client,
        &clinic.therapist,
        "2026-03-09T10:00:00",
        "FREQ=SECONDLY",
    );
    let daily = clinic.booking(
        client,
        &clinic.therapist,
        "2026-03-09T10:00:00",
        "FREQ=DAILY",
    );
    let event = |number| {
        format!(
            "BEGIN:VEVENT\r\nUID:u{number}\r\nDTSTART;TZID=Europe/London:20260309T100000\r\nDURATION:PT50M\r\n\
             RRULE:FREQ=DAILY\r\nEND:VEVENT\r\n"
        )
    };
    let events: String = (0..200).map(event).collect();
    let import = json!({
        "client_id": client, "therapist_id": therapist, "service_id": service, "zone": "Europe/London",
        "ics": format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{events}END:VCALENDAR\r\n"),
    });
    let slots = format!(
        "/therapists/{therapist}/slots?service_id={service}&from=2026-04-01T00:00:00Z&to=2026-07-01T00:00:00Z"
    );
    let standing = format!("/therapists/{therapist}/standing-slots?service_id={service}&dates=52");
    let calendar = format!("/clients/{own}/sessions?to=2099-01-01T00:00:00Z");
    let mut next = number;
    while !stop.load(Ordering::Relaxed) {
        let status = match next % 6 {
            0 => caller.ask("POST", "/intents", Some(&seconds))?,
            1 => caller.ask("POST", "/intents?dry_run=true", Some(&daily))?,
            2 => caller.ask("GET", &slots, None)?,
            3 => caller.ask("GET", &standing, None)?,
            4 => caller.ask("POST", "/imports?dry_run=true", Some(&import))?,
            _ => caller.ask("GET", &calendar, None)?,
        };
        let kind = match status {
            200..300 => 0,
            409 | 422 => 1,
            429 => 2,
            503 => 3,
            400..500 => 4,
            _ => 5,
        };
        answers[kind].fetch_add(1, Ordering::Relaxed);
        next += 1;
    }
    Ok(())
}

/// One connection of one caller.
struct Caller {
    stream: BufReader<TcpStream>,
    token: String,
}

impl Caller {
    fn new(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            token: token.to_owned(),
        })
    }

    /// The id of what a POST has made.
    fn made(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.send("POST", path, Some(body))?;
        let answer: Value = serde_json::from_slice(&answer)?;
        anyhow::ensure!(status == 201, "{path}: {status} {answer}");
        Ok(answer["id"].clone())
    }

    /// The status of an answer, whatever it says.
    fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<u16> {
        self.send(method, path, body).map(|(status, _)| status)
    }

    fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, Vec<u8>)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut status, mut length) = (String::new(), 0, 0);
        loop {
            line.clear();
            anyhow::ensure!(
                self.stream.read_line(&mut line)? > 0,
                "the connection ended"
            );
            let text = line.trim_end();
            if let Some(code) = text.strip_prefix("HTTP/1.1 ") {
                status = code.split(' ').next().unwrap_or_default().parse()?;
            } else if let Some(given) = text.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = given.parse()?;
            } else if text.is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok((status, answer))
    }
}
