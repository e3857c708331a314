//! Rules as text, in and out.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::{NaiveDate, Weekday};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::model::{End, Frequency, NthWeekday, Rule, Skip, Until};
use crate::LocalDateTime;

/// The longest rule text that is read. The longest sensible rule, all 366 year days and 60
/// seconds listed, stays below it.
const TEXT_BYTES_MAX: usize = 4096;

/// Why a text is not a rule. Every variant names the part; [`RuleError::part`] gives it alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The text is longer than any rule.
    #[error("the rule has {bytes} bytes, at most {TEXT_BYTES_MAX} are read")]
    TooLong {
        /// The length of the text.
        bytes: usize,
    },
    /// Something between semicolons that is not `NAME=value`.
    #[error("{text:?} is not of the form NAME=value")]
    NotAPart {
        /// What stood there.
        text: String,
    },
    /// A name that RFC 5545 and RFC 7529 do not have.
    #[error("{part} is not a part of a recurrence rule")]
    UnknownPart {
        /// The name, as given.
        part: String,
    },
    /// A name given twice.
    #[error("{part} is given twice")]
    DuplicatePart {
        /// The name.
        part: &'static str,
    },
    /// FREQ is the one part that must be there.
    #[error("{part} is missing")]
    MissingPart {
        /// The name.
        part: &'static str,
    },
    /// A value that the part cannot have.
    #[error("{part} cannot be {value:?}: {expected}")]
    BadValue {
        /// The name.
        part: &'static str,
        /// The value, or the element of the list, as given.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Two parts that exclude each other.
    #[error("{part}={value} cannot stand beside {other}")]
    Conflict {
        /// The name of the part that is too much.
        part: &'static str,
        /// Its value, as given.
        value: String,
        /// The part it conflicts with, with its value where that matters.
        other: &'static str,
    },
    /// Valid by its RFC, and not supported.
    #[error("{part}={value} is not supported: {reason}")]
    Unsupported {
        /// The name.
        part: &'static str,
        /// Its value, as given.
        value: String,
        /// What is missing.
        reason: &'static str,
    },
}

impl RuleError {
    /// The part of the rule that is wrong, like `BYDAY`.
    #[must_use]
    pub fn part(&self) -> &str {
        match self {
            Self::TooLong { .. } => "RRULE",
            Self::NotAPart { text } => text,
            Self::UnknownPart { part } => part,
            Self::DuplicatePart { part }
            | Self::MissingPart { part }
            | Self::BadValue { part, .. }
            | Self::Conflict { part, .. }
            | Self::Unsupported { part, .. } => part,
        }
    }
}

/// Something a rule says that has no effect, and that its author probably did not mean.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// `2MO` under FREQ=DAILY or WEEKLY: the number is ignored (RFC 5545 §3.3.10 forbids it).
    #[error("BYDAY={value}: a number has no meaning with FREQ={frequency} and is ignored")]
    IgnoredNumber {
        /// The element of BYDAY.
        value: NthWeekday,
        /// The rule's frequency.
        frequency: Frequency,
    },
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(RuleError::TooLong { bytes: text.len() });
        }
        let upper = text.trim().to_ascii_uppercase();
        let body = upper.strip_prefix("RRULE:").unwrap_or(&upper);
        let parts = Parts::split(body)?;
        // What another calendar's months and days may be is not for this one to say.
        let skip = parts.skip()?;
        let rule = Rule {
            frequency: parts.frequency()?,
            interval: parts.interval()?,
            end: parts.end()?,
            by_second: parts.numbers("BYSECOND", 0..=60, Zero::Allowed)?,
            by_minute: parts.numbers("BYMINUTE", 0..=59, Zero::Allowed)?,
            by_hour: parts.numbers("BYHOUR", 0..=23, Zero::Allowed)?,
            by_day: parts.weekdays()?,
            by_month_day: parts.numbers("BYMONTHDAY", -31..=31, Zero::Refused)?,
            by_year_day: parts.numbers("BYYEARDAY", -366..=366, Zero::Refused)?,
            by_week_no: parts.numbers("BYWEEKNO", -53..=53, Zero::Refused)?,
            by_month: parts.numbers("BYMONTH", 1..=12, Zero::Refused)?,
            by_set_pos: parts.numbers("BYSETPOS", -366..=366, Zero::Refused)?,
            week_start: parts.week_start()?,
            skip,
        };
        check_combinations(&rule, &parts)?;
        Ok(rule)
    }
}

