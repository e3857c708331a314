//! The problems of a calendar: what it says that cannot be honoured exactly.

use std::fmt;

use chrono::NaiveDate;

use crate::rule::{RuleError, Warning};
use crate::set::SetError;
use crate::{Zone, set};

use super::{
    BYTES_MAX, DATES_MAX, DEPTH_MAX, EVENTS_MAX, LINES_MAX, OCCURRENCES_MAX, PROBLEMS_MAX,
};

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
    /// There is no VCALENDAR, and no VEVENT without one.
    #[error("there is no BEGIN:VCALENDAR")]
    NoCalendar,
    /// The window holds more occurrences than one call gives.
    #[error("the window holds more than {OCCURRENCES_MAX} occurrences")]
    TooManyOccurrences,
    /// The window reaches past the known rules of time zones.
    #[error(transparent)]
    Window(#[from] SetError),
}

/// One thing that a calendar says and that cannot be honoured exactly.
///
/// As text it is one line. Long values and UIDs are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The event's UID; `None` if it is no event's.
    pub uid: Option<String>,
    /// The line of the text; 0 if it is of no line.
    pub line: usize,
    /// The property or the component.
    pub property: String,
    /// Its value.
    pub value: String,
    /// What is wrong with it.
    pub reason: Reason,
    /// What was done.
    pub done: Done,
    /// How many events it touches.
    pub events: usize,
}

/// What a problem does to the events that it touches, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Something may take place at another time than the text says.
    OtherTime,
    /// Something that the text says does not take place, or could not be read.
    Missing,
    /// Everything takes place when the text says.
    None,
}

/// The most characters of a value or a UID that a problem repeats.
pub(super) const REPEATED_MAX: usize = 80;

/// The first characters of a text, with an ellipsis if there are more.
pub(super) fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Problems as they are found: the first [`PROBLEMS_MAX`], and how many more there are.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// Adds one, which is made only if there is room.
    pub(super) fn push(&mut self, problem: impl FnOnce() -> Problem) {
        if self.found.len() < PROBLEMS_MAX {
            self.found.push(problem());
        } else {
            self.more += 1;
        }
    }

    /// Those that change times first, then those that lose something, else in the order of lines.
    pub(super) fn into_vec(mut self) -> Vec<Problem> {
        self.found
            .sort_by_key(|problem| (problem.effect(), problem.line));
        if self.more > 0 {
            let reason = Reason::More { count: self.more };
            let more = Problem::of_line(0, "VCALENDAR", "", reason, Done::Unlisted);
            self.found.push(more);
        }
        self.found
    }
}

impl Problem {
    /// One of a line, of no event.
    pub(super) fn of_line(
        line: usize,
        property: &str,
        value: &str,
        reason: Reason,
        done: Done,
    ) -> Self {
        Self {
            uid: None,
            line,
            property: property.to_owned(),
            value: cut(value, REPEATED_MAX),
            reason,
            done,
            events: 0,
        }
    }

    /// One of an event.
    pub(super) fn of_event(
        uid: Option<&str>,
        line: usize,
        property: &str,
        value: &str,
        reason: Reason,
        done: Done,
    ) -> Self {
        Self {
            uid: uid.map(|uid| cut(uid, REPEATED_MAX)),
            events: 1,
            ..Self::of_line(line, property, value, reason, done)
        }
    }

