//! IANA time zones: from wall time to instant and back.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::LocalDateTime;

/// The version of the IANA tz database that is compiled in, like `2025b`.
pub const TZDB: &str = chrono_tz::IANA_TZDB_VERSION;

/// No rule of the compiled zone data is known from this instant on, 2100-01-01T00:00:00Z.
pub const END_OF_ZONE_DATA: DateTime<Utc> = DateTime::from_timestamp(4_102_444_800, 0)
    .expect("2100-01-01T00:00:00Z is an instant of chrono");

/// Wall time before 1900 was local mean time, which nobody books in: 1900-01-01T00:00:00Z.
pub const START_OF_ZONE_DATA: DateTime<Utc> = DateTime::from_timestamp(-2_208_988_800, 0)
    .expect("1900-01-01T00:00:00Z is an instant of chrono");

/// Further than this no offset change moves a wall time: Pacific/Apia skipped 24 hours in 2011.
const LARGEST_SHIFT: TimeDelta = TimeDelta::hours(24);

/// An IANA time zone, like `Europe/London`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone(Tz);

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
    pub const UTC: Self = Self(Tz::UTC);

    /// The IANA name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The instant at which a clock in this zone shows `local`, and how it was found.
    #[must_use]
    pub fn resolve(self, local: LocalDateTime) -> (DateTime<Utc>, Resolution) {
        let wall = local.naive();
        match self.0.offset_from_local_datetime(&wall) {
            chrono::LocalResult::Single(offset) => {
                (to_instant(wall, offset.fix()), Resolution::Unique)
            }
            chrono::LocalResult::Ambiguous(first, second) => {
                let first = to_instant(wall, first.fix()).min(to_instant(wall, second.fix()));
                (first, Resolution::Fold)
            }
            chrono::LocalResult::None => (self.after_gap(wall), Resolution::Gap),
        }
    }

    /// The wall time at an instant.
    ///
    /// # Panics
    /// Never for instants of the years 2 to 9998; callers stay within the zone data.
    #[must_use]
    pub fn local(self, at: DateTime<Utc>) -> LocalDateTime {
        let wall = self.wall_seconds(at);
        LocalDateTime::from_seconds(wall).unwrap_or(if wall < 0 {
            LocalDateTime::MIN
        } else {
            LocalDateTime::MAX
        })
    }

    /// A skipped wall time read with the offset from before the gap, which is the same as moving
    /// it forward by the gap's length. The gap's instant is the first at which the wall clock is
    /// already past `wall`; around a gap that is monotonic, so bisect.
    fn after_gap(self, wall: NaiveDateTime) -> DateTime<Utc> {
        let target = wall.and_utc().timestamp();
        let reach = (LARGEST_SHIFT + LARGEST_SHIFT).num_seconds();
        let (mut before, mut after) = (target - reach, target + reach);
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            if self.wall_seconds(instant(middle)) > target {
                after = middle;
            } else {
                before = middle;
            }
        }
        let offset_before = self.wall_seconds(instant(before)) - before;
        instant(target - offset_before)
    }

    fn wall_seconds(self, at: DateTime<Utc>) -> i64 {
        let offset = self.0.offset_from_utc_datetime(&at.naive_utc()).fix();
        at.timestamp() + i64::from(offset.local_minus_utc())
    }
}

fn to_instant(wall: NaiveDateTime, offset: chrono::FixedOffset) -> DateTime<Utc> {
    instant(wall.and_utc().timestamp() - i64::from(offset.local_minus_utc()))
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
        name.parse()
            .map(Self)
            .map_err(|_| UnknownZone(name.to_owned()))
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