impl Rule {
    /// What the rule says without effect. A booking refuses a rule that has any.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        if !matches!(self.frequency, Frequency::Daily | Frequency::Weekly) {
            return Vec::new();
        }
        let numbered = self.by_day.iter().filter(|day| day.nth.is_some());
        numbered
            .map(|&value| Warning::IgnoredNumber {
                value,
                frequency: self.frequency,
            })
            .collect()
    }
}

/// RFC 5545 §3.3.10, the table's "N/A" cells and the sentences around it.
fn check_combinations(rule: &Rule, parts: &Parts<'_>) -> Result<(), RuleError> {
    use Frequency::{Daily, Hourly, Minutely, Monthly, Secondly, Weekly, Yearly};
    let conflict = |part, other| {
        Err(RuleError::Conflict {
            part,
            value: parts.get(part).unwrap_or_default().to_owned(),
            other,
        })
    };
    if !rule.by_week_no.is_empty() && rule.frequency != Yearly {
        return conflict("BYWEEKNO", "a FREQ other than YEARLY");
    }
    if !rule.by_year_day.is_empty() && matches!(rule.frequency, Daily | Weekly | Monthly) {
        return conflict("BYYEARDAY", "FREQ=DAILY, WEEKLY or MONTHLY");
    }
    if !rule.by_month_day.is_empty() && rule.frequency == Weekly {
        return conflict("BYMONTHDAY", "FREQ=WEEKLY");
    }
    if rule.by_day.iter().any(|day| day.nth.is_some()) {
        if !rule.by_week_no.is_empty() {
            return conflict("BYDAY", "BYWEEKNO: its weekdays take no number");
        }
        if matches!(rule.frequency, Secondly | Minutely | Hourly) {
            return conflict(
                "BYDAY",
                "FREQ=SECONDLY, MINUTELY or HOURLY: its weekdays take no number",
            );
        }
    }
    Ok(())
}

/// The names of all parts, in the order in which a rule is printed.
const NAMES: [&str; 16] = [
    "RSCALE",
    "FREQ",
    "INTERVAL",
    "COUNT",
    "UNTIL",
    "BYMONTH",
    "BYWEEKNO",
    "BYYEARDAY",
    "BYMONTHDAY",
    "BYDAY",
    "BYHOUR",
    "BYMINUTE",
    "BYSECOND",
    "BYSETPOS",
    "WKST",
    "SKIP",
];

/// A rule's text, cut into its parts, each known and given once.
struct Parts<'a>(Vec<(&'static str, &'a str)>);

/// Whether a list of numbers may hold 0.
#[derive(Clone, Copy, PartialEq)]
enum Zero {
    Allowed,
    Refused,
}

impl<'a> Parts<'a> {
    fn split(body: &'a str) -> Result<Self, RuleError> {
        let mut parts: Vec<(&'static str, &'a str)> = Vec::new();
        for text in body.split(';') {
            let Some((name, value)) = text.split_once('=') else {
                return Err(RuleError::NotAPart {
                    text: text.to_owned(),
                });
            };
            let Some(&part) = NAMES.iter().find(|known| **known == name) else {
                return Err(RuleError::UnknownPart {
                    part: name.to_owned(),
                });
            };
            if parts.iter().any(|(seen, _)| *seen == part) {
                return Err(RuleError::DuplicatePart { part });
            }
            parts.push((part, value));
        }
        Ok(Self(parts))
    }

