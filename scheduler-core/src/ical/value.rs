//! Values of times, lengths and periods (RFC 5545 §3.3).

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};

use crate::LocalDateTime;
use crate::epoch::SECONDS_PER_DAY;
use crate::pause::midnight;

use super::timezone::TimeZone;

/// A time as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// `20260301`
    Date(NaiveDate),
    /// `20260301T180000`
    Local(LocalDateTime),
    /// `20260301T180000Z`, as the wall time of UTC.
    Utc(LocalDateTime),
}

/// A time in its zone. A date is its midnight in UTC, so that days are days everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At {
    pub(super) is_date: bool,
    pub(super) wall: LocalDateTime,
    pub(super) zone: TimeZone,
    pub(super) unix: i64,
}

/// How long something lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// So many seconds.
    Exact(i64),
    /// So many days by the calendar of the zone, then so many seconds (RFC 5545 §3.3.6).
    Nominal {
        /// Days.
        days: i64,
        /// Seconds.
        seconds: i64,
    },
}

impl Time {
    /// Reads any of the three forms; a leap second is the second before it (RFC 5545 §3.3.12). A
    /// date with Z is that date: Google's birthdays have RDATEs like it.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > "20260301T180000Z".len() {
            return None;
        }
        let text = text.to_ascii_uppercase();
        if let (9, Some(day)) | (8, Some(day)) = (text.len(), text.get(..8))
            && matches!(text.get(8..), Some("" | "Z"))
        {
            return date(day).map(Self::Date);
        }
        let (wall, is_utc) = match text.strip_suffix('Z') {
            Some(wall) => (wall, true),
            None => (text.as_str(), false),
        };
        let wall = match wall.strip_suffix("60") {
            Some(minute) if wall.len() == 15 => LocalDateTime::from_basic(&format!("{minute}59")),
            _ => LocalDateTime::from_basic(wall),
        };
        let wall = wall.ok()?;
        Some(if is_utc {
            Self::Utc(wall)
        } else {
            Self::Local(wall)
        })
    }

    /// The time in a zone, which only a local one is in.
    pub(super) fn in_zone(self, zone: &TimeZone) -> At {
        match self {
            Self::Date(date) => At::date(date),
            Self::Local(wall) => At::wall(wall, zone),
            Self::Utc(wall) => At::wall(wall, &TimeZone::UTC),
        }
    }
}

fn date(text: &str) -> Option<NaiveDate> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let date = digits.then(|| NaiveDate::parse_from_str(text, "%Y%m%d").ok());
    // The year 0 is none of ours.
    date.flatten()
        .filter(|date| LocalDateTime::try_from(date.and_time(chrono::NaiveTime::MIN)).is_ok())
}

impl At {
    pub(super) fn date(date: NaiveDate) -> Self {
        Self {
            is_date: true,
            ..Self::wall(midnight(date), &TimeZone::UTC)
        }
    }

    pub(super) fn wall(wall: LocalDateTime, zone: &TimeZone) -> Self {
        Self {
            is_date: false,
            wall,
            zone: zone.clone(),
            unix: zone.resolve(wall).0,
        }
    }

    /// The wall time in a zone: as it is written if it was written in that zone, or as a date.
    pub(super) fn wall_in(&self, zone: &TimeZone) -> LocalDateTime {
        if self.zone == *zone || self.is_date {
            self.wall
        } else {
            zone.local(self.unix)
        }
    }
}

/// The instant of a Unix time within the years that are read.
pub(super) fn instant(unix: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(unix, 0).unwrap_or_default()
}

/// The longest length that is read: a hundred years.
const SECONDS_MAX: i64 = 36_525 * SECONDS_PER_DAY;

/// As DURATION has it.
impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exact(seconds) if seconds % 60 == 0 => write!(f, "PT{}M", seconds / 60),
            Self::Exact(seconds) => write!(f, "PT{seconds}S"),
            Self::Nominal { days, seconds: 0 } => write!(f, "P{days}D"),
            Self::Nominal { days, seconds } => write!(f, "P{days}DT{seconds}S"),
        }
    }
}

