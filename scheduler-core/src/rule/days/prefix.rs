//! How many days a pattern has before each of its periods, over one whole cycle.

/// One sum for so many periods.
const STRIDE: usize = 16;

/// Running sums over the periods of one cycle, after which the pattern repeats: the Gregorian
/// cycle, or as many as bring the interval and the Gregorian cycle together.
#[derive(Debug, Clone)]
pub(crate) struct Prefix {
    periods: u64,
    total: u64,
    sums: Box<[u32]>,
}

impl Prefix {
    /// `count(k)` is the number in period k. At most 146,097 periods.
    pub(crate) fn new(periods: u32, count: impl Fn(u64) -> u32) -> Self {
        let mut sums = Vec::with_capacity(periods as usize / STRIDE + 1);
        let mut total = 0u32;
        for (index, period) in (0..u64::from(periods)).enumerate() {
            if index.is_multiple_of(STRIDE) {
                sums.push(total);
            }
            total += count(period);
        }
        Self {
            periods: u64::from(periods),
            total: u64::from(total),
            sums: sums.into(),
        }
    }

    /// How many there are in the periods before this one.
    pub(crate) fn before(&self, period: u64, count: impl Fn(u64) -> u32) -> u64 {
        let (cycles, rest) = (period / self.periods, period % self.periods);
        let block = rest / STRIDE as u64;
        let sampled = usize::try_from(block)
            .ok()
            .and_then(|block| self.sums.get(block));
        let partial: u64 = (block * STRIDE as u64..rest)
            .map(|period| u64::from(count(period)))
            .sum();
        cycles * self.total + u64::from(sampled.copied().unwrap_or(0)) + partial
    }

    /// The period that holds number `n`, and its position there; `None` in an empty pattern.
    pub(crate) fn find(&self, n: u64, count: impl Fn(u64) -> u32) -> Option<(u64, u32)> {
        if self.total == 0 {
            return None;
        }
        let (cycles, mut rest) = (n / self.total, n % self.total);
        let block = self.sums.partition_point(|sum| u64::from(*sum) <= rest) - 1;
        rest -= u64::from(self.sums[block]);
        let first = (block * STRIDE) as u64;
        for period in first..first + STRIDE as u64 {
            let here = u64::from(count(period));
            if rest < here {
                let position = u32::try_from(rest).unwrap_or(u32::MAX);
                return Some((cycles * self.periods + period, position));
            }
            rest -= here;
        }
        None
    }
}