    fn get(&self, part: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(name, _)| *name == part)
            .map(|(_, value)| *value)
    }

    fn frequency(&self) -> Result<Frequency, RuleError> {
        let part = "FREQ";
        let value = self.get(part).ok_or(RuleError::MissingPart { part })?;
        FREQUENCIES
            .iter()
            .find(|(name, _)| *name == value)
            .map(|(_, frequency)| *frequency)
            .ok_or_else(|| {
                bad(
                    part,
                    value,
                    "SECONDLY, MINUTELY, HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY",
                )
            })
    }

    fn interval(&self) -> Result<u32, RuleError> {
        self.positive("INTERVAL").map(|given| given.unwrap_or(1))
    }

    fn positive(&self, part: &'static str) -> Result<Option<u32>, RuleError> {
        let Some(value) = self.get(part) else {
            return Ok(None);
        };
        digits(value)
            .and_then(|value| u32::try_from(value).ok())
            .filter(|number| *number > 0)
            .map(Some)
            .ok_or_else(|| bad(part, value, "a whole number from 1 to 4294967295"))
    }

    fn end(&self) -> Result<End, RuleError> {
        let count = self.positive("COUNT")?;
        match (count, self.get("UNTIL")) {
            (Some(_), Some(value)) => Err(RuleError::Conflict {
                part: "UNTIL",
                value: value.to_owned(),
                other: "COUNT",
            }),
            (Some(count), None) => Ok(End::Count(count)),
            (None, Some(value)) => until(value).map(End::Until).ok_or_else(|| {
                bad(
                    "UNTIL",
                    value,
                    "expected a date or a time like 20261231, 20261231T180000 or 20261231T180000Z",
                )
            }),
            (None, None) => Ok(End::Never),
        }
    }

    /// The elements of a comma-separated list, converted, sorted, without duplicates.
    fn numbers<N>(
        &self,
        part: &'static str,
        range: RangeInclusive<i64>,
        zero: Zero,
    ) -> Result<Vec<N>, RuleError>
    where
        N: TryFrom<i64> + Ord,
    {
        let Some(list) = self.get(part) else {
            return Ok(Vec::new());
        };
        let mut numbers = Vec::new();
        for value in list.split(',') {
            let number = signed(value)
                .filter(|number| range.contains(number) && (*number != 0 || zero == Zero::Allowed))
                // A sign where the RFC's grammar has none, as in BYMONTH=+1.
                .filter(|_| *range.start() < 0 || !value.starts_with(['+', '-']))
                .and_then(|number| N::try_from(number).ok())
                .ok_or_else(|| bad(part, value, expected_numbers(part)))?;
            numbers.push(number);
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    fn weekdays(&self) -> Result<Vec<NthWeekday>, RuleError> {
        let part = "BYDAY";
        let Some(list) = self.get(part) else {
            return Ok(Vec::new());
        };
        let mut days = Vec::new();
        for value in list.split(',') {
            let day = nth_weekday(value).ok_or_else(|| {
                bad(
                    part,
                    value,
                    "a weekday like MO, or 2MO or -1MO with a number from 1 to 53",
                )
            })?;
            days.push(day);
        }
        days.sort_unstable_by_key(|day| (day.nth, day.weekday.num_days_from_monday()));
        days.dedup();
        Ok(days)
    }

    fn week_start(&self) -> Result<Weekday, RuleError> {
        match self.get("WKST") {
            None => Ok(Weekday::Mon),
            Some(value) => weekday(value).ok_or_else(|| bad("WKST", value, "a weekday like MO")),
        }
    }

    /// RFC 7529: SKIP has a meaning only beside RSCALE.
    fn skip(&self) -> Result<Option<Skip>, RuleError> {
        match (self.get("RSCALE"), self.get("SKIP")) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(RuleError::MissingPart { part: "RSCALE" }),
            (Some("GREGORIAN"), None | Some("OMIT")) => Ok(Some(Skip::Omit)),
            (Some("GREGORIAN"), Some("BACKWARD")) => Ok(Some(Skip::Backward)),
            (Some("GREGORIAN"), Some("FORWARD")) => Ok(Some(Skip::Forward)),
            (Some("GREGORIAN"), Some(value)) => {
                Err(bad("SKIP", value, "OMIT, BACKWARD or FORWARD"))
            }
            (Some(value), _) => Err(RuleError::Unsupported {
                part: "RSCALE",
                value: value.to_owned(),
                reason: "only the Gregorian calendar is",
            }),
        }
    }
}

fn bad(part: &'static str, value: &str, expected: &'static str) -> RuleError {
    RuleError::BadValue {
        part,
        value: value.to_owned(),
        expected,
    }
}

fn expected_numbers(part: &str) -> &'static str {
    match part {
        "BYSECOND" => "a list of numbers from 0 to 60",
        "BYMINUTE" => "a list of numbers from 0 to 59",
        "BYHOUR" => "a list of numbers from 0 to 23",
        "BYMONTHDAY" => "a list of numbers from 1 to 31 or -31 to -1",
        "BYWEEKNO" => "a list of numbers from 1 to 53 or -53 to -1",
        "BYMONTH" => "a list of numbers from 1 to 12",
        _ => "a list of numbers from 1 to 366 or -366 to -1",
    }
}

/// One to ten ASCII digits.
fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn signed(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(magnitude) => digits(magnitude).map(|number| -number),
        None => digits(text.strip_prefix('+').unwrap_or(text)),
    }
}

