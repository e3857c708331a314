//! What a change of the zone data asks for: sessions to come are resolved again, series are planned
//! again, and people are told, each once.
//!
//! Nothing is planned meanwhile ([`Zones::ready`](crate::zones::Zones::ready)). There is no place to go
//! on from: what has been done is as it should be and is not done again, so a worker that is killed, and
//! any number of them, end in the same state.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use clinic::zone_change::{concerns, messages, plan_intent_again, reach, resolve, tell};
use clinic::zone_data::{MoveOutcome, Outcome, Planned, ZoneMove};
use clinic::{Address, ClinicId, Decision, Scope, View};
use scheduler_core::LocalDateTime;
use scheduler_core::session::Session;
use store::{PAGE_MAX, Page, Request, StoreError, Which, Whose, Written};
use tracing::{error, info};

use super::Report;
use crate::{App, zones};

/// How often the sessions are gone through. Each time one at least leaves the place of another, so a
/// therapist's full week takes no more.
const PASSES_MAX: u32 = 500;

/// Looks which zone data plans the database. If it is this process's and not everything agrees with it
/// yet, it is made to.
pub(super) async fn drain(app: &App) -> Report {
    let mut report = Report::default();
    let now = app.clock.now();
    let state = match app.zones.look(app.store.as_ref(), now).await {
        Ok(state) => state,
        Err(error) => {
            error!(%error, "cannot tell which zone data plans the database");
            report.failed += 1;
            return report;
        }
    };
    app.metrics.zone_data(state);
    if !state.ours || state.settled {
        return report;
    }
    match settle(app, state.planned, now, &mut report).await {
        Ok(Some(outcome)) => {
            let Outcome {
                sessions,
                series,
                moved,
                cases,
                messages,
            } = outcome;
            info!(
                sessions,
                series, moved, cases, messages, "everything to come agrees with the zone data"
            );
        }
        Ok(None) => {}
        Err(error) => {
            error!(%error, "not everything agrees with the zone data yet: it goes on at the next tick");
            report.failed += 1;
        }
    }
    let looked = app.zones.look(app.store.as_ref(), app.clock.now()).await;
    if let Ok(state) = looked {
        app.metrics.zone_data(state);
    }
    report
}

/// One change of the zone data.
struct Change<'a> {
    app: &'a App,
    planned: Planned,
    now: DateTime<Utc>,
}

/// What it came to, once everything agrees; `None` if it was stopped, or somebody else settled it.
async fn settle(
    app: &App,
    generation: u64,
    now: DateTime<Utc>,
    report: &mut Report,
) -> Result<Option<Outcome>, StoreError> {
    let Some(planned) = app.store.zone_data(Some(generation)).await? else {
        return Ok(None);
    };
    let (zones, generations) = zones::changed(app.store.as_ref(), &planned).await?;
    let change = Change { app, planned, now };
    let mut outcome = Outcome::default();
    let clinics = app.store.clinics().await?;
    for &clinic in &clinics {
        outcome.sessions += change.sessions(clinic, report).await?;
        outcome.series += change.series(clinic, zones.as_ref(), report).await?;
    }
    // Who is told now is told of everything.
    if app.stop.is_requested() {
        return Ok(None);
    }
    for &clinic in &clinics {
        let moves = moves(app, clinic, &generations).await?;
        let told = moves
            .iter()
            .filter(|moved| moved.outcome != MoveOutcome::Silent);
        let cases = told
            .clone()
            .filter(|moved| moved.outcome == MoveOutcome::Case);
        outcome.moved += count(told.count());
        outcome.cases += count(cases.count());
        outcome.messages += change.tell(clinic, &moves).await?;
    }
    let store = &app.store;
    let settled = store.settle_zone_data(generation, now, &outcome).await?;
    Ok(settled.then_some(outcome))
}

/// What these generations have moved of a clinic, the first first.
pub(crate) async fn moves(
    app: &App,
    clinic: ClinicId,
    generations: &[u64],
) -> Result<Vec<ZoneMove>, StoreError> {
    let mut all: Vec<ZoneMove> = Vec::new();
    for &generation in generations {
        let mut after = None;
        loop {
            let limit = PAGE_MAX;
            let page = Page { after, limit };
            let more = app.store.zone_moves(clinic, generation, page).await?;
            let Some(last) = more.last() else { break };
            after = Some(last.session.0);
            all.extend(more);
        }
    }
    Ok(all)
}

