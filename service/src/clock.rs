//! The one place that reads the machine's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

/// What time it is: the machine's, or one that was set and runs on from there.
#[derive(Debug, Clone)]
pub struct Clock {
    /// How far ahead of the machine's clock it is, in microseconds.
    offset: Arc<AtomicI64>,
    /// When this process began, by a clock that nobody sets.
    began: Instant,
    /// What the machine's clock said then, in microseconds, as far as it has not jumped since.
    began_at: Arc<AtomicI64>,
}

/// How far the machine's clock may be moved before that is a jump: more than what keeps clocks in step
/// moves them by.
pub const JUMP_MIN: TimeDelta = TimeDelta::seconds(2);

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// The machine's time.
    #[must_use]
    pub fn system() -> Self {
        Self {
            offset: Arc::default(),
            began: Instant::now(),
            began_at: Arc::new(AtomicI64::new(machine_micros())),
        }
    }

    /// By how much the machine's clock was moved since it was asked last, if that is a jump: somebody
    /// set it, or the machine was asleep. Each jump is reported once.
    #[must_use]
    pub fn jump(&self) -> Option<TimeDelta> {
        let passed = i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX);
        let expected = self.began_at.load(Ordering::Relaxed).saturating_add(passed);
        let moved = machine_micros().saturating_sub(expected);
        let jump = TimeDelta::microseconds(moved);
        if jump.abs() < JUMP_MIN {
            return None;
        }
        self.began_at.fetch_add(moved, Ordering::Relaxed);
        Some(jump)
    }

    /// A clock that shows `at` now and runs on.
    #[must_use]
    pub fn starting_at(at: DateTime<Utc>) -> Self {
        let clock = Self::system();
        clock.advance(at - clock.now());
        clock
    }

    /// The time, in whole microseconds.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = machine_micros().saturating_add(self.offset.load(Ordering::Relaxed));
        DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Sets the clock forward (or back, by a negative length).
    pub fn advance(&self, by: TimeDelta) {
        let micros = by.num_microseconds().unwrap_or(0);
        self.offset.fetch_add(micros, Ordering::Relaxed);
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the service's one look at the machine's clock"
)]
fn machine_micros() -> i64 {
    Utc::now().timestamp_micros()
}
