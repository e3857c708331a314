//! The law of a zone changes between two starts of the service.
//!
//! By the old release Vancouver goes back to standard time in November 2026, as Los Angeles does; by the
//! new one it stays where it is. So at the same wall time everything in Vancouver is an hour earlier.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use standing::database::Database as Location;
use standing::vault::KeyFile;
use tempfile::TempDir;

use crate::backend::Backend;
use crate::database::Database;
use crate::process::{Process, Run};
use crate::zoneinfo::directory;

/// A Friday; noon in Vancouver by the old law.
const FIRST: &str = "2026-11-27T20:00:00Z";
/// When an older process still works: before it has planned the Friday after.
const BETWEEN: &str = "2026-11-27T20:10:00Z";
/// When the new release comes. One session has begun.
const SECOND: &str = "2026-11-27T20:45:00Z";

struct Practice {
    folder: TempDir,
    database: Location,
    token: String,
    old: PathBuf,
    new: PathBuf,
    client: String,
    therapist: String,
}

/// Sends a request with a body, and gives the status and the body of the answer.
fn send(url: &str, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut connection = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let body = body.to_string();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {token}\r\nIdempotency-Key: {}\r\nContent-Length: {}\r\n\r\n{body}",
        uuid::Uuid::new_v5(
            &uuid::Uuid::NAMESPACE_URL,
            format!("{path}{body}").as_bytes()
        ),
        body.len()
    );
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(json!(body)))
}

