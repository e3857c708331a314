//! Services that are killed while work is due.
//!
//! `STANDING_KILLS` sets how often, 20 if it is not set.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::backend::Backend;
use crate::clinic::{Clinic, booking};
use crate::database::Database;
use crate::process::{Dice, Run};
use crate::whole::assert_whole;

const THERAPISTS: i64 = 4;
const INTENTS_EACH: i64 = 10;
const INTENTS: i64 = THERAPISTS * INTENTS_EACH;
const START: &str = "2026-03-02T08:00:00Z";

/// A clinic of daily bookings, every client with credits for all of them.
async fn daily(backend: Backend, days: i64) -> Clinic {
    let clinic = Clinic::on(backend, START).await;
    for _ in 0..THERAPISTS {
        let mut parties = clinic.parties().await;
        for hour in 9..9 + INTENTS_EACH {
            let client = json!({ "name": "C", "zone": "UTC" });
            let client = clinic.post("/clients", client).await["id"].clone();
            parties.client = client.as_str().unwrap().to_owned();
            clinic.grant(&parties, 2000).await;
            let start = format!("2026-03-03T{hour:02}:00:00");
            let rule = format!("FREQ=DAILY;COUNT={days}");
            let mut body = booking(&parties, &start, Some(&rule));
            body["zone"] = json!("UTC"); // so that the days are countable by hand
            clinic.post("/intents", body).await;
        }
    }
    clinic
}

/// Every day a service does the day's work and is killed at a random moment of it. The next day's
/// service finds what is left and the new day's work.
async fn killed_every_day(backend: Backend) {
    let kills = std::env::var("STANDING_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let clinic = daily(backend, kills + 30).await;
    let mailbox = clinic.folder.path().join("mail");
    let mut database = Database::open(&clinic).await;
    let start: DateTime<Utc> = START.parse().unwrap();
    let at = |day: i64| (start + TimeDelta::days(day)).to_rfc3339();

    // The first day plans a week, the second shows how long a day takes, with the process's start.
    let clock = at(0);
    let run = Run {
        database: &clinic.database,
        clock: &clock,
        mailbox: &mailbox,
    };
    assert!(run.tick().contains(" 0 failed"));
    let clock = at(1);
    let run = Run {
        clock: &clock,
        ..run
    };
    let began = Instant::now();
    assert!(run.tick().contains(" 0 failed"));
    let day_takes = began.elapsed();
    let last = kills + 1;

    let mut dice = Dice(0x5eed);
    let mut cut_off = 0;
    for day in 2..=last {
        let clock = at(day);
        let run = Run {
            clock: &clock,
            ..run
        };
        let mut process = run.spawn();
        let micros = u64::try_from(day_takes.as_micros()).unwrap();
        tokio::time::sleep(Duration::from_micros(dice.below(micros))).await;
        process.kill().unwrap();
        process.wait().unwrap();
        let planned = database.number("SELECT count(*) FROM session").await;
        let unsent = "SELECT count(*) FROM outbox WHERE state = 'pending'";
        let unsent = database.number(unsent).await;
        cut_off += i64::from(planned < INTENTS * (6 + day) || unsent > 0);
    }
    assert!(
        cut_off >= kills / 3,
        "only {cut_off} of {kills} kills came while work was due"
    );

    // What is left is done, once the leases of the dead have run out.
    let clock = (start + TimeDelta::days(last) + TimeDelta::minutes(2)).to_rfc3339();
    let run = Run {
        clock: &clock,
        ..run
    };
    let told = run.tick();
    assert!(told.contains(" 0 failed"), "{told}");
    assert!(run.tick().contains(": 0 done, 0 failed"));
    // Six days lie within seven from the first morning, and each day brings one more.
    let sessions = database.number("SELECT count(*) FROM session").await;
    assert_eq!(sessions, INTENTS * (6 + last));
    assert_whole(&mut database, &mailbox).await;
}

#[tokio::test]
async fn a_service_killed_twenty_times_loses_and_doubles_nothing_on_sqlite() {
    killed_every_day(Backend::Sqlite).await;
}

#[tokio::test]
async fn a_service_killed_twenty_times_loses_and_doubles_nothing_on_postgres() {
    killed_every_day(Backend::Postgres).await;
}
