//! Jobs that touch only the database: claim, decide, commit, row by row.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use clinic::scope::{Claim, Job};
use clinic::{View, eager};
use store::{StoreError, Written};
use tracing::{debug, error};

use super::{Decide, Report, send_written};
use crate::App;

/// How often a tick comes back for rows that somebody else was just writing to.
const WAITS_MAX: u32 = 5;
/// How long it lets them finish.
const PAUSE: Duration = Duration::from_millis(20);
/// How often it comes back for rows that are still due after they were done, after a long outage.
const PASSES_MAX: u32 = 100;

/// Does every row of a job that is due now, in the order in which they became due. One that fails is
/// passed over and comes again with the next tick.
pub(super) async fn drain(app: &App, job: Job, decide: Decide) -> Report {
    let (mut report, mut waits) = (Report::default(), 0);
    for _ in 0..PASSES_MAX {
        let done = report.done;
        let busy = pass(app, job, decide, &mut report).await;
        if busy > 0 && waits < WAITS_MAX {
            waits += 1;
            tokio::time::sleep(PAUSE).await;
        } else if report.done == done {
            break;
        }
    }
    report
}

/// Goes through what is due once, and tells how many rows were somebody else's.
async fn pass(app: &App, job: Job, decide: Decide, report: &mut Report) -> u64 {
    let mut busy = 0;
    let mut claim = Claim {
        job,
        now: app.clock.now(),
        after: None,
        lease_until: None,
        zone_data: None,
    };
    if job.plans() {
        let state = app.zones.state();
        claim.zone_data = Some(if state.ours { state.planned } else { 0 });
    }
    while !app.stop.is_requested() {
        let now = app.clock.now();
        claim.now = now;
        let sender = app.senders.free(app.clock.now());
        claim.lease_until = sender.as_ref().map(|sender| sender.lease_until);
        let more = AtomicI64::new(0);
        let decide = Box::new(|view: &View| {
            let decision = decide(view, now);
            more.store(eager::more_rows(view, &decision, now), Ordering::Relaxed);
            decision
        });
        let mut claimed = match app.store.claim(&claim, decide).await {
            Ok(Some(claimed)) => claimed,
            Ok(None) => break,
            // Another process has taken over in the midst: the next tick looks.
            Err(StoreError::OtherZoneData { .. }) => break,
            Err(error) => {
                let refused: Result<(), StoreError> = Err(error);
                app.report_skew(&refused);
                let Err(error) = refused else { break };
                error!(job = job.name(), %error, "nothing can be claimed");
                report.failed += 1;
                break;
            }
        };
        claim.after = Some(claimed.position);
        if let Some(sender) = sender {
            send_written(app, sender, claimed.clinic, &mut claimed.outcome);
        }
        let more = more.load(Ordering::Relaxed);
        app.metrics.claimed(job, &claimed.outcome, more);
        match claimed.outcome {
            Ok(Written::Committed { subject, .. }) => {
                debug!(job = job.name(), ?subject, "done");
                report.done += 1;
            }
            Ok(_) => {}
            Err(StoreError::Busy) => busy += 1,
            Err(error) => {
                let id = uuid::Uuid::from_u128(claimed.position.id);
                error!(job = job.name(), %id, %error, "failed");
                report.failed += 1;
            }
        }
    }
    busy
}
