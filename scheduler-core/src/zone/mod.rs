//! IANA time zones: from wall time to instant and back.

mod data;
mod transitions;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::LocalDateTime;
use crate::epoch::to_wall;

pub use data::{AlreadyInUse, ZONES_MAX, ZoneData, ZoneDataError};
pub use transitions::TzifError;
pub(crate) use transitions::{Span, Transitions};

/// Zone data is used up to this instant; none is known from this instant on, 2100-01-01T00:00:00Z.
pub const END_OF_ZONE_DATA: DateTime<Utc> = DateTime::from_timestamp(4_102_444_800, 0)
    .expect("2100-01-01T00:00:00Z is an instant of chrono");

/// Wall time before 1900 was local mean time, which nobody books in: 1900-01-01T00:00:00Z.
pub const START_OF_ZONE_DATA: DateTime<Utc> = DateTime::from_timestamp(-2_208_988_800, 0)
    .expect("1900-01-01T00:00:00Z is an instant of chrono");

/// An IANA time zone, like `Europe/London`: its number in the installed [`ZoneData`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone(u16);

/// A name that the IANA tz database does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IANA time zone like Europe/London")]
pub struct UnknownZone(pub String);

/// What becomes of a local time that a zone skips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapPolicy {
    /// It is shifted forward by the gap's length (RFC 5545 §3.3.5 with erratum 4271).
    #[default]
    Shift,
    /// The occurrence does not happen.
    Omit,
}

/// How a local time met the zone's clock changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The local time exists once.
    Unique,
    /// It does not exist; the instant is the one shifted forward by the gap's length.
    Gap,
    /// It exists twice; the instant is the first.
    Fold,
}

impl Zone {
    /// The zone whose wall time is UTC.
    pub const UTC: Self = Self(0);

    /// The IANA name.
    #[must_use]
    pub fn name(self) -> &'static str {
        ZoneData::installed().name(self.0)
    }

    /// The instant at which a clock in this zone shows `local`, and how it was found.
    #[must_use]
    pub fn resolve(self, local: LocalDateTime) -> (DateTime<Utc>, Resolution) {
        let (unix, resolution) = self.transitions().resolve(to_wall(local));
        (instant(unix), resolution)
    }

    /// The wall time at an instant.
    ///
    /// An instant outside the years 1 to 9999 gives the nearest local time within them.
    #[must_use]
    pub fn local(self, at: DateTime<Utc>) -> LocalDateTime {
        self.transitions().local(at.timestamp())
    }

    /// How many zones there are.
    pub(crate) fn count() -> usize {
        ZoneData::installed().len()
    }

    /// All zones, in the order of their names.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let count = u16::try_from(Self::count()).unwrap_or(u16::MAX);
        (0..count).map(Self)
    }

    /// A number below [`Self::count`] that no other zone has.
    #[inline]
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// When its clocks change.
    #[inline]
    pub(crate) fn transitions(self) -> &'static Transitions {
        data::transitions(self.0)
    }
}

fn instant(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).expect("years 0 to 10000 are within chrono's range")
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        let index = ZoneData::installed().index(name);
        index.map(Self).ok_or_else(|| UnknownZone(name.to_owned()))
    }
}

/// A zone of chrono-tz by its name, which every release since has kept. Its own data is not used.
impl From<Tz> for Zone {
    fn from(zone: Tz) -> Self {
        let index = ZoneData::installed().index(zone.name());
        Self(index.expect(
            "the compiled release has the names of chrono-tz, and every other is given them",
        ))
    }
}

/// Fails for a name that chrono-tz does not have yet. Its data may be of another release.
impl TryFrom<Zone> for Tz {
    type Error = UnknownZone;

    fn try_from(zone: Zone) -> Result<Self, UnknownZone> {
        let name = zone.name();
        name.parse().map_err(|_| UnknownZone(name.to_owned()))
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(zone: &str, local: &str) -> (String, Resolution) {
        let (at, how) = zone
            .parse::<Zone>()
            .unwrap()
            .resolve(local.parse().unwrap());
        (at.format("%FT%TZ").to_string(), how)
    }

    #[test]
    fn a_skipped_time_moves_forward_by_the_gap() {
        for (zone, local, instant) in [
            (
                "America/New_York",
                "2026-03-08T02:30:00",
                "2026-03-08T07:30:00Z",
            ),
            (
                "Europe/London",
                "2026-03-29T01:00:00",
                "2026-03-29T01:00:00Z",
            ),
            (
                "Australia/Lord_Howe",
                "2026-10-04T02:15:00",
                "2026-10-03T15:45:00Z",
            ),
            (
                "America/Sao_Paulo",
                "2018-11-04T00:30:00",
                "2018-11-04T03:30:00Z",
            ),
            (
                "Pacific/Apia",
                "2011-12-30T12:00:00",
                "2011-12-30T22:00:00Z",
            ),
        ] {
            assert_eq!(
                resolve(zone, local),
                (instant.to_owned(), Resolution::Gap),
                "{zone}"
            );
        }
    }

    #[test]
    fn a_repeated_time_is_the_first() {
        let first = ("2026-11-01T05:30:00Z".to_owned(), Resolution::Fold);
        assert_eq!(resolve("America/New_York", "2026-11-01T01:30:00"), first);
    }
}
