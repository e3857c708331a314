//! The sequence of a set that is more than one plain rule: several rules, several times a day,
//! additions, exclusions, pauses, overrides.

use chrono::DateTime;

use crate::compiled::compile_rule;
use crate::epoch::{Wall, to_wall};
use crate::instances::{Instance, Zoned};
use crate::pause::Stretch;
use crate::rule::Shape;
use crate::set::{Occurrence, RecurrenceSet};
use crate::zone::{END_OF_ZONE_DATA, Resolution};
use crate::{GapPolicy, LocalDateTime, Zone};

/// Everything a set consists of, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Whole {
    pub(crate) zone: Zone,
    pub(crate) minutes: u32,
    omit: bool,
    rules: Vec<Ruled>,
    /// By instant, each instant once.
    additions: Vec<Instance>,
    /// By wall time.
    exclusions: Vec<LocalDateTime>,
    /// The instants that additions have and no rule has.
    added: Vec<i64>,
    /// The instants that were generated and then excluded, and are not paused.
    removed: Vec<i64>,
    pauses: Vec<Stretch>,
    /// The occurrences with an override, by recurrence-id.
    pub(crate) overridden: Vec<Occurrence>,
}

/// A compiled rule and the first instant that UNTIL leaves out.
#[derive(Debug, Clone)]
pub(crate) struct Ruled {
    pub(crate) shape: Shape,
    pub(crate) end: i64,
}

impl Whole {
    pub(crate) fn new(set: &RecurrenceSet) -> Self {
        let mut whole = Self::empty(set);
        let rules = set.rules().iter();
        whole.rules = rules.map(|rule| compile_rule(rule, set)).collect();
        let deviations = set.deviations();
        let pauses = deviations.pauses.iter();
        whole.pauses = pauses
            .map(|pause| Stretch::new(*pause, whole.zone))
            .collect();
        let mut additions: Vec<LocalDateTime> = deviations.additions.iter().copied().collect();
        if set.rules().is_empty() {
            additions.push(set.start());
        }
        additions.retain(|at| deviations.ends.is_none_or(|ends| *at < ends));
        let additions = additions.into_iter().filter_map(|at| whole.resolve(at));
        let mut additions: Vec<Instance> = additions.collect();
        additions.sort_unstable_by_key(order);
        additions.dedup_by_key(|instance| instance.unix);
        whole.added = additions
            .iter()
            .map(|instance| instance.unix)
            .filter(|unix| whole.ruled(*unix).is_none_or(|found| found.unix != *unix))
            .collect();
        whole.additions = additions;
        whole.exclusions = deviations.exclusions.iter().copied().collect();
        let mut removed: Vec<i64> = whole
            .exclusions
            .iter()
            .filter_map(|at| whole.generated(*at))
            .filter(|found| whole.pause_of(found).is_none())
            .map(|found| found.unix)
            .collect();
        removed.sort_unstable();
        whole.removed = removed;
        whole.overridden = set.overridden().collect();
        whole
    }

    pub(crate) fn of_rule(set: &RecurrenceSet, ruled: Ruled) -> Self {
        Self {
            rules: vec![ruled],
            ..Self::empty(set)
        }
    }

    pub(crate) fn empty(set: &RecurrenceSet) -> Self {
        Self {
            zone: set.zone(),
            minutes: set.minutes(),
            omit: set.gap_policy() == GapPolicy::Omit,
            rules: Vec::new(),
            additions: Vec::new(),
            exclusions: Vec::new(),
            added: Vec::new(),
            removed: Vec::new(),
            pauses: Vec::new(),
            overridden: Vec::new(),
        }
    }

    /// Where an explicit time falls; nowhere if it is skipped and omitted.
    fn resolve(&self, at: LocalDateTime) -> Option<Instance> {
        let (start, resolution) = self.zone.resolve(at);
        if self.omit && resolution == Resolution::Gap {
            return None;
        }
        Some(Instance {
            recurrence_id: at,
            unix: start.timestamp(),
            resolution,
        })
    }

