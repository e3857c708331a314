//! The one place that reads the machine's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// What time it is: the machine's, or one that was set and runs on from there.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// How far ahead of the machine's clock it is, in microseconds.
    offset: Arc<AtomicI64>,
}

impl Clock {
    /// The machine's time.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
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
