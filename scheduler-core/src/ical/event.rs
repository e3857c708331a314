//! One VEVENT (RFC 5545 §3.6.1), as far as it says when.

use super::DATES_MAX;
use super::content::{Component, Property};
use super::problem::{Done, IcalError, Problem, Reason};
use super::series::Details;
use super::tzid::Zones;
use super::value::{At, Length, Time};
use crate::epoch::SECONDS_PER_DAY;
use crate::pause::midnight;
use crate::rule::Frequency;
use crate::set::RULES_MAX;
use crate::{Rule, Zone};

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
    /// Of two with one RECURRENCE-ID the higher is the newer: SEQUENCE, DTSTAMP, LAST-MODIFIED.
    pub(super) version: (i64, Option<i64>, Option<i64>),
}

/// RECURRENCE-ID.
pub(super) struct Overridden {
    pub(super) text: String,
    pub(super) at: At,
    /// It is a wall time of whatever zone the series has.
    pub(super) is_floating: bool,
    /// RANGE=THISANDFUTURE.
    pub(super) is_range: bool,
}

/// Reads the events of one VCALENDAR.
pub(super) struct Reader<'a> {
    pub(super) zones: Zones<'a>,
    pub(super) problems: &'a mut Vec<Problem>,
    pub(super) uid: Option<String>,
}

