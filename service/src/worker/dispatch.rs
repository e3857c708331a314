//! Sending messages: leased in one transaction, sent outside of any, settled in another. Most are leased
//! as they are written ([`senders`](super::senders)), the others are claimed.
//!
//! The outbox's rules are the clinic's ([`clinic::notification`]): whether a message still holds, how
//! long it waits after a failure, when it is dead. A worker that dies or sleeps between lease and
//! settlement loses the message to another one when its lease has run out, and can then no longer
//! settle it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clinic::notification::{failed, lease, sent};
use clinic::scope::{Claim, Job, Position};
use clinic::{Change, ClinicId, Decision, Message, MessageState, Scope, View};
use store::{Request, StoreError, Written};
use tokio::task::JoinSet;
use tracing::{debug, error, warn};

use super::senders::Sender;
use super::{Report, changes, sink};
use crate::{App, random};

/// How many messages one tick claims and sends at a time.
const CLAIMERS: usize = 4;
/// How long one attempt may take. Shorter than a lease, and than the grace at the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends every message that is due now, and tells what was sent since it was last asked.
pub(super) async fn drain(app: &App) -> Report {
    let mut claimers = JoinSet::new();
    for _ in 0..CLAIMERS {
        let app = app.clone();
        claimers.spawn(async move { send_in_turn(&app).await });
    }
    let mut report = together(claimers).await;
    report += app.senders.sent();
    report
}

/// Sends what was leased as it was written, without waiting for it.
pub(crate) fn send_written(
    app: &App,
    sender: Sender,
    clinic: ClinicId,
    written: &mut Result<Written, StoreError>,
) {
    let Ok(Written::Committed { leased, .. }) = written else {
        return;
    };
    let leased = std::mem::take(leased);
    if leased.is_empty() {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        let mut sending = JoinSet::new();
        for message in leased {
            app.metrics.taken();
            let app = app.clone();
            sending.spawn(async move { attempt(&app, clinic, &message).await });
        }
        app.senders.note(together(sending).await);
        drop(sender);
    });
}

async fn together(mut senders: JoinSet<Report>) -> Report {
    let mut report = Report::default();
    while let Some(sender) = senders.join_next().await {
        match sender {
            Ok(sent) => report += sent,
            Err(panicked) => {
                error!(%panicked, "a sender broke off");
                report.failed += 1;
            }
        }
    }
    report
}

/// Claims and sends one message after the other, until a whole pass finds none.
async fn send_in_turn(app: &App) -> Report {
    let mut report = Report::default();
    let mut passed = None;
    let mut settled_in_pass = false;
    while !app.stop.is_requested() {
        match next(app, &mut passed).await {
            Ok(Some(Next::Leased(clinic, message))) => {
                settled_in_pass = true;
                report += attempt(app, clinic, &message).await;
            }
            Ok(Some(Next::Voided)) => settled_in_pass = true,
            Ok(Some(Next::Failed)) => {}
            // What was behind an unsettled message may be free now.
            Ok(None) if settled_in_pass => (passed, settled_in_pass) = (None, false),
            Ok(None) => break,
            Err(error) => {
                error!(job = Job::Dispatch.name(), %error, "nothing can be leased");
                report.failed += 1;
                break;
            }
        }
    }
    report
}

enum Next {
    /// A message that is ours to send until its lease runs out.
    Leased(ClinicId, Message),
    /// One that is no longer true.
    Voided,
    /// One that could not be leased.
    Failed,
}

async fn next(app: &App, passed: &mut Option<Position>) -> Result<Option<Next>, StoreError> {
    let now = app.clock.now();
    let claim = Claim {
        job: Job::Dispatch,
        now,
        after: *passed,
        lease_until: None,
        zone_data: None,
    };
    let mut leased = None;
    let decide = |view: &View| {
        let decision = lease(view, now);
        leased = after(&decision).filter(|message| message.state == MessageState::Pending);
        decision
    };
    let Some(claimed) = app.store.claim(&claim, Box::new(decide)).await? else {
        return Ok(None);
    };
    *passed = Some(claimed.position);
    app.metrics.claimed(Job::Dispatch, &claimed.outcome, 0);
    match (claimed.outcome, leased) {
        (Ok(Written::Committed { .. }), Some(message)) => {
            Ok(Some(Next::Leased(claimed.clinic, message)))
        }
        (Ok(_), _) => Ok(Some(Next::Voided)),
        (Err(error), _) => {
            error!(job = Job::Dispatch.name(), seq = claimed.position.id, %error, "failed");
            Ok(Some(Next::Failed))
        }
    }
}

/// The message as a decision leaves it.
fn after(decision: &Decision) -> Option<Message> {
    changes(decision).find_map(|change| match change {
        Change::Message(message) => Some(message.clone()),
        _ => None,
    })
}

/// Sends one message, and notes what came of it. It is finished even when the service is to stop, so
/// that no lease outlives a worker that ends in order.
async fn attempt(app: &App, clinic: ClinicId, message: &Message) -> Report {
    let lease = message.attempts;
    let latest = app.clock.now() + PATIENCE;
    if message.next_due_at.is_none_or(|until| until <= latest) {
        warn!(seq = message.seq, "not begun: its lease has nearly run out");
        return Report { done: 0, failed: 1 };
    }
    let sending = tokio::time::timeout(PATIENCE, app.sink.send(message)).await;
    let error = match sending {
        Ok(Ok(())) => {
            let decide = move |view: &View, now| sent(view, lease, now);
            let settled = settle(app, clinic, message, decide).await;
            let done = u64::from(settled.is_some());
            return Report { done, failed: 0 };
        }
        Ok(Err(error)) => error,
        Err(_elapsed) => sink::SendError::new("timeout"),
    };
    warn!(seq = message.seq, attempt = lease, code = error.code, cause = ?error.cause, "not sent");
    let random = random::number();
    let decide = move |view: &View, now| failed(view, lease, error.code, random, now);
    if let Some(after) = settle(app, clinic, message, decide).await {
        app.metrics.not_sent(after.state == MessageState::Dead);
    }
    Report { done: 0, failed: 1 }
}

/// Writes what became of a leased message. A lease that is lost is not an error: whoever has it now
/// sends the message again, and its recipient knows it by its key.
async fn settle(
    app: &App,
    clinic: ClinicId,
    message: &Message,
    decide: impl Fn(&View, chrono::DateTime<chrono::Utc>) -> Decision + Send + Sync,
) -> Option<Message> {
    let request = Request::of_tick(clinic, app.clock.now());
    let settled = Mutex::new(None);
    let decide = |view: &View| {
        let decision = decide(view, request.at);
        *settled.lock().unwrap_or_else(PoisonError::into_inner) = after(&decision);
        decision
    };
    let scope = Scope::Message(message.seq);
    match app.write(&request, scope, Box::new(decide)).await {
        Ok(_) => settled.into_inner().unwrap_or_else(PoisonError::into_inner),
        Err(StoreError::Refused(refusal)) => {
            debug!(seq = message.seq, %refusal, "somebody else has it");
            None
        }
        Err(error) => {
            error!(seq = message.seq, %error, "not settled: it comes again after its lease");
            None
        }
    }
}
