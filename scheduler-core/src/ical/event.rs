//! One VEVENT (RFC 5545 §3.6.1), as far as it says when.

use chrono::NaiveDate;

use super::SUMMARY_MAX;
use super::content::{Component, Property};
use super::problem::{Done, IcalError, Problem, Problems, REPEATED_MAX, Reason, cut};
use super::series::Details;
use super::timezone::TimeZone;
use super::tzid::Zones;
use super::value::{At, Length, Time};
use crate::epoch::SECONDS_PER_DAY;
use crate::pause::midnight;
use crate::{LocalDateTime, Rule};

/// A VEVENT on its way into a series.
pub(super) struct Event {
    pub(super) uid: Option<String>,
    pub(super) details: Details,
    /// Whether there was a DTSTART; if not it is an override, and `details` says nothing of times.
    pub(super) has_start: bool,
    pub(super) overrides: Option<Overridden>,
    pub(super) rules: Vec<Rule>,
    pub(super) exceptions: Vec<Rule>,
    /// RDATE, with the length of a PERIOD.
    pub(super) added: Vec<(At, Option<Length>)>,
    /// EXDATE.
    pub(super) excluded: Vec<At>,
    /// Line and value of the first EXDATE.
    pub(super) first_excluded: Option<(usize, String)>,
    /// Of two with one RECURRENCE-ID the higher is the newer: SEQUENCE, DTSTAMP, LAST-MODIFIED.
    pub(super) version: Version,
    /// Of an override: what recurs, which it cannot if its series is there.
    pub(super) recurring: Vec<(usize, &'static str, String)>,
}

/// SEQUENCE, DTSTAMP, LAST-MODIFIED.
pub(super) type Version = (i64, Option<i64>, Option<i64>);

/// RECURRENCE-ID.
pub(super) struct Overridden {
    pub(super) text: String,
    pub(super) line: usize,
    pub(super) at: At,
    /// The date that it names if the series is all day.
    pub(super) date: NaiveDate,
    /// It is none of the forms in which a date is written.
    is_guess: bool,
    /// It is a wall time of whatever zone the series has.
    pub(super) is_floating: bool,
    /// RANGE=THISANDFUTURE.
    pub(super) is_range: bool,
}

/// A VEVENT that cancels all of its UID and does not say when that takes place, as it may (RFC 5546
/// §3.2.5).
pub(super) struct Cancellation {
    pub(super) uid: String,
    pub(super) line: usize,
    pub(super) version: Version,
}

/// Reads the events of one VCALENDAR.
pub(super) struct Reader<'a> {
    pub(super) zones: Zones<'a>,
    pub(super) problems: &'a mut Problems,
    /// What is left of [`EFFORT_MAX`].
    pub(super) effort: u32,
    pub(super) cancellations: Vec<Cancellation>,
    /// METHOD:CANCEL.
    is_cancel: bool,
    /// Of the event that is read.
    uid: Option<String>,
    /// Zones that are unknown, and were said to be for this event.
    unknown: Vec<Box<str>>,
    is_zoned_utc: bool,
    floating: Floating,
}