impl Reader<'_> {
    fn problem(&mut self, property: &Property, value: &str, reason: Reason, done: Done) {
        self.problems.push(Problem {
            uid: self.uid.clone(),
            line: property.line,
            property: property.name.clone(),
            value: value.to_owned(),
            reason,
            done,
        });
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
        let missing = |property: &str, done| Problem {
            uid: uid.map(str::to_owned),
            line: event.line,
            property: property.to_owned(),
            value: String::new(),
            reason: Reason::Missing,
            done,
        };
        if uid.is_none() {
            self.problems.push(missing("UID", Done::StandsAlone));
        }
        for name in ["DTSTART", "DTEND", "DURATION", "RECURRENCE-ID"] {
            if let Some(second) = event.all(name).nth(1) {
                self.problem(second, &second.value, Reason::Repeated, Done::KeptOther);
            }
        }
        let status = event.value("STATUS").unwrap_or_default().trim();
        let is_cancelled = status.eq_ignore_ascii_case("CANCELLED");
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
                // METHOD:CANCEL need not say it (RFC 5546 §3.2.5).
                if !is_cancelled {
                    self.problems.push(missing("DTSTART", Done::AsGenerated));
                }
                (overridden.at, false)
            }
            (None, None) => {
                self.problems.push(missing("DTSTART", Done::EventLeftOut));
                return Ok(None);
            }
        };
        let length = self.length(event, start);
        let time = |name| Time::read(event.value(name)?).map(|time| time.in_zone(Zone::UTC).unix);
        let sequence = event
            .value("SEQUENCE")
            .and_then(|text| text.trim().parse().ok());
        let version = (
            sequence.unwrap_or(0),
            time("DTSTAMP"),
            time("LAST-MODIFIED"),
        );
        let mut read = Event {
            uid: self.uid.clone(),
            details: Details {
                line: event.line,
                start,
                length,
                summary: event.value("SUMMARY").map(str::to_owned),
                is_cancelled,
            },
            has_start,
            overrides,
            rules: Vec::new(),
            exceptions: Vec::new(),
            added: Vec::new(),
            excluded: Vec::new(),
            version,
        };
        self.recurrence(event, &mut read)?;
        Ok(Some(read))
    }

    fn overridden(&mut self, property: &Property) -> Option<Overridden> {
        let text = property.value.clone();
        let Some(at) = self.zones.at(property, &text, self.problems) else {
            self.not_a_time(property, &text, Done::EventLeftOut);
            return None;
        };
        let range = property.parameter("RANGE");
        let is_range = property.has("RANGE", "THISANDFUTURE");
        if let Some(range) = range.filter(|_| !is_range) {
            let expected = "THISANDFUTURE, the only RANGE there is";
            self.problem(
                property,
                range,
                Reason::BadValue { expected },
                Done::LeftOut,
            );
        }
        Some(Overridden {
            text,
            at,
            is_floating: Zones::is_floating(property),
            is_range,
        })
    }

    fn start(&mut self, property: &Property) -> Option<At> {
        let Some(at) = self.zones.at(property, &property.value, self.problems) else {
            self.not_a_time(property, &property.value, Done::EventLeftOut);
            return None;
        };
        if Zones::is_floating(property) {
            let done = Done::ReadIn(at.zone);
            self.problem(property, &property.value, Reason::Floating, done);
        }
        Some(at)
    }

    fn not_a_time(&mut self, property: &Property, value: &str, done: Done) {
        let expected = "a time like 20260301T180000, 20260301T180000Z or 20260301";
        self.problem(property, value, Reason::BadValue { expected }, done);
    }

    /// A time of a property beside DTSTART. Without a zone it is in that of DTSTART.
    fn beside(&mut self, property: &Property, value: &str, start: At) -> Option<At> {
        let at = self.zones.at(property, value, self.problems)?;
        let is_local = matches!(Time::read(value), Some(Time::Local(_))) && !at.is_date;
        let has_zone = property
            .parameter("TZID")
            .is_some_and(|tzid| !tzid.is_empty());
        let floats = is_local && !has_zone;
        Some(if floats {
            At::wall(at.wall, start.zone)
        } else {
            at
        })
    }

    /// How long it lasts, by DTEND, DURATION or neither (RFC 5545 §3.6.1).
    fn length(&mut self, event: &Component, start: At) -> Length {
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

    fn until(&mut self, property: &Property, start: At) -> Option<Length> {
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
        let contradicts = Reason::Contradicts { other: "DTSTART" };
        let end = match (start.is_date, end.is_date) {
            (true, true) | (false, false) => end,
            (true, false) => {
                self.problem(property, value, contradicts.clone(), Done::Honoured);
                At::date(end.wall.date())
            }
            (false, true) => {
                self.problem(property, value, contradicts.clone(), Done::Honoured);
                At::wall(midnight(end.wall.date()), start.zone)
            }
        };
        let seconds = end.unix - start.unix;
        if seconds < 0 || (seconds == 0 && start.is_date) {
            self.problem(property, value, contradicts, done);
            return None;
        }
        Some(if start.is_date {
            let days = seconds / SECONDS_PER_DAY;
            Length::Nominal { days, seconds: 0 }
        } else {
            Length::Exact(seconds)
        })
    }

    fn duration(&mut self, property: &Property, start: At) -> Option<Length> {
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

    fn recurrence(&mut self, event: &Component, read: &mut Event) -> Result<(), IcalError> {
        let start = read.details.start;
        let names = ["RRULE", "EXRULE", "RDATE", "EXDATE"];
        let recurring = |property: &&Property| names.contains(&property.name.as_str());
        let mut dates = 0;
        for property in event.properties.iter().filter(recurring) {
            if read.overrides.is_some() {
                self.problem(
                    property,
                    &property.value,
                    Reason::Meaningless,
                    Done::LeftOut,
                );
                continue;
            }
            match property.name.as_str() {
                "RRULE" => read.rules.extend(self.rule(property, start.is_date)),
                "EXRULE" => {
                    let rule = self.rule(property, start.is_date);
                    if rule.is_some() {
                        let reason = Reason::ExceptionRule;
                        self.problem(property, &property.value, reason, Done::Honoured);
                    }
                    read.exceptions.extend(rule);
                }
                name => {
                    for value in property.value.split(',').filter(|value| !value.is_empty()) {
                        dates += 1;
                        if dates > DATES_MAX {
                            return Err(IcalError::TooManyDates {
                                line: property.line,
                            });
                        }
                        if name == "RDATE" {
                            read.added.extend(self.added(property, value, start));
                        } else if let Some(at) = self.beside(property, value, start) {
                            read.excluded.push(at);
                        } else {
                            self.not_a_time(property, value, Done::LeftOut);
                        }
                    }
                }
            }
        }
        for rules in [&mut read.rules, &mut read.exceptions] {
            if let Some(excess) = rules.get(RULES_MAX) {
                let value = excess.to_string();
                let property = event.first("RRULE").or_else(|| event.first("EXRULE"));
                if let Some(property) = property {
                    let reason = Reason::Set(crate::set::SetError::TooManyRules);
                    self.problem(property, &value, reason, Done::RuleLeftOut);
                }
                rules.truncate(RULES_MAX);
            }
        }
        Ok(())
    }

    fn rule(&mut self, property: &Property, is_all_day: bool) -> Option<Rule> {
        let text = property.value.trim().trim_end_matches(';');
        let mut rule: Rule = match text.parse() {
            Ok(rule) => rule,
            Err(error) => {
                self.problem(
                    property,
                    &property.value,
                    Reason::Rule(error),
                    Done::RuleLeftOut,
                );
                return None;
            }
        };
        for warning in rule.warnings() {
            let reason = Reason::Warning(warning);
            self.problem(property, &property.value, reason, Done::Honoured);
        }
        if is_all_day {
            let timed = [&rule.by_hour, &rule.by_minute, &rule.by_second];
            let is_timed = timed.iter().any(|part| !part.is_empty());
            let beats = [Frequency::Hourly, Frequency::Minutely, Frequency::Secondly];
            if beats.contains(&rule.frequency()) {
                self.problem(
                    property,
                    &property.value,
                    Reason::Meaningless,
                    Done::RuleLeftOut,
                );
                return None;
            }
            if is_timed {
                // "MUST be ignored" (RFC 5545 §3.3.10).
                self.problem(
                    property,
                    &property.value,
                    Reason::Meaningless,
                    Done::Honoured,
                );
                for part in [&mut rule.by_hour, &mut rule.by_minute, &mut rule.by_second] {
                    part.clear();
                }
            }
        }
        Some(rule)
    }

    /// One RDATE: a time, or a period with its own length (RFC 5545 §3.8.5.2).
    fn added(
        &mut self,
        property: &Property,
        value: &str,
        start: At,
    ) -> Option<(At, Option<Length>)> {
        let (first, last) = match value.split_once('/') {
            Some((first, last)) => (first, Some(last)),
            None => (value, None),
        };
        let Some(mut at) = self.beside(property, first, start) else {
            self.not_a_time(property, value, Done::LeftOut);
            return None;
        };
        if at.is_date && !start.is_date {
            let reason = Reason::Contradicts { other: "DTSTART" };
            self.problem(property, value, reason, Done::AtTheStartsTime);
            let time = start.wall.seconds().rem_euclid(SECONDS_PER_DAY);
            at = At::wall(at.wall.plus_seconds(time)?, start.zone);
        }
        if start.is_date {
            at = At::date(at.wall.date());
        }
        let length = match last {
            None => None,
            Some(text) if text.starts_with(['P', 'p', '+']) => Some(Length::read(text)),
            Some(text) => {
                let end = self.beside(
                    property,
                    text,
                    At {
                        zone: at.zone,
                        ..start
                    },
                );
                let seconds = end.map(|end| end.unix - at.unix);
                Some(seconds.filter(|seconds| *seconds >= 0).map(Length::Exact))
            }
        };
        if length == Some(None) {
            let expected = "a period like 20260301T180000Z/PT50M";
            self.problem(
                property,
                value,
                Reason::BadValue { expected },
                Done::Honoured,
            );
        }
        Some((at, length.flatten()))
    }
}
