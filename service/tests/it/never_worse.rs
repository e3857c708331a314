//! No client is worse off for what the clinic did, for paying early, or for a slip that was undone: the
//! properties of `service/store/tests/it/never_worse.rs` through the service, on the database of the
//! tests. Two clinics live through one random history, with one step done in two ways.
//! `STANDING_CASES=500` runs them at length.

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::clinic::{Clinic, Parties};

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass { hours: i64 },
    Book { hours: i64 },
    Cancel { which: usize, by_clinic: bool },
    Complete { which: usize },
    NoShow { which: usize },
    Pay { month: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1..160i64).prop_map(|hours| Step::Pass { hours }),
        4 => (30..600i64).prop_map(|hours| Step::Book { hours }),
        3 => (0..12usize, any::<bool>())
            .prop_map(|(which, by_clinic)| Step::Cancel { which, by_clinic }),
        2 => (0..12usize).prop_map(|which| Step::Complete { which }),
        1 => (0..12usize).prop_map(|which| Step::NoShow { which }),
        2 => (1..4usize).prop_map(|month| Step::Pay { month }),
    ]
}

/// What is done in two ways.
#[derive(Clone, Copy, Debug)]
enum Twist {
    /// The clinic calls a session off, or the client does, in time.
    Cancel,
    /// A month is paid now, or after other steps.
    PayEarly,
    /// The series is paused or ended, and that is undone; or nothing is done.
    EditAndUndo { end: bool },
    /// One date goes to another therapist, or does not.
    Reassign,
    /// A forfeit is waived, or is not.
    Waive,
}

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![
        Just(Twist::Cancel),
        Just(Twist::PayEarly),
        any::<bool>().prop_map(|end| Twist::EditAndUndo { end }),
        Just(Twist::Reassign),
        Just(Twist::Waive),
    ]
}

/// A client of a clinic, subscribed to a plan whose first month is paid for.
struct World {
    clinic: Clinic,
    parties: Parties,
    other: String,
    token: String,
    intents: Vec<String>,
    months: Vec<(String, String)>,
}

impl World {
    async fn open(credits: i64, rollover: &Value, grace_days: u32) -> Self {
        let clinic = Clinic::at("2026-03-01T08:00:00Z").await;
        let mut parties = clinic.parties().await;
        let other = clinic.parties().await.therapist;
        let service = json!({
            "name": "session", "minutes": 50, "price": { "minor": 6_500, "currency": "GBP" },
            "cancellation": {
                "free_until_minutes": 1440, "late_cancel": "forfeit", "no_show": "forfeit",
                "grace_days": grace_days, "no_show_after_minutes": 0,
            },
        });
        parties.service = text(&clinic.post("/services", service).await["id"]);
        let plan = json!({
            "name": "plan", "service_id": parties.service, "credits": credits,
            "price": { "minor": 10_000, "currency": "GBP" }, "rollover": rollover,
            "late_days": 0,
        });
        let plan = clinic.post("/plans", plan).await["id"].clone();
        let path = format!("/clients/{}/subscription", parties.client);
        let shown = clinic.post(&path, json!({ "plan_id": plan })).await;
        let term: DateTime<Utc> = text(&shown["current"]["starts_at"]).parse().unwrap();
        let term = clinic::plan::Term {
            from: term,
            zone: "Europe/London".parse().unwrap(),
            plan: None,
        };
        let (mut months, mut start) = (Vec::new(), term.from);
        for _ in 0..4 {
            let period = term.month_at(start).unwrap();
            let spelled = |at: DateTime<Utc>| text(&json!(at));
            months.push((spelled(period.start()), spelled(period.end())));
            start = period.end();
        }
        let token = clinic.client_token(&parties.client).await;
        let world = Self {
            clinic,
            parties,
            other,
            token,
            intents: Vec::new(),
            months,
        };
        assert!(world.pay(0).await);
        world
    }

    fn now(&self) -> DateTime<Utc> {
        self.clinic.app.clock.now()
    }

    /// Whether it was done. What is refused is refused by a rule.
    async fn post(&self, token: &str, path: &str, body: Value) -> bool {
        let answer = self.clinic.post_as(token, path, &body).await;
        let status = answer.status;
        let refused = [StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY].contains(&status);
        assert!(
            status.is_success() || refused && answer.body["code"] != "ledger",
            "{path}: {status} {}",
            answer.body
        );
        status == StatusCode::OK || status == StatusCode::CREATED
    }

    async fn pay(&self, month: usize) -> bool {
        let (start, end) = &self.months[month];
        let body = json!({
            "starts_at": start,
            "invoice": {
                "id": format!("in-{month}"), "period_start": start, "period_end": end,
                "paid": { "minor": 10_000, "currency": "GBP" },
            },
        });
        let path = format!("/clients/{}/subscription/months", self.parties.client);
        self.post(&self.clinic.admin, &path, body).await
    }