impl Length {
    /// Reads `P1W`, `P1DT2H`, `PT50M`; `None` if it is none of them, negative, or longer than a
    /// hundred years.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_uppercase();
        let body = text.strip_prefix('+').unwrap_or(&text).strip_prefix('P')?;
        let (days, times) = body.split_once('T').unwrap_or((body, ""));
        let days = sum(days, &[('W', 7), ('D', 1)])?;
        let seconds = sum(times, &[('H', 3600), ('M', 60), ('S', 1)])?;
        let length = match days {
            None => Self::Exact(seconds?),
            Some(days) => Self::Nominal {
                days,
                seconds: seconds.unwrap_or(0),
            },
        };
        (length.seconds_at_most() <= SECONDS_MAX).then_some(length)
    }

    /// When what starts at an instant in a zone ends.
    pub(super) fn end(self, unix: i64, zone: &TimeZone) -> i64 {
        match self {
            Self::Exact(seconds) => unix + seconds,
            Self::Nominal { days: 0, seconds } => unix + seconds,
            Self::Nominal { days, seconds } => {
                let wall = zone.local(unix);
                let wall = wall.plus_seconds(days * SECONDS_PER_DAY);
                let wall = wall.unwrap_or(LocalDateTime::MAX);
                zone.resolve(wall).0 + seconds
            }
        }
    }

    /// No occurrence of this length lasts longer.
    pub(super) fn seconds_at_most(self) -> i64 {
        match self {
            Self::Exact(seconds) => seconds,
            // Clocks go back by less than two days, even where the calendar did.
            Self::Nominal { days, seconds } => days
                .saturating_add(2)
                .saturating_mul(SECONDS_PER_DAY)
                .saturating_add(seconds),
        }
    }
}

/// `1H30M` in the smallest unit, by the units in their order; the inner `None` of an empty text.
fn sum(text: &str, units: &[(char, i64)]) -> Option<Option<i64>> {
    let (mut rest, mut total) = (text, None);
    for (unit, factor) in units {
        if let Some((number, later)) = rest.split_once(*unit) {
            let plain =
                (1..=9).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
            let number: i64 = plain.then(|| number.parse().ok()).flatten()?;
            total = Some(total.unwrap_or(0) + number * factor);
            rest = later;
        }
    }
    rest.is_empty().then_some(total)
}

/// Reads `+0100` or `-033000` as seconds east of Greenwich (RFC 5545 §3.3.14), and `+01` and `+01:00`,
/// which some write.
pub(super) fn offset(text: &str) -> Option<i64> {
    let mut text = text.trim().replace(':', "");
    if text.len() == 3 {
        text += "00";
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("-", digits) => (-1, digits),
        ("+", digits) => (1, digits),
        _ => return None,
    };
    let plain = matches!(digits.len(), 4 | 6) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let digits: i64 = plain.then(|| digits.parse().ok()).flatten()?;
    let (hours, minutes, seconds) = match text.len() {
        5 => (digits / 100, digits % 100, 0),
        _ => (digits / 10_000, digits / 100 % 100, digits % 100),
    };
    let valid = hours < 24 && minutes < 60 && seconds < 60;
    valid.then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_others_refused() {
        let nominal = |days, seconds| Some(Length::Nominal { days, seconds });
        assert_eq!(Length::read("P2W"), nominal(14, 0));
        assert_eq!(Length::read("P1DT2H"), nominal(1, 7200));
        assert_eq!(Length::read("+PT1H30M5S"), Some(Length::Exact(5405)));
        assert_eq!(Length::read("P7W3D"), nominal(52, 0));
        for text in [
            "",
            "P",
            "PT",
            "1H",
            "-PT1H",
            "PT1X",
            "PT1M1H",
            "P-1D",
            "PT99999999999S",
            "P900000000W",
        ] {
            assert_eq!(Length::read(text), None, "{text}");
        }
    }

    #[test]
    fn offsets_are_read_and_others_refused() {
        assert_eq!(offset("+0530"), Some(19_800));
        assert_eq!(offset("-003000"), Some(-1800));
        for text in ["", "0530", "+5", "+2400", "+0061", "é000", "+05300"] {
            assert_eq!(offset(text), None, "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_second_before() {
        let leap = Time::read("20161231t235960z");
        assert_eq!(leap, Time::read("20161231T235959Z"));
        assert!(matches!(leap, Some(Time::Utc(_))));
        assert_eq!(Time::read("00000101"), None);
    }
}
