//! The days of one period as a set of bits.

/// Up to 448 days from the start of a period: a year and what it spills over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DayBits([u64; 7]);

impl DayBits {
    pub(crate) fn from_mask(mask: u64) -> Self {
        Self([mask, 0, 0, 0, 0, 0, 0])
    }

    pub(crate) fn set(&mut self, bit: i32) {
        let bit = usize::try_from(bit).unwrap_or(0);
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    pub(crate) fn clear(&mut self, bit: i32) {
        let bit = usize::try_from(bit).unwrap_or(0);
        self.0[bit / 64] &= !(1 << (bit % 64));
    }

    pub(crate) fn has(&self, bit: i32) -> bool {
        let bit = usize::try_from(bit).unwrap_or(0);
        self.0[bit / 64] >> (bit % 64) & 1 == 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0 == [0; 7]
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The first bit at or after this one.
    #[inline]
    pub(crate) fn next(&self, bit: i32) -> Option<i32> {
        let bit = usize::try_from(bit).unwrap_or(0);
        let mut index = bit / 64;
        let mut word = self.0.get(index)? >> (bit % 64) << (bit % 64);
        while word == 0 {
            index += 1;
            word = *self.0.get(index)?;
        }
        Some(bit_number(index, word.trailing_zeros()))
    }

    /// Gives every bit in order.
    #[inline]
    pub(crate) fn each(&self, mut f: impl FnMut(i32)) {
        for (index, word) in self.0.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                f(bit_number(index, word.trailing_zeros()));
                word &= word - 1;
            }
        }
    }

    /// The last bit at or before this one.
    #[inline]
    pub(crate) fn prev(&self, bit: i32) -> Option<i32> {
        let bit = usize::try_from(bit).ok()?.min(447);
        let mut index = bit / 64;
        let mut word = self.0[index] << (63 - bit % 64) >> (63 - bit % 64);
        while word == 0 {
            index = index.checked_sub(1)?;
            word = self.0[index];
        }
        Some(bit_number(index, word.ilog2()))
    }

    /// How many bits are before this one.
    pub(crate) fn count_before(&self, bit: i32) -> u32 {
        let bit = usize::try_from(bit).unwrap_or(0).min(448);
        let (whole, rest) = (bit / 64, bit % 64);
        let partial = self
            .0
            .get(whole)
            .map_or(0, |word| (word & ((1 << rest) - 1)).count_ones());
        self.0[..whole]
            .iter()
            .map(|word| word.count_ones())
            .sum::<u32>()
            + partial
    }

    /// The n-th bit, from 0.
    pub(crate) fn nth(&self, mut n: u32) -> Option<i32> {
        for (index, word) in self.0.iter().enumerate() {
            let here = word.count_ones();
            if n < here {
                let mut word = *word;
                for _ in 0..n {
                    word &= word - 1;
                }
                return Some(bit_number(index, word.trailing_zeros()));
            }
            n -= here;
        }
        None
    }

    /// What remains when only these positions (from 1, or from the end) are taken: BYSETPOS.
    pub(crate) fn at_positions(&self, positions: &[i16]) -> Self {
        let mut taken = Self::default();
        let count = i64::from(self.count());
        for &position in positions {
            let index = index_of(position, count);
            if let Some(bit) = index.and_then(|index| self.nth(u32::try_from(index).ok()?)) {
                taken.set(bit);
            }
        }
        taken
    }
}

/// The index from 0 that a BYSETPOS position means in a set of `count`.
pub(crate) fn index_of(position: i16, count: i64) -> Option<i64> {
    let position = i64::from(position);
    let index = if position > 0 {
        position - 1
    } else {
        count + position
    };
    (0..count).contains(&index).then_some(index)
}

#[inline]
fn bit_number(word: usize, bit: u32) -> i32 {
    i32::try_from(word * 64).unwrap_or(0) + bit.cast_signed()
}