    /// Time passes, and the worker looks every twelve hours, and at the end.
    async fn pass(&self, hours: i64) {
        let until = self.now() + TimeDelta::hours(hours);
        while self.now() < until {
            let step = TimeDelta::hours(12).min(until - self.now());
            self.clinic.app.clock.advance(step);
            assert_eq!(self.clinic.tick().await.failed, 0);
        }
    }

    async fn book(&mut self, hours: i64) {
        let zone: scheduler_core::Zone = "Europe/London".parse().unwrap();
        let start = zone.local(self.now() + TimeDelta::hours(hours)).to_string();
        let rule = (hours % 6 == 0).then_some("FREQ=WEEKLY;COUNT=6");
        let body = crate::clinic::booking(&self.parties, &start, rule);
        let answer = self
            .clinic
            .post_as(&self.clinic.admin, "/intents", &body)
            .await;
        if answer.status == StatusCode::CREATED {
            self.intents.push(text(&answer.body["id"]));
        }
        assert_eq!(self.clinic.tick().await.failed, 0);
    }

    /// The client's sessions that were made, a number meaning the same one in both worlds.
    async fn sessions(&self) -> Vec<Value> {
        let path = format!(
            "/clients/{}/sessions?from=2026-01-01T00:00:00Z&to=2026-12-31T00:00:00Z",
            self.parties.client
        );
        let listed = self.clinic.get(&path).await["items"].take();
        let Value::Array(mut items) = listed else {
            panic!("{listed}");
        };
        items.retain(|item| !item["session_id"].is_null());
        let place = |item: &Value| {
            let intent = self.intents.iter().position(|id| item["intent_id"] == **id);
            (intent, text(&item["recurrence_id"]))
        };
        items.sort_by_key(place);
        items
    }

    async fn session(&self, which: usize, live: bool) -> Option<Value> {
        let mut sessions = self.sessions().await;
        if live {
            sessions.retain(|item| item["state"] == "scheduled" || item["state"] == "unfunded");
        }
        let count = sessions.len();
        (count > 0).then(|| sessions.swap_remove(which % count))
    }