    /// The instance that rules and additions generate for a recurrence-id, excluded or not.
    pub(crate) fn generated(&self, at: LocalDateTime) -> Option<Instance> {
        let unix = self.resolve(at)?.unix;
        self.generated_next(unix)
            .filter(|found| found.recurrence_id == at)
    }

    fn zoned(&self) -> impl Iterator<Item = Zoned<'_>> {
        self.rules.iter().map(|ruled| self.zoned_rule(ruled))
    }

    fn zoned_rule<'a>(&self, ruled: &'a Ruled) -> Zoned<'a> {
        Zoned {
            civil: ruled.shape.civil(),
            table: self.zone.transitions(),
            omit: self.omit,
            end: ruled.end,
        }
    }

    /// The one rule, if there is nothing else.
    #[inline]
    pub(crate) fn steady(&self) -> Option<Zoned<'_>> {
        match (&*self.rules, &*self.additions) {
            ([ruled], []) if self.leaves_nothing_out() => Some(self.zoned_rule(ruled)),
            _ => None,
        }
    }

    fn ruled(&self, unix: i64) -> Option<Instance> {
        self.zoned()
            .filter_map(|zoned| zoned.next(unix))
            .min_by_key(order)
    }

    fn generated_next(&self, unix: i64) -> Option<Instance> {
        let index = self
            .additions
            .partition_point(|addition| addition.unix < unix);
        let addition = self.additions.get(index).copied().filter(within_zone_data);
        self.ruled(unix)
            .into_iter()
            .chain(addition)
            .min_by_key(order)
    }

    fn generated_prev(&self, unix: i64) -> Option<Instance> {
        let unix = unix.min(END_OF_ZONE_DATA.timestamp());
        let index = self
            .additions
            .partition_point(|addition| addition.unix < unix);
        let addition = index
            .checked_sub(1)
            .and_then(|index| self.additions.get(index))
            .copied();
        let ruled = self.zoned().filter_map(|zoned| zoned.prev(unix));
        let latest = ruled.chain(addition).map(|found| found.unix).max()?;
        // Several may have this instant; the first in order keeps it.
        self.generated_next(latest)
    }

    /// Whether nothing that is generated is left out.
    #[inline]
    fn leaves_nothing_out(&self) -> bool {
        self.exclusions.is_empty() && self.pauses.is_empty()
    }

    fn is_left_out(&self, instance: &Instance) -> bool {
        self.is_excluded(instance) || self.pause_of(instance).is_some()
    }

    fn pause_of(&self, instance: &Instance) -> Option<&Stretch> {
        self.pauses.iter().find(|pause| pause.covers(instance))
    }

    fn is_excluded(&self, instance: &Instance) -> bool {
        self.exclusions
            .binary_search(&instance.recurrence_id)
            .is_ok()
    }

    /// The override of a recurrence-id, as the occurrence it makes.
    #[inline]
    pub(crate) fn is_overridden(&self, at: LocalDateTime) -> bool {
        self.overridden
            .binary_search_by_key(&at, |occurrence| occurrence.recurrence_id)
            .is_ok()
    }

    pub(crate) fn next(&self, unix: i64) -> Option<Instance> {
        let mut found = self.generated_next(unix)?;
        loop {
            let from = match self.pause_of(&found) {
                Some(pause) => pause.after(found.unix),
                None if self.is_excluded(&found) => found.unix + 1,
                None => return Some(found),
            };
            found = self.generated_next(from)?;
        }
    }

    pub(crate) fn prev(&self, unix: i64) -> Option<Instance> {
        let mut found = self.generated_prev(unix)?;
        loop {
            let before = match self.pause_of(&found) {
                Some(pause) => pause.before(found.unix),
                None if self.is_excluded(&found) => found.unix,
                None => return Some(found),
            };
            found = self.generated_prev(before)?;
        }
    }

    pub(crate) fn rank(&self, unix: i64) -> u64 {
        let unix = unix.min(END_OF_ZONE_DATA.timestamp());
        if self.rules.len() > 1 {
            let mut count = 0;
            self.run(i64::MIN / 2, unix, |_| count += 1);
            return count;
        }
        let pauses = self.pauses.iter();
        let paused: u64 = pauses.map(|pause| self.paused_before(pause, unix)).sum();
        self.generated_rank(unix) - count_before(&self.removed, unix) - paused
    }

    /// How many instances one rule and the additions generate before an instant.
    fn generated_rank(&self, unix: i64) -> u64 {
        let ruled: u64 = self.zoned().map(|zoned| zoned.rank(unix)).sum();
        ruled + count_before(&self.added, unix)
    }

    /// How many of them a pause covers: those near its edges one by one.
    fn paused_before(&self, pause: &Stretch, unix: i64) -> u64 {
        let one_by_one = |from: i64, to: i64| {
            let mut count = 0;
            let mut next = self.generated_next(from);
            while let Some(found) = next.filter(|found| found.unix < to.min(unix)) {
                count += u64::from(pause.covers(&found));
                next = self.generated_next(found.unix + 1);
            }
            count
        };
        if unix <= pause.from {
            return 0;
        }
        let (low, high) = (pause.low.min(unix), pause.high.min(unix));
        one_by_one(pause.from, pause.low)
            + (self.generated_rank(high) - self.generated_rank(low))
            + one_by_one(pause.high, pause.to)
    }

    pub(crate) fn nth(&self, n: u64) -> Option<Instance> {
        if let Some(zoned) = self.steady() {
            return zoned.nth(n);
        }
        let mut first = self.next(i64::MIN / 2)?;
        if self.rules.len() > 1 {
            for _ in 0..n {
                first = self.next(first.unix + 1)?;
            }
            return Some(first);
        }
        let (mut low, mut high) = (first.unix, END_OF_ZONE_DATA.timestamp());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.rank(middle) <= n {
                low = middle;
            } else {
                high = middle;
            }
        }
        self.next(low).filter(|found| self.rank(found.unix) == n)
    }

    #[inline]
    pub(crate) fn run(&self, from: i64, to: i64, mut f: impl FnMut(Instance)) {
        if let ([ruled], []) = (&*self.rules, &*self.additions) {
            let zoned = self.zoned_rule(ruled);
            if self.leaves_nothing_out() {
                return zoned.run(from, to, f);
            }
            return zoned.run(from, to, |found| {
                if !self.is_left_out(&found) {
                    f(found);
                }
            });
        }
        let mut next = self.next(from);
        while let Some(found) = next.filter(|found| found.unix < to) {
            f(found);
            next = self.next(found.unix + 1);
        }
    }

    /// Whether anything is generated at or after the end of the zone data, a wall time.
    pub(crate) fn goes_on(&self, wall: Wall) -> bool {
        if self.pauses.iter().any(Stretch::is_open) {
            return false;
        }
        let end = END_OF_ZONE_DATA.timestamp();
        let endless = self.rules.iter().filter(|ruled| ruled.end == end);
        endless
            .map(|ruled| ruled.shape.civil())
            .any(|civil| civil.next(wall).is_some())
            || self.additions.iter().any(|addition| addition.unix >= end)
    }
}

fn count_before(instants: &[i64], unix: i64) -> u64 {
    instants.partition_point(|at| *at < unix) as u64
}

fn within_zone_data(instance: &Instance) -> bool {
    DateTime::from_timestamp(instance.unix, 0).is_some_and(|at| at < END_OF_ZONE_DATA)
}

/// Of two with one instant, the one whose wall time exists comes first, then the earlier.
fn order(instance: &Instance) -> (i64, bool, Wall) {
    (
        instance.unix,
        instance.resolution == Resolution::Gap,
        to_wall(instance.recurrence_id),
    )
}
