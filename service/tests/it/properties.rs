//! Random days at the clinic. After each step, what is stored must hold together.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use ledger_core::{AccountId, fold, verify};
use proptest::prelude::*;
use scheduler_core::ClientId;
use serde_json::{Value, json};

use crate::clinic::{Clinic, Parties};

#[derive(Debug, Clone)]
enum Step {
    Grant(i64),
    Pass(i64),
    Reschedule { week: usize, day: u8, hour: u8 },
    Cancel { week: usize, as_client: bool },
    Skip { week: usize },
    Complete { week: usize },
    NoShow { week: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let week = 0..6_usize;
    prop_oneof![
        1 => (1..4_i64).prop_map(Step::Grant),
        4 => (1..100_i64).prop_map(Step::Pass),
        3 => (week.clone(), 2..27_u8, 0..24_u8)
            .prop_map(|(week, day, hour)| Step::Reschedule { week, day, hour }),
        2 => (week.clone(), any::<bool>())
            .prop_map(|(week, as_client)| Step::Cancel { week, as_client }),
        1 => week.clone().prop_map(|week| Step::Skip { week }),
        2 => week.clone().prop_map(|week| Step::Complete { week }),
        1 => week.prop_map(|week| Step::NoShow { week }),
    ]
}

/// The Mondays of the booking.
const WEEKS: [&str; 6] = [
    "2026-03-02T18:00:00",
    "2026-03-09T18:00:00",
    "2026-03-16T18:00:00",
    "2026-03-23T18:00:00",
    "2026-03-30T18:00:00",
    "2026-04-06T18:00:00",
];

async fn take(clinic: &Clinic, parties: &Parties, intent: &str, client: &str, step: &Step) {
    let occurrence = |week: usize| format!("/intents/{intent}/occurrences/{}", WEEKS[week]);
    let session = async |week: usize, what: &str| {
        let shown = clinic.get(&occurrence(week)).await;
        let id = shown["session_id"].as_str()?.to_owned();
        Some(format!("/sessions/{id}/{what}"))
    };
    let (token, path, body) = match step {
        Step::Grant(amount) => {
            clinic.grant(parties, *amount).await;
            return;
        }
        Step::Pass(hours) => {
            clinic.app.clock.advance(chrono::TimeDelta::hours(*hours));
            assert_eq!(clinic.tick().await.failed, 0);
            return;
        }
        Step::Reschedule { week, day, hour } => {
            let to = json!({ "starts_local": format!("2026-03-{day:02}T{hour:02}:00:00") });
            (
                &*clinic.admin,
                Some(format!("{}/reschedule", occurrence(*week))),
                to,
            )
        }
        Step::Cancel { week, as_client } => {
            let token = if *as_client { client } else { &clinic.admin };
            (
                token,
                Some(format!("{}/cancel", occurrence(*week))),
                json!({}),
            )
        }
        Step::Skip { week } => (
            &*clinic.admin,
            Some(format!("{}/skip", occurrence(*week))),
            json!({}),
        ),
        Step::Complete { week } => (&*clinic.admin, session(*week, "complete").await, json!({})),
        Step::NoShow { week } => (&*clinic.admin, session(*week, "no-show").await, json!({})),
    };
    let Some(path) = path else { return };
    let answer = clinic.post_as(token, &path, &body).await;
    let fine = answer.status == StatusCode::OK || answer.status == StatusCode::CONFLICT;
    assert!(fine, "{step:?}: {} {}", answer.status, answer.body);
}

/// The snapshot is the fold of the entries, the chain holds, and every scheduled session has one
/// open hold and nothing else has any.
async fn check(clinic: &Clinic, parties: &Parties) {
    let client = ClientId(parties.client.parse().unwrap());
    let first = clinic::ClinicId::FIRST;
    let account = clinic
        .app
        .store
        .account(first, client)
        .await
        .unwrap()
        .unwrap();
    let entries = clinic
        .app
        .store
        .entries(first, client, 0, u32::MAX)
        .await
        .unwrap();
    let id = AccountId(client.0);
    assert_eq!(fold(id, &entries).unwrap(), account);
    assert_eq!(verify(id, &entries).unwrap(), account.head());

    let window = "from=2026-01-01T00:00:00Z&to=2026-12-31T00:00:00Z";
    let all = clinic
        .get(&format!("/clients/{}/sessions?{window}", parties.client))
        .await;
    let all = all["items"].as_array().unwrap();
    let addresses: BTreeSet<&str> = all
        .iter()
        .map(|item| item["recurrence_id"].as_str().unwrap())
        .collect();
    assert_eq!(addresses.len(), all.len(), "an occurrence is listed twice");
    let held: BTreeSet<String> = all
        .iter()
        .filter(|item| item["state"] == "scheduled")
        .map(|item| item["session_id"].as_str().unwrap().to_owned())
        .collect();
    let holds: BTreeSet<String> = account
        .holds()
        .map(|hold| hold.id.booking.to_string())
        .collect();
    assert_eq!(holds, held);
    let live: Vec<&Value> = all
        .iter()
        .filter(|item| item["state"] == "scheduled" || item["state"] == "unfunded")
        .collect();
    for pair in live.windows(2) {
        assert!(
            pair[0]["ends_at"].as_str() <= pair[1]["starts_at"].as_str(),
            "{pair:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_and_the_calendar_agree_whatever_happens(
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
            let parties = clinic.parties().await;
            clinic.grant(&parties, 2).await;
            let rule = Some("FREQ=WEEKLY;BYDAY=MO;COUNT=6");
            let intent = clinic.book(&parties, WEEKS[0], rule).await;
            let client = clinic.client_token(&parties.client).await;
            clinic.tick().await;
            for step in &steps {
                take(&clinic, &parties, &intent, &client, step).await;
                check(&clinic, &parties).await;
            }
        });
    }
}
