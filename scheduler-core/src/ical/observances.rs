//! What a VTIMEZONE says (RFC 5545 §3.6.5): when its observances begin, and by how much clocks are
//! ahead of UTC from then on.

use chrono::DateTime;

use super::content::{Component, Property};
use super::rule_text;
use super::timezone::stretches_that_differ;
use super::value::{Time, offset};
use crate::epoch::SECONDS_PER_DAY;
use crate::pause::midnight;
use crate::rule::{End, Expansion, Until};
use crate::zone::{END_OF_ZONE_DATA, START_OF_ZONE_DATA, Transitions};
use crate::{LocalDateTime, Zone};

/// The most observances of one VTIMEZONE, three hundred years of two.
const OBSERVANCES_MAX: usize = 600;
/// The most onsets of one VTIMEZONE.
const ONSETS_MAX: usize = 4_000;
/// How long the last of a list of onsets is taken to hold: not to the next change of clocks.
const LAST_SECONDS: i64 = 120 * SECONDS_PER_DAY;

/// A VTIMEZONE as instants at which an offset begins to hold, both in seconds.
pub(super) struct Definition {
    /// What holds before the first onset.
    before: i64,
    /// In order, each another offset than the one before.
    onsets: Vec<(i64, i64)>,
    /// The first onset.
    from: i64,
    /// When a list of onsets ends; none if a rule has no end or the offset is constant.
    to: Option<i64>,
}

/// One STANDARD or DAYLIGHT.
struct Observance {
    from: i64,
    to: i64,
    /// Wall times of the offset before.
    onsets: Vec<LocalDateTime>,
    is_endless: bool,
}

impl Definition {
    /// Reads a VTIMEZONE; `None` if it has no observance.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn read(zone: &Component) -> Result<Option<Self>, &'static str> {
        if zone.is_broken {
            return Err("its END is missing");
        }
        // Half of a definition is none.
        let is_observance = |part: &Component| matches!(&*part.name, "STANDARD" | "DAYLIGHT");
        let strays = ["DTSTART", "RRULE", "RDATE", "TZOFFSETFROM", "TZOFFSETTO"];
        if strays.iter().any(|name| zone.first(name).is_some()) {
            return Err("an observance has no BEGIN");
        }
        for part in &zone.components {
            if part.is_broken || !part.components.is_empty() {
                return Err("an observance has no END");
            }
            if !is_observance(part) && !part.name.starts_with("X-") {
                return Err("it has a part that is no observance");
            }
        }
        let parts = zone.components.iter();
        let parts = parts.filter(|part| is_observance(part));
        if parts.clone().count() > OBSERVANCES_MAX {
            return Err("it has more than 600 observances");
        }
        let observances: Result<Vec<Observance>, _> = parts.map(observance).collect();
        let observances = observances?;
        let onsets = observances.iter().flat_map(|one| {
            let instants = one.onsets.iter().map(|wall| wall.seconds() - one.from);
            instants.map(|unix| (unix, one.from, one.to))
        });
        let mut onsets: Vec<(i64, i64, i64)> = onsets.collect();
        // Of two at one instant the later in the text holds.
        onsets.sort_by_key(|onset| onset.0);
        let (Some(&(from, before, _)), Some(&(last, ..))) = (onsets.first(), onsets.last()) else {
            return Ok(None);
        };
        if onsets.len() > ONSETS_MAX {
            return Err("it has more than 4,000 onsets");
        }
        // Whatever changed before zone data begins has come to one offset by then.
        let begin = START_OF_ZONE_DATA.timestamp();
        let earlier = onsets.partition_point(|onset| onset.0 < begin);
        let before_all = earlier.checked_sub(1).map_or(before, |last| onsets[last].2);
        let is_constant = onsets
            .iter()
            .all(|onset| (onset.1, onset.2) == (before, before));
        let is_endless = is_constant || observances.iter().any(|one| one.is_endless);
        let mut changes: Vec<(i64, i64)> = Vec::with_capacity(onsets.len());
        for (unix, _, offset) in onsets.split_off(earlier) {
            changes.pop_if(|last| last.0 == unix);
            if changes.last().map_or(before_all, |last| last.1) != offset {
                changes.push((unix, offset));
            }
        }
        Ok(Some(Self {
            before: before_all,
            onsets: changes,
            from,
            to: (!is_endless).then_some(last + LAST_SECONDS),
        }))
    }

    /// A zone of one offset in seconds.
    pub(super) fn constant(offset: i64) -> Self {
        Self {
            before: offset,
            onsets: Vec::new(),
            from: i64::MIN,
            to: None,
        }
    }

    /// The clock changes that it gives, to the letter: before the first onset what it changes from,
    /// after the last what it changes to.
    ///
    /// # Errors
    /// Why no clock can follow it.
    pub(super) fn to_the_letter(&self) -> Result<Transitions, &'static str> {
        let before = [(i64::MIN, self.before)];
        table(before.into_iter().chain(self.onsets.iter().copied()))
    }

    /// Whether a zone has the same clocks from the first onset to the end of the list of onsets.
    /// `letter` is the table of the definition.
    pub(super) fn is_part_of(&self, letter: &Transitions, zone: Zone) -> bool {
        let end = END_OF_ZONE_DATA.timestamp();
        let to = self.to.map_or(end, |to| to.min(end));
        let mut differing = stretches_that_differ(letter, zone.transitions(), self.from, to);
        differing.next().is_none()
    }
}

