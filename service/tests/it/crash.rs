//! A tick that is killed, and run again.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::clinic::{Clinic, booking};
use crate::database::Database;

const THERAPISTS: i64 = 12;
const INTENTS_EACH: i64 = 10;
const SESSIONS: i64 = THERAPISTS * INTENTS_EACH;
const KILLS: i64 = 10;
const NOW: &str = "2026-03-02T09:00:00Z";

fn tick(database: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standing"));
    command
        .args(["tick", "--clock", NOW, "--log", "warn", "--database"])
        .arg(database)
        .stdout(Stdio::null());
    command
}

/// A database in which that many intents are due.
async fn clinic_with_work() -> Clinic {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    for _ in 0..THERAPISTS {
        let mut parties = clinic.parties().await;
        for number in 0..INTENTS_EACH {
            let client = json!({ "name": "C", "zone": "UTC" });
            let client = clinic.post("/clients", client).await["id"].clone();
            parties.client = client.as_str().unwrap().to_owned();
            // Some have credit and some have not.
            if number % 3 > 0 {
                clinic.grant(&parties, 2).await;
            }
            let start = format!("2026-03-03T{:02}:00:00", 8 + number);
            clinic
                .post("/intents", booking(&parties, &start, Some("FREQ=WEEKLY")))
                .await;
        }
    }
    clinic.app.store.close().await;
    clinic
}

fn copy(clinic: &Clinic, name: &str) -> std::path::PathBuf {
    let to = clinic.folder.path().join(name);
    std::fs::copy(clinic.database(), &to).unwrap();
    to
}

#[tokio::test]
async fn a_tick_killed_ten_times_and_run_again_leaves_the_rows_of_an_undisturbed_one() {
    let clinic = clinic_with_work().await;
    let undisturbed = copy(&clinic, "undisturbed.db");
    assert!(tick(&undisturbed).status().unwrap().success());
    let mut database = Database::open(&undisturbed).await;
    assert_eq!(database.count("session").await, SESSIONS);
    let expected = database.dump().await;

    let mut cut_off = 0;
    for kill in 1..=KILLS {
        let path = copy(&clinic, &format!("killed-{kill}.db"));
        let mut database = Database::open(&path).await;
        // Each time at another point of the work.
        let until = SESSIONS * kill / (KILLS + 1);
        let mut process = tick(&path).spawn().unwrap();
        let patience = Instant::now();
        while database.count("session").await < until {
            assert!(
                patience.elapsed() < Duration::from_secs(60),
                "the tick does not go on"
            );
            tokio::task::yield_now().await;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let made = database.count("session").await;
        cut_off += i64::from(made < SESSIONS);
        assert!(tick(&path).status().unwrap().success());
        assert_eq!(
            database.dump().await,
            expected,
            "killed after {made} sessions"
        );
    }
    assert!(
        cut_off >= KILLS / 2,
        "only {cut_off} of {KILLS} kills came within a tick"
    );
}
