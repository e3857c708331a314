//! Which IANA zone a text means by a zone that it defines.
//!
//! A known zone is a name for a definition only if it has the same clocks at every time at which an
//! event can use it: at the times of single events, and through the whole life of series, to the end
//! of zone data if they have none. Where no zone has, the definition itself counts.

use std::sync::Arc;

use chrono::NaiveDate;

use super::observances::Likeness;
use super::problem::{DatesThatDiffer, Done, Problem, Problems, Reason};
use super::timezone::{OwnZone, TimeZone, stretches_that_differ};
use super::value::At;
use super::windows;
use crate::epoch::{SECONDS_PER_DAY, to_wall};
use crate::zone::{END_OF_ZONE_DATA, Transitions};
use crate::{LocalDateTime, Zone};

/// How many of the dates that differ are listed.
const DATES_LISTED: usize = 5;
/// Of zones that agree alike from the first use on, the one that agrees for longer since then is
/// meant: 1970-01-01.
const LONG_AGO: i64 = 0;

/// A definition and what uses it.
pub(super) struct Defined {
    tzid: String,
    line: usize,
    /// The IANA zone of its name.
    named: Option<Zone>,
    letter: Letter,
    zone: Arc<OwnZone>,
    uses: Vec<Use>,
    /// How many events use it.
    events: usize,
    last_event: usize,
}

/// What a definition says.
pub(super) struct Letter {
    pub(super) table: Transitions,
    /// The stretches that are too short to be in the table.
    pub(super) passed_over: Vec<(i64, i64)>,
    pub(super) likeness: Likeness,
}

/// When an event can use a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    At(i64, LocalDateTime),
    /// Instants in Unix seconds.
    Through(i64, i64),
}

impl Defined {
    pub(super) fn new(
        tzid: &str,
        line: usize,
        named: Option<Zone>,
        letter: Letter,
        zone: Arc<OwnZone>,
    ) -> Self {
        Self {
            tzid: tzid.to_owned(),
            line,
            named,
            letter,
            zone,
            uses: Vec::new(),
            events: 0,
            last_event: 0,
        }
    }

    /// Notes that an event uses it at a time.
    pub(super) fn use_at(&mut self, at: &At, event: usize) {
        self.uses.push(Use::At(at.unix, at.wall));
        self.count(event);
    }

    /// Notes that an event uses it from one instant to another.
    pub(super) fn use_through(&mut self, from: i64, to: i64, event: usize) {
        // A local time may be another day's in UTC.
        let to = to.saturating_add(SECONDS_PER_DAY);
        self.uses
            .push(Use::Through(from - SECONDS_PER_DAY, to.min(end())));
        self.count(event);
    }

    /// Events come one after the other, numbered from 1.
    fn count(&mut self, event: usize) {
        if self.last_event != event {
            self.last_event = event;
            self.events += 1;
        }
    }

    /// The zone that is meant; its own if no IANA zone is.
    pub(super) fn settle(mut self, problems: &mut Problems) -> TimeZone {
        self.uses.sort_unstable();
        self.uses.dedup();
        if self.uses.is_empty() {
            return TimeZone::Own(self.zone);
        }
        self.report_passed_over(problems);
        let own = &self.zone.table;
        if let Some(named) = self.named {
            self.report_letter(named, problems);
            if self.agrees(own, named) {
                return TimeZone::Iana(named);
            }
        }
        let from = self.first_use();
        let all = || windows::zones().chain(Zone::all());
        let agreeing = all().filter(|zone| self.agrees(own, *zone));
        let twin =
            agreeing.min_by_key(|zone| (apart(own, *zone, from), apart(own, *zone, LONG_AGO)));
        // Of a name that is known, another zone is meant only if it stays alike.
        let twin = twin.filter(|twin| self.named.is_none() || apart(own, *twin, from) == 0);
        if let Some(named) = self.named
            && let Some(first) = self.first_that_differs(own, named.transitions())
        {
            let first = own.local(first).date();
            let done = twin.map_or(Done::AsDefined, Done::ReadIn);
            self.report(Reason::OtherDefinition { named, first }, done, problems);
        }
        if let Some(twin) = twin {
            return TimeZone::Iana(twin);
        }
        let nearest = || all().min_by_key(|zone| apart(own, *zone, from));
        let nearest = self.named.or_else(nearest).unwrap_or(Zone::UTC);
        self.zone.set_nearest(nearest);
        let is_endless = self
            .uses
            .iter()
            .any(|used| matches!(used, Use::Through(_, to) if *to >= end()));
        if is_endless && self.named.is_none() {
            let dates = dates_that_differ(own, nearest, from, end());
            self.report(Reason::Unlike { nearest, dates }, Done::AsDefined, problems);
        }
        TimeZone::Own(self.zone)
    }