/// Makes a table of changes in order, leaving out those that keep the offset.
fn table(changes: impl Iterator<Item = (i64, i64)>) -> Result<Transitions, &'static str> {
    let mut offsets: Vec<(i64, i64)> = Vec::new();
    for (unix, offset) in changes {
        match offsets.last() {
            None => offsets.push((i64::MIN, offset)),
            Some(last) if last.1 == offset => {}
            Some(_) => offsets.push((unix, offset)),
        }
    }
    Transitions::new(&offsets).map_err(|_| "its onsets are too close to each other")
}

fn observance(part: &Component) -> Result<Observance, &'static str> {
    let seconds = |name| part.value(name).and_then(offset);
    let start = part.first("DTSTART").and_then(|start| wall(&start.value));
    let (Some(from), Some(to), Some(start)) =
        (seconds("TZOFFSETFROM"), seconds("TZOFFSETTO"), start)
    else {
        return Err("an observance lacks DTSTART, TZOFFSETFROM or TZOFFSETTO");
    };
    let mut observance = Observance {
        from,
        to,
        onsets: vec![start],
        is_endless: false,
    };
    for dates in part.all("RDATE") {
        for date in dates
            .value
            .split(',')
            .filter(|date| !date.trim().is_empty())
        {
            let date = date.split('/').next().unwrap_or_default();
            observance
                .onsets
                .push(wall(date).ok_or("an RDATE of it is no time")?);
            if observance.onsets.len() > ONSETS_MAX {
                return Err("it has more than 4,000 onsets");
            }
        }
    }
    for rule in part.all("RRULE") {
        observance.expand(rule, start)?;
    }
    Ok(observance)
}

impl Observance {
    /// Adds the onsets of a rule: the last before zone data begins, and all until it ends.
    fn expand(&mut self, property: &Property, start: LocalDateTime) -> Result<(), &'static str> {
        let (text, _) = rule_text::tidied(&property.value);
        if text.is_empty() {
            return Ok(());
        }
        let rule: crate::Rule = text.parse().map_err(|_| "an RRULE of it cannot be read")?;
        let rule = match rule.end() {
            // In UTC; its onsets are wall times of the offset before.
            End::Until(Until::Instant(until)) => {
                let until = LocalDateTime::from_seconds(until.timestamp() + self.from);
                rule.with_end(End::Until(Until::Local(
                    until.unwrap_or(LocalDateTime::MAX),
                )))
            }
            _ => rule,
        };
        let expansion = Expansion::new(&rule, start);
        let local = |at: DateTime<chrono::Utc>| {
            LocalDateTime::from_seconds(at.timestamp()).unwrap_or(LocalDateTime::MAX)
        };
        let begin = local(START_OF_ZONE_DATA);
        self.is_endless |= !expansion.ends();
        self.onsets.extend(expansion.last_before(begin));
        let onsets = expansion.between(begin, local(END_OF_ZONE_DATA));
        self.onsets.extend(onsets.take(ONSETS_MAX + 1));
        if self.onsets.len() > ONSETS_MAX {
            return Err("it has more than 4,000 onsets");
        }
        Ok(())
    }
}

/// An onset: a wall time, whatever it is marked as; a date is its midnight.
fn wall(text: &str) -> Option<LocalDateTime> {
    match Time::read(text)? {
        Time::Date(date) => Some(midnight(date)),
        Time::Local(wall) | Time::Utc(wall) => Some(wall),
    }
}
