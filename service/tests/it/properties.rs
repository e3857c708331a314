//! Random days at the clinic. After each step, what is stored must hold together.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use ledger_core::{Account, AccountId, Body, Entry, fold, verify};
use proptest::prelude::*;
use scheduler_core::ClientId;
use serde_json::{Value, json};

use crate::clinic::{Clinic, Parties};

#[derive(Debug, Clone)]
enum Step {
    Grant(i64),
    Pass(i64),
    Reschedule {
        week: usize,
        day: u8,
        hour: u8,
    },
    Cancel {
        week: usize,
        as_client: bool,
    },
    Skip {
        week: usize,
    },
    Complete {
        week: usize,
    },
    NoShow {
        week: usize,
    },
    Waive {
        week: usize,
    },
    /// To one of the plans, which changes nothing if it is the present one.
    ChangePlan {
        plan: usize,
    },
    /// The present month, or the one after it.
    PayMonth {
        ahead: bool,
    },
    Adjust(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let week = 0..6_usize;
    prop_oneof![
        1 => (1..4_i64).prop_map(Step::Grant),
        4 => (1..300_i64).prop_map(Step::Pass),
        3 => (week.clone(), 2..27_u8, 0..24_u8)
            .prop_map(|(week, day, hour)| Step::Reschedule { week, day, hour }),
        2 => (week.clone(), any::<bool>())
            .prop_map(|(week, as_client)| Step::Cancel { week, as_client }),
        1 => week.clone().prop_map(|week| Step::Skip { week }),
        2 => week.clone().prop_map(|week| Step::Complete { week }),
        1 => week.clone().prop_map(|week| Step::NoShow { week }),
        1 => week.prop_map(|week| Step::Waive { week }),
        1 => (0..2_usize).prop_map(|plan| Step::ChangePlan { plan }),
        2 => any::<bool>().prop_map(|ahead| Step::PayMonth { ahead }),
        1 => (-2..3_i64).prop_map(Step::Adjust),
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
        Step::Waive { week } => (
            &*clinic.admin,
            session(*week, "waive").await,
            json!({ "reason": "goodwill" }),
        ),
        Step::ChangePlan { plan } => {
            // Plans begin at whole seconds.
            clinic.app.clock.advance(chrono::TimeDelta::seconds(1));
            let plans = clinic.get("/plans").await;
            let path = format!("/clients/{}/subscription", parties.client);
            let body = json!({ "plan_id": plans["items"][*plan]["id"] });
            (&*clinic.admin, Some(path), body)
        }
        Step::PayMonth { ahead } => {
            let path = format!("/clients/{}/subscription", parties.client);
            let shown = clinic.get_as(&clinic.admin, &path).await.body;
            let current = &shown["current"];
            if current.is_null() {
                return;
            }
            let (mut start, mut end) = (current["starts_at"].clone(), current["ends_at"].clone());
            if *ahead {
                let anchor = shown["terms"].as_array().unwrap().last().unwrap()["from"].clone();
                (start, end) = (end.clone(), month_after(&anchor, &end));
            }
            let invoice = json!({
                "id": format!("in-{}", start.as_str().unwrap()),
                "period_start": start, "period_end": end, "paid": current["plan"]["price"],
            });
            let body = json!({ "starts_at": start, "invoice": invoice });
            (&*clinic.admin, Some(format!("{path}/months")), body)
        }
        Step::Adjust(amount) => {
            let body = json!({
                "service_id": parties.service, "amount": amount, "reason": "correction",
            });
            let path = format!("/clients/{}/adjustments", parties.client);
            (&*clinic.admin, Some(path), body)
        }
    };
    let Some(path) = path else { return };
    let answer = clinic.post_as(token, &path, &body).await;
    let none = matches!(step, Step::Adjust(0));
    let fine = match answer.status {
        StatusCode::OK | StatusCode::CREATED => true,
        // The ledger refuses nothing that the clinic has decided.
        StatusCode::CONFLICT => answer.body["code"] != "ledger",
        StatusCode::UNPROCESSABLE_ENTITY => none,
        _ => false,
    };
    assert!(fine, "{step:?}: {} {}", answer.status, answer.body);
}

/// The end of the month that begins at an instant, months being counted from an anchor.
fn month_after(anchor: &Value, start: &Value) -> Value {
    let instant = |value: &Value| value.as_str().unwrap().parse().unwrap();
    let term = clinic::plan::Term {
        from: instant(anchor),
        zone: "Europe/London".parse().unwrap(),
        plan: None,
    };
    json!(term.month_at(instant(start)).unwrap().end())
}

/// What was ever granted is in some bucket, and what went over into another lot counts once.
fn check_total(account: &Account, entries: &[Entry]) {
    let brought = entries.iter().map(|entry| match &entry.body {
        Body::Grant { amount, .. } => amount.0,
        Body::Adjust { amount, .. } => amount.0.max(0),
        _ => 0,
    });
    let balance = account.balance();
    let total = balance.total().unwrap().0 - balance.moved_out.0;
    assert_eq!(total, brought.sum::<i64>());
}

/// The snapshot is the fold of the entries, the chain holds, and every scheduled session has one
/// open hold and nothing else has any.
pub(crate) async fn check(clinic: &Clinic, parties: &Parties) {
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
    check_total(&account, &entries);

    let window = "from=2026-01-01T00:00:00Z&to=2026-12-31T00:00:00Z";
    let all = clinic
        .get(&format!("/clients/{}/sessions?{window}", parties.client))
        .await;
    let all = all["items"].as_array().unwrap();
    let addresses: BTreeSet<(&str, &str)> = all
        .iter()
        .map(|item| {
            let text = |name: &str| item[name].as_str().unwrap();
            (text("intent_id"), text("recurrence_id"))
        })
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
            for (credits, rollover) in [(4, json!(1)), (2, json!("all"))] {
                let plan = json!({
                    "name": "plan", "service_id": parties.service, "credits": credits,
                    "price": { "minor": 10_000, "currency": "GBP" }, "rollover": rollover,
                });
                clinic.post("/plans", plan).await;
            }
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
