//! Connections that say nothing, or too many at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::Process;

/// A service on an empty file that may open so many files.
fn serve(folder: &TempDir, files: u32) -> Process {
    let standing = |arguments: &[&str]| {
        let mut command = Command::new("sh");
        let limited = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
        command.args([
            "-c",
            &limited,
            env!("CARGO_BIN_EXE_standing"),
            "--log",
            "off",
        ]);
        command.args(arguments).current_dir(folder.path());
        command.env_remove("STANDING_KEYS");
        command
    };
    assert!(standing(&["migrate"]).output().unwrap().status.success());
    assert!(
        standing(&["keys", "init"])
            .output()
            .unwrap()
            .status
            .success()
    );
    let mut serving = standing(&["serve", "--listen", "127.0.0.1:0"]);
    Process::of(serving.stdout(Stdio::piped()).spawn().unwrap())
}

fn connect(service: &Process) -> TcpStream {
    let stream = TcpStream::connect(service.url.trim_start_matches("http://")).unwrap();
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).unwrap();
    stream
}

/// What the service answers to a request for this page, on a connection that it may close then.
fn get(stream: &mut TcpStream, page: &str) -> String {
    let request = format!("GET {page} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    // One that was refused may be closed already; what it was told is still there.
    let _closed = stream.write_all(request.as_bytes());
    let mut answer = String::new();
    let _closed = stream.read_to_string(&mut answer);
    answer
}

/// Resident memory, in kilobytes.
#[cfg(target_os = "linux")]
fn resident(service: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A connection costs kilobytes, whatever it has sent of a head, and none is in another's way. What those that are
/// gone have cost is there for the next.
#[test]
#[cfg(target_os = "linux")]
fn a_thousand_half_heads_cost_little() {
    let folder = TempDir::new().unwrap();
    let service = serve(&folder, 4_096);
    assert!(get(&mut connect(&service), "/health/live").starts_with("HTTP/1.1 200"));
    let before = resident(&service);
    for round in 0..4 {
        let half: Vec<TcpStream> = (0..1_000)
            .map(|_| {
                let mut stream = connect(&service);
                stream
                    .write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\nx: ")
                    .unwrap();
                stream
            })
            .collect();
        let answer = get(&mut connect(&service), "/health/ready");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let each = (resident(&service) - before) / 1_000;
        // An allocator does not give back every page.
        let most = if round == 0 { 20 } else { 30 };
        assert!(each < most, "{each} kB a connection in round {round}");
        drop(half);
        std::thread::sleep(Duration::from_secs(1)); // they are closed at the other end too
    }
}

/// A connection beyond the limit is answered 503, and the next is served once others have closed.
#[test]
fn one_beyond_the_limit_is_answered() {
    let folder = TempDir::new().unwrap();
    // Some are the database's and the log's.
    let service = serve(&folder, 300);
    let mut open: Vec<TcpStream> = (0..60).map(|_| connect(&service)).collect();
    let told: Vec<String> = (open.iter_mut().rev().take(5))
        .map(|stream| get(stream, "/health/live"))
        .collect();
    for answer in &told {
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("retry-after: 1"), "{answer}");
        assert!(answer.contains("too many connections"), "{answer}");
    }
    drop(open);
    let answered = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        get(&mut connect(&service), "/health/live").starts_with("HTTP/1.1 200")
    });
    assert!(answered);
}

/// Half a head is let go, and so is a connection that is idle after an answer, or says nothing at all.
#[test]
fn who_says_nothing_is_let_go() {
    let folder = TempDir::new().unwrap();
    let service = serve(&folder, 1_024);
    let mut half = connect(&service);
    half.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\nx: ")
        .unwrap();
    let mut idle = connect(&service);
    idle.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut silent = connect(&service);
    for stream in [&mut half, &mut idle, &mut silent] {
        // To its end, or to a reset: but not to the limit of this reader.
        let ended = stream.read_to_end(&mut Vec::new());
        let kind = ended.map_err(|error| error.kind());
        let waits = std::io::ErrorKind::WouldBlock;
        assert_ne!(kind.err(), Some(waits));
    }
}

/// A service that is to stop does not wait for connections that say nothing.
#[test]
fn an_idle_connection_does_not_delay_the_stop() {
    let folder = TempDir::new().unwrap();
    let mut service = serve(&folder, 1_024);
    let mut idle = connect(&service);
    idle.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let _answer = idle.read(&mut [0; 512]).unwrap();
    service.signal("TERM");
    assert!(service.ends_well_within(Duration::from_secs(10)));
}

/// RFC 9112, section 3.2.
#[test]
fn a_request_names_its_host() {
    let folder = tempfile::tempdir().unwrap();
    let service = serve(&folder, 1_024);
    let asked = |request: &str| {
        let mut stream = connect(&service);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _closed = stream.read_to_string(&mut answer);
        answer
    };
    let without = asked("GET /health/live HTTP/1.1\r\nconnection: close\r\n\r\n");
    assert!(
        without.starts_with("HTTP/1.1 400") && without.contains("\"Host\""),
        "{without}"
    );
    let older = asked("GET /health/live HTTP/1.0\r\n\r\n");
    assert!(older.starts_with("HTTP/1.0 200"), "{older}");
}
