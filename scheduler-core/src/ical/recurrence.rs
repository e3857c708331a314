//! What recurs of a VEVENT: RRULE, EXRULE, RDATE and EXDATE (RFC 5545 §3.8.5).

use chrono::Datelike;

use super::DATES_MAX;
use super::content::{Component, Property};
use super::event::{Event, Reader};
use super::problem::{Done, IcalError, REPEATED_MAX, Reason, cut};
use super::rule_text;
use super::value::{At, Length};
use crate::Rule;
use crate::epoch::SECONDS_PER_DAY;
use crate::rule::{End, Frequency, Until};
use crate::set::{RULES_MAX, SetError};

impl Reader<'_> {
    /// Reads what recurs into an event. Whether it can be read with the others of its text.
    ///
    /// # Errors
    /// [`IcalError::TooManyDates`].
    pub(super) fn recurrence(
        &mut self,
        event: &Component,
        read: &mut Event,
    ) -> Result<bool, IcalError> {
        let start = read.details.start.clone();
        let mut dates = 0;
        for property in &event.properties {
            match property.name {
                "RRULE" if !self.rules(property, &start, &mut read.rules) => return Ok(false),
                "EXRULE" if !self.rules(property, &start, &mut read.exceptions) => {
                    return Ok(false);
                }
                "RRULE" | "EXRULE" => {}
                "RDATE" | "EXDATE" => {
                    let value = property.value.replace("\\,", ",");
                    for value in value.split(',').filter(|value| !value.trim().is_empty()) {
                        dates += 1;
                        if dates > DATES_MAX {
                            let line = property.line;
                            return Err(IcalError::TooManyDates { line });
                        }
                        if property.name == "RDATE" {
                            read.added.extend(self.added(property, value, &start));
                        } else {
                            self.excluded(property, value, &start, read);
                        }
                    }
                }
                _ => continue,
            }
            if read.overrides.is_some() {
                let value = cut(&property.value, REPEATED_MAX);
                read.recurring.push((property.line, property.name, value));
            }
        }
        Ok(true)
    }

    /// Adds a rule. Whether there is effort left for it.
    fn rules(&mut self, property: &Property, start: &At, rules: &mut Vec<Rule>) -> bool {
        let Some(rule) = self.rule(property, start) else {
            return true;
        };
        if rules.len() >= RULES_MAX {
            let reason = Reason::Set(SetError::TooManyRules);
            self.problem(property, &property.value, reason, Done::RuleLeftOut);
            return true;
        }
        let Some(left) = self.effort.checked_sub(effort(&rule)) else {
            let reason = Reason::TooMuchEffort;
            self.problem(property, &property.value, reason, Done::EventLeftOut);
            return false;
        };
        self.effort = left;
        rules.push(rule);
        true
    }

    fn rule(&mut self, property: &Property, start: &At) -> Option<Rule> {
        let value = &property.value;
        let (text, dropped) = rule_text::tidied(value);
        if text.is_empty() && dropped.is_empty() {
            return None;
        }
        let mut rule: Rule = match text.parse() {
            Ok(rule) => rule,
            Err(error) => {
                self.problem(property, value, Reason::Rule(error), Done::RuleLeftOut);
                return None;
            }
        };
        if !dropped.is_empty() {
            let part = cut(&dropped.join(";"), REPEATED_MAX);
            self.problem(property, value, Reason::RulePart { part }, Done::Honoured);
        }
        for warning in rule.warnings() {
            self.problem(property, value, Reason::Warning(warning), Done::Honoured);
        }
        if start.is_date {
            rule = self.all_day(property, rule)?;
        }
        let other = [
            rule.by_month.is_empty(),
            rule.by_week_no.is_empty(),
            rule.by_year_day.is_empty(),
            rule.by_day.is_empty(),
        ];
        let is_yearly = rule.frequency() == Frequency::Yearly && !rule.by_month_day.is_empty();
        if is_yearly && other == [true; 4] {
            rule.by_month
                .extend(u8::try_from(start.wall.date().month()));
            self.problem(property, value, Reason::YearlyMonthDay, Done::OnceAYear);
        }
        Some(rule)
    }

    /// A rule of days: its times of day have no meaning, and its UNTIL is a date.
    fn all_day(&mut self, property: &Property, mut rule: Rule) -> Option<Rule> {
        let value = &property.value;
        let beats = [Frequency::Hourly, Frequency::Minutely, Frequency::Secondly];
        if beats.contains(&rule.frequency()) {
            self.problem(property, value, Reason::Meaningless, Done::RuleLeftOut);
            return None;
        }
        let timed = [&mut rule.by_hour, &mut rule.by_minute, &mut rule.by_second];
        let mut is_timed = false;
        for part in timed {
            is_timed |= !part.is_empty();
            part.clear();
        }
        if is_timed {
            // "MUST be ignored" (RFC 5545 §3.3.10).
            self.problem(property, value, Reason::Meaningless, Done::Honoured);
        }
        let until = match rule.end() {
            End::Until(Until::Instant(until)) => {
                let wall = crate::LocalDateTime::from_seconds(until.timestamp())?;
                let at = At::wall(wall, &super::timezone::TimeZone::UTC);
                self.date_of(property, value, &at)
            }
            End::Until(Until::Local(until)) => until.date(),
            _ => return Some(rule),
        };
        Some(rule.with_end(End::Until(Until::Date(until))))
    }

    fn excluded(&mut self, property: &Property, value: &str, start: &At, read: &mut Event) {
        // Old versions of ical.net give an EXDATE a length.
        let time = value.split('/').next().unwrap_or_default();
        let Some(at) = self.beside(property, time, start) else {
            return self.not_a_time(property, value, Done::LeftOut);
        };
        if read.first_excluded.is_none() {
            read.first_excluded = Some((property.line, cut(time, REPEATED_MAX)));
        }
        read.excluded.push(at);
    }

    /// One RDATE: a time, or a period with its own length (RFC 5545 §3.8.5.2).
    fn added(
        &mut self,
        property: &Property,
        value: &str,
        start: &At,
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
            at = At::wall(at.wall.plus_seconds(time)?, &start.zone);
        }
        let length = match last {
            None => return Some((at, None)),
            Some(text) if text.trim_start().starts_with(['P', 'p', '+']) => Length::read(text),
            Some(text) => self.beside(property, text, &at).and_then(|end| {
                let seconds = end.unix - at.unix;
                if at.is_date {
                    let days = seconds / SECONDS_PER_DAY;
                    (days > 0).then_some(Length::Nominal { days, seconds: 0 })
                } else {
                    (seconds >= 0).then_some(Length::Exact(seconds))
                }
            }),
        };
        if length.is_none() {
            let expected = "a period like 20260301T180000Z/PT50M";
            self.problem(
                property,
                value,
                Reason::BadValue { expected },
                Done::Honoured,
            );
        }
        Some((at, length))
    }
}

