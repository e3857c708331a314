//! The worker: what is due, done job by job.
//!
//! A job is a decision of the clinic and a line in `JOBS`. What is due is claimed, decided on and
//! committed in one transaction for each row, so a worker that dies has done some rows and not
//! others, and any worker does the rest. Only messages are different, because sending one is no
//! transaction: they are leased, see `dispatch`. A job that looks for rows no job has looked for
//! before also names them: a variant of [`Job`], and what is due of it in each store's `claims.rs`.
//!
//! Every job has a loop of its own, so one that is slow or failing holds up none of the others. Any
//! number of workers may run beside each other.

mod dispatch;
mod rows;
pub mod senders;
pub mod sink;
mod zone_data;

use std::ops::AddAssign;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use clinic::scope::Job;
use clinic::{Decision, Idempotent, View, account, follow_up, horizon};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};

use crate::App;
use crate::anchors::{self, AnchorFile, Anchored};

pub(crate) use dispatch::send_written;
pub(crate) use zone_data::moves as zone_moves;

/// How often the heads of accounts are kept: an hour's entries at most are without an anchor.
const ANCHOR_EVERY: Duration = Duration::from_secs(3600);

/// What decides about a claimed row.
type Decide = fn(&View, DateTime<Utc>) -> Decision;

/// How a job is done.
#[derive(Clone, Copy)]
enum Work {
    /// A change of the zone data, before anything is planned by it.
    ZoneData,
    /// Rows that are claimed, decided on and committed.
    Rows(Job, Decide),
    /// Messages that are leased, sent and settled.
    Messages,
}

/// The jobs, in the order of one tick: sessions first, so that those without credit are looked at,
/// and what is told about them is sent, in the same tick.
const JOBS: [Work; 7] = [
    Work::ZoneData,
    Work::Rows(Job::Materialize, horizon::materialize),
    Work::Rows(Job::Fund, horizon::fund),
    Work::Rows(Job::Expire, account::expire),
    Work::Rows(Job::Remind, follow_up::remind),
    Work::Rows(Job::AskAttendance, follow_up::ask_attendance),
    Work::Messages,
];

impl Work {
    /// What is claimed for it, if anything is.
    fn job(self) -> Option<Job> {
        match self {
            Self::ZoneData => None,
            Self::Rows(job, _) => Some(job),
            Self::Messages => Some(Job::Dispatch),
        }
    }

    /// Its name, as logged.
    fn name(self) -> &'static str {
        self.job().map_or("zone_data", Job::name)
    }

    /// Does what is due of it, once. What plans waits for the zone data.
    async fn tick(self, app: &App) -> Report {
        app.report_jump();
        let Some(job) = self.job() else {
            return zone_data::drain(app).await;
        };
        let state = app.zones.state();
        if job.plans() && !(state.ours && state.settled) {
            return Report::default();
        }
        let started = Instant::now();
        match app.store.backlog(job, app.clock.now()).await {
            Ok(backlog) => app.metrics.backlog(job, &backlog, app.clock.now()),
            Err(error) => warn!(job = job.name(), %error, "cannot tell what is due"),
        }
        let report = match self {
            Self::Rows(job, decide) => rows::drain(app, job, decide).await,
            Self::Messages => dispatch::drain(app).await,
            Self::ZoneData => Report::default(),
        };
        app.metrics.ticked(job, started.elapsed());
        app.metrics.ended(job, app.clock.now());
        report
    }
}

/// What a tick did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Rows that were due and are done.
    pub done: u64,
    /// Rows that failed and will be tried again.
    pub failed: u64,
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.failed += other.failed;
    }
}

/// What a decision would store.
pub(crate) fn changes(decision: &Decision) -> impl Iterator<Item = &clinic::Change> {
    let commit = match decision {
        Ok(Idempotent::Applied(commit)) => Some(commit),
        _ => None,
    };
    commit.into_iter().flat_map(|commit| &commit.changes)
}

/// Makes everything to come agree with this process's zone data, if it may plan the database: what
/// every tick begins with.
pub async fn agree(app: &App) -> Report {
    Work::ZoneData.tick(app).await
}

/// Does everything that is due, once. What goes wrong is counted and logged.
pub async fn tick(app: &App) -> Report {
    let mut report = Report::default();
    for work in JOBS {
        report += work.tick(app).await;
        app.senders.idle().await;
    }
    report
}

/// Ticks until it is stopped, and sends at once what is written in between. What is under way is then
/// finished, and nothing more is leased.
pub async fn run(app: App, every: Duration) {
    app.senders.attend(true);
    let mut loops = JoinSet::new();
    for work in JOBS {
        loops.spawn(repeat(app.clone(), every, work));
    }
    if let Some(file) = &app.anchors {
        loops.spawn(keep_anchors(app.clone(), Arc::clone(file)));
    }
    app.stop.requested().await;
    app.senders.attend(false);
    loops.join_all().await;
    app.senders.idle().await;
}

/// Keeps the heads of accounts when it starts, and every hour from then on.
async fn keep_anchors(app: App, file: Arc<Mutex<AnchorFile>>) {
    let mut due = tokio::time::interval(ANCHOR_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stop.requested() => return,
            _ = due.tick() => {}
        }
        match anchors::anchor(&*app.store, &file, app.clock.now()).await {
            Ok(Anchored { heads, defects }) => {
                for (clinic, account, defect) in defects {
                    error!(%clinic, %account, %defect, "an account is not as it was written");
                }
                info!(heads, "anchored");
            }
            Err(error) => error!(%error, "the heads of accounts are not kept"),
        }
    }
}

async fn repeat(app: App, every: Duration, work: Work) {
    let mut due = tokio::time::interval(every);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stop.requested() => return,
            _ = due.tick() => {}
        }
        if work.job().is_some_and(Job::plans) {
            tokio::select! {
                () = app.stop.requested() => return,
                () = app.zones.ready() => {}
            }
        }
        let job = work.name();
        // In a task of its own, so that a panic ends this tick and not the loop.
        let ticking = app.clone();
        match tokio::spawn(async move { work.tick(&ticking).await }).await {
            Ok(Report { done: 0, failed: 0 }) => {}
            Ok(Report { done, failed }) => info!(job, done, failed, "tick"),
            Err(panicked) => error!(job, %panicked, "a tick broke off"),
        }
    }
}
