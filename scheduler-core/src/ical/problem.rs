//! What a calendar says that is not honoured as it stands.

use std::fmt;

use crate::rule::{RuleError, Warning};
use crate::set::SetError;
use crate::{Zone, set};

use super::{BYTES_MAX, DATES_MAX, DEPTH_MAX, EVENTS_MAX, LINES_MAX, OCCURRENCES_MAX};

/// Why a text is no calendar at all, or a question to one has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IcalError {
    /// The text is longer than what is read.
    #[error("the text has {bytes} bytes, at most {BYTES_MAX} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The text has more content lines than are read.
    #[error("line {line}: more than {LINES_MAX} content lines")]
    TooManyLines {
        /// Where the first too many begins.
        line: usize,
    },
    /// The text has more events than are read.
    #[error("line {line}: more than {EVENTS_MAX} events")]
    TooManyEvents {
        /// Where the first too many begins.
        line: usize,
    },
    /// A series lists more dates than are read.
    #[error("line {line}: more than {DATES_MAX} values of RDATE and EXDATE in one event")]
    TooManyDates {
        /// Where the first too many stands.
        line: usize,
    },
    /// Components lie in components, too deep.
    #[error("line {line}: BEGIN:{name} lies in {DEPTH_MAX} other components")]
    TooDeep {
        /// Where it begins.
        line: usize,
        /// What begins there.
        name: String,
    },
    /// An END that ends nothing, or something else than what began last.
    #[error("line {line}: END:{found} where {expected:?} was open")]
    WrongEnd {
        /// Where it stands.
        line: usize,
        /// What it ends.
        found: String,
        /// What was open; empty if nothing was.
        expected: String,
    },
    /// The text ends within a component.
    #[error("BEGIN:{name} in line {line} has no END")]
    Unclosed {
        /// Where it begins.
        line: usize,
        /// What begins there.
        name: String,
    },
    /// There is no VCALENDAR.
    #[error("there is no BEGIN:VCALENDAR")]
    NoCalendar,
    /// The window holds more occurrences than one call gives.
    #[error("the window holds more than {OCCURRENCES_MAX} occurrences")]
    TooManyOccurrences,
    /// The window reaches past the known rules of time zones.
    #[error(transparent)]
    Window(#[from] SetError),
}

/// One thing that a calendar says and that is not honoured as it stands.
///
/// As text it is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The event's UID; `None` if it is no event's.
    pub uid: Option<String>,
    /// The line of the text; 0 if it is of no line.
    pub line: usize,
    /// The property or the component.
    pub property: String,
    /// What stands there.
    pub value: String,
    /// What is wrong with it.
    pub reason: Reason,
    /// What was done.
    pub done: Done,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It is not of the form `NAME;PARAMETER=value:value` (RFC 5545 §3.1).
    #[error("this is no content line")]
    NotAContentLine,
    /// Its bytes are no UTF-8.
    #[error("this is not UTF-8")]
    NotUtf8,
    /// A value that the property cannot have.
    #[error("this is not {expected}")]
    BadValue {
        /// What it may be.
        expected: &'static str,
    },
    /// A rule that is refused.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A rule that says something without effect.
    #[error(transparent)]
    Warning(Warning),
    /// A property that must be there once.
    #[error("it is missing")]
    Missing,
    /// A property that may be there once.
    #[error("it is there more than once")]
    Repeated,
    /// A time without a zone (RFC 5545 §3.3.5, form 1).
    #[error("it has no time zone")]
    Floating,
    /// A zone that is neither known by its name nor like a known one.
    #[error("no known time zone has this name or these offsets")]
    UnknownZone,
    /// A zone that resembles a known one, but not always.
    #[error(
        "it is not an IANA zone, and {differing} of {compared} instants differ from the nearest"
    )]
    UnlikeZone {
        /// How many of the instants compared have another offset.
        differing: usize,
        /// How many were compared.
        compared: usize,
    },
    /// Two properties that do not fit.
    #[error("it contradicts {other}")]
    Contradicts {
        /// The other property.
        other: &'static str,
    },
    /// A part that means nothing beside another.
    #[error("it has no meaning here")]
    Meaningless,
    /// A newer version of the same component is there.
    #[error("a version with a higher SEQUENCE, DTSTAMP or LAST-MODIFIED is there")]
    Superseded,
    /// An override of something that the series does not generate.
    #[error("the series generates no such occurrence")]
    NotGenerated,
    /// A component that is not read.
    #[error("there are {count}, which are not read")]
    Component {
        /// How many there are.
        count: usize,
    },
    /// Deprecated, and nothing that an intent can say.
    #[error("an intent has no EXRULE")]
    ExceptionRule,
    /// An all-day event.
    #[error("an intent takes place at a time of day")]
    AllDay,
    /// A length that an intent cannot have.
    #[error("an intent lasts whole minutes, from 1 to {}", set::MINUTES_MAX)]
    Length,
    /// A length in days, which changes when clocks do.
    #[error("an intent lasts so many minutes, not so many days")]
    NominalLength,
    /// The second of two equal wall times, or a zone that is not the series'.
    #[error("no wall time of {zone} means this instant")]
    NoSuchWall {
        /// The series' zone.
        zone: Zone,
    },
    /// The series was cancelled.
    #[error("the series is cancelled")]
    Cancelled,
    /// What RANGE=THISANDFUTURE makes of the series is no rule.
    #[error("from there on it follows no rule of iCalendar")]
    NoRule,
    /// Something a set cannot be.
    #[error(transparent)]
    Set(#[from] SetError),
}

/// What was done about a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It was not read.
    LeftOut,
    /// The whole event was not read.
    EventLeftOut,
    /// The event recurs without it.
    RuleLeftOut,
    /// The times were read in this zone.
    ReadIn(Zone),
    /// Only the first, or the newest, was read.
    KeptOther,
    /// The event was taken to end when it starts.
    EndsAtStart,
    /// The event was taken to last one day.
    LastsADay,
    /// It is an occurrence by itself.
    StandsAlone,
    /// It starts at the time of day at which the series starts.
    AtTheStartsTime,
    /// It starts at its recurrence-id, and lasts as long as the series does.
    AsGenerated,
    /// It was honoured, as far as it means anything.
    Honoured,
    /// It was called off with its series.
    CalledOff,
    /// There is no intent of it.
    NoIntent,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::ReadIn(zone) => return write!(f, "read in {zone}"),
            Self::LeftOut => "left out",
            Self::EventLeftOut => "the event was left out",
            Self::RuleLeftOut => "the event recurs without it",
            Self::KeptOther => "the other was kept",
            Self::EndsAtStart => "taken to end when it starts",
            Self::LastsADay => "taken to last a day",
            Self::StandsAlone => "taken as an occurrence by itself",
            Self::AtTheStartsTime => "taken at the time of day of DTSTART",
            Self::AsGenerated => "taken at its time, with the length of the series",
            Self::Honoured => "honoured as far as it goes",
            Self::CalledOff => "called off with its series",
            Self::NoIntent => "no intent was made",
        };
        f.write_str(text)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if let Some(uid) = &self.uid {
            write!(f, "UID {uid:?}: ")?;
        }
        let Self {
            property,
            value,
            reason,
            done,
            ..
        } = self;
        write!(f, "{property} {value:?}: {reason}; {done}")
    }
}
