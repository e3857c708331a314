//! When a therapist can be booked: the hours of a normal week, dates with other hours, blackouts.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use ledger_core::ReasonCode;
use scheduler_core::availability::{
    Availability, AvailabilityError, DayHours, Hours, HoursError, WeeklyHours,
};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{IntentId, LocalDateTime, Window, Zone};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A therapist's working times. They are one document in the therapist's row: whoever books reads
/// them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingTimes {
    availability: Availability,
    blackouts: BTreeMap<Uuid, Blackout>,
    kept: BTreeSet<(IntentId, LocalDateTime)>,
    retires_on: Option<NaiveDate>,
    /// Raised by every change of them.
    pub version: u64,
}

/// A time in which the therapist is away.
///
/// What it hits stays where it is until somebody decides: every occurrence that takes place in it
/// is a case, computed whenever somebody asks. Deciding is moving it, leaving it out, or saying
/// here that it takes place all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blackout {
    /// Its first instant.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub until: DateTime<Utc>,
    /// Why, as a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonCode>,
    /// It was taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// Occurrences that take place in spite of it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub kept: BTreeSet<(IntentId, LocalDateTime)>,
}

/// The stored form, in a zone that is a column of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredTimes {
    hours: Vec<Hours>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    dates: BTreeMap<NaiveDate, Vec<DayHours>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    blackouts: BTreeMap<Uuid, Blackout>,
    /// Occurrences that take place although the therapist does not work then.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    kept: BTreeSet<(IntentId, LocalDateTime)>,
    /// The first date on which the therapist works no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retires_on: Option<NaiveDate>,
}

/// Why working times cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimesError {
    /// The hours of a normal week cannot.
    #[error(transparent)]
    Hours(#[from] HoursError),
    /// The hours of a date, or the number of blackouts, cannot.
    #[error(transparent)]
    Availability(#[from] AvailabilityError),
    /// A blackout ends before it begins.
    #[error("a blackout must end after it begins, this one is from {from} to {until}")]
    EmptyBlackout {
        /// Its first instant.
        from: DateTime<Utc>,
        /// The first instant after it.
        until: DateTime<Utc>,
    },
}

impl WorkingTimes {
    /// The hours of a normal week, and nothing else.
    #[must_use]
    pub fn new(hours: WeeklyHours) -> Self {
        Self {
            availability: Availability::new(hours),
            blackouts: BTreeMap::new(),
            kept: BTreeSet::new(),
            retires_on: None,
            version: 1,
        }
    }

    /// # Errors
    /// [`TimesError`] if the stored times cannot be.
    pub fn from_stored(zone: Zone, stored: StoredTimes, version: u64) -> Result<Self, TimesError> {
        let StoredTimes {
            hours,
            dates,
            blackouts,
            kept,
            retires_on,
        } = stored;
        let mut availability = Availability::new(WeeklyHours::new(zone, hours)?);
        for (date, hours) in dates {
            availability = availability.with_date(date, hours)?;
        }
        let mut away = Vec::new();
        for blackout in blackouts.values().filter(|blackout| !blackout.withdrawn) {
            away.push(blackout.window()?);
        }
        away.extend(retires_on.and_then(|date| retired(zone, date)));
        Ok(Self {
            availability: availability.with_blackouts(away)?,
            blackouts,
            kept,
            retires_on,
            version,
        })
    }

    /// The stored form.
    #[must_use]
    pub fn to_stored(&self) -> StoredTimes {
        StoredTimes {
            hours: self.availability.weekly().hours().to_vec(),
            dates: self.availability.dated().clone(),
            blackouts: self.blackouts.clone(),
            kept: self.kept.clone(),
            retires_on: self.retires_on,
        }
    }

    /// The zone of the wall clock.
    #[must_use]
    pub fn zone(&self) -> Zone {
        self.availability.zone()
    }

    /// What the scheduler asks.
    #[must_use]
    pub fn availability(&self) -> &Availability {
        &self.availability
    }

    /// Every blackout, also those that were withdrawn.
    #[must_use]
    pub fn blackouts(&self) -> &BTreeMap<Uuid, Blackout> {
        &self.blackouts
    }

    /// The same with other hours in a normal week.
    ///
    /// # Errors
    /// [`TimesError`], as for all changes.
    pub fn with_hours(&self, hours: Vec<Hours>) -> Result<Self, TimesError> {
        self.changed(|stored| stored.hours = hours)
    }

    /// The same with other hours on a date; with those of the week, if there are none given.
    ///
    /// # Errors
    /// [`TimesError`].
    pub fn with_date(
        &self,
        date: NaiveDate,
        hours: Option<Vec<DayHours>>,
    ) -> Result<Self, TimesError> {
        self.changed(|stored| {
            match hours {
                Some(hours) => stored.dates.insert(date, hours),
                None => stored.dates.remove(&date),
            };
        })
    }

    /// The same with a blackout, in place of what has its id.
    ///
    /// # Errors
    /// [`TimesError`].
    pub fn with_blackout(&self, id: Uuid, blackout: Blackout) -> Result<Self, TimesError> {
        self.changed(|stored| {
            stored.blackouts.insert(id, blackout);
        })
    }

    /// The same, and an occurrence takes place although it is outside the hours.
    ///
    /// # Errors
    /// [`TimesError`].
    pub fn with_kept(&self, address: (IntentId, LocalDateTime)) -> Result<Self, TimesError> {
        self.changed(|stored| {
            stored.kept.insert(address);
        })
    }

    /// The same of a therapist who works no more from a date on; who goes on working, if there is none.
    ///
    /// # Errors
    /// [`TimesError`].
    pub fn retiring_on(&self, date: Option<NaiveDate>) -> Result<Self, TimesError> {
        self.changed(|stored| stored.retires_on = date)
    }

    /// The first date on which the therapist works no more.
    #[must_use]
    pub fn retires_on(&self) -> Option<NaiveDate> {
        self.retires_on
    }

    /// Whether an appointment lies outside the hours of its date, or after the therapist has retired, and nobody
    /// has said that it takes place all the same. Time off is another question.
    #[must_use]
    pub fn is_outside(
        &self,
        address: (IntentId, LocalDateTime),
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> bool {
        let worked = self.availability.cover(start, end);
        let retired = self.retires_on.and_then(|date| retired(self.zone(), date));
        let is_after = retired.is_some_and(|retired| retired.start() < end);
        (!worked || is_after) && !self.kept.contains(&address)
    }

    /// Whether they are the same times, whatever their version.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.availability, &self.blackouts) == (&other.availability, &other.blackouts)
            && (&self.kept, self.retires_on) == (&other.kept, other.retires_on)
    }

    fn changed(&self, change: impl FnOnce(&mut StoredTimes)) -> Result<Self, TimesError> {
        let mut stored = self.to_stored();
        change(&mut stored);
        Self::from_stored(self.zone(), stored, self.version + 1)
    }
}

/// The time from which on a therapist works no more.
fn retired(zone: Zone, date: NaiveDate) -> Option<Window> {
    let midnight = LocalDateTime::try_from(date.and_time(NaiveTime::MIN)).ok()?;
    Window::new(zone.resolve(midnight).0, END_OF_ZONE_DATA).ok()
}

impl Blackout {
    /// Its time.
    ///
    /// # Errors
    /// [`TimesError::EmptyBlackout`].
    pub fn window(&self) -> Result<Window, TimesError> {
        let (from, until) = (self.from, self.until);
        Window::new(from, until).map_err(|_| TimesError::EmptyBlackout { from, until })
    }
}
