use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A half-open interval of instants, `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Limits", into = "Limits")]
pub struct Window {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    /// The first whole second at or after the start and the end: occurrences start on one.
    seconds: (i64, i64),
}

/// A window as data.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl From<Window> for Limits {
    fn from(window: Window) -> Self {
        Self {
            start: window.start,
            end: window.end,
        }
    }
}

impl TryFrom<Limits> for Window {
    type Error = EmptyWindow;

    fn try_from(limits: Limits) -> Result<Self, EmptyWindow> {
        Self::new(limits.start, limits.end)
    }
}

/// A window that ends at or before its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a window must end after it starts, this one is from {start} to {end}")]
pub struct EmptyWindow {
    /// The start that was given.
    pub start: DateTime<Utc>,
    /// The end that was given.
    pub end: DateTime<Utc>,
}

impl Window {
    /// # Errors
    /// [`EmptyWindow`] unless `start < end`.
    pub fn new(start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Self, EmptyWindow> {
        if start < end {
            let seconds = (ceiling(start), ceiling(end));
            Ok(Self {
                start,
                end,
                seconds,
            })
        } else {
            Err(EmptyWindow { start, end })
        }
    }

    /// The first instant inside.
    #[must_use]
    #[inline]
    pub fn start(self) -> DateTime<Utc> {
        self.start
    }

    /// The first instant after it.
    #[must_use]
    #[inline]
    pub fn end(self) -> DateTime<Utc> {
        self.end
    }

    /// Whether `[start, end)` shares an instant with this window. Touching is not overlapping.
    #[must_use]
    pub fn overlaps(self, start: DateTime<Utc>, end: DateTime<Utc>) -> bool {
        start < self.end && self.start < end
    }

    /// Whether the instant is inside.
    #[must_use]
    pub fn contains(self, at: DateTime<Utc>) -> bool {
        self.start <= at && at < self.end
    }

    /// From the first whole second inside to the first after it, in Unix seconds.
    #[inline]
    pub(crate) fn seconds(self) -> (i64, i64) {
        self.seconds
    }
}

/// An instant between two seconds is reached by the later.
pub(crate) fn ceiling(at: DateTime<Utc>) -> i64 {
    at.timestamp() + i64::from(at.timestamp_subsec_nanos() > 0)
}