/// About how long it takes to prepare a rule, in microseconds, where that is long: times of day are
/// listed, a long COUNT is counted over all kinds of years there are, and occurrences that are rare, or
/// none, are looked for.
fn effort(rule: &Rule) -> u32 {
    let is_long = matches!(rule.end(), End::Count(count) if count > 500);
    let dates = [
        rule.by_month.len(),
        rule.by_week_no.len(),
        rule.by_year_day.len(),
        rule.by_month_day.len(),
        rule.by_day.len(),
    ];
    let dates = dates.iter().filter(|part| **part > 0).count();
    let times = [
        (&rule.by_hour, Frequency::Hourly, 24),
        (&rule.by_minute, Frequency::Minutely, 60),
        (&rule.by_second, Frequency::Secondly, 60),
    ];
    let is_timed = times.iter().any(|(part, ..)| !part.is_empty());
    let listed = times.iter().map(|(part, frequency, all)| match part.len() {
        0 if rule.frequency() <= *frequency => *all,
        length => u32::try_from(length).unwrap_or(u32::MAX).max(1),
    });
    let listed: u32 = if is_timed || rule.frequency() == Frequency::Minutely {
        listed.product()
    } else {
        0
    };
    let counted = match is_long && (dates > 0 || is_timed || !rule.by_set_pos.is_empty()) {
        true => 4_000,
        false => 0,
    };
    let is_sparse =
        !rule.by_set_pos.is_empty() || (dates > 1 && rule.frequency() < Frequency::Yearly);
    let searched = match rule.frequency() < Frequency::Daily && (dates > 0 || is_timed) {
        true => 800,
        false if is_sparse => 400,
        false => 0,
    };
    counted + searched + listed / 6
}
