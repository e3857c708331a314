//! From the recurrence-ids of one segment to those of the segment that continues it.

use chrono::TimeDelta;

use crate::rule::{End, Expansion};
use crate::set::{Deviations, Lookup};
use crate::{Compiled, LocalDateTime, RecurrenceSet, Zone};

/// A pure map by position: the n-th that one segment's rule generates from a cut on is the n-th of
/// the other. Excluded and overridden ones have their positions too, so that each keeps its fate.
/// Added dates are no positions: they stay the dates that they are.
#[derive(Debug, Clone)]
pub struct Rebinding {
    from: Positions,
    to: Positions,
    cut: LocalDateTime,
    /// Dates that were added by hand, which the rule does not have.
    added: Vec<LocalDateTime>,
    /// What the other segment's rule generates.
    target: RecurrenceSet,
}

/// What a set's rules generate from a recurrence-id on, without the end of a single rule: an end
/// is no position.
#[derive(Debug, Clone)]
pub(super) struct Positions {
    steps: Steps,
    before: u64,
}

#[derive(Debug, Clone)]
enum Steps {
    Once(LocalDateTime),
    Rule(Box<Expansion>),
    Rules(Compiled, Zone),
}

impl Rebinding {
    /// The map from what `old` generates at or after `cut` to all that `new` does, from its start
    /// or from another recurrence-id on.
    #[must_use]
    pub fn new(
        old: &RecurrenceSet,
        cut: LocalDateTime,
        new: &RecurrenceSet,
        from: LocalDateTime,
    ) -> Self {
        let positions = Positions::from(old, cut);
        let Deviations {
            additions, ends, ..
        } = old.deviations();
        // What lies beyond the end is over, wherever the new segment ends.
        let added = additions
            .range(cut..)
            .filter(|at| ends.is_none_or(|ends| **at < ends))
            .filter(|at| positions.of(**at).is_none());
        Self {
            added: added.copied().collect(),
            from: positions,
            to: Positions::from(new, from),
            cut,
            target: new.bare(),
        }
    }

    /// The recurrence-id in the other segment; `None` if that has no such position, or if it is
    /// none that the map is of.
    #[must_use]
    pub fn to(&self, recurrence_id: LocalDateTime) -> Option<LocalDateTime> {
        if recurrence_id < self.cut {
            return None;
        }
        if self.added.contains(&recurrence_id) {
            return Some(recurrence_id);
        }
        let at = self.to.nth(self.from.of(recurrence_id)?)?;
        (self.target.lookup(at) != Lookup::NotGenerated).then_some(at)
    }

    /// The dates added by hand that go along.
    pub(super) fn added(&self) -> &[LocalDateTime] {
        &self.added
    }
}

impl Positions {
    pub(super) fn from(set: &RecurrenceSet, from: LocalDateTime) -> Self {
        let steps = match set.rules() {
            [] => Steps::Once(set.start()),
            [rule] => {
                let endless = rule.clone().with_end(End::Never);
                Steps::Rule(Box::new(Expansion::new(&endless, set.start())))
            }
            _ => Steps::Rules(set.bare().compile(), set.zone()),
        };
        let mut positions = Self { steps, before: 0 };
        positions.before = positions.rank(from);
        positions
    }

    fn rank(&self, at: LocalDateTime) -> u64 {
        match &self.steps {
            Steps::Once(start) => u64::from(*start < at),
            Steps::Rule(expansion) => expansion.rank(at),
            Steps::Rules(compiled, zone) => compiled.rank(zone.resolve(at).0),
        }
    }

    /// How many come before a recurrence-id, from the first on.
    pub(super) fn count_before(&self, at: LocalDateTime) -> u64 {
        self.rank(at).saturating_sub(self.before)
    }

    fn of(&self, at: LocalDateTime) -> Option<u64> {
        let generated = match &self.steps {
            Steps::Once(start) => *start == at,
            Steps::Rule(expansion) => expansion.contains(at),
            Steps::Rules(compiled, zone) => {
                let just_before = zone.resolve(at).0 - TimeDelta::seconds(1);
                let found = compiled.next_after(just_before).ok().flatten();
                found.is_some_and(|found| found.recurrence_id == at)
            }
        };
        generated
            .then(|| self.rank(at).checked_sub(self.before))
            .flatten()
    }

    pub(super) fn nth(&self, n: u64) -> Option<LocalDateTime> {
        let n = self.before.checked_add(n)?;
        match &self.steps {
            Steps::Once(start) => (n == 0).then_some(*start),
            Steps::Rule(expansion) => expansion.nth(n),
            Steps::Rules(compiled, _) => {
                let found = compiled.nth(n).ok().flatten();
                found.map(|found| found.recurrence_id)
            }
        }
    }
}
