//! Random edits of a series, over HTTP, with time passing, credits that run out and two therapists.
//! After each step the ledger and the calendar agree, and the journal gives what is stored.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, TimeDelta, Utc};
use proptest::prelude::*;
use scheduler_core::intent::{self, Intent, IntentState};
use scheduler_core::session::SessionState;
use scheduler_core::{IntentId, SessionId};
use serde_json::{Value, json};
use store::{Page, Whose};

use crate::calendars::{shown, starts};
use crate::clinic::{Clinic, Parties};
use crate::properties::check;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Pass(i64),
    Grant(i64),
    /// One occurrence: to another time, off, left out, had again, longer.
    One(usize, One),
    Amend {
        days: i64,
        hours: i64,
        minutes: Option<u32>,
    },
    Split {
        at: usize,
        days: i64,
        hours: i64,
    },
    Reassign(u64),
    Pause {
        from: u64,
        days: Option<u64>,
        kept: bool,
    },
    Resume(u64),
    End(u64),
    Undo,
}

#[derive(Debug, Clone)]
pub(crate) enum One {
    Move(i64),
    Cancel { as_client: bool },
    Skip,
    Add,
    Longer(u32),
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let one = prop_oneof![
        3 => (-70..71_i64).prop_map(One::Move),
        2 => any::<bool>().prop_map(|as_client| One::Cancel { as_client }),
        1 => Just(One::Skip),
        3 => Just(One::Add),
        1 => (20..90_u32).prop_map(One::Longer),
    ];
    let (days, hours) = (-3..4_i64, -6..7_i64);
    let minutes = prop::option::of(30..90_u32);
    prop_oneof![
        5 => (1..200_i64).prop_map(Step::Pass),
        1 => (1..4_i64).prop_map(Step::Grant),
        5 => (0..6_usize, one).prop_map(|(which, one)| Step::One(which, one)),
        2 => (days.clone(), hours.clone(), minutes)
            .prop_map(|(days, hours, minutes)| Step::Amend { days, hours, minutes }),
        2 => (0..6_usize, days, hours).prop_map(|(at, days, hours)| Step::Split { at, days, hours }),
        1 => (0..20_u64).prop_map(Step::Reassign),
        3 => (0..20_u64, prop::option::weighted(0.7, 1..30_u64), any::<bool>())
            .prop_map(|(from, days, kept)| Step::Pause { from, days, kept }),
        2 => (0..20_u64).prop_map(Step::Resume),
        1 => (20..60_u64).prop_map(Step::End),
        3 => Just(Step::Undo),
    ]
}

/// A series under test.
pub(crate) struct World {
    pub(crate) clinic: Clinic,
    pub(crate) parties: Parties,
    pub(crate) other: String,
    client: String,
    first: IntentId,
    /// What the sessions were after the last step.
    sessions: BTreeMap<SessionId, SessionState>,
    /// Whether the last step may have brought one back.
    added: bool,
}

const CLINIC: clinic::ClinicId = clinic::ClinicId::FIRST;

impl World {
    pub(crate) async fn open() -> Self {
        let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
        let parties = clinic.parties().await;
        let other = clinic.parties().await.therapist;
        clinic.grant(&parties, 3).await;
        let first = clinic
            .book(&parties, "2026-03-03T18:00:00", Some("FREQ=WEEKLY"))
            .await;
        let client = clinic.client_token(&parties.client).await;
        clinic.tick().await;
        Self {
            first: IntentId(first.parse().unwrap()),
            sessions: BTreeMap::new(),
            added: false,
            clinic,
            parties,
            other,
            client,
        }
    }

    async fn segments(&self) -> Vec<Intent> {
        self.clinic
            .app
            .store
            .segments(CLINIC, self.first)
            .await
            .unwrap()
    }

    /// The segment that goes on.
    pub(crate) async fn last(&self) -> Intent {
        let segments = self.segments().await;
        let goes_on = |one: &&Intent| {
            matches!(one.state, IntentState::Active | IntentState::Ended)
                && !one.set.rules().is_empty()
        };
        segments.iter().rfind(goes_on).unwrap().clone()
    }