impl Change<'_> {
    /// Resolves the sessions to come until each is where its wall time is, and tells how many there are.
    /// One may wait for another to leave its place; where none can go first, they become cases.
    async fn sessions(&self, clinic: ClinicId, report: &mut Report) -> Result<u64, StoreError> {
        let mut last = false;
        for _ in 0..PASSES_MAX {
            let (mut looked_at, mut waiting, mut done) = (0, 0, 0);
            let mut after = None;
            loop {
                let limit = PAGE_MAX;
                let page = Page { after, limit };
                let which = Which::ToCome { now: self.now };
                let store = &self.app.store;
                let sessions = store.sessions(clinic, Whose::Clinic, which, page).await?;
                let Some(end) = sessions.last() else { break };
                after = Some(end.id.0);
                looked_at += count(sessions.len());
                let stale = sessions.into_iter();
                for session in stale.filter(|session| session.shifted(self.now).is_some()) {
                    if self.app.stop.is_requested() {
                        return Ok(looked_at);
                    }
                    if self.session(clinic, &session, last).await? {
                        done += 1;
                    } else {
                        waiting += 1;
                    }
                }
            }
            report.done += done;
            if waiting == 0 {
                return Ok(looked_at);
            }
            last = done == 0;
        }
        Err(StoreError::Busy)
    }

    /// Resolves a session, and tells whether it could be done.
    async fn session(
        &self,
        clinic: ClinicId,
        session: &Session,
        last: bool,
    ) -> Result<bool, StoreError> {
        let (generation, now) = (self.planned.generation, self.now);
        let scope = Scope::Occurrence {
            address: Address::Session(session.id),
            around: Some(reach(session)?),
        };
        let mut outcome = None;
        let decide = |view: &View| {
            let decision = resolve(view, generation, last, now);
            outcome = crate::worker::changes(&decision).find_map(|change| match change {
                clinic::Change::ZoneMove(moved) => Some(moved.outcome),
                _ => None,
            });
            decision
        };
        match self.write(clinic, scope, decide).await {
            Ok(Written::Committed { .. }) => {
                self.app
                    .metrics
                    .zone_move(outcome.unwrap_or(MoveOutcome::Silent));
                Ok(true)
            }
            Ok(_) => Ok(false),
            // Another write came in its way: the next pass sees it.
            Err(StoreError::Constraint { .. }) if !last => Ok(false),
            Err(error) => {
                error!(session = %session.id, %error, "not resolved again");
                Err(error)
            }
        }
    }

    /// Plans the series again whose zone has changed, and tells how many there are.
    async fn series(
        &self,
        clinic: ClinicId,
        zones: Option<&BTreeSet<String>>,
        report: &mut Report,
    ) -> Result<u64, StoreError> {
        let mut looked_at = 0;
        let mut after = None;
        loop {
            let limit = PAGE_MAX;
            let page = Page { after, limit };
            let intents = self.app.store.intents(clinic, Whose::Clinic, page).await?;
            let Some(end) = intents.last() else {
                return Ok(looked_at);
            };
            after = Some(end.id.0);
            for intent in intents {
                let changed = zones.is_none_or(|zones| zones.contains(intent.set.zone().name()));
                if !changed || !concerns(&intent, self.now) {
                    continue;
                }
                if self.app.stop.is_requested() {
                    return Ok(looked_at);
                }
                looked_at += 1;
                let scope = Scope::Occurrence {
                    address: Address::Occurrence(intent.id, LocalDateTime::MIN),
                    around: None,
                };
                let now = self.now;
                let decide = |view: &View| plan_intent_again(view, now);
                if let Written::Committed { .. } = self.write(clinic, scope, decide).await? {
                    report.done += 1;
                }
            }
        }
    }

    /// Tells each person once, and how many there are.
    async fn tell(&self, clinic: ClinicId, moves: &[ZoneMove]) -> Result<u64, StoreError> {
        let mut told = 0;
        for message in messages(moves, self.planned.generation, self.now) {
            let scope = Scope::Occurrence {
                address: Address::Session(message.session),
                around: None,
            };
            told += 1;
            if let Written::Committed { rows: 1.., .. } = self
                .write(clinic, scope, move |_: &View| tell(message))
                .await?
            {
                self.app.metrics.zone_message();
            }
        }
        Ok(told)
    }

    async fn write(
        &self,
        clinic: ClinicId,
        scope: Scope,
        decide: impl FnOnce(&View) -> Decision + Send,
    ) -> Result<Written, StoreError> {
        let request = Request::of_tick(clinic, self.now);
        self.app.write(&request, scope, Box::new(decide)).await
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