    async fn on(&self, token: &str, session: &Value, what: &str, body: Value) -> bool {
        let id = text(&session["session_id"]);
        self.post(token, &format!("/sessions/{id}/{what}"), body)
            .await
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Pass { hours } => self.pass(hours).await,
            Step::Book { hours } => self.book(hours).await,
            Step::Pay { month } => drop(self.pay(month).await),
            Step::Cancel { which, by_clinic } => {
                if let Some(session) = self.session(which, false).await {
                    let token = if by_clinic {
                        &self.clinic.admin
                    } else {
                        &self.token
                    };
                    self.on(token, &session, "cancel", json!({})).await;
                }
            }
            Step::Complete { which } | Step::NoShow { which } => {
                if let Some(session) = self.session(which, false).await {
                    let what = match step {
                        Step::Complete { .. } => "complete",
                        _ => "no-show",
                    };
                    self.on(&self.clinic.admin, &session, what, json!({})).await;
                }
            }
        }
    }

    /// Credits that are not lost; without those that were forfeited, if they are not asked for.
    async fn kept(&self, forfeited_too: bool) -> i64 {
        let (available, held, used, forfeited) = self.clinic.balance(&self.parties).await;
        available + held + used + if forfeited_too { forfeited } else { 0 }
    }

    async fn forfeited(&self) -> i64 {
        self.clinic.balance(&self.parties).await.3
    }

    /// Where there are fewer credits than sessions, who gets one decides what is left.
    async fn is_short(&self) -> bool {
        let sessions = self.sessions().await;
        let short = |item: &Value| item["state"] == "case" || item["state"] == "unfunded";
        sessions.iter().any(short)
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

/// Whether the twist was done: in the first world in the way that must be no worse.
async fn twisted(
    twist: Twist,
    [one, other]: [&mut World; 2],
    which: usize,
    between: &[Step],
) -> bool {
    let Some(session) = one.session(which, true).await else {
        return false;
    };
    let Some(same) = other.session(which, true).await else {
        panic!("the worlds differ before anything was done in two ways");
    };
    match twist {
        Twist::Cancel => {
            let before = other.forfeited().await;
            if !other.on(&other.token, &same, "cancel", json!({})).await
                || other.forfeited().await != before
            {
                return false;
            }
            let admin = &one.clinic.admin;
            assert!(one.on(admin, &session, "cancel", json!({})).await);
            true
        }
        Twist::PayEarly => {
            let month = 1 + which % 3;
            let end: DateTime<Utc> = one.months[month].1.parse().unwrap();
            if one.clinic.ledger(&one.parties).await.is_empty() || !one.pay(month).await {
                return false;
            }
            for step in between {
                if !matches!(step, Step::Pay { .. }) {
                    one.take(*step).await;
                    other.take(*step).await;
                }
            }
            !(one.is_short().await || other.is_short().await)
                && other.now() < end
                && other.pay(month).await
        }
        Twist::EditAndUndo { end } => {
            let before = one.forfeited().await;
            let intent = text(&session["intent_id"]);
            let from = one.now().date_naive() + chrono::Days::new(1);
            let (what, body) = if end {
                ("end", json!({ "from": from }))
            } else {
                let until = from + chrono::Days::new(9);
                ("pause", json!({ "from": from, "until": until }))
            };
            let admin = one.clinic.admin.clone();
            if !one
                .post(&admin, &format!("/intents/{intent}/{what}"), body)
                .await
                || one.forfeited().await != before
            {
                return false;
            }
            let undo = format!("/intents/{intent}/undo");
            assert!(one.post(&admin, &undo, json!({})).await);
            true
        }
        Twist::Reassign => {
            let intent = text(&session["intent_id"]);
            let at = text(&session["recurrence_id"]);
            let path = format!("/intents/{intent}/occurrences/{at}/reassign");
            let to = json!({ "therapist_id": one.other });
            session["state"] == "scheduled" && one.post(&one.clinic.admin, &path, to).await
        }
        Twist::Waive => {
            let end: DateTime<Utc> = text(&session["ends_at"]).parse().unwrap();
            let hours = (end - one.now()).num_hours() + 1;
            for (world, session) in [(&*one, &session), (&*other, &same)] {
                world.pass(hours).await;
                let admin = &world.clinic.admin;
                if !world.on(admin, session, "no-show", json!({})).await {
                    return false;
                }
            }
            let reason = json!({ "reason": "goodwill" });
            one.on(&one.clinic.admin, &session, "waive", reason).await
        }
    }
}

async fn lived(
    twist: Twist,
    [mut one, mut other]: [World; 2],
    before: &[Step],
    between: &[Step],
    after: &[Step],
    which: usize,
) -> bool {
    for step in before {
        // The month of the twist is not paid for before it.
        if matches!(step, Step::Pay { .. }) && matches!(twist, Twist::PayEarly) {
            continue;
        }
        one.take(*step).await;
        other.take(*step).await;
    }
    if one.is_short().await || !twisted(twist, [&mut one, &mut other], which, between).await {
        return false;
    }
    let quiet = matches!(twist, Twist::Reassign | Twist::Waive);
    let is_kept = |step: &&Step| !quiet || matches!(step, Step::Pass { .. } | Step::Pay { .. });
    let rest = after.iter().filter(is_kept).copied();
    for step in rest.chain([Step::Pass { hours: 24 * 12 }; 4]) {
        one.take(step).await;
        other.take(step).await;
        if one.is_short().await || other.is_short().await {
            break;
        }
        let forfeited_too = !matches!(twist, Twist::Waive);
        let (has, had) = (
            one.kept(forfeited_too).await,
            other.kept(forfeited_too).await,
        );
        let fair = match twist {
            Twist::EditAndUndo { .. } | Twist::Reassign => has == had,
            _ => has >= had,
        };
        assert!(fair, "{has} and {had} at {} after {step:?}", one.now());
    }
    // What is there can be looked into, and holds.
    for world in [&one, &other] {
        crate::properties::check(&world.clinic, &world.parties).await;
    }
    true
}

#[test]
fn nobody_is_worse_off() {
    let given = std::env::var("STANDING_CASES").ok();
    let cases = given.and_then(|text| text.parse().ok()).unwrap_or(6);
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 60,
        max_global_rejects: 20 * cases + 100,
        ..ProptestConfig::default()
    });
    let rollover = prop_oneof![Just(json!("none")), Just(json!(1)), Just(json!("all"))];
    let history = (
        (2..6i64, 0..30u32, rollover),
        twist(),
        prop::collection::vec(step(), 2..14),
        prop::collection::vec(step(), 0..6),
        prop::collection::vec(step(), 0..8),
        0..12usize,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // Only histories count in which something was done in two ways.
    let run = runner.run(&history, |(offer, twist, before, between, after, which)| {
        let (credits, grace_days, rollover) = offer;
        let lived = runtime.block_on(async {
            let one = World::open(credits, &rollover, grace_days).await;
            let other = World::open(credits, &rollover, grace_days).await;
            let before = [&[Step::Book { hours: 100 }], &before[..]].concat();
            lived(twist, [one, other], &before, &between, &after, which).await
        });
        match lived {
            true => Ok(()),
            false => Err(TestCaseError::reject("nothing was done in two ways")),
        }
    });
    run.unwrap();
}
