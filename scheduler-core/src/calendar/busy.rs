use chrono::{DateTime, Utc};

use super::{Calendar, STRETCH};
use crate::Window;
use crate::set::SetError;
use crate::window::ceiling;

impl Calendar {
    /// Returns the first `limit` stretches of the window in which the calendar is not free: in order, apart from
    /// each other, and cut off at the window's limits.
    ///
    /// A stretch is as long as blocks meet or touch, so two appointments without time between them are one.
    /// Buffers are part of a block, and a pause that keeps its slot is not free. Cancelled and skipped
    /// occurrences are free. The part of the window after the last stretch is not computed.
    ///
    /// The stretches after these are those of the window that starts where the last one ends.
    ///
    /// ```
    /// use scheduler_core::calendar::{Buffers, Calendar};
    /// use scheduler_core::{IntentId, RecurrenceSet, Window};
    ///
    /// let set = RecurrenceSet::new("2026-03-02T18:00:00".parse()?, "Europe/London".parse()?, 50)?;
    /// let calendar = Calendar::default().with(IntentId(uuid::Uuid::nil()), &set, Buffers::new(10, 5)?);
    /// let evening = Window::new("2026-03-02T18:30:00Z".parse()?, "2026-03-02T22:00:00Z".parse()?)?;
    /// let busy = calendar.busy(evening, 10)?;
    /// assert_eq!(busy, [Window::new(evening.start(), "2026-03-02T18:55:00Z".parse()?)?]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`calendar`](super::calendar()).
    pub fn busy(&self, window: Window, limit: usize) -> Result<Vec<Window>, SetError> {
        let mut found: Vec<Window> = Vec::new();
        let (mut from, mut length) = (window.start(), STRETCH);
        // One more than the limit: the last of the limit has ended when another begins.
        while from < window.end() && found.len() <= limit {
            let until = from.checked_add_signed(length);
            let until = until.map_or(window.end(), |until| until.min(window.end()));
            for part in self.blocks_in(from, until)? {
                match found.last_mut().filter(|last| part.start() <= last.end()) {
                    Some(last) => *last = until_later(*last, part.end()),
                    None => found.push(part),
                }
            }
            (from, length) = (until, length * 2);
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The blocks of `[from, until)`, cut off at its limits, by start.
    fn blocks_in(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<Window>, SetError> {
        let busy = self.busy_in(from.timestamp(), ceiling(until))?;
        let mut blocks: Vec<Window> = busy
            .iter()
            .filter_map(|busy| {
                let (starts, ends) = busy.buffers.around(busy.starts, busy.ends);
                let at = |seconds| DateTime::from_timestamp(seconds, 0);
                Window::new(at(starts)?.max(from), at(ends)?.min(until)).ok()
            })
            .collect();
        blocks.sort_unstable_by_key(|block| (block.start(), block.end()));
        Ok(blocks)
    }
}

/// The same window, until this instant if that is later.
fn until_later(window: Window, end: DateTime<Utc>) -> Window {
    Window::new(window.start(), window.end().max(end)).unwrap_or(window)
}
