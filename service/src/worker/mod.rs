//! The tick: everything that is due, one row at a time, each in a transaction of its own.
//!
//! A job is a file with a decision of the clinic and a line in `JOBS`. Rows are claimed in the
//! order in which they became due; one that fails is passed over and comes again with the next
//! tick.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clinic::scope::{Claim, Job};
use clinic::{Decision, View, horizon};
use store::{Store, StoreError, Written};
use tracing::{debug, error, info};

use crate::App;

/// What decides about a claimed row.
type Decide = fn(&View, DateTime<Utc>) -> Decision;

/// The jobs of a tick, in their order: sessions first, so that those without credit are looked at
/// in the same tick.
const JOBS: [(&str, Job, Decide); 2] = [
    ("materialize", Job::Materialize, horizon::materialize),
    ("fund", Job::Fund, horizon::fund),
];

/// What a tick did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Rows that were due and are done.
    pub done: u64,
    /// Rows that failed and will be tried again.
    pub failed: u64,
}

/// Does everything that is due at `now`.
///
/// # Errors
/// [`StoreError`] if the store does not let anything be claimed. What goes wrong with a single row
/// is counted and logged.
pub async fn tick(store: &dyn Store, now: DateTime<Utc>) -> Result<Report, StoreError> {
    let mut report = Report::default();
    for (name, job, decide) in JOBS {
        let mut claim = Claim {
            job,
            now,
            after: None,
        };
        while let Some(claimed) = store
            .claim(&claim, Box::new(move |view| decide(view, now)))
            .await?
        {
            claim.after = Some(claimed.position);
            match claimed.outcome {
                Ok(Written::Committed(subject)) => {
                    debug!(job = name, ?subject, "done");
                    report.done += 1;
                }
                Ok(Written::Unchanged | Written::Replayed(_)) => {}
                Err(error) => {
                    error!(job = name, id = %claimed.position.id, %error, "failed");
                    report.failed += 1;
                }
            }
        }
    }
    Ok(report)
}

/// Ticks until it is dropped.
pub async fn run(app: App, every: Duration) {
    let mut due = tokio::time::interval(every);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        match tick(app.store.as_ref(), app.clock.now()).await {
            Ok(Report { done: 0, failed: 0 }) => {}
            Ok(report) => info!(done = report.done, failed = report.failed, "tick"),
            Err(error) => error!(%error, "tick"),
        }
    }
}