fn nth_weekday(text: &str) -> Option<NthWeekday> {
    let (number, name) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let weekday = weekday(name)?;
    let nth = match number {
        "" => None,
        _ => Some(signed(number).filter(|n| (1..=53).contains(&n.abs()))?),
    };
    Some(NthWeekday {
        nth: nth.map(i8::try_from).transpose().ok()?,
        weekday,
    })
}

fn until(text: &str) -> Option<Until> {
    if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        let date = NaiveDate::parse_from_str(text, "%Y%m%d").ok()?;
        // The end of the day must be a local time too.
        LocalDateTime::try_from(date.and_hms_opt(23, 59, 59)?).ok()?;
        return Some(Until::Date(date));
    }
    match text.strip_suffix('Z') {
        Some(wall) => {
            let at = LocalDateTime::from_basic(wall).ok()?;
            Some(Until::Instant(at.naive().and_utc()))
        }
        None => LocalDateTime::from_basic(text).ok().map(Until::Local),
    }
}

const FREQUENCIES: [(&str, Frequency); 7] = [
    ("SECONDLY", Frequency::Secondly),
    ("MINUTELY", Frequency::Minutely),
    ("HOURLY", Frequency::Hourly),
    ("DAILY", Frequency::Daily),
    ("WEEKLY", Frequency::Weekly),
    ("MONTHLY", Frequency::Monthly),
    ("YEARLY", Frequency::Yearly),
];

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("MO", Weekday::Mon),
    ("TU", Weekday::Tue),
    ("WE", Weekday::Wed),
    ("TH", Weekday::Thu),
    ("FR", Weekday::Fri),
    ("SA", Weekday::Sat),
    ("SU", Weekday::Sun),
];

/// The weekday of an RFC 5545 name: MO, TU, WE, TH, FR, SA or SU.
#[must_use]
pub fn weekday(name: &str) -> Option<Weekday> {
    let found = WEEKDAYS.iter().find(|(known, _)| *known == name);
    found.map(|(_, weekday)| *weekday)
}

/// The RFC 5545 name of a weekday.
#[must_use]
pub fn weekday_name(weekday: Weekday) -> &'static str {
    let found = WEEKDAYS.iter().find(|(_, known)| *known == weekday);
    found.map_or("MO", |(name, _)| name)
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = FREQUENCIES.iter().find(|(_, known)| known == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

impl fmt::Display for NthWeekday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(nth) = self.nth {
            write!(f, "{nth}")?;
        }
        f.write_str(weekday_name(self.weekday))
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(date) => date.format("%Y%m%d").fmt(f),
            Self::Local(at) => f.write_str(&at.to_basic()),
            Self::Instant(at) => at.format("%Y%m%dT%H%M%SZ").fmt(f),
        }
    }
}

impl fmt::Display for Rule {
    /// The canonical text: upper case, parts in a fixed order, lists sorted, defaults left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.skip.is_some() {
            f.write_str("RSCALE=GREGORIAN;")?;
        }
        write!(f, "FREQ={}", self.frequency)?;
        if self.interval != 1 {
            write!(f, ";INTERVAL={}", self.interval)?;
        }
        match self.end {
            End::Never => {}
            End::Count(count) => write!(f, ";COUNT={count}")?,
            End::Until(until) => write!(f, ";UNTIL={until}")?,
        }
        write_list(f, "BYMONTH", &self.by_month)?;
        write_list(f, "BYWEEKNO", &self.by_week_no)?;
        write_list(f, "BYYEARDAY", &self.by_year_day)?;
        write_list(f, "BYMONTHDAY", &self.by_month_day)?;
        write_list(f, "BYDAY", &self.by_day)?;
        write_list(f, "BYHOUR", &self.by_hour)?;
        write_list(f, "BYMINUTE", &self.by_minute)?;
        write_list(f, "BYSECOND", &self.by_second)?;
        write_list(f, "BYSETPOS", &self.by_set_pos)?;
        if self.week_start != Weekday::Mon {
            write!(f, ";WKST={}", weekday_name(self.week_start))?;
        }
        match self.skip {
            None | Some(Skip::Omit) => Ok(()),
            Some(Skip::Backward) => f.write_str(";SKIP=BACKWARD"),
            Some(Skip::Forward) => f.write_str(";SKIP=FORWARD"),
        }
    }
}

fn write_list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, part: &str, list: &[T]) -> fmt::Result {
    for (position, item) in list.iter().enumerate() {
        if position == 0 {
            write!(f, ";{part}={item}")?;
        } else {
            write!(f, ",{item}")?;
        }
    }
    Ok(())
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
