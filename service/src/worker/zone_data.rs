//! The work after a change of the zone data: sessions to come are resolved again, series are planned
//! again, and each person gets one message.
//!
//! Nothing is planned meanwhile ([`Zones::ready`](crate::zones::Zones::ready)). No cursor is kept: a session
//! that has moved agrees with the data and does not move again. So a killed worker starts anew, and any
//! number of workers end in the same state.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

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

/// The most passes over the sessions. In each pass at least one session leaves the time of another one, so
/// a therapist's full week takes fewer.
const PASSES_MAX: u32 = 500;

/// Reads which zone data plans the database. If it is this process's and not settled yet, settles it.
pub(super) async fn drain(app: &App) -> Report {
    let mut report = Report::default();
    let now = app.clock.now();
    let state = match app.zones.look(app.store.as_ref(), now).await {
        Ok(state) => state,
        Err(error) => {
            error!(%error, "the zone data that plans the database cannot be read");
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
            error!(%error, "not everything agrees with the zone data yet: the next tick continues");
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

/// Makes everything to come agree with a generation. `None` if this process is to stop, or another worker
/// has settled it.
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
    // A message is written once, so it must not be written before all moves are.
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

/// Returns the moves of these generations in a clinic, the earliest generation first.
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
    /// Resolves the sessions to come until each one has the instant of its wall time, and returns how many
    /// there are. A session may wait for another one to leave its time. If none can move first, they become
    /// cases.
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

    /// Resolves a session, and returns whether it could move.
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
            history: false,
        };
        let outcome = Mutex::new(None);
        let decide = |view: &View| {
            let decision = resolve(view, generation, last, now);
            let found = crate::worker::changes(&decision).find_map(|change| match change {
                clinic::Change::ZoneMove(moved) => Some(moved.outcome),
                _ => None,
            });
            *outcome.lock().unwrap_or_else(PoisonError::into_inner) = found;
            decision
        };
        match self.write(clinic, scope, decide).await {
            Ok(Written::Committed { .. }) => {
                let outcome = outcome.into_inner();
                let outcome = outcome.unwrap_or_else(PoisonError::into_inner);
                let outcome = outcome.unwrap_or(MoveOutcome::Silent);
                self.app.metrics.zone_move(outcome);
                Ok(true)
            }
            Ok(_) => Ok(false),
            // A concurrent write has taken the time: the next pass sees it.
            Err(StoreError::Constraint { .. }) if !last => Ok(false),
            Err(error) => {
                error!(session = %session.id, %error, "not resolved again");
                Err(error)
            }
        }
    }

    /// Plans the series again whose zone has changed, and returns how many there are.
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
                    history: false,
                };
                let now = self.now;
                let decide = |view: &View| plan_intent_again(view, now);
                if let Written::Committed { .. } = self.write(clinic, scope, decide).await? {
                    report.done += 1;
                }
            }
        }
    }

    /// Writes one message for each person, and returns how many there are.
    async fn tell(&self, clinic: ClinicId, moves: &[ZoneMove]) -> Result<u64, StoreError> {
        let mut told = 0;
        for message in messages(moves, self.planned.generation, self.now) {
            let scope = Scope::Occurrence {
                address: Address::Session(message.session),
                around: None,
                history: false,
            };
            told += 1;
            if let Written::Committed { rows: 1.., .. } = self
                .write(clinic, scope, move |_: &View| tell(message.clone()))
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
        decide: impl Fn(&View) -> Decision + Send + Sync,
    ) -> Result<Written, StoreError> {
        let request = Request::of_tick(clinic, self.now);
        self.app.write(&request, scope, Box::new(decide)).await
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
