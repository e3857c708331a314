//! What is counted, as Prometheus reads it. Numbers and names of jobs; nothing about a person.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use chrono::{DateTime, Utc};
use clinic::scope::Job;
use clinic::zone_data::MoveOutcome;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use store::{Backlog, StoreError, Written};

use crate::zoneinfo;
use crate::zones::{self, State};

/// One process's counters. They are handed around, not global, so every test has its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    due: Family<OfJob, Gauge>,
    lag: Family<OfJob, Gauge>,
    claimed: Family<OfJob, Counter>,
    conflicts: Family<OfJob, Counter>,
    retries: Family<OfJob, Counter>,
    dead_letters: Counter,
    tick: Family<OfJob, Histogram, Seconds>,
    last_tick: Family<OfJob, Gauge>,
    rows_written: Family<By, Counter>,
    rows_eager: Family<By, Counter>,
    answered: Family<Answered, Counter>,
    answer: Family<Answered, Histogram, Seconds>,
    zone_data_agrees: Gauge,
    zone_data_settled: Gauge,
    zone_moves: Family<Came, Counter>,
    zone_messages: Counter,
    clock_skews: Counter,
    clock_jumps: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Came {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfJob {
    job: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct By {
    by: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    status: u16,
}

/// Histograms of durations, from a millisecond to half a minute.
#[derive(Debug, Clone, Copy)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new([
            0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
        ])
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Everything at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("standing"),
            due: Family::default(),
            lag: Family::default(),
            claimed: Family::default(),
            conflicts: Family::default(),
            retries: Family::default(),
            dead_letters: Counter::default(),
            tick: Family::new_with_constructor(Seconds),
            last_tick: Family::default(),
            rows_written: Family::default(),
            rows_eager: Family::default(),
            answered: Family::default(),
            answer: Family::new_with_constructor(Seconds),
            zone_data_agrees: Gauge::default(),
            zone_data_settled: Gauge::default(),
            zone_moves: Family::default(),
            zone_messages: Counter::default(),
            clock_skews: Counter::default(),
            clock_jumps: Counter::default(),
        };
        metrics.register();
        metrics.register_zone_data();
        for job in Job::ALL {
            let of = OfJob { job: job.name() };
            metrics.due.get_or_create(&of).set(0);
            metrics.lag.get_or_create(&of).set(0);
            metrics.claimed.get_or_create(&of).inc_by(0);
            metrics.conflicts.get_or_create(&of).inc_by(0);
            metrics.retries.get_or_create(&of).inc_by(0);
        }
        metrics
    }

    /// A write was refused because this process's clock is away from the database's.
    pub fn clock_skew(&self) {
        self.clock_skews.inc();
    }

    /// The machine's clock has jumped.
    pub fn clock_jump(&self) {
        self.clock_jumps.inc();
    }

    fn register(&mut self) {
        let Self { registry, .. } = self;
        registry.register(
            "clock_skews",
            "Writes that were refused because this process's clock is away from the database's",
            self.clock_skews.clone(),
        );
        registry.register(
            "clock_jumps",
            "Times that the machine's clock was moved by more than 2 seconds",
            self.clock_jumps.clone(),
        );
        registry.register(
            "due",
            "Rows that were due when the job's last tick began",
            self.due.clone(),
        );
        registry.register_with_unit(
            "lag",
            "How long the first of them had been due",
            Unit::Seconds,
            self.lag.clone(),
        );
        registry.register(
            "claimed",
            "Rows claimed, and messages leased as they were written",
            self.claimed.clone(),
        );
        registry.register(
            "conflicts",
            "Rows or commands that met somebody else's write",
            self.conflicts.clone(),
        );
        registry.register(
            "retries",
            "Rows and messages that failed and come again",
            self.retries.clone(),
        );
        registry.register(
            "dead_letters",
            "Messages given up after their last attempt",
            self.dead_letters.clone(),
        );
        registry.register_with_unit(
            "last_tick",
            "When the job's last tick ended, in seconds since 1970-01-01T00:00:00Z",
            Unit::Seconds,
            self.last_tick.clone(),
        );
        registry.register_with_unit(
            "tick_duration",
            "How long a job's tick took",
            Unit::Seconds,
            self.tick.clone(),
        );
        registry.register(
            "rows_written",
            "Rows inserted, updated or deleted, by commands and by jobs",
            self.rows_written.clone(),
        );
        registry.register(
            "rows_eager",
            "Rows that a design which writes a year of dates out would have written instead",
            self.rows_eager.clone(),
        );
        registry.register("http_answers", "Requests answered", self.answered.clone());
        registry.register_with_unit(
            "http_answer_duration",
            "How long an answer took",
            Unit::Seconds,
            self.answer.clone(),
        );
    }

    fn register_zone_data(&mut self) {
        let Self { registry, .. } = self;
        let edition = zones::edition();
        registry.register(
            "zone_data",
            "The tz database that this process computes with",
            Info::new([
                ("release", edition.release.clone()),
                ("source", zoneinfo::source().name().to_owned()),
                ("fingerprint", edition.fingerprint.to_string()),
            ]),
        );
        registry.register(
            "zone_data_agrees",
            "Whether this process's zone data plans the database: 0 makes it refuse to plan",
            self.zone_data_agrees.clone(),
        );
        registry.register(
            "zone_data_settled",
            "Whether everything to come agrees with the zone data that plans the database",
            self.zone_data_settled.clone(),
        );
        registry.register(
            "zone_moves",
            "Sessions moved because the law of their zone has changed",
            self.zone_moves.clone(),
        );
        registry.register(
            "zone_messages",
            "People told that the law of a zone has changed",
            self.zone_messages.clone(),
        );
        for outcome in [MoveOutcome::Moved, MoveOutcome::Case, MoveOutcome::Silent] {
            let outcome = outcome.name();
            self.zone_moves.get_or_create(&Came { outcome }).inc_by(0);
        }
    }

    /// Which zone data plans the database, as this process sees it.
    pub fn zone_data(&self, state: State) {
        self.zone_data_agrees.set(state.ours.into());
        self.zone_data_settled.set(state.settled.into());
    }

    /// A session was moved.
    pub fn zone_move(&self, outcome: MoveOutcome) {
        let outcome = outcome.name();
        self.zone_moves.get_or_create(&Came { outcome }).inc();
    }

    /// A person was told.
    pub fn zone_message(&self) {
        self.zone_messages.inc();
    }

    /// All of it in the text format of OpenMetrics.
    #[must_use]
    pub fn text(&self) -> String {
        let mut page = String::new();
        // Writing to a String does not fail.
        let _infallible = text::encode(&mut page, &self.registry);
        page
    }

    /// What a job has before it at `now`.
    pub fn backlog(&self, job: Job, backlog: &Backlog, now: DateTime<Utc>) {
        let of = OfJob { job: job.name() };
        let lag = backlog
            .oldest
            .map_or(0, |oldest| (now - oldest).num_seconds());
        let due = i64::try_from(backlog.due).unwrap_or(i64::MAX);
        self.due.get_or_create(&of).set(due);
        self.lag.get_or_create(&of).set(lag.max(0));
    }

    /// A row was claimed, and this came of it. An eager design would have written so many rows more.
    pub fn claimed(&self, job: Job, outcome: &Result<Written, StoreError>, more: i64) {
        let of = OfJob { job: job.name() };
        match outcome {
            Err(StoreError::Busy) => {
                self.conflicts.get_or_create(&of).inc();
            }
            Err(_) => {
                self.claimed.get_or_create(&of).inc();
                self.retries.get_or_create(&of).inc();
            }
            Ok(written) => {
                self.claimed.get_or_create(&of).inc();
                self.written(job.name(), written, more);
            }
        }
    }

    /// A message that was leased as it was written is about to be sent.
    pub fn taken(&self) {
        let job = Job::Dispatch.name();
        self.claimed.get_or_create(&OfJob { job }).inc();
    }

    /// A message was not sent; whether that was its last attempt.
    pub fn not_sent(&self, dead: bool) {
        if dead {
            self.dead_letters.inc();
        } else {
            let job = Job::Dispatch.name();
            self.retries.get_or_create(&OfJob { job }).inc();
        }
    }

    /// A job's tick is over.
    pub fn ticked(&self, job: Job, took: Duration) {
        let of = OfJob { job: job.name() };
        self.tick.get_or_create(&of).observe(took.as_secs_f64());
    }

    /// A command was written, or met somebody else's. An eager design would have written so many
    /// rows more.
    pub fn command(&self, by: &'static str, outcome: &Result<Written, StoreError>, more: i64) {
        match outcome {
            Ok(written) => self.written(by, written, more),
            Err(StoreError::Busy | StoreError::Constraint { .. }) => {
                self.conflicts.get_or_create(&OfJob { job: by }).inc();
            }
            Err(_) => {}
        }
    }

    /// A request was answered.
    pub fn answered(&self, method: &Method, status: StatusCode, took: Duration) {
        let labels = Answered {
            method: known(method),
            status: status.as_u16(),
        };
        self.answered.get_or_create(&labels).inc();
        self.answer
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// A job's tick is over, at this time.
    pub fn ended(&self, job: Job, now: DateTime<Utc>) {
        let of = OfJob { job: job.name() };
        self.last_tick.get_or_create(&of).set(now.timestamp());
    }

    fn written(&self, by: &'static str, written: &Written, more: i64) {
        if let Written::Committed { rows, .. } = written {
            self.rows_written.get_or_create(&By { by }).inc_by(*rows);
            let eager = rows.saturating_add_signed(more);
            self.rows_eager.get_or_create(&By { by }).inc_by(eager);
        }
    }
}

/// The methods that routes have, and one name for all others: whoever asks cannot make series.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
