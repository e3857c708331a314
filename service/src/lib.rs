//! The clinic's service. It decides nothing: it authenticates, loads, asks a core, commits once,
//! and answers.

#![deny(missing_docs)]

pub mod admission;
pub mod anchors;
pub mod clock;
mod connections;
pub mod database;
pub mod demo;
pub mod doctor;
pub mod http;
pub mod journal;
pub mod ledger;
pub mod metrics;
pub mod people;
pub mod random;
pub mod serve;
pub mod stop;
pub mod vault;
pub mod web;
pub mod worker;
pub mod zoneinfo;
pub mod zones;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use clinic::conflict::{self, Between};
use clinic::{Decision, Idempotent, Principal, Scope, View, eager};
use store::{Looked, Request, Store, StoreError, Written};

use crate::admission::Admission;
use crate::anchors::AnchorFile;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::stop::Stop;
use crate::vault::Vault;
use crate::worker::senders::Senders;
use crate::worker::sink::{self, Sink};
use crate::zones::Zones;

/// A decision about what a scope shows. It may be asked more than once, and writes nothing itself.
pub type Decide<'a> = Box<dyn Fn(&View) -> Decision + Send + Sync + 'a>;

/// What every handler and job works with.
#[derive(Clone)]
pub struct App {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Clock,
    /// What seals and opens what is known of people.
    pub vault: Arc<Vault>,
    /// Where messages go.
    pub sink: Arc<dyn Sink>,
    /// Where the worker keeps the heads of accounts, if it is to.
    pub anchors: Option<Arc<Mutex<AnchorFile>>>,
    /// Who sends what was just written.
    pub senders: Arc<Senders>,
    /// Whether this process may plan the database.
    pub zones: Arc<Zones>,
    /// Which requests are worked on, and which wait.
    pub admission: Arc<Admission>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether the service is to stop.
    pub stop: Stop,
    /// In the demo, who looks at its page and moves its clock. Nobody otherwise.
    pub demo: Option<Principal>,
}

/// How many requests are worked on at once, unless the database is known to take more.
const PLACES: usize = 5;

impl App {
    /// On this store and clock; messages go to the log, nobody stops it, and what is known of people
    /// stays closed.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self {
            store,
            clock,
            vault: Arc::new(Vault::closed()),
            sink: Arc::new(sink::Log),
            anchors: None,
            senders: Arc::default(),
            zones: Arc::default(),
            admission: Arc::new(Admission::new(PLACES)),
            metrics: Arc::default(),
            stop: Stop::never(),
            demo: None,
        }
    }

    /// Writes through the store, counts it, and has its messages sent.
    ///
    /// # Errors
    /// Whatever [`Store::write`] says.
    pub async fn write(
        &self,
        request: &Request,
        scope: Scope,
        decide: Decide<'_>,
    ) -> Result<Written, StoreError> {
        let by = match (request.actor, &scope) {
            (clinic::Actor::Principal(_) | clinic::Actor::Console, _) => "command",
            (clinic::Actor::Tick, Scope::Message(_)) => "dispatch",
            (clinic::Actor::Tick, _) => "zone_data",
        };
        let payer = conflict::payer(&scope);
        let zone_data = match scope.plans() {
            true => Some(self.zones.generation(&*self.store, request.at).await?),
            false => None,
        };
        let (more, at) = (AtomicI64::new(0), request.at);
        let decide = |view: &View| {
            admission::compute(|| {
                let decision = decide(view);
                more.store(eager::more_rows(view, &decision, at), Ordering::Relaxed);
                decision
            })
        };
        self.report_jump();
        let sender = self.senders.free(self.clock.now());
        let request = Request {
            lease_until: sender.as_ref().map(|sender| sender.lease_until),
            zone_data,
            ..request.clone()
        };
        let mut written = if request.dry_run || admission::decides_ahead() {
            self.write_ahead(&request, scope, decide).await
        } else {
            self.store.write(&request, scope, Box::new(decide)).await
        };
        self.report_skew(&written);
        if let Err(StoreError::OtherZoneData { .. }) = written {
            // The next write succeeds if the recorded data agrees with this process's.
            let _looked = self.zones.look(&*self.store, request.at).await;
        }
        if let Some(sender) = sender {
            worker::send_written(self, sender, request.clinic, &mut written);
        }
        self.metrics
            .command(by, &written, more.load(Ordering::Relaxed));
        if let (Err(StoreError::Refused(refusal)), Some(payer)) = (&written, payer)
            && let Some(between) = Between::of(refusal, payer)
            && !request.dry_run
        {
            self.keep(&request, &between).await?;
        }
        written
    }

    /// Keeps evidence that was refused, for a person to settle.
    async fn keep(&self, request: &Request, between: &Between) -> Result<(), StoreError> {
        let request = Request {
            idempotency: None,
            zone_data: None,
            ..request.clone()
        };
        let decide = Box::new(|view: &View| conflict::keep(view, between));
        let scope = Scope::Conflict(between.id());
        let kept = self.store.write(&request, scope, decide).await;
        self.metrics.command("command", &kept, 0);
        kept.map(|_| ())
    }

    /// Decides before any lock is taken, and stores under the locks what was decided. If what it was decided on has
    /// changed by then, it is decided anew. What is refused takes no lock: nobody waits for it.
    async fn write_ahead(
        &self,
        request: &Request,
        scope: Scope,
        decide: impl Fn(&View) -> Decision + Send + Sync,
    ) -> Result<Written, StoreError> {
        let seen = match self.store.look(request, &scope).await? {
            Looked::Before(subject) => return Ok(Written::Replayed(subject)),
            Looked::Now(view) => view,
        };
        let Idempotent::Applied(commit) = decide(&seen)? else {
            return Ok(Written::Unchanged);
        };
        let confirm = Box::new(move |now: &View| {
            if *now == *seen {
                Ok(Idempotent::Applied(commit))
            } else {
                decide(now)
            }
        });
        self.store.write(request, scope, confirm).await
    }

    /// Counts and logs what was refused for this process's clock.
    pub(crate) fn report_skew<T>(&self, outcome: &Result<T, StoreError>) {
        if let Err(error @ StoreError::ClockSkew { .. }) = outcome {
            self.metrics.clock_skew();
            tracing::error!(%error, "nothing is written until the clocks agree");
        }
    }

    /// Counts and logs a jump of the machine's clock. Credits, reminders and leases go by it.
    pub(crate) fn report_jump(&self) {
        if let Some(jump) = self.clock.jump() {
            self.metrics.clock_jump();
            let milliseconds = jump.num_milliseconds();
            tracing::error!(milliseconds, "the machine's clock was moved");
        }
    }
}
