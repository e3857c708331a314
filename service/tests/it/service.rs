//! The service from the outside: what its processes do, say, and how they stop.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::clinic::Clinic;
use crate::database::Database;
use crate::process::Run;

/// Sends a request as it stands to a service, and gives the answer as it stands.
fn ask(url: &str, request: &str) -> String {
    let mut connection = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

fn get(url: &str, path: &str) -> String {
    ask(
        url,
        &format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"),
    )
}

/// A POST as admin, of which the body is sent by itself.
fn post(clinic: &Clinic, path: &str, length: usize) -> String {
    let admin = &clinic.admin;
    format!(
        "POST /api/v1{path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\
         Authorization: Bearer {admin}\r\nX-Request-Id: asked-1\r\nContent-Length: {length}\r\n\r\n"
    )
}

async fn with_due_work() -> Clinic {
    let clinic = Clinic::on(Backend::Sqlite, "2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 2).await;
    clinic.book(&parties, "2026-03-03T18:00:00", None).await;
    clinic
}

/// A crash writes no keys to a disk.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_service_leaves_no_core_dump() {
    let clinic = with_due_work().await;
    let mailbox = clinic.folder.path().join("mail");
    let run = Run {
        database: &clinic.database,
        clock: "2026-03-02T09:00:00Z",
        mailbox: &mailbox,
    };
    let service = run.start("serve", &["--no-worker"]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", service.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap().split_ascii_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{limits}");
    // What is not dumpable is root's: of any other user's processes none may look into its memory.
    use std::os::unix::fs::MetadataExt;
    let memory = std::fs::metadata(format!("/proc/{}/mem", service.id())).unwrap();
    assert_eq!(memory.uid(), 0);
}

#[tokio::test]
async fn api_and_worker_are_split() {
    let clinic = with_due_work().await;
    let mailbox = clinic.folder.path().join("mail");
    let run = Run {
        database: &clinic.database,
        clock: "2026-03-02T09:00:00Z",
        mailbox: &mailbox,
    };
    let mut database = Database::open(&clinic).await;
    let api = run.start("serve", &["--no-worker"]);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(database.number("SELECT count(*) FROM session").await, 0);
    assert!(get(&api.url, "/health/ready").starts_with("HTTP/1.1 200"));
    assert!(get(&api.url, "/api/v1/openapi.json").starts_with("HTTP/1.1 200"));

    let worker = run.start("worker", &[]);
    for _ in 0..500 {
        if database.number("SELECT count(*) FROM session").await > 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(database.number("SELECT count(*) FROM session").await, 1);
    assert!(get(&worker.url, "/health/ready").starts_with("HTTP/1.1 200"));
    let metrics = get(&worker.url, "/metrics");
    assert!(
        metrics.contains("standing_claimed_total{job=\"materialize\"} 1"),
        "{metrics}"
    );
    assert!(get(&worker.url, "/api/v1/openapi.json").starts_with("HTTP/1.1 404"));
}

/// Health and metrics are for those who keep the service running: not on the API's address, if they have their own.
#[tokio::test]
async fn health_has_an_address_of_its_own() {
    let clinic = with_due_work().await;
    let mailbox = clinic.folder.path().join("mail");
    let run = Run {
        database: &clinic.database,
        clock: "2026-03-02T09:00:00Z",
        mailbox: &mailbox,
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let api = run.start("serve", &["--no-worker", "--health", &address]);
    let health = format!("http://{address}");
    for path in ["/health/live", "/health/ready", "/metrics"] {
        assert!(get(&api.url, path).starts_with("HTTP/1.1 404"), "{path}");
        assert!(get(&health, path).starts_with("HTTP/1.1 200"), "{path}");
    }
    let description = "/api/v1/openapi.json";
    assert!(get(&api.url, description).starts_with("HTTP/1.1 200"));
    assert!(get(&health, description).starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn a_request_that_is_under_way_is_finished_before_the_end() {
    let clinic = Clinic::on(Backend::Sqlite, "2026-03-02T08:00:00Z").await;
    let mailbox = clinic.folder.path().join("mail");
    let run = Run {
        database: &clinic.database,
        clock: "2026-03-02T09:00:00Z",
        mailbox: &mailbox,
    };
    let mut service = run.start("serve", &[]);
    let body = json!({ "name": "C", "zone": "UTC" }).to_string();
    let mut slow = TcpStream::connect(service.url.strip_prefix("http://").unwrap()).unwrap();
    slow.write_all(post(&clinic, "/clients", body.len()).as_bytes())
        .unwrap();
    slow.write_all(&body.as_bytes()[..5]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    service.signal("TERM");
    std::thread::sleep(Duration::from_millis(300));
    let again = TcpStream::connect(service.url.strip_prefix("http://").unwrap());
    assert!(again.is_err(), "it takes new work still");
    slow.write_all(&body.as_bytes()[5..]).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(service.ends_well_within(Duration::from_secs(10)));
    let mut database = Database::open(&clinic).await;
    assert_eq!(database.number("SELECT count(*) FROM client").await, 1);
}

#[tokio::test]
async fn logs_are_json_name_their_request_and_hold_nothing_about_a_person() {
    let clinic = with_due_work().await;
    let mailbox = clinic.folder.path().join("mail");
    let run = Run {
        database: &clinic.database,
        clock: "2026-03-02T09:00:00Z",
        mailbox: &mailbox,
    };
    let log = clinic.folder.path().join("log");
    let service = run.start_logging(&log);
    let body = json!({ "name": "Zebulon Quux", "zone": "UTC" }).to_string();
    let answer = ask(
        &service.url,
        &(post(&clinic, "/clients", body.len()) + &body),
    );
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(answer.contains("x-request-id: asked-1"), "{answer}");
    get(&service.url, "/api/v1/clients/Zebulon@example.org");
    // What is wrong with a request is told to whoever asked, and not to the log.
    let body = json!({ "name": "Zebulon Quux", "zone": "Zebulon/Nowhere" }).to_string();
    for (path, code) in [
        ("/clients", "unknown_zone"),
        ("/clients?who=Zebulon", "malformed_query"),
    ] {
        let answer = ask(&service.url, &(post(&clinic, path, body.len()) + &body));
        assert!(answer.contains(code), "{answer}");
    }
    std::thread::sleep(Duration::from_millis(1200)); // a tick or two
    drop(service);

    let log = std::fs::read_to_string(log).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    let answered = |line: &&Value| line["fields"]["message"] == "answered";
    let answers: Vec<&Value> = lines.iter().filter(answered).collect();
    assert_eq!(answers.len(), 4, "{log}");
    for line in [answers[0], answers[2], answers[3]] {
        assert_eq!(line["span"]["id"], "asked-1", "{line}");
        assert_eq!(line["fields"]["route"], "/api/v1/clients", "{line}");
    }
    assert!(
        log.contains("sqlx::query"),
        "at this level statements are logged too"
    );
    for secret in ["Zebulon", "Quux", &clinic.admin] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
