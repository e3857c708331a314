//! What a VTIMEZONE says (RFC 5545 §3.6.5): when its observances begin, and by how much clocks are
//! ahead of UTC from then on.

use chrono::{DateTime, Datelike, NaiveDate};

use super::content::{Component, Property};
use super::rule_text;
use super::timezone::stretches_that_differ;
use super::value::{Time, offset};
use crate::epoch::{SECONDS_PER_DAY, UNIX_EPOCH};
use crate::pause::midnight;
use crate::rule::{End, Expansion, Until};
use crate::zone::{END_OF_ZONE_DATA, START_OF_ZONE_DATA, Transitions};
use crate::{LocalDateTime, Zone};

/// The most observances of one VTIMEZONE, three hundred years of two.
const OBSERVANCES_MAX: usize = 600;
/// The most onsets of one VTIMEZONE.
const ONSETS_MAX: usize = 4_000;
/// A VTIMEZONE as instants at which an offset begins to hold, both in seconds.
pub(super) struct Definition {
    /// What holds before the first onset.
    before: i64,
    /// In order, each another offset than the one before.
    onsets: Vec<(i64, i64)>,
    /// The first onset.
    from: i64,
    /// The last onset of a list; none if a rule has no end or the offset is constant.
    last: Option<i64>,
    /// Every offset that an onset changes to.
    offsets: Vec<i64>,
}

/// Clock changes, and the stretches that are too short to be among them.
pub(super) type Table = (Transitions, Vec<(i64, i64)>);

/// What a definition is beside the zone of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// It has the clocks of the zone as long as it says anything: it is a part of the zone's data.
    Part,
    /// So it is but for onsets, from the first to the last, that are at most a day early or late.
    Shifted(i64, i64),
    /// It lists onsets with offsets of the zone, and others than the zone's: it counts from the first
    /// of them to the last.
    Between(i64, i64),
    /// It counts at all times.
    Other,
}

/// An onset as an instant, with the offset before and from then on, in seconds.
#[derive(Debug, Clone, Copy)]
struct Onset {
    unix: i64,
    from: i64,
    to: i64,
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
        let onsets = in_order(&observances);
        let (Some(first), Some(last)) = (onsets.first(), onsets.last()) else {
            return Ok(None);
        };
        if onsets.len() > ONSETS_MAX {
            return Err("it has more than 4,000 onsets");
        }
        let (from, before, last) = (first.unix, first.from, last.unix);
        // Whatever changed before zone data begins has come to one offset by then.
        let begin = START_OF_ZONE_DATA.timestamp();
        let earlier = onsets.partition_point(|onset| onset.unix < begin);
        let before_all = earlier.checked_sub(1).map_or(before, |at| onsets[at].to);
        let all = observances.iter();
        let mut offsets: Vec<i64> = all.clone().map(|one| one.to).collect();
        offsets.sort_unstable();
        offsets.dedup();
        let is_constant = all
            .clone()
            .all(|one| (one.from, one.to) == (before, before));
        let is_endless = is_constant || all.clone().any(|one| one.is_endless);
        let later = onsets.get(earlier..).unwrap_or_default().iter();
        Ok(Some(Self {
            before: before_all,
            onsets: later.map(|onset| (onset.unix, onset.to)).collect(),
            from,
            last: (!is_endless).then_some(last),
            offsets,
        }))
    }

    /// A zone of one offset in seconds.
    pub(super) fn constant(offset: i64) -> Self {
        Self {
            before: offset,
            onsets: Vec::new(),
            from: i64::MIN,
            last: None,
            offsets: vec![offset],
        }
    }

    /// The clock changes that it gives, to the letter: before the first onset what it changes from,
    /// after the last what it changes to. The stretches are too short to be in the table, as between
    /// the first onsets of two rules that begin at one wall time.
    ///
    /// # Errors
    /// Why no clock can follow it.
    pub(super) fn to_the_letter(&self) -> Result<Table, &'static str> {
        let before = [(i64::MIN, self.before)];
        let changes: Vec<(i64, i64)> = before.into_iter().chain(self.onsets.clone()).collect();
        table(&changes)
    }

    /// What it is beside the zone of its name. `letter` is its table.
    pub(super) fn likeness(&self, letter: &Transitions, zone: Zone) -> Likeness {
        let table = zone.transitions();
        let Some(last) = self.last else {
            let end = END_OF_ZONE_DATA.timestamp();
            let mut differing = stretches_that_differ(letter, table, self.from, end);
            return differing.next().map_or(Likeness::Part, |_| Likeness::Other);
        };
        if !self.has_offsets_of(table) {
            return Likeness::Other;
        }
        let mut differing: Vec<(i64, i64)> = Vec::new();
        for (from, to) in stretches_that_differ(letter, table, self.from, last) {
            match differing.last_mut().filter(|before| before.1 == from) {
                Some(before) => before.1 = to,
                None => differing.push((from, to)),
            }
        }
        // Both come to the same offset, and to another than before.
        let is_shift = |&(from, to): &(i64, i64)| {
            to - from <= SECONDS_PER_DAY
                && letter.offset(to) == table.offset(to)
                && (from == self.from || letter.offset(from - 1) != letter.offset(to))
        };
        if differing.is_empty() {
            Likeness::Part
        } else if differing.iter().all(is_shift) {
            Likeness::Shifted(self.from, last)
        } else {
            Likeness::Between(self.from, last)
        }
    }

    /// Whether a zone has all offsets that it changes to, in the year of its first onset or later: some
    /// list the rules of today as of 1970, when the zone had none.
    fn has_offsets_of(&self, table: &Transitions) -> bool {
        let year = LocalDateTime::from_seconds(self.from).map(|first| first.date().year());
        let Some(from) = year.and_then(|year| NaiveDate::from_ymd_opt(year, 1, 1)) else {
            return false;
        };
        let from = midnight(from).seconds() - SECONDS_PER_DAY;
        let spans = table.spans().get(table.at(from)..);
        let of_zone = spans.unwrap_or_default().iter();
        self.offsets.iter().all(|offset| {
            of_zone
                .clone()
                .any(|span| span.shift - UNIX_EPOCH == *offset)
        })
    }
}

