//! The sequence of a set that is more than one plain rule: several rules, several times a day,
//! additions, exclusions, overrides.

use chrono::DateTime;

use crate::compiled::compile_rule;
use crate::epoch::{Wall, to_wall};
use crate::instances::{Instance, Zoned};
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
    /// The instants that were generated and then excluded.
    removed: Vec<i64>,
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
        let start = set.start();
        whole.rules = set
            .rules()
            .iter()
            .map(|rule| compile_rule(rule, start))
            .collect();
        let deviations = set.deviations();
        let mut additions: Vec<LocalDateTime> = deviations.additions.iter().copied().collect();
        if set.rules().is_empty() {
            additions.push(start);
        }
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
            .filter_map(|at| Some(whole.generated(*at)?.unix))
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
        match (&*self.rules, &*self.additions, &*self.exclusions) {
            ([ruled], [], []) => Some(self.zoned_rule(ruled)),
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
        while self.is_excluded(&found) {
            found = self.generated_next(found.unix + 1)?;
        }
        Some(found)
    }

    pub(crate) fn prev(&self, unix: i64) -> Option<Instance> {
        let mut found = self.generated_prev(unix)?;
        while self.is_excluded(&found) {
            found = self.generated_prev(found.unix)?;
        }
        Some(found)
    }

    pub(crate) fn rank(&self, unix: i64) -> u64 {
        let unix = unix.min(END_OF_ZONE_DATA.timestamp());
        if self.rules.len() > 1 {
            let mut count = 0;
            self.run(i64::MIN / 2, unix, |_| count += 1);
            return count;
        }
        let before = |list: &[i64]| list.partition_point(|at| *at < unix) as u64;
        let ruled: u64 = self.zoned().map(|zoned| zoned.rank(unix)).sum();
        ruled + before(&self.added) - before(&self.removed)
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
            if self.exclusions.is_empty() {
                return zoned.run(from, to, f);
            }
            return zoned.run(from, to, |found| {
                if !self.is_excluded(&found) {
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
        let end = END_OF_ZONE_DATA.timestamp();
        let endless = self.rules.iter().filter(|ruled| ruled.end == end);
        endless
            .map(|ruled| ruled.shape.civil())
            .any(|civil| civil.next(wall).is_some())
            || self.additions.iter().any(|addition| addition.unix >= end)
    }
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
