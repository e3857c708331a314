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
    /// The therapist's wall clock shows its start for the second time. Booked by that wall time it
    /// would be the first (design: a time that exists twice is the first).
    Repeated {
        /// The first instant with this wall time.
        first: DateTime<Utc>,
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

/// A clash in numbers, as it is found: most are only counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met<'a> {
    pub(super) due: &'a Due,
    /// Which of the candidate's whole life it is, where that was computed.
    pub(super) place: Option<usize>,
    pub(super) with: With<'a>,
}

/// What a date met.
#[derive(Debug, Clone, Copy)]
pub(super) enum With<'a> {
    Busy(&'a Busy),
    Itself(LocalDateTime),
    OutsideHours,
    Blackout(Window),
}

impl Met<'_> {
    pub(super) fn found(self) -> Found {
        Found {
            recurrence_id: self.due.recurrence_id,
            start: instant(self.due.starts),
            end: instant(self.due.ends),
            obstacle: match self.with {
                With::Busy(busy) => Obstacle::busy(busy),
                With::Itself(recurrence_id) => Obstacle::Itself { recurrence_id },
                With::OutsideHours => Obstacle::OutsideHours,
                With::Blackout(away) => Obstacle::blackout(away),
            },
        }
    }

    fn opponent(self) -> Opponent {
        match self.with {
            With::Busy(busy) => Opponent::Intent(busy.with.0),
            With::Itself(_) => Opponent::Itself,
            With::OutsideHours => Opponent::Hours,
            With::Blackout(_) => Opponent::Blackouts,
        }
    }
}

impl Found {
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
    /// Whether the time is free, and only not offered: too soon, too far ahead, or not as the
    /// therapist's wall clock counts.
    #[must_use]
    pub fn is_of_policy(&self) -> bool {
        matches!(
            self,
            Self::Notice { .. }
                | Self::BookingWindow { .. }
                | Self::Repeated { .. }
                | Self::OffStep { .. }
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
    against: Vec<Tally>,
    /// Where the tally of each opponent is.
    places: BTreeMap<Opponent, usize>,
    /// The tally that was added to last: clashes with one opponent mostly follow each other.
    last: usize,
    /// The dates that clash: by their place in the candidate's life, and those without a place by
    /// start, in Unix seconds.
    placed: Vec<bool>,
    dates: Vec<(i64, LocalDateTime)>,
}

/// The clashes with one opponent.
#[derive(Debug)]
struct Tally {
    opponent: Opponent,
    count: usize,
    /// The first, and some that may be among the first.
    first: Vec<Found>,
    /// What starts after it, in Unix seconds, is not among the first.
    bound: i64,
}

impl Tally {
    fn new(opponent: Opponent) -> Self {
        Self {
            opponent,
            count: 0,
            first: Vec::new(),
            bound: i64::MAX,
        }
    }

    fn add(&mut self, met: Met<'_>) {
        self.count += 1;
        if met.due.starts > self.bound {
            return;
        }
        self.first.push(met.found());
        if self.first.len() >= 2 * FIRST_DATES_MAX {
            keep_first(&mut self.first);
            let last = self.first.last();
            self.bound = last.map_or(i64::MAX, |last| last.start.timestamp());
        }
    }

    fn into_against(mut self) -> Against {
        keep_first(&mut self.first);
        Against {
            opponent: self.opponent,
            count: self.count,
            first: self.first,
        }
    }
}

impl Collected {
    pub(super) fn add(&mut self, met: Met<'_>) {
        let opponent = met.opponent();
        let here = self.against.get(self.last);
        if here.is_none_or(|tally| tally.opponent != opponent) {
            let next = self.against.len();
            self.last = *self.places.entry(opponent).or_insert(next);
            if self.last == next {
                self.against.push(Tally::new(opponent));
            }
        }
        self.against[self.last].add(met);
        if let Some(place) = met.place {
            self.place(place);
            return;
        }
        let date = (met.due.starts, met.due.recurrence_id);
        if self.dates.last() != Some(&date) {
            self.dates.push(date);
        }
    }

    fn place(&mut self, place: usize) {
        if place >= self.placed.len() {
            self.placed.resize(2 * place + 64, false);
        }
        self.placed[place] = true;
    }

    /// How many different dates there are.
    fn count_dates(&mut self, life: &[Due]) -> usize {
        self.dates.sort_unstable();
        self.dates.dedup();
        let dates = std::mem::take(&mut self.dates);
        let mut without_place = 0;
        for date in dates {
            match life.binary_search_by_key(&date, |due| (due.starts, due.recurrence_id)) {
                Ok(place) => self.place(place),
                Err(_) => without_place += 1,
            }
        }
        without_place + self.placed.iter().filter(|met| **met).count()
    }

    /// `life` is the candidate's, in order, if any place in it was given.
    pub(super) fn into_clashes(mut self, until: DateTime<Utc>, life: &[Due]) -> Option<Clashes> {
        if self.against.is_empty() {
            return None;
        }
        let dates = self.count_dates(life);
        let against = self.against.into_iter().map(Tally::into_against);
        let mut against: Vec<Against> = against.collect();
        against.sort_by_key(|against| {
            let first = against.first.first().map(|found| found.start);
            (first, against.opponent)
        });
        Some(Clashes {
            until,
            count: against.iter().map(|against| against.count).sum(),
            dates,
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