    /// Takes a step, and says whether it was a command that was done.
    pub(crate) async fn take(&self, step: &Step) -> bool {
        let now: DateTime<Utc> = self.clinic.app.clock.now();
        let last = self.last().await;
        let date = |days: u64| now.date_naive() + Days::new(days);
        let path = format!("/intents/{}", last.id);
        let coming = |which: usize| {
            let bare = scheduler_core::set::Deviations::default();
            let set = last.set.clone().with_deviations(bare).unwrap();
            let window = scheduler_core::Window::new(now, now + TimeDelta::days(60)).unwrap();
            let all = set.overlapping(window).unwrap();
            all.get(which).map(|one| one.recurrence_id)
        };
        let moved = |at: scheduler_core::LocalDateTime, days: i64, hours: i64| {
            at.plus_seconds(days * 86_400 + hours * 3_600)
                .unwrap()
                .to_string()
        };
        let mut token = &self.clinic.admin;
        let (path, body) = match step {
            Step::Pass(hours) => {
                self.clinic.app.clock.advance(TimeDelta::hours(*hours));
                assert_eq!(self.clinic.tick().await.failed, 0);
                return false;
            }
            Step::Grant(amount) => {
                self.clinic.grant(&self.parties, *amount).await;
                return false;
            }
            Step::One(which, one) => {
                let Some(at) = coming(*which) else {
                    return false;
                };
                let (what, body) = match one {
                    One::Move(hours) => (
                        "reschedule",
                        json!({ "starts_local": moved(at, 0, *hours) }),
                    ),
                    One::Cancel { as_client } => {
                        if *as_client {
                            token = &self.client;
                        }
                        ("cancel", json!({}))
                    }
                    One::Skip => ("skip", json!({})),
                    One::Add => ("add", json!({})),
                    One::Longer(minutes) => ("amend", json!({ "minutes": minutes })),
                };
                (format!("{path}/occurrences/{at}/{what}"), body)
            }
            Step::Amend {
                days,
                hours,
                minutes,
            } => {
                let Some(at) = coming(0) else {
                    return false;
                };
                let changes =
                    json!({ "starts_local": moved(at, *days, *hours), "minutes": minutes });
                (format!("{path}/amend"), json!({ "changes": changes }))
            }
            Step::Split { at, days, hours } => {
                let Some(at) = coming(*at) else {
                    return false;
                };
                let changes = json!({ "starts_local": moved(at, *days, *hours) });
                (
                    format!("{path}/split"),
                    json!({ "at": at, "changes": changes }),
                )
            }
            Step::Reassign(days) => {
                let here = last.therapist.to_string() == self.parties.therapist;
                let to = if here {
                    &self.other
                } else {
                    &self.parties.therapist
                };
                let body = json!({ "from": date(*days), "therapist_id": to });
                (format!("{path}/reassign"), body)
            }
            Step::Pause { from, days, kept } => {
                let until = days.map(|days| date(from + days));
                let slot = if *kept { "kept" } else { "freed" };
                let body = json!({ "from": date(*from), "until": until, "slot": slot });
                (format!("{path}/pause"), body)
            }
            Step::Resume(days) => (format!("{path}/resume"), json!({ "from": date(*days) })),
            Step::End(days) => (format!("{path}/end"), json!({ "from": date(*days) })),
            Step::Undo => (format!("{path}/undo"), json!({})),
        };
        // What is only tried is what is then done, and stores nothing.
        let before = self.segments().await;
        let tried = self
            .clinic
            .post_as(token, &format!("{path}?dry_run=true"), &body)
            .await;
        assert_eq!(self.segments().await, before);
        let answer = self.clinic.post_as(token, &path, &body).await;
        assert_eq!(
            tried.status, answer.status,
            "{path} {body}: {} {}",
            tried.body, answer.body
        );
        let code = answer.body["code"].as_str().unwrap_or_default();
        let fine = answer.status.is_success() || answer.status.is_client_error();
        assert!(
            fine && code != "ledger" && code != "refused",
            "{path} {body}: {}",
            answer.body
        );
        if answer.status.is_success() {
            self.check_preview(&tried.body).await;
        }
        answer.status.is_success()
    }

    /// The sessions are what a try said they would be.
    async fn check_preview(&self, preview: &Value) {
        for told in preview["sessions"].as_array().unwrap() {
            let id = SessionId(told["session_id"].as_str().unwrap().parse().unwrap());
            let session = self
                .clinic
                .app
                .store
                .session(CLINIC, id)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(told["will"]["state"], session.state.name());
            // The segment's id is made anew each time; what it is of the series is not.
            assert_eq!(told["will"]["recurrence_id"], json!(session.recurrence_id));
        }
    }

    async fn check(&mut self) {
        check(&self.clinic, &self.parties).await;
        let store = &self.clinic.app.store;
        let records = store.history(CLINIC, self.first).await.unwrap();
        let mut told = intent::as_of(&records, self.clinic.app.clock.now());
        told.sort_by_key(|one| one.id);
        let mut stored = self.segments().await;
        for segment in &mut stored {
            segment.next_due_at = None;
        }
        assert_eq!(told, stored, "the journal gives what is stored");
        let mut all = BTreeMap::new();
        for segment in &stored {
            let far = scheduler_core::Window::new(
                "2020-01-01T00:00:00Z".parse().unwrap(),
                "2090-01-01T00:00:00Z".parse().unwrap(),
            );
            let rows = store
                .calendar(CLINIC, Whose::Intent(segment.id), far.unwrap())
                .await
                .unwrap();
            all.extend(rows.sessions.into_iter().map(|one| (one.id, one.state)));
        }
        for (id, was) in &self.sessions {
            let is = all.get(id).expect("a session keeps its id");
            let called_off = matches!(
                was,
                SessionState::Cancelled {
                    with_intent: false,
                    ..
                }
            );
            let stays = is == was || self.added && is.is_live();
            assert!(!called_off || stays, "{was:?} is revived as {is:?}");
            assert!(
                !was.is_final() || is == was,
                "{was:?} is over, and became {is:?}"
            );
        }
        self.sessions = all;
        // What another calendar is told.
        let file = format!("/api/v1/intents/{}/ical", self.first);
        let (_, text) = self.clinic.text(Some(&self.clinic.admin), &file).await;
        let path = format!("/clients/{}/sessions", self.parties.client);
        assert_eq!(starts(&text), shown(&self.clinic, &path).await);
        let page = Page {
            after: None,
            limit: 200,
        };
        let intents = store.intents(CLINIC, Whose::Clinic, page).await.unwrap();
        assert!(intents.len() < 200);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn edits_of_a_series_keep_sessions_credits_and_history_together(
        steps in prop::collection::vec(step(), 1..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::open().await;
            for step in &steps {
                world.added = matches!(step, Step::One(_, One::Add));
                world.take(step).await;
                world.check().await;
            }
        });
    }
}
