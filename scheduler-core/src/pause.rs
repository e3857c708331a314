//! Stretches of dates on which a standing appointment rests.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::instances::Instance;
use crate::set::SetError;
use crate::zone::END_OF_ZONE_DATA;
use crate::{LocalDateTime, Zone};

/// Local dates on which nothing takes place, `[from, until)`. The rule goes on counting: what
/// comes after a pause is what would have come without it.
///
/// It is the date of the recurrence-id that counts, and an override is stronger: a date that was
/// changed by hand takes place as it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// The first date of the pause, in the set's zone.
    pub from: NaiveDate,
    /// The first date after it; open if there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
    /// What becomes of the therapist's time meanwhile.
    pub slot: PausedSlot,
}

/// What becomes of the time that a paused appointment would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PausedSlot {
    /// Nobody else can have it.
    Kept,
    /// Others may book it, and whoever resumes has to find it free.
    Freed,
}

impl Pause {
    /// Whether a recurrence-id lies in it.
    #[must_use]
    pub fn covers(&self, recurrence_id: LocalDateTime) -> bool {
        let date = recurrence_id.date();
        self.from <= date && self.until.is_none_or(|until| date < until)
    }

    /// Checks that each ends after it begins, and that they are in order and apart.
    pub(crate) fn check(pauses: &[Self]) -> Result<(), SetError> {
        for pause in pauses {
            if let Some(until) = pause.until.filter(|until| *until <= pause.from) {
                let from = pause.from;
                return Err(SetError::EmptyPause { from, until });
            }
        }
        for pair in pauses.windows(2) {
            if let [first, second] = pair
                && first.until.is_none_or(|until| until > second.from)
            {
                let (first, second) = (first.from, second.from);
                return Err(SetError::PausesOverlap { first, second });
            }
        }
        Ok(())
    }
}

/// A date's first wall time; the calendar's last if the date is beyond it.
pub(crate) fn midnight(date: NaiveDate) -> LocalDateTime {
    let at = date.and_hms_opt(0, 0, 0).map(LocalDateTime::try_from);
    at.and_then(Result::ok).unwrap_or(LocalDateTime::MAX)
}

/// No wall time is further than this from its place in the order of instants.
const DISORDER_SECONDS: i64 = 48 * 3600;

/// A pause in its zone. Near its edges each instance is looked at; those between `low` and `high`
/// are all paused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    first: LocalDateTime,
    /// The first wall time after it.
    after: Option<LocalDateTime>,
    /// Nothing before it is paused.
    pub(crate) from: i64,
    pub(crate) low: i64,
    pub(crate) high: i64,
    /// Nothing from it on is paused.
    pub(crate) to: i64,
}

impl Stretch {
    pub(crate) fn new(pause: Pause, zone: Zone) -> Self {
        let (first, after) = (midnight(pause.from), pause.until.map(midnight));
        let instant = |at| zone.resolve(at).0.timestamp();
        let end = END_OF_ZONE_DATA.timestamp();
        let (high, to) = match after.map(instant) {
            Some(after) => (after - DISORDER_SECONDS, after + DISORDER_SECONDS),
            None => (end, end),
        };
        let from = instant(first) - DISORDER_SECONDS;
        let low = (instant(first) + DISORDER_SECONDS).min(to);
        let high = high.max(low);
        Self {
            first,
            after,
            from,
            low,
            high,
            to,
        }
    }

    pub(crate) fn covers(&self, instance: &Instance) -> bool {
        let at = instance.recurrence_id;
        self.first <= at && self.after.is_none_or(|after| at < after)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.after.is_none()
    }

    /// Where to look on from a paused instant.
    pub(crate) fn after(&self, unix: i64) -> i64 {
        if (self.low..self.high).contains(&unix) {
            self.high
        } else {
            unix + 1
        }
    }

    /// The instant before which to look on, backwards.
    pub(crate) fn before(&self, unix: i64) -> i64 {
        if (self.low..self.high).contains(&unix) {
            self.low
        } else {
            unix
        }
    }
}