    /// What it does to the events that it touches.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match (&self.reason, &self.done) {
            (Reason::Component { .. } | Reason::Warning(_), _) => Effect::None,
            (
                _,
                Done::ReadIn(_)
                | Done::AsDefined
                | Done::PassedOver
                | Done::OnThatDate
                | Done::AtTheStartsTime,
            ) => Effect::OtherTime,
            (_, Done::Honoured | Done::KeptOther) => Effect::None,
            _ => Effect::Missing,
        }
    }
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
    /// A component that lies in too many others.
    #[error("it is nested in {DEPTH_MAX} other components")]
    TooDeep,
    /// A component without an END.
    #[error("its END is missing")]
    Unclosed,
    /// An END without a BEGIN.
    #[error("no component of that name is open")]
    NothingOpen,
    /// A VEVENT outside a VCALENDAR.
    #[error("it is not inside a VCALENDAR")]
    NoCalendar,
    /// A zone whose name is not known, and that the text does not define.
    #[error("no known time zone has this name, and the text does not define it")]
    UnknownZone,
    /// A VTIMEZONE that cannot be read, of a zone whose name is not known.
    #[error("its VTIMEZONE cannot be read: {why}")]
    BadDefinition {
        /// Why not.
        why: &'static str,
    },
    /// A VTIMEZONE that differs from the zone of its name when its events take place.
    #[error("its VTIMEZONE differs from {named} at times of its events, first on {first}")]
    OtherDefinition {
        /// The IANA zone that it is named after.
        named: Zone,
        /// The first day on which an event may be at another time.
        first: NaiveDate,
    },
    /// A VTIMEZONE whose onsets end before its events do, or begin after them.
    #[error("its VTIMEZONE does not cover all times of its events, first on {first}")]
    Undefined {
        /// The first such day on which clocks would differ if its last observance went on.
        first: NaiveDate,
    },
    /// A VTIMEZONE that lists the onsets of the zone of its name, some of them up to a day early or late.
    #[error(
        "onsets of its VTIMEZONE are hours from those of {named}, at its events first on {first}"
    )]
    Shifted {
        /// The IANA zone that it is named after.
        named: Zone,
        /// The first day on which an event may be at another time.
        first: NaiveDate,
    },
    /// Onsets of a VTIMEZONE that are closer to each other than the change of clocks is long.
    #[error("its VTIMEZONE has an offset for so short a time on {on} that no clock can show it")]
    ShortStretch {
        /// The day.
        on: NaiveDate,
    },
    /// A VTIMEZONE of an endless event that matches no IANA zone.
    #[error(
        "no IANA zone matches its VTIMEZONE; the nearest is {nearest}, which differs on {dates}"
    )]
    Unlike {
        /// The zone that is most like it.
        nearest: Zone,
        /// When it differs.
        dates: DatesThatDiffer,
    },
    /// A time in UTC that has a TZID too (RFC 5545 §3.2.19).
    #[error("a UTC time must not have a TZID")]
    ZonedUtc,
    /// A time where a date is expected that is not midnight in the calendar's zone.
    #[error("expected a date, got a time that is not midnight in {zone}")]
    NoMidnight {
        /// The calendar's zone.
        zone: Zone,
    },
    /// VALUE=DATE of a time.
    #[error("VALUE=DATE with a time of day")]
    TimedDate,
    /// A part of a rule that is not the RFC's.
    #[error("{part} is not read")]
    RulePart {
        /// The part.
        part: String,
    },
    /// FREQ=YEARLY with BYMONTHDAY alone, which is every month by RFC 5545 §3.3.10, and meant once a
    /// year by those who write it.
    #[error("a yearly rule of a day of the month, without a month")]
    YearlyMonthDay,
    /// A rule that takes long, after many others.
    #[error("this and the rules before it take too long to compute")]
    TooMuchEffort,
    /// EXDATEs that exclude nothing.
    #[error("{count} of its EXDATEs exclude nothing; this is the first")]
    ExcludesNothing {
        /// How many.
        count: usize,
    },
    /// COUNT of a rule that does not have DTSTART, which an EXDATE excludes: which instance is the
    /// last is undefined (RFC 5545 §3.8.5.3).
    #[error("DTSTART is not on the rule and is excluded, and yet COUNT may count it")]
    CountedStart,
    /// More problems than are listed.
    #[error("there are {count} more problems")]
    More {
        /// How many.
        count: usize,
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
    /// Another component has the same UID and recurrence-id, and neither is newer.
    #[error("another component has the same UID and is equally new")]
    SameUid,
    /// A series of a higher SEQUENCE excludes what it changes.
    #[error("the series has a higher SEQUENCE and excludes this occurrence")]
    ExcludedSince,
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
    /// The times are as the text defines their zone.
    AsDefined,
    /// The offset before it was taken to go on.
    PassedOver,
    /// It was taken for that date.
    OnThatDate,
    /// It was taken as the time that it is.
    AsTime,
    /// It was taken to recur once a year, in the month of DTSTART.
    OnceAYear,
    /// It is the series.
    IsTheSeries,
    /// What follows is moved along; it is no occurrence itself.
    MovesTheRest,
    /// They are not listed.
    Unlisted,
    /// It starts at the time of day at which the series starts.
    AtTheStartsTime,
    /// It starts at its recurrence-id, and lasts as long as the series does.
    AsGenerated,
    /// It was honoured, as far as it means anything.
    Honoured,
    /// It was called off with its series.
    CalledOff,
    /// COUNT counts DTSTART.
    StartCounted,
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
            Self::AsDefined => "read as the VTIMEZONE says",
            Self::PassedOver => "the offset before it goes on",
            Self::OnThatDate => "read as the nearest date",
            Self::AsTime => "read as a time",
            Self::OnceAYear => "read as once a year, in the month of DTSTART",
            Self::IsTheSeries => "read as the series",
            Self::MovesTheRest => "the occurrences that follow it are moved",
            Self::Unlisted => "not listed",
            Self::AtTheStartsTime => "taken at the time of day of DTSTART",
            Self::AsGenerated => "taken at its time, with the length of the series",
            Self::Honoured => "honoured as far as it goes",
            Self::CalledOff => "called off with its series",
            Self::StartCounted => "DTSTART was counted, as other programs do not",
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
        write!(f, "{property} {value:?}: {reason}; {done}")?;
        match self.events {
            0 | 1 => Ok(()),
            events => write!(f, " ({events} events)"),
        }
    }
}

/// Days on which one zone is not like another: the first of them, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatesThatDiffer {
    /// The first ones, in order.
    pub first: Vec<NaiveDate>,
    /// How many days there are through the end of the zone data, the first ones among them.
    pub days: i64,
}

impl fmt::Display for DatesThatDiffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first: Vec<String> = self.first.iter().map(ToString::to_string).collect();
        write!(f, "{}", first.join(", "))?;
        let more = self.days - i64::try_from(self.first.len()).unwrap_or(0);
        if more > 0 {
            write!(f, " and {more} more days")?;
        }
        Ok(())
    }
}
