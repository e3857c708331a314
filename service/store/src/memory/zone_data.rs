//! The zone data that plans the clinic, and what it moved.

use chrono::{DateTime, Utc};
use clinic::ClinicId;
use clinic::zone_data::{Outcome, Planned, ZoneMove};

use super::count;
use super::tables::Tables;
use crate::{PAGE_MAX, Page, StoreError};

impl Tables {
    /// Refuses a writer that computes with other zone data than the last generation; with `settled`,
    /// also one that comes before everything agrees with it.
    pub(super) fn check_zone_data(
        &self,
        ours: Option<u64>,
        settled: bool,
    ) -> Result<(), StoreError> {
        let Some(ours) = ours else { return Ok(()) };
        let last = self.zone_data.last();
        let planned = last.map_or(0, |last| last.generation);
        let is_settled = last.is_some_and(|last| last.settled.is_some());
        if planned == ours && (is_settled || !settled) {
            return Ok(());
        }
        Err(StoreError::OtherZoneData { planned, ours })
    }

    /// A generation, or the last one.
    pub(super) fn generation(&self, generation: Option<u64>) -> Option<&Planned> {
        let mut all = self.zone_data.iter().rev();
        all.find(|one| generation.is_none_or(|named| named == one.generation))
    }

    pub(super) fn take_over(&mut self, next: &Planned) -> bool {
        let last = self.zone_data.last();
        let follows = last.map_or(0, |last| last.generation) + 1 == next.generation;
        if follows {
            self.zone_data.push(next.clone());
        }
        follows
    }

    pub(super) fn settle(&mut self, generation: u64, at: DateTime<Utc>, outcome: Outcome) -> bool {
        let last = self.zone_data.last_mut();
        let last = last.filter(|last| last.generation == generation && last.settled.is_none());
        let Some(last) = last else { return false };
        last.settled = Some((at, outcome));
        true
    }

    pub(super) fn moves(&self, clinic: ClinicId, generation: u64, page: Page) -> Vec<ZoneMove> {
        let rows = self.zone_moves.iter().filter(|(key, _)| {
            (key.0, key.1) == (clinic.0, generation) && page.after.is_none_or(|id| key.2 > id)
        });
        let rows = rows.take(count(page.limit.min(PAGE_MAX)));
        rows.map(|(_, moved)| moved.clone()).collect()
    }
}