impl Practice {
    fn run<'a>(&'a self, clock: &'a str, mailbox: &'a Path) -> Run<'a> {
        Run {
            database: &self.database,
            clock,
            mailbox,
        }
    }

    fn mailbox(&self) -> PathBuf {
        self.folder.path().join("mail")
    }

    /// Does what is due at a time with zone data, without an error.
    fn tick(&self, clock: &str, zones: &Path) {
        let (said, failed) = self
            .run(clock, &self.mailbox())
            .tick_with(&["--zoneinfo", zones.to_str().unwrap()]);
        assert_eq!(failed, None, "{said}");
        assert!(said.contains(" 0 failed"), "{said}");
    }

    fn serve(&self, clock: &str, zones: &Path) -> Process {
        let arguments = ["--zoneinfo", zones.to_str().unwrap()];
        self.run(clock, &self.mailbox()).start("serve", &arguments)
    }

    /// What a command of the binary says, whether it succeeds or not.
    fn command(&self, arguments: &[&str], zones: &Path) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standing"));
        command.args(arguments).args(["--log", "off", "--database"]);
        match &self.database {
            Location::Sqlite(path) => command.arg(path),
            Location::Postgres(url) => command.arg(url),
        };
        command.env("STANDING_KEYS", self.folder.path().join("standing.keys"));
        let output = command.arg("--zoneinfo").arg(zones).output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }

    async fn look(&self) -> Database {
        Database::at(&self.database).await
    }

    /// Each session's recurrence-id, wall time, instant, state and slot version.
    async fn sessions(&self) -> Vec<String> {
        let sql = match self.database {
            Location::Sqlite(_) => {
                "SELECT datetime(recurrence_id, 'unixepoch') || ' | ' || datetime(starts_local, 'unixepoch')
                   || ' | ' || datetime(starts_at / 1000000, 'unixepoch') || 'Z ' || zone || ' ' || state
                   || ' ' || slot_version FROM session ORDER BY 1"
            }
            Location::Postgres(_) => {
                "SELECT to_char(recurrence_id, 'YYYY-MM-DD HH24:MI:SS') || ' | '
                   || to_char(starts_local, 'YYYY-MM-DD HH24:MI:SS') || ' | '
                   || to_char(starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || 'Z '
                   || zone || ' ' || state || ' ' || slot_version FROM session ORDER BY 1"
            }
        };
        self.look().await.texts(sql).await
    }

    async fn count(&self, of: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {of}");
        self.look().await.number(&sql).await
    }

    /// A practice that works by the old law: one therapist with three clients.
    async fn open(backend: Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = backend.empty(folder.path()).await;
        KeyFile::init(&folder.path().join("standing.keys")).unwrap();
        let vancouver = ("America/Vancouver", "America/Los_Angeles");
        let canada = ("Canada/Pacific", "America/Los_Angeles");
        let old = directory(folder.path().join("old"), "2026e", &[vancouver, canada]);
        let new = directory(folder.path().join("new"), "2026f", &[]);
        let mut practice = Self {
            folder,
            database,
            token: String::new(),
            old,
            new,
            client: String::new(),
            therapist: String::new(),
        };
        practice.token = practice.command(&["token", "admin"], &practice.old);
        practice.token = practice.token.trim().to_owned();
        practice.fill().await;
        practice
    }

    async fn fill(&mut self) {
        let service = self.serve(FIRST, &self.old);
        let post = |path: &str, body: Value| {
            let path = format!("/api/v1{path}");
            let (status, body) = send(&service.url, &self.token, "POST", &path, &body);
            assert!((200..300).contains(&status), "{path}: {status} {body}");
            body
        };
        let id = |body: &Value| body["id"].as_str().unwrap().to_owned();
        let days = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
        let hours = days.map(|day| json!({ "day": day, "from": "00:00", "to": "24:00" }));
        let zone = "America/Vancouver";
        let therapist = json!({ "name": "T", "zone": zone, "hours": hours });
        let therapist = id(&post("/therapists", therapist));
        let offered = json!({
            "name": "session", "minutes": 50, "price": { "minor": 9000, "currency": "CAD" },
        });
        let offered = id(&post("/services", offered));
        let client = || {
            let client = json!({ "name": "C", "zone": zone, "therapist_id": therapist });
            let client = id(&post("/clients", client));
            let grant = json!({
                "service_id": offered, "amount": 10, "source": "paid", "reason": "bank_transfer",
            });
            post(&format!("/clients/{client}/credits"), grant);
            client
        };
        let book = |client: &str, starts: &str, zone: &str, rule: &str| {
            let booking = json!({
                "therapist_id": therapist, "client_id": client, "service_id": offered,
                "starts_local": starts, "zone": zone, "rule": rule,
            });
            id(&post("/intents", booking))
        };
        let (ann, ben, cleo) = (client(), client(), client());
        let daily = "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH";
        let mornings = book(&ann, "2026-11-30T10:00:00", zone, daily);
        // Back to back: an hour earlier it is where the other was.
        book(&ann, "2026-11-30T11:00:00", zone, "FREQ=WEEKLY;BYDAY=MO");
        // By the new law Ann's Tuesday is at the same time; by the old one not before March.
        book(
            &ben,
            "2026-12-01T17:00:00",
            "UTC",
            "FREQ=WEEKLY;BYDAY=TU;COUNT=10",
        );
        // Has begun when the new release comes; the next one is just not planned by then.
        book(&cleo, "2026-11-27T12:30:00", zone, "FREQ=WEEKLY;BYDAY=FR");
        for _ in 0..500 {
            if self.count("session").await == 7 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // A session moved by hand, and an occurrence.
        for (date, to) in [
            ("2026-12-03T10:00:00", "2026-12-03T15:00:00"),
            ("2026-12-07T10:00:00", "2026-12-07T16:00:00"),
        ] {
            let path = format!("/intents/{mornings}/occurrences/{date}/reschedule");
            post(&path, json!({ "starts_local": to }));
        }
        drop(service);
        (self.client, self.therapist) = (ann, therapist);
    }

    /// The message about the change of law in the mailbox of a person.
    fn told(&self, person: &str) -> Value {
        let file = self
            .mailbox()
            .join(format!("clocks_changed.2.{person}.mail.json"));
        let text = std::fs::read_to_string(&file).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

const BY_THE_OLD_LAW: [&str; 7] = [
    "2026-11-27 12:30:00 | 2026-11-27 12:30:00 | 2026-11-27 20:30:00Z America/Vancouver scheduled 0",
    "2026-11-30 10:00:00 | 2026-11-30 10:00:00 | 2026-11-30 18:00:00Z America/Vancouver scheduled 0",
    "2026-11-30 11:00:00 | 2026-11-30 11:00:00 | 2026-11-30 19:00:00Z America/Vancouver scheduled 0",
    "2026-12-01 10:00:00 | 2026-12-01 10:00:00 | 2026-12-01 18:00:00Z America/Vancouver scheduled 0",
    "2026-12-01 17:00:00 | 2026-12-01 17:00:00 | 2026-12-01 17:00:00Z UTC scheduled 0",
    "2026-12-02 10:00:00 | 2026-12-02 10:00:00 | 2026-12-02 18:00:00Z America/Vancouver scheduled 0",
    "2026-12-03 10:00:00 | 2026-12-03 15:00:00 | 2026-12-03 23:00:00Z America/Vancouver scheduled 1",
];

/// All wall times as before. What had begun is where it was, and the next Friday is planned.
const BY_THE_NEW_LAW: [&str; 8] = [
    "2026-11-27 12:30:00 | 2026-11-27 12:30:00 | 2026-11-27 20:30:00Z America/Vancouver scheduled 0",
    "2026-11-30 10:00:00 | 2026-11-30 10:00:00 | 2026-11-30 17:00:00Z America/Vancouver scheduled 1",
    "2026-11-30 11:00:00 | 2026-11-30 11:00:00 | 2026-11-30 18:00:00Z America/Vancouver scheduled 1",
    "2026-12-01 10:00:00 | 2026-12-01 10:00:00 | 2026-12-01 17:00:00Z America/Vancouver case 1",
    "2026-12-01 17:00:00 | 2026-12-01 17:00:00 | 2026-12-01 17:00:00Z UTC scheduled 0",
    "2026-12-02 10:00:00 | 2026-12-02 10:00:00 | 2026-12-02 17:00:00Z America/Vancouver scheduled 1",
    "2026-12-03 10:00:00 | 2026-12-03 15:00:00 | 2026-12-03 22:00:00Z America/Vancouver scheduled 2",
    "2026-12-04 12:30:00 | 2026-12-04 12:30:00 | 2026-12-04 19:30:00Z America/Vancouver scheduled 0",
];

async fn wall_times_stay_and_instants_move(backend: Backend) {
    let practice = Practice::open(backend).await;
    assert_eq!(practice.sessions().await, BY_THE_OLD_LAW);
    practice.tick(SECOND, &practice.new);
    assert_eq!(practice.sessions().await, BY_THE_NEW_LAW);

    // One message a person, with all their sessions; the moved ones have none of their own.
    let told = practice.told(&practice.client);
    let moves = told["moves"].as_array().unwrap();
    assert_eq!(moves.len(), 5);
    let first = json!({
        "session": moves[0]["session"], "zone": "America/Vancouver",
        "starts_local": "2026-11-30T10:00:00", "was": "2026-11-30T18:00:00Z",
        "starts_at": "2026-11-30T17:00:00Z", "case": false,
    });
    assert_eq!(moves[0], first);
    let cases: Vec<_> = moves.iter().filter(|moved| moved["case"] == true).collect();
    assert_eq!(cases.len(), 1);
    assert_eq!(cases[0]["starts_local"], "2026-12-01T10:00:00");
    assert_eq!(
        practice.told(&practice.therapist)["moves"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    let about = "outbox WHERE kind LIKE 'clocks_changed/%' AND state = 'sent'";
    assert_eq!(practice.count(about).await, 2);
    let rescheduled = "outbox WHERE kind = 'session_rescheduled'";
    assert_eq!(
        practice.count(rescheduled).await,
        1,
        "only the one that was moved by hand"
    );

    // Series are due by the new law: a week before Monday at 11, and before the moved Monday at 16.
    let due = match practice.database {
        Location::Sqlite(_) => {
            "SELECT datetime(next_due_at / 1000000, 'unixepoch') FROM intent ORDER BY 1"
        }
        Location::Postgres(_) => {
            "SELECT to_char(next_due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM intent ORDER BY 1"
        }
    };
    let due = practice.look().await.texts(due).await;
    let expected = [
        "2026-11-30 18:00:00",
        "2026-11-30 23:00:00",
        "2026-12-01 17:00:00",
        "2026-12-04 19:30:00",
    ];
    assert_eq!(due, expected);

    // A second start changes nothing.
    let before = practice.look().await.dump().await;
    practice.tick(SECOND, &practice.new);
    assert_eq!(practice.look().await.dump().await, before);

    // Ledgers verify, every scheduled session has a hold and no other has one, nothing overlaps.
    let doctor = practice.command(&["doctor"], &practice.new);
    for line in [
        "ok     ledger",
        "ok     holds",
        "ok     overlaps",
        "ok     zone data: 2026f plans the database since 2026-11-27T20:45:",
        "5 sessions moved, 1 of them cases, 2 people told",
    ] {
        assert!(doctor.contains(line), "no {line:?} in\n{doctor}");
    }

    // A day before by the new law, and not once more an hour later.
    let reminders = "outbox WHERE kind = 'session_reminder/1440' AND state = 'sent'";
    practice.tick("2026-11-29T16:59:00Z", &practice.new);
    assert_eq!(practice.count(reminders).await, 0);
    practice.tick("2026-11-29T17:00:30Z", &practice.new);
    assert_eq!(practice.count(reminders).await, 1);
    practice.tick("2026-11-29T19:00:30Z", &practice.new);
    assert_eq!(
        practice.count(reminders).await,
        2,
        "one for each of Monday's"
    );
}

#[tokio::test]
async fn wall_times_stay_and_instants_move_on_sqlite() {
    wall_times_stay_and_instants_move(Backend::Sqlite).await;
}

#[tokio::test]
async fn wall_times_stay_and_instants_move_on_postgres() {
    wall_times_stay_and_instants_move(Backend::Postgres).await;
}

/// Refuses more rows in a table once so many meet a condition, so that the change stops there.
async fn stop_at(database: &mut Database, table: &str, condition: &str, rows: i64) {
    let there = format!("(SELECT count(*) FROM {table} WHERE {condition}) >= {rows}");
    let sql = match database {
        Database::Sqlite(_) => format!(
            "DROP TRIGGER IF EXISTS stop_{table};
             CREATE TRIGGER stop_{table} BEFORE INSERT ON {table} WHEN {there}
             BEGIN SELECT RAISE(ABORT, 'stop'); END;"
        ),
        Database::Postgres(_) => format!(
            "CREATE OR REPLACE FUNCTION stop_{table}() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN IF {there} THEN RAISE EXCEPTION 'stop'; END IF; RETURN NEW; END $$;
             CREATE OR REPLACE TRIGGER stop_{table} BEFORE INSERT ON {table}
             FOR EACH ROW EXECUTE FUNCTION stop_{table}();"
        ),
    };
    database.execute(&sql).await.unwrap();
}

/// Killed after each session and after the first message, it ends as if it had not been.
async fn killed_in_the_midst(backend: Backend) {
    let practice = Practice::open(backend).await;
    let mailbox = practice.mailbox();
    let run = practice.run(SECOND, &mailbox);
    let zones = ["--zoneinfo", practice.new.to_str().unwrap()];
    let mut database = practice.look().await;
    let told = "kind LIKE 'clocks_changed/%'";
    let stops = (1..=4).map(|moves| ("zone_move", "true", moves));
    for (table, condition, rows) in stops.chain([("outbox", told, 1)]) {
        if table == "outbox" {
            stop_at(&mut database, "zone_move", "true", 100).await;
        }
        stop_at(&mut database, table, condition, rows).await;
        let mut process = run.spawn_with(&zones);
        let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
        for _ in 0..2000 {
            if database.number(&sql).await == rows {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!(database.number(&sql).await, rows);
        let settled = "SELECT count(*) FROM zone_data WHERE settled_at IS NOT NULL";
        assert_eq!(
            database.number(settled).await,
            1,
            "it was cut off before the end"
        );
        // Nothing was planned meanwhile: the next Friday has no session.
        assert_eq!(practice.sessions().await.len(), 7);
    }
    stop_at(&mut database, "outbox", told, 100).await;
    // Once the leases of the dead have run out.
    practice.tick("2026-11-27T20:48:00Z", &practice.new);
    assert_eq!(practice.sessions().await, BY_THE_NEW_LAW);
    assert_eq!(practice.count("zone_move").await, 5);
    let told = format!("outbox WHERE {told} AND state = 'sent'");
    assert_eq!(practice.count(&told).await, 2);
    for person in [&practice.client, &practice.therapist] {
        assert_eq!(practice.told(person)["moves"].as_array().unwrap().len(), 5);
    }
    let doctor = practice.command(&["doctor"], &practice.new);
    assert!(
        doctor.contains("ok     ledger") && doctor.contains("ok     holds"),
        "{doctor}"
    );
}

#[tokio::test]
async fn a_change_that_is_killed_in_the_midst_ends_the_same_on_sqlite() {
    killed_in_the_midst(Backend::Sqlite).await;
}

#[tokio::test]
async fn a_change_that_is_killed_in_the_midst_ends_the_same_on_postgres() {
    killed_in_the_midst(Backend::Postgres).await;
}

/// Two processes with different releases: the older refuses to plan, until a person says otherwise.
async fn the_older_refuses(backend: Backend) {
    let practice = Practice::open(backend).await;
    let older = practice.serve(BETWEEN, &practice.old);
    let get = |service: &Process, path: &str| {
        send(&service.url, &practice.token, "GET", path, &json!({}))
    };
    assert_eq!(get(&older, "/health/ready").0, 200);
    let newer = practice.serve(SECOND, &practice.new);
    let (status, ready) = get(&older, "/health/ready");
    assert_eq!((status, &ready["code"]), (503, &json!("other_zone_data")));
    assert_eq!(get(&newer, "/health/ready").0, 200);

    // Bookings are refused, reads are not.
    let booking = json!({
        "therapist_id": practice.therapist, "client_id": practice.client,
        "service_id": get(&older, "/api/v1/services").1["items"][0]["id"],
        "starts_local": "2026-12-05T10:00:00", "zone": "America/Vancouver",
    });
    let book = |service: &Process| {
        send(
            &service.url,
            &practice.token,
            "POST",
            "/api/v1/intents",
            &booking,
        )
    };
    let (status, refused) = book(&older);
    assert_eq!(
        (status, &refused["code"]),
        (503, &json!("other_zone_data")),
        "{refused}"
    );
    let (_, metrics) = get(&older, "/metrics");
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("standing_zone_data_agrees 0"), "{metrics}");
    assert!(
        metrics.contains("standing_zone_data_info{release=\"2026e\",source=\"directory\""),
        "{metrics}"
    );
    let (status, booked) = book(&newer);
    assert_eq!(status, 201, "{booked}");
    for _ in 0..500 {
        if practice.sessions().await == BY_THE_NEW_LAW {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(practice.sessions().await, BY_THE_NEW_LAW);
    let (_, report) = get(&newer, "/api/v1/reports/tzdb");
    assert_eq!(report["planned"]["replaced"], "2026e");
    assert_eq!(
        report["planned"]["zones"],
        json!(["America/Vancouver", "Canada/Pacific"])
    );
    let counts = ["moved_count", "cases", "messages", "series"].map(|name| &report[name]);
    assert_eq!(counts, [5, 1, 2, 4]);

    // Started again, it does not take the database back, and says why.
    let older_tick = practice
        .run(SECOND, &practice.mailbox())
        .tick_with(&["--zoneinfo", practice.old.to_str().unwrap()]);
    assert!(older_tick.1.unwrap().contains("2026e"), "{}", older_tick.0);
    let doctor = practice.command(&["doctor"], &practice.old);
    assert!(
        doctor.contains("WRONG  zone data: 2026f plans the database"),
        "{doctor}"
    );
    assert_eq!(practice.sessions().await, BY_THE_NEW_LAW);

    // A person decides for the older release: everything goes back, but for what was decided since.
    let said = practice.command(&["zones", "adopt"], &practice.old);
    assert!(said.contains("2026e plans the database"), "{said}");
    let said = practice.command(&["zones", "adopt"], &practice.old);
    assert!(said.contains("agrees"), "{said}");
    let (status, _) = get(&newer, "/health/ready");
    assert_eq!(status, 503);
    assert_eq!(get(&older, "/health/ready").0, 200);
    for _ in 0..500 {
        if practice
            .count("zone_data WHERE settled_at IS NOT NULL")
            .await
            == 3
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let back = practice.sessions().await;
    let instants = |sessions: &[String]| -> Vec<String> {
        let sessions = sessions
            .iter()
            .map(|one| one.split('Z').next().unwrap().to_owned());
        sessions.take(7).collect()
    };
    assert_eq!(
        instants(&back),
        instants(&BY_THE_OLD_LAW.map(str::to_owned))
    );
}

#[tokio::test]
async fn the_older_of_two_releases_refuses_to_plan_on_sqlite() {
    the_older_refuses(Backend::Sqlite).await;
}

#[tokio::test]
async fn the_older_of_two_releases_refuses_to_plan_on_postgres() {
    the_older_refuses(Backend::Postgres).await;
}