/// The table of a zone, but of a definition between two instants.
///
/// # Errors
/// Why no clock can follow it.
pub(super) fn between(
    letter: &Transitions,
    zone: Zone,
    from: i64,
    to: i64,
) -> Result<Transitions, &'static str> {
    let named = zone.transitions();
    let changes = |table: &Transitions, low: i64, high: i64| {
        let spans = table.spans().iter();
        let within = spans.filter(|span| span.from < high && span.to > low);
        let changes = within.map(|span| (span.from.max(low), span.shift - UNIX_EPOCH));
        changes.collect::<Vec<_>>()
    };
    let parts = [
        changes(named, i64::MIN, from),
        changes(letter, from, to),
        changes(named, to, i64::MAX),
    ];
    Ok(table(&parts.concat())?.0)
}

fn table(changes: &[(i64, i64)]) -> Result<Table, &'static str> {
    Transitions::passing_over_short(changes).map_err(|_| "its clocks change by more than a day")
}

/// The onsets of all observances, one an instant. Of several at one instant the onset counts that
/// changes from the offset before, else the later in the text.
fn in_order(observances: &[Observance]) -> Vec<Onset> {
    let all = observances.iter().flat_map(|one| {
        let instants = one.onsets.iter().map(|wall| wall.seconds() - one.from);
        instants.map(|unix| Onset {
            unix,
            from: one.from,
            to: one.to,
        })
    });
    let mut all: Vec<Onset> = all.collect();
    all.sort_by_key(|onset| onset.unix);
    let mut offset = None;
    let at_once = all.chunk_by(|one, other| one.unix == other.unix);
    let chosen = at_once.filter_map(|onsets| {
        let mut later_first = onsets.iter().rev();
        let fitting = later_first.find(|onset| offset == Some(onset.from));
        let onset = *fitting.or(onsets.last())?;
        offset = Some(onset.to);
        Some(onset)
    });
    chosen.collect()
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
