use crate::Zone;
use crate::calendar::Pattern;

/// Two zones' wall clocks over a stretch of instants, as a candidate in one of them meets them.
#[derive(Debug)]
pub(super) struct Regimes {
    /// From one clock change of either zone to the next, and how much further the candidate's wall
    /// clock is ahead there.
    each: Vec<(i64, i64, i64)>,
    /// The different distances.
    pub(super) aheads: Vec<i64>,
    /// Around the clock changes of both, as far as the candidate has an occurrence there.
    pub(super) changes: Vec<(i64, i64)>,
}

/// Gives the stretches of `from..to` between two clock changes of either zone, in order, and how far
/// the first zone's wall clock is ahead there of the other's, all in seconds.
pub(crate) fn each_regime(
    own: Zone,
    other: Zone,
    (from, to): (i64, i64),
    mut f: impl FnMut(i64, i64, i64),
) {
    let (own, other) = (own.transitions(), other.transitions());
    let (mut own_index, mut index) = (own.at(from), other.at(from));
    let mut start = from;
    while let (Some(a), Some(b)) = (own.spans().get(own_index), other.spans().get(index)) {
        let end = a.to.min(b.to).min(to);
        f(start, end, a.shift - b.shift);
        if end >= to {
            break;
        }
        own_index += usize::from(a.to == end);
        index += usize::from(b.to == end);
        start = end;
    }
}

impl Regimes {
    /// `reach` is how far two starts can be apart, of which one block overlaps the other.
    pub(super) fn new(
        candidate: &Pattern,
        other: Zone,
        (from, to): (i64, i64),
        reach: i64,
    ) -> Self {
        let own = candidate.zone().transitions();
        let table = other.transitions();
        let mut regimes = Self {
            each: Vec::new(),
            aheads: Vec::new(),
            changes: Vec::new(),
        };
        each_regime(candidate.zone(), other, (from, to), |start, end, ahead| {
            regimes.add(start, end, ahead);
        });
        regimes.around_changes(candidate, own.spans(), own.at(from - reach), to, reach);
        if other != candidate.zone() {
            regimes.around_changes(candidate, table.spans(), table.at(from - reach), to, reach);
        }
        regimes
    }

    fn add(&mut self, start: i64, end: i64, ahead: i64) {
        if !self.aheads.contains(&ahead) {
            self.aheads.push(ahead);
        }
        match self.each.last_mut() {
            // Both change at once and by the same: the change itself is looked at apart.
            Some(last) if last.2 == ahead => last.1 = end,
            _ => self.each.push((start, end, ahead)),
        }
    }

    fn around_changes(
        &mut self,
        candidate: &Pattern,
        spans: &[crate::zone::Span],
        first: usize,
        to: i64,
        reach: i64,
    ) {
        let sequence = candidate.compiled.sequence();
        let changes = spans.iter().skip(first.max(1));
        for change in changes.take_while(|change| change.from - reach < to) {
            let (low, high) = (change.from - reach, change.from + change.gap + reach);
            if sequence.next(low).is_some_and(|found| found.unix < high) {
                self.changes.push((low, high));
            }
        }
    }

    /// Where the candidate's wall clock is this far ahead.
    pub(super) fn with(&self, ahead: i64) -> impl Iterator<Item = (i64, i64)> + '_ {
        let each = self.each.iter().filter(move |regime| regime.2 == ahead);
        each.map(|(from, to, _)| (*from, *to))
    }
}