    fn first_use(&self) -> i64 {
        let first = self.uses.iter().map(|used| match used {
            Use::At(from, _) | Use::Through(from, _) => *from,
        });
        first.min().unwrap_or(LONG_AGO)
    }

    /// Whether a zone has the same clocks whenever they are used.
    fn agrees(&self, own: &Transitions, zone: Zone) -> bool {
        let table = zone.transitions();
        self.uses.iter().all(|used| match *used {
            Use::At(unix, wall) => zone.resolve(wall).0.timestamp() == unix,
            Use::Through(from, to) => stretches_that_differ(own, table, from, to).next().is_none(),
        })
    }

    /// The first instant of their use at which two zones have different clocks.
    fn first_that_differs(&self, one: &Transitions, other: &Transitions) -> Option<i64> {
        let differing = self.uses.iter().filter_map(|used| match *used {
            Use::At(unix, wall) => {
                let differ = one.offset(unix) != other.offset(unix);
                let resolve = |table: &Transitions| table.resolve(to_wall(wall)).0;
                (differ || resolve(one) != resolve(other)).then_some(unix)
            }
            // The first day is a margin.
            Use::Through(from, to) => {
                let first = stretches_that_differ(one, other, from, to).next()?.0;
                Some(first.max(from + SECONDS_PER_DAY))
            }
        });
        differing.min()
    }

    /// Says where a zone was read otherwise than its definition says.
    fn report_letter(&self, named: Zone, problems: &mut Problems) {
        let own = &self.zone.table;
        let Some(unix) = self.first_that_differs(&self.letter.table, own) else {
            return;
        };
        let first = own.local(unix).date();
        let reason = match self.letter.likeness {
            Likeness::Shifted(from, last) if (from..=last).contains(&unix) => {
                Reason::Shifted { named, first }
            }
            _ => Reason::Undefined { first },
        };
        self.report(reason, Done::ReadIn(named), problems);
    }

    /// Says which stretches of a definition events may use that are too short to be read.
    fn report_passed_over(&self, problems: &mut Problems) {
        let is_used = |&&(from, to): &&(i64, i64)| {
            let (from, to) = (from - SECONDS_PER_DAY, to + SECONDS_PER_DAY);
            self.uses.iter().any(|used| match *used {
                Use::At(unix, _) => (from..to).contains(&unix),
                Use::Through(begin, end) => begin < to && from < end,
            })
        };
        if let Some((from, _)) = self.letter.passed_over.iter().find(is_used) {
            let on = self.zone.table.local(*from).date();
            self.report(Reason::ShortStretch { on }, Done::PassedOver, problems);
        }
    }

    fn report(&self, reason: Reason, done: Done, problems: &mut Problems) {
        problems.push(|| Problem {
            events: self.events,
            ..Problem::of_line(self.line, "TZID", &self.tzid, reason, done)
        });
    }
}

/// For how many seconds a zone has other clocks, from an instant to the end of zone data.
fn apart(own: &Transitions, zone: Zone, from: i64) -> i64 {
    let stretches = stretches_that_differ(own, zone.transitions(), from, end());
    stretches.map(|(from, to)| to - from).sum()
}

fn end() -> i64 {
    END_OF_ZONE_DATA.timestamp()
}

/// The days on which a zone has other clocks, from one instant to another.
pub(super) fn dates_that_differ(
    own: &Transitions,
    zone: Zone,
    from: i64,
    to: i64,
) -> DatesThatDiffer {
    let (mut first, mut days): (Vec<NaiveDate>, i64) = (Vec::new(), 0);
    for (from, to) in stretches_that_differ(own, zone.transitions(), from, to) {
        if first.len() < DATES_LISTED {
            first.push(own.local(from).date());
        }
        days += (to - from + SECONDS_PER_DAY - 1) / SECONDS_PER_DAY;
    }
    DatesThatDiffer { first, days }
}
