//! All that is tested on SQLite, on PostgreSQL.

use std::io::Write;
use std::process::Command;

/// Runs this program's other tests once more, but for those that name their database themselves.
#[test]
fn whatever_holds_on_sqlite_holds_on_postgres() {
    let tests = Command::new(std::env::current_exe().unwrap())
        .env("STANDING_TEST_STORE", "postgres")
        .args([
            "--skip",
            "on_postgres::",
            "--skip",
            "crash::",
            "--skip",
            "processes::",
        ])
        .args([
            "--skip",
            "races::",
            "--skip",
            "restart::",
            "--skip",
            "service::",
        ])
        .args([
            "--skip",
            "walk::",
            "--skip",
            "law::",
            "--skip",
            "zoneinfo::",
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&tests.stdout);
    assert!(tests.status.success(), "{told}");
    let result = told
        .lines()
        .find(|line| line.starts_with("test result"))
        .unwrap();
    let passed = result.split(' ').find_map(|word| word.parse::<u32>().ok());
    assert!(passed > Some(25), "{result}");
    let said = format!("On PostgreSQL: {result}\n");
    let _shown = std::io::stderr().write_all(said.as_bytes());
}