/// The events that start at a time without a zone: where the first does, and how many there are.
#[derive(Default)]
struct Floating {
    first: Option<(Option<String>, usize, Box<str>)>,
    events: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        zones: Zones<'a>,
        problems: &'a mut Problems,
        effort: u32,
        is_cancel: bool,
    ) -> Self {
        Self {
            zones,
            problems,
            effort,
            cancellations: Vec::new(),
            is_cancel,
            uid: None,
            unknown: Vec::new(),
            is_zoned_utc: false,
            floating: Floating::default(),
        }
    }

    pub(super) fn problem(&mut self, property: &Property, value: &str, reason: Reason, done: Done) {
        let uid = self.uid.as_deref();
        self.problems
            .push(|| Problem::of_event(uid, property.line, property.name, value, reason, done));
    }

    fn missing(&mut self, event: &Component, property: &'static str, done: Done) {
        // A line that could not be read is reported as that.
        if !event.unreadable.contains(&property) {
            let uid = self.uid.as_deref();
            self.problems
                .push(|| Problem::of_event(uid, event.line, property, "", Reason::Missing, done));
        }
    }

    /// The event; `None` if it says nothing of when it takes place.
    ///
    /// # Errors
    /// [`IcalError::TooManyDates`].
    pub(super) fn event(&mut self, event: &Component) -> Result<Option<Event>, IcalError> {
        let uid = event
            .value("UID")
            .map(str::trim)
            .filter(|uid| !uid.is_empty());
        self.uid = uid.map(str::to_owned);
        self.unknown.clear();
        self.is_zoned_utc = false;
        if event.unreadable.contains(&"RECURRENCE-ID") {
            // It is an override of nobody knows what.
            return Ok(None);
        }
        if uid.is_none() {
            self.missing(event, "UID", Done::StandsAlone);
        }
        for name in ["DTSTART", "DTEND", "DURATION", "RECURRENCE-ID"] {
            if let Some(second) = event.all(name).nth(1) {
                self.problem(second, &second.value, Reason::Repeated, Done::KeptOther);
            }
        }
        let status = event.value("STATUS").unwrap_or_default().trim();
        // METHOD:CANCEL need not say when (RFC 5546 §3.2.5).
        let is_cancelled = status.eq_ignore_ascii_case("CANCELLED")
            || (self.is_cancel && event.first("DTSTART").is_none());
        let overrides = match event.first("RECURRENCE-ID") {
            None => None,
            Some(property) => match self.overridden(property) {
                None => return Ok(None),
                found => found,
            },
        };
        let (start, has_start) = match (event.first("DTSTART"), &overrides) {
            (Some(property), _) => match self.start(property) {
                None => return Ok(None),
                Some(start) => (start, true),
            },
            (None, Some(overridden)) => {
                if !is_cancelled {
                    self.missing(event, "DTSTART", Done::AsGenerated);
                }
                (overridden.at.clone(), false)
            }
            (None, None) => {
                if let Some(uid) = self.uid.clone().filter(|_| is_cancelled) {
                    self.cancellations.push(Cancellation {
                        uid,
                        line: event.line,
                        version: version(event),
                    });
                    return Ok(None);
                }
                self.missing(event, "DTSTART", Done::EventLeftOut);
                return Ok(None);
            }
        };
        if let (Some(overridden), Some(property)) = (&overrides, event.first("RECURRENCE-ID"))
            && start.is_date
            && overridden.is_guess
        {
            let zone = self.zones.stated;
            let reason = Reason::NoMidnight { zone };
            self.problem(property, &property.value, reason, Done::OnThatDate);
        }
        let length = self.length(event, &start);
        let mut read = Event {
            uid: self.uid.clone(),
            details: Details {
                line: event.line,
                start,
                length,
                summary: event.value("SUMMARY").map(|text| cut(text, SUMMARY_MAX)),
                is_cancelled,
            },
            has_start,
            overrides,
            rules: Vec::new(),
            exceptions: Vec::new(),
            added: Vec::new(),
            excluded: Vec::new(),
            first_excluded: None,
            version: version(event),
            recurring: Vec::new(),
        };
        Ok(self.recurrence(event, &mut read)?.then_some(read))
    }

    /// A time of a property, and what its form leaves to say: an unknown zone, a TZID beside UTC.
    fn at(&mut self, property: &Property, value: &str) -> Option<At> {
        let found = self.zones.at(property, value)?;
        if property.zone_name().is_some()
            && matches!(Time::read(value), Some(Time::Utc(_)))
            && !self.is_zoned_utc
        {
            self.is_zoned_utc = true;
            self.problem(property, value, Reason::ZonedUtc, Done::Honoured);
        }
        let (at, reason) = match found {
            Ok(at) => return Some(at),
            Err(unknown) => unknown,
        };
        let tzid = property.tzid.clone().unwrap_or_default();
        if !self.unknown.contains(&tzid) {
            let uid = self.uid.as_deref();
            let done = at.zone.iana().map_or(Done::AsDefined, Done::ReadIn);
            self.problems
                .push(|| Problem::of_event(uid, property.line, "TZID", &tzid, reason, done));
            self.unknown.push(tzid);
        }
        Some(at)
    }

    fn overridden(&mut self, property: &Property) -> Option<Overridden> {
        let Some(at) = self.at(property, &property.value) else {
            self.not_a_time(property, &property.value, Done::EventLeftOut);
            return None;
        };
        let range = property.range.as_deref();
        let is_range = range.is_some_and(|range| range.eq_ignore_ascii_case("THISANDFUTURE"));
        if let Some(range) = range.filter(|_| !is_range) {
            let expected = "THISANDFUTURE, the only RANGE there is";
            self.problem(
                property,
                range,
                Reason::BadValue { expected },
                Done::LeftOut,
            );
        }
        let is_utc = matches!(Time::read(&property.value), Some(Time::Utc(_))) && !at.is_date;
        let (date, is_guess) = if is_utc {
            self.date_meant(&at)
        } else {
            (at.wall.date(), false)
        };
        Some(Overridden {
            text: cut(&property.value, REPEATED_MAX),
            line: property.line,
            date,
            is_guess,
            at,
            is_floating: Zones::is_floating(property),
            is_range,
        })
    }

    fn start(&mut self, property: &Property) -> Option<At> {
        let Some(at) = self.at(property, &property.value) else {
            self.not_a_time(property, &property.value, Done::EventLeftOut);
            return None;
        };
        if property.is_of("DATE") && !at.is_date {
            self.problem(property, &property.value, Reason::TimedDate, Done::AsTime);
        }
        if Zones::is_floating(property) && !at.is_date {
            let floating = &mut self.floating;
            floating.events += 1;
            if floating.first.is_none() {
                floating.first = Some((self.uid.clone(), property.line, property.value.clone()));
            }
        }
        Some(at)
    }

    /// Says of the events that start at a time without a zone in which they were read.
    pub(super) fn report_floating(&mut self) {
        if let Some((uid, line, value)) = self.floating.first.take() {
            let done = self
                .zones
                .floating
                .iana()
                .map_or(Done::AsDefined, Done::ReadIn);
            self.problems.push(|| Problem {
                events: self.floating.events,
                ..Problem::of_event(
                    uid.as_deref(),
                    line,
                    "DTSTART",
                    &value,
                    Reason::Floating,
                    done,
                )
            });
        }
    }

    pub(super) fn not_a_time(&mut self, property: &Property, value: &str, done: Done) {
        let expected = "a time like 20260301T180000, 20260301T180000Z or 20260301";
        self.problem(property, value, Reason::BadValue { expected }, done);
    }

    /// A time of a property beside DTSTART. Without a zone it is in that of DTSTART; beside a date
    /// it is a date.
    pub(super) fn beside(&mut self, property: &Property, value: &str, start: &At) -> Option<At> {
        let at = self.at(property, value)?;
        let is_local = matches!(Time::read(value), Some(Time::Local(_)));
        Some(if at.is_date {
            at
        } else if start.is_date && is_local {
            At::date(at.wall.date())
        } else if start.is_date {
            At::date(self.date_of(property, value, &at))
        } else if is_local && property.zone_name().is_none() {
            At::wall(at.wall, &start.zone)
        } else {
            at
        })
    }

    /// The date that a time in UTC means where a date is due, and whether that is a guess.
    pub(super) fn date_of(&mut self, property: &Property, value: &str, at: &At) -> NaiveDate {
        let (date, is_guess) = self.date_meant(at);
        if is_guess {
            let zone = self.zones.stated;
            self.problem(
                property,
                value,
                Reason::NoMidnight { zone },
                Done::OnThatDate,
            );
        }
        date
    }

    /// Outlook and Exchange write the instant of local midnight, others the date's own midnight or
    /// last second in UTC.
    fn date_meant(&mut self, at: &At) -> (NaiveDate, bool) {
        let time = |wall: LocalDateTime| wall.seconds().rem_euclid(SECONDS_PER_DAY);
        let last = SECONDS_PER_DAY - 1;
        let likely = self.zones.likely();
        // Midnight, or what clocks show in its stead.
        let begun = likely.iter().find_map(|zone| {
            let date = zone.local(at.unix).date();
            (zone.resolve(midnight(date)).0 == at.unix).then_some(date)
        });
        if let Some(date) = begun {
            return (date, false);
        }
        if time(at.wall) == 0 || time(at.wall) == last {
            return (at.wall.date(), false);
        }
        let stated = likely.first().map(|zone| zone.local(at.unix));
        if let Some(local) = stated.filter(|local| time(*local) == last) {
            return (local.date(), false);
        }
        // East of Greenwich midnight comes before that of UTC, and in no zone by more than half a day.
        let half = SECONDS_PER_DAY / 2;
        (at.wall.plus_seconds(half).unwrap_or(at.wall).date(), true)
    }

    /// How long it lasts, by DTEND, DURATION or neither (RFC 5545 §3.6.1).
    fn length(&mut self, event: &Component, start: &At) -> Length {
        let default = if start.is_date {
            Length::Nominal {
                days: 1,
                seconds: 0,
            }
        } else {
            Length::Exact(0)
        };
        let (end, duration) = (event.first("DTEND"), event.first("DURATION"));
        if let (Some(_), Some(duration)) = (end, duration) {
            let reason = Reason::Contradicts { other: "DTEND" };
            self.problem(duration, &duration.value, reason, Done::KeptOther);
        }
        let read = match (end, duration) {
            (Some(end), _) => self.until(end, start),
            (None, Some(duration)) => self.duration(duration, start),
            (None, None) => None,
        };
        read.unwrap_or(default)
    }

    fn until(&mut self, property: &Property, start: &At) -> Option<Length> {
        let value = &property.value;
        let done = if start.is_date {
            Done::LastsADay
        } else {
            Done::EndsAtStart
        };
        let Some(end) = self.beside(property, value, start) else {
            self.not_a_time(property, value, done);
            return None;
        };
        let is_date = matches!(Time::read(value), Some(Time::Date(_)));
        let end = if end.is_date && !start.is_date {
            At::wall(midnight(end.wall.date()), &start.zone)
        } else {
            end
        };
        let seconds = end.unix - start.unix;
        let contradicts = Reason::Contradicts { other: "DTSTART" };
        if seconds < 0 || (seconds == 0 && start.is_date) {
            self.problem(property, value, contradicts, done);
            return None;
        }
        if is_date != start.is_date {
            self.problem(property, value, contradicts, Done::Honoured);
        }
        Some(if start.is_date {
            let days = seconds / SECONDS_PER_DAY;
            Length::Nominal { days, seconds: 0 }
        } else {
            Length::Exact(seconds)
        })
    }

    fn duration(&mut self, property: &Property, start: &At) -> Option<Length> {
        let value = &property.value;
        let done = if start.is_date {
            Done::LastsADay
        } else {
            Done::EndsAtStart
        };
        let Some(length) = Length::read(value) else {
            let expected = "a length like PT50M or P1D, of at most a hundred years";
            self.problem(property, value, Reason::BadValue { expected }, done);
            return None;
        };
        match length {
            _ if !start.is_date => Some(length),
            Length::Nominal { days, seconds: 0 } if days > 0 => Some(length),
            Length::Nominal { seconds, .. } | Length::Exact(seconds) => {
                let reason = Reason::Contradicts { other: "DTSTART" };
                self.problem(property, value, reason, Done::Honoured);
                let days = match length {
                    Length::Nominal { days, .. } => days,
                    Length::Exact(_) => 0,
                };
                let days = days + (seconds + SECONDS_PER_DAY - 1) / SECONDS_PER_DAY;
                Some(Length::Nominal {
                    days: days.max(1),
                    seconds: 0,
                })
            }
        }
    }
}

fn version(event: &Component) -> Version {
    let time = |name| Some(Time::read(event.value(name)?)?.in_zone(&TimeZone::UTC).unix);
    let sequence = event.value("SEQUENCE");
    let sequence = sequence.and_then(|text| text.trim().parse().ok());
    let sequence = sequence.unwrap_or(0);
    (sequence, time("DTSTAMP"), time("LAST-MODIFIED"))
}
