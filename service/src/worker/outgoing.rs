//! Messages on their way from whoever wrote them to the senders of the same process.
//!
//! A message is leased in the commit that writes it, if nothing stands before it: that is one row
//! written and one transaction less for each. A process that dies loses its leases like any other: they
//! run out, and another worker has the messages.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use clinic::notification::LEASE;
use clinic::{ClinicId, Message};
use store::{StoreError, Written};
use tokio::sync::Notify;

/// How many may wait: as many as are sent long before their leases run out. What is written while it
/// is full is leased when its turn comes.
const WAITING_MAX: usize = 64;

/// Leased messages of one process.
#[derive(Debug, Default)]
pub struct Outgoing {
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whether somebody sends all the time, and not only when a tick comes to it.
    attended: bool,
    waiting: VecDeque<(ClinicId, Message)>,
}

impl Outgoing {
    /// From now on, until `false` is said, somebody waits for what [`arrives`](Self::arrived).
    pub fn attend(&self, attended: bool) {
        self.queue().attended = attended;
    }

    /// Until when a job's messages are leased. The same tick sends them.
    #[must_use]
    pub fn lease_in_tick(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let has_room = self.queue().waiting.len() < WAITING_MAX;
        has_room.then(|| now + LEASE)
    }

    /// Until when a command's messages are leased: not at all, if nobody would send them soon.
    #[must_use]
    pub fn lease(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let attended = self.queue().attended;
        self.lease_in_tick(now).filter(|_| attended)
    }

    /// Takes what a write has leased.
    pub fn take(&self, clinic: ClinicId, written: &mut Result<Written, StoreError>) {
        let Ok(Written::Committed { leased, .. }) = written else {
            return;
        };
        if !leased.is_empty() {
            let leased = std::mem::take(leased).into_iter();
            let mut queue = self.queue();
            queue
                .waiting
                .extend(leased.map(|message| (clinic, message)));
            self.arrived.notify_one();
        }
    }

    /// Waits for something to send.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// The next one that can be sent and settled before its lease runs out, if that takes so long.
    pub fn next(&self, now: DateTime<Utc>, patience: Duration) -> Option<(ClinicId, Message)> {
        let mut queue = self.queue();
        while let Some(next) = queue.waiting.pop_front() {
            if next.1.next_due_at.is_some_and(|end| now + patience < end) {
                return Some(next);
            }
        }
        None
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
