//! A VTIMEZONE's observances (RFC 5545 §3.6.5), and the IANA zone that is most like them.

use chrono::NaiveDate;

use super::content::{Component, Property};
use super::value::{Time, offset};
use super::windows;
use crate::epoch::SECONDS_PER_DAY;
use crate::rule::{End, Expansion, Until};
use crate::{LocalDateTime, Rule, Zone};

/// The years from the first event on in which offsets are compared.
const YEARS: i32 = 6;
/// How long the last of a list of onsets is taken to hold, in days.
const LAST_DAYS: i64 = 120;
/// The most observances of one zone that are read: three hundred years of two.
const OBSERVANCES_MAX: usize = 600;
/// The most onsets of one observance that are looked at.
const ONSETS_MAX: usize = 400;

/// What a VTIMEZONE says.
pub(super) struct Observances(Vec<Observance>);

/// One STANDARD or DAYLIGHT.
struct Observance {
    from: i64,
    to: i64,
    /// Onsets that are listed, as wall times of the offset before.
    listed: Vec<LocalDateTime>,
    rules: Vec<Expansion>,
}

/// The IANA zone that comes nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Likeness {
    pub(super) zone: Zone,
    /// How many of the instants compared have another offset in it.
    pub(super) differing: usize,
    /// How many instants were compared.
    pub(super) compared: usize,
}

impl Observances {
    /// `None` if there is none that can be read.
    pub(super) fn read(zone: &Component) -> Option<Self> {
        let parts = zone.components.iter();
        let parts = parts.filter(|part| matches!(part.name.as_str(), "STANDARD" | "DAYLIGHT"));
        let observances = parts.take(OBSERVANCES_MAX).filter_map(observance);
        let observances: Vec<Observance> = observances.collect();
        (!observances.is_empty()).then_some(Self(observances))
    }

    /// The zone whose offsets are the same in most of a few years from one on; of those that are
    /// equally near, a common one.
    pub(super) fn nearest(&self, year: i32) -> Likeness {
        let year = year.clamp(1900, 2090);
        let samples = self.samples(year);
        let mut nearest = Likeness {
            zone: Zone::UTC,
            differing: samples.len(),
            compared: samples.len(),
        };
        for zone in windows::zones().chain(Zone::all()) {
            let mut differing = 0;
            for (unix, offset) in &samples {
                differing += usize::from(zone.offset_at(*unix) != *offset);
                if differing >= nearest.differing {
                    break;
                }
            }
            if differing < nearest.differing {
                nearest = Likeness {
                    zone,
                    differing,
                    ..nearest
                };
            }
        }
        nearest
    }

    /// Instants with the offset that the observances give, as far as they speak: one a week, and
    /// both sides of every onset.
    fn samples(&self, year: i32) -> Vec<(i64, i64)> {
        let (from, to) = (new_year(year), new_year(year + YEARS));
        let onsets = self.0.iter().flat_map(|one| one.onsets(from, to));
        let mut onsets: Vec<(i64, i64)> = onsets.collect();
        onsets.sort_unstable();
        let (Some(first), Some(last)) = (onsets.first().copied(), onsets.last().copied()) else {
            return Vec::new();
        };
        let from = from.max(first.0);
        let rules = || self.0.iter().flat_map(|one| &one.rules);
        let goes_on = last.0 < from || rules().any(|rule| !rule.ends());
        // Whoever lists onsets, lists those that are needed.
        let to = if goes_on {
            to
        } else {
            to.min(last.0 + LAST_DAYS * SECONDS_PER_DAY)
        };
        let at = |unix: i64| {
            let begun = onsets.partition_point(|(onset, _)| *onset <= unix);
            let last = begun.checked_sub(1).and_then(|last| onsets.get(last));
            (unix, last.map_or(first.1, |(_, offset)| *offset))
        };
        let weeks = (0..).map(|week| from + week * 7 * SECONDS_PER_DAY);
        let weeks = weeks.take_while(|unix| *unix < to).map(at);
        let within = onsets
            .iter()
            .filter(|(onset, _)| (from + 1..to).contains(onset));
        let edges = within.flat_map(|(onset, _)| [at(*onset - 1), at(*onset)]);
        weeks.chain(edges).collect()
    }
}

impl Observance {
    /// The onsets as instants with the offset that begins, through `to`; of those before `from`
    /// enough to know what holds then.
    fn onsets(&self, from: i64, to: i64) -> Vec<(i64, i64)> {
        let first = LocalDateTime::from_seconds(from - 800 * SECONDS_PER_DAY);
        let first = first.unwrap_or(LocalDateTime::MIN);
        let until = LocalDateTime::from_seconds(to + SECONDS_PER_DAY).unwrap_or(LocalDateTime::MAX);
        let mut walls: Vec<LocalDateTime> = self.listed.clone();
        for rule in &self.rules {
            walls.extend(rule.last_before(first));
            let ruled = rule.iter_from(first).take_while(|at| *at < until);
            walls.extend(ruled.take(ONSETS_MAX));
        }
        let onsets = walls
            .into_iter()
            .map(|wall| (wall.seconds() - self.from, self.to));
        onsets.collect()
    }
}

fn observance(part: &Component) -> Option<Observance> {
    let from = offset(part.value("TZOFFSETFROM")?)?;
    let to = offset(part.value("TZOFFSETTO")?)?;
    let start = wall(part.value("DTSTART")?)?;
    let mut listed = vec![start];
    let dates = part.all("RDATE").flat_map(|dates| dates.value.split(','));
    listed.extend(
        dates
            .filter_map(|date| wall(date.split('/').next()?))
            .take(ONSETS_MAX),
    );
    let rules = part
        .all("RRULE")
        .filter_map(|rule| expansion(rule, start, from));
    Some(Observance {
        from,
        to,
        listed,
        rules: rules.collect(),
    })
}

/// A rule of onsets. Its UNTIL is in UTC, its times are wall times of the offset before.
fn expansion(property: &Property, start: LocalDateTime, from: i64) -> Option<Expansion> {
    let mut rule: Rule = property.value.trim_end_matches(';').parse().ok()?;
    if let End::Until(Until::Instant(until)) = rule.end() {
        let until = LocalDateTime::from_seconds(until.timestamp() + from)?;
        rule = rule.with_end(End::Until(Until::Local(until)));
    }
    Some(Expansion::new(&rule, start))
}

fn wall(text: &str) -> Option<LocalDateTime> {
    match Time::read(text)? {
        Time::Date(_) => None,
        Time::Local(wall) | Time::Utc(wall) => Some(wall),
    }
}

fn new_year(year: i32) -> i64 {
    let date = NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default();
    date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp()
}
