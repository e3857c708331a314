//! Whether this process may plan its database, which depends on the zone data of both.
//!
//! The rule is the clinic's ([`clinic::zone_data::judge`]); here it is asked, and what it says is kept.
//! A process asks when it starts, and records its data then if that is newer. Later it only looks: a
//! process that was superseded must not take the database back.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use clinic::zone_data::{Edition, Planned, Verdict, judge};
use store::{Store, StoreError};
use tokio::sync::{Mutex, watch};
use tracing::{info, warn};

/// What is known of the zone data that plans the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// The last generation. 0 before the database was asked.
    pub planned: u64,
    /// Whether it agrees with this process's data.
    pub ours: bool,
    /// Whether everything to come agrees with it.
    pub settled: bool,
}

/// This process's part in planning its database.
#[derive(Debug)]
pub struct Zones {
    state: watch::Sender<State>,
    /// Whether the database was asked. Held while it is.
    joined: Mutex<bool>,
}

impl Default for Zones {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(State::default()),
            joined: Mutex::new(false),
        }
    }
}

/// The zone data of this process. It is read once: that takes a while.
pub fn edition() -> &'static Edition {
    static EDITION: OnceLock<Edition> = OnceLock::new();
    EDITION.get_or_init(Edition::installed)
}

impl Zones {
    /// Asks whether this process may plan the database, and records its zone data if that is the first
    /// or newer. Once asked, it only looks.
    ///
    /// # Errors
    /// What the store says. It is asked again then.
    pub async fn join(&self, store: &dyn Store, now: DateTime<Utc>) -> Result<State, StoreError> {
        let mut joined = self.joined.lock().await;
        if *joined {
            return Ok(*self.state.borrow());
        }
        loop {
            let last = store.zone_data(None).await?;
            let recorded = last.as_ref().map(|last| &last.edition);
            if judge(recorded, edition()) != Verdict::TakesOver {
                *joined = true;
                return Ok(self.note(last.as_ref()));
            }
            let next = next(last.as_ref(), now);
            if store.take_over(&next).await? {
                log_take_over(last.as_ref(), &next);
                *joined = true;
                return Ok(self.note(Some(&next)));
            }
            // Another process was first: what it has recorded is judged.
        }
    }

    /// Looks which zone data plans the database now.
    ///
    /// # Errors
    /// What the store says.
    pub async fn look(&self, store: &dyn Store, now: DateTime<Utc>) -> Result<State, StoreError> {
        if !*self.joined.lock().await {
            return self.join(store, now).await;
        }
        Ok(self.note(store.zone_data(None).await?.as_ref()))
    }

    /// The generation to write with: 0, which none has, if this process may not plan.
    ///
    /// # Errors
    /// What the store says, if it has to be asked.
    pub async fn generation(
        &self,
        store: &dyn Store,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut state = *self.state.borrow();
        if state.planned == 0 {
            state = self.join(store, now).await?;
        }
        Ok(if state.ours { state.planned } else { 0 })
    }

    /// What was known when the database was last asked.
    #[must_use]
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Waits until sessions may be made: this process may plan, and everything to come agrees.
    pub async fn ready(&self) {
        let mut state = self.state.subscribe();
        // It fails when the sender is gone, which is ours.
        let _known = state.wait_for(|state| state.ours && state.settled).await;
    }

    fn note(&self, last: Option<&Planned>) -> State {
        let known = last.map_or_else(State::default, |last| State {
            planned: last.generation,
            ours: judge(Some(&last.edition), edition()) == Verdict::Plans,
            settled: last.settled.is_some(),
        });
        let before = self.state.send_replace(known);
        if let (false, Some(last)) = (known.ours || before == known, last) {
            warn!(
                planned = last.edition.release,
                ours = edition().release,
                "this process does not plan: its zone data is not that of the database"
            );
        }
        known
    }
}

/// The generation that this process would record.
#[must_use]
pub fn next(last: Option<&Planned>, now: DateTime<Utc>) -> Planned {
    Planned {
        generation: last.map_or(0, |last| last.generation) + 1,
        edition: edition().clone(),
        since: now,
        settled: None,
    }
}

fn log_take_over(last: Option<&Planned>, next: &Planned) {
    let before = last.map(|last| last.edition.release.as_str());
    let zones = last.map(|last| next.edition.differing(&last.edition).count());
    info!(
        release = next.edition.release,
        before, zones, "this process's zone data plans the database from now on"
    );
}

/// The zones whose clocks differ between what the database last agreed with and a generation: `None`
/// if that is not known, so that it may be any.
///
/// # Errors
/// What the store says.
pub async fn changed(
    store: &dyn Store,
    planned: &Planned,
) -> Result<(Option<BTreeSet<String>>, Vec<u64>), StoreError> {
    let mut zones = BTreeSet::new();
    let mut generations = vec![planned.generation];
    let mut later = planned.clone();
    loop {
        let Some(before) = later.generation.checked_sub(1).filter(|number| *number > 0) else {
            return Ok((None, generations));
        };
        let Some(before) = store.zone_data(Some(before)).await? else {
            return Ok((None, generations));
        };
        zones.extend(later.edition.differing(&before.edition).map(str::to_owned));
        if before.settled.is_some() {
            return Ok((Some(zones), generations));
        }
        generations.insert(0, before.generation);
        later = before;
    }
}
