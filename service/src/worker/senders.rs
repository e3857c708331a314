//! Who sends what was just written.
//!
//! A message is leased in the commit that writes it, if nothing stands before it and a sender is free:
//! that is one row written and one transaction less for each, and whoever is told does not wait for a
//! tick. The sender is reserved before the commit, so what is leased is on its way at once, and what
//! finds no sender free is claimed in its turn. A process that dies loses its leases like any other: they
//! run out, and another worker has the messages. So does a caller who gives up in the middle of a commit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use clinic::notification::LEASE;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Report;

/// How many commits' messages one process sends at a time. Many more than a clinic writes at once: what
/// is above waits for a tick.
const SENDERS: u32 = 16;

/// The senders of one process.
#[derive(Debug)]
pub struct Senders {
    free: Arc<Semaphore>,
    attended: AtomicBool,
    sent: Mutex<Report>,
}

/// One of them, reserved for what one commit tells until it is dropped.
#[derive(Debug)]
pub struct Sender {
    /// Until when the messages are leased.
    pub lease_until: DateTime<Utc>,
    _busy: OwnedSemaphorePermit,
}

impl Default for Senders {
    fn default() -> Self {
        Self {
            free: Arc::new(Semaphore::new(SENDERS as usize)),
            attended: AtomicBool::default(),
            sent: Mutex::default(),
        }
    }
}

impl Senders {
    /// Whether this process sends at all. One that only serves leaves it to the workers.
    pub fn attend(&self, attended: bool) {
        self.attended.store(attended, Ordering::SeqCst);
    }

    /// One for whoever is about to write, if one is free.
    #[must_use]
    pub fn free(&self, now: DateTime<Utc>) -> Option<Sender> {
        let busy = self.free.clone().try_acquire_owned().ok()?;
        // Asked while it is reserved: who says that nobody attends and then waits has waited for it.
        self.attended.load(Ordering::SeqCst).then(|| Sender {
            lease_until: now + LEASE,
            _busy: busy,
        })
    }

    /// Waits until none is busy.
    pub async fn idle(&self) {
        // It fails when the semaphore is closed, which it never is.
        let _all = self.free.acquire_many(SENDERS).await;
    }

    /// What was sent since this was last asked.
    #[must_use]
    pub fn sent(&self) -> Report {
        std::mem::take(&mut *self.sent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes what was sent.
    pub(super) fn note(&self, report: Report) {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) += report;
    }
}
