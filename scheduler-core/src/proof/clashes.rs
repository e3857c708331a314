use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::bulk::Due;
use crate::calendar::Busy;
use crate::{IntentId, LocalDateTime, Window};

/// How many dates of each pair are listed.
pub const FIRST_DATES_MAX: usize = 20;

/// A date of the candidate, and one thing that is in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Which of its occurrences.
    pub recurrence_id: LocalDateTime,
    /// When it would start.
    pub start: DateTime<Utc>,
    /// When it would end.
    pub end: DateTime<Utc>,
    /// What is in its way.
    pub obstacle: Obstacle,
}

/// Why a time is not free. Proof, slot search and explanation all say it in these words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// Another appointment takes this time, or one of its buffers or ours does.
    Busy {
        /// Its address.
        with: (IntentId, LocalDateTime),
        /// Its first instant, without buffers.
        start: DateTime<Utc>,
        /// The first instant after it, without buffers.
        end: DateTime<Utc>,
    },
    /// It overlaps an earlier occurrence of its own set, buffers included.
    Itself {
        /// Which.
        recurrence_id: LocalDateTime,
    },
    /// The therapist does not work then.
    OutsideHours,
    /// The therapist is away.
    Blackout {
        /// Its first instant.
        start: DateTime<Utc>,
        /// The first instant after it.
        end: DateTime<Utc>,
    },
    /// It is sooner than its service can be booked.
    Notice {
        /// The first instant that is not too soon.
        earliest: DateTime<Utc>,
    },
    /// It is further ahead than its service can be booked.
    BookingWindow {
        /// The first instant that is too far ahead.
        until: DateTime<Utc>,
    },
    /// It does not start on a step of the therapist's wall clock.
    OffStep {
        /// The step, in minutes from midnight.
        step: u16,
    },
}

/// With what a candidate clashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Opponent {
    /// With an intent: its sessions and its virtual occurrences.
    Intent(IntentId),
    /// With itself.
    Itself,
    /// With the hours.
    Hours,
    /// With blackouts.
    Blackouts,
}

/// All clashes of a candidate with one opponent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Against {
    /// With what.
    pub opponent: Opponent,
    /// How many clashes there are.
    pub count: usize,
    /// The first of them by start, at most [`FIRST_DATES_MAX`].
    pub first: Vec<Found>,
}

/// What is in the way of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clashes {
    /// How far it was looked at: everything before this instant.
    pub until: DateTime<Utc>,
    /// How many clashes there are with all opponents.
    pub count: usize,
    /// How many of the candidate's dates have any.
    pub dates: usize,
    /// By opponent, the one that is in the way first first.
    pub against: Vec<Against>,
}

impl Found {
    pub(super) fn new(due: &Due, obstacle: Obstacle) -> Self {
        Self {
            recurrence_id: due.recurrence_id,
            start: instant(due.starts),
            end: instant(due.ends),
            obstacle,
        }
    }

    /// With what it clashes.
    #[must_use]
    pub fn opponent(&self) -> Opponent {
        match self.obstacle {
            Obstacle::Busy { with, .. } => Opponent::Intent(with.0),
            Obstacle::Itself { .. } => Opponent::Itself,
            Obstacle::Blackout { .. } => Opponent::Blackouts,
            _ => Opponent::Hours,
        }
    }
}

impl Obstacle {
    /// Whether the time is free, and only not offered: by notice, booking window or step.
    #[must_use]
    pub fn is_of_policy(&self) -> bool {
        matches!(
            self,
            Self::Notice { .. } | Self::BookingWindow { .. } | Self::OffStep { .. }
        )
    }

    pub(crate) fn busy(busy: &Busy) -> Self {
        Self::Busy {
            with: busy.with,
            start: instant(busy.starts),
            end: instant(busy.ends),
        }
    }

    pub(crate) fn blackout(blackout: Window) -> Self {
        Self::Blackout {
            start: blackout.start(),
            end: blackout.end(),
        }
    }
}

/// Clashes as they are found: counted, and the first kept.
#[derive(Debug, Default)]
pub(super) struct Collected {
    against: BTreeMap<Opponent, (usize, Vec<Found>)>,
    dates: Vec<(DateTime<Utc>, LocalDateTime)>,
}

impl Collected {
    pub(super) fn add(&mut self, found: Found) {
        let (count, first) = self.against.entry(found.opponent()).or_default();
        *count += 1;
        first.push(found);
        if first.len() >= 10 * FIRST_DATES_MAX {
            keep_first(first);
        }
        // Dates come mostly in order, and often with several obstacles in a row.
        let date = (found.start, found.recurrence_id);
        if self.dates.last() != Some(&date) {
            self.dates.push(date);
        }
    }

    pub(super) fn into_clashes(mut self, until: DateTime<Utc>) -> Option<Clashes> {
        if self.against.is_empty() {
            return None;
        }
        self.dates.sort_unstable();
        self.dates.dedup();
        let against = self.against.into_iter();
        let mut against: Vec<Against> = against
            .map(|(opponent, (count, mut first))| {
                keep_first(&mut first);
                Against {
                    opponent,
                    count,
                    first,
                }
            })
            .collect();
        against.sort_by_key(|against| against.first.first().map(|found| found.start));
        Some(Clashes {
            until,
            count: against.iter().map(|against| against.count).sum(),
            dates: self.dates.len(),
            against,
        })
    }
}

fn keep_first(list: &mut Vec<Found>) {
    list.sort_unstable_by_key(|found| (found.start, found.recurrence_id, found.obstacle));
    list.truncate(FIRST_DATES_MAX);
}

pub(crate) fn instant(unix: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(unix, 0).unwrap_or_default()
}
