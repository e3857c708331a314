//! From a series to the sets of an intent.

use super::problem::{Done, Problem, Reason};
use super::segment_set::{NoRule, SegmentSet};
use super::series::{Details, Master, Series};
use super::timezone::TimeZone;
use super::twin::dates_that_differ;
use super::value::{At, Length, instant};
use crate::set::{DEVIATIONS_MAX, Deviations, MINUTES_MAX, SetError};
use crate::zone::END_OF_ZONE_DATA;
use crate::{LocalDateTime, Override, RecurrenceSet, Zone};

/// An occurrence that is listed in a set.
struct Listed {
    /// The instant that names it.
    id: i64,
    start: i64,
    minutes: u32,
}

impl Series {
    /// The series as an intent's sets: one, and another for each RANGE=THISANDFUTURE, in order.
    /// Each is a segment with its own recurrence-ids; a segment that was cancelled has a set of the
    /// occurrences that were put back by themselves, if any. What has an end and follows no rule, or
    /// no IANA zone, is a set of dates.
    ///
    /// The sets have the occurrences that [`between`](super::Calendar::between) gives, and no others.
    /// SUMMARY is no part of a set. Exclusions of what is not generated are dropped.
    ///
    /// # Errors
    /// What a set cannot be, each as a [`Problem`]: all-day events, lengths that are not whole
    /// minutes from 1 to [`MINUTES_MAX`], EXRULE, a cancelled series, the second of two equal wall
    /// times, more deviations than a set has, an endless range that follows no rule, an endless
    /// series in a zone that is like none of IANA's.
    pub fn to_sets(&self) -> Result<Vec<RecurrenceSet>, Vec<Problem>> {
        let mut problems = Vec::new();
        let sets = match &self.master {
            None => self.dates(&mut problems),
            Some(master) => self.sets_of(master, &mut problems),
        };
        if problems.is_empty() {
            Ok(sets)
        } else {
            Err(problems)
        }
    }

    fn sets_of(&self, master: &Master, problems: &mut Vec<Problem>) -> Vec<RecurrenceSet> {
        let details = &master.details;
        if details.is_cancelled {
            problems.push(self.problem(details, "STATUS", "CANCELLED", Reason::Cancelled));
        }
        if let Some(exception) = master.exceptions.first() {
            let rule = exception.rule.to_string();
            problems.push(self.problem(details, "EXRULE", &rule, Reason::ExceptionRule));
        }
        if self.changes.len() > DEVIATIONS_MAX || master.additions.len() > DEVIATIONS_MAX {
            let reason = Reason::Set(SetError::TooManyDeviations);
            problems.push(self.problem(details, "VEVENT", "", reason));
        }
        if let TimeZone::Own(own) = &self.zone
            && master.is_endless()
        {
            let nearest = own.nearest();
            let end = END_OF_ZONE_DATA.timestamp();
            let dates = dates_that_differ(&own.table, nearest, details.start.unix, end);
            let reason = Reason::Unlike { nearest, dates };
            problems.push(self.problem(details, "TZID", &own.name, reason));
        }
        if !problems.is_empty() {
            return Vec::new();
        }
        let segments = self.segments(master);
        let mut sets = Vec::new();
        for segment in &segments {
            if segment.details.is_cancelled {
                // Single ones hold against a range that cancels them.
                let put_back = self.changes.range(segment.from..segment.to);
                let put_back = put_back.filter(|(_, change)| !change.details.is_cancelled);
                let listed: Vec<Listed> = put_back
                    .filter_map(|(id, change)| {
                        let minutes = self.minutes(&change.details, problems)?;
                        let start = change.details.start.unix;
                        Some(Listed {
                            id: *id,
                            start,
                            minutes,
                        })
                    })
                    .collect();
                sets.extend(self.listed(&listed, segment.details, problems));
                continue;
            }
            match SegmentSet::new(self, master, segment).build(problems) {
                Ok(set) => sets.extend(set),
                Err(NoRule) if master.is_endless() => {
                    let id = segment
                        .range
                        .map_or_else(String::new, |(id, _)| id.to_basic());
                    let (property, reason) = ("RECURRENCE-ID", Reason::NoRule);
                    problems.push(self.problem(segment.details, property, &id, reason));
                }
                Err(NoRule) => return self.dates(problems),
            }
        }
        if segments.len() > 1 {
            sets.retain(|set| !is_nothing(set));
        }
        sets
    }

    /// Everything that takes place, as dates: there is an end to it.
    fn dates(&self, problems: &mut Vec<Problem>) -> Vec<RecurrenceSet> {
        let details = self.master.iter().map(|master| &master.details);
        let changes = self.changes.values().map(|change| &change.details);
        let Some(details) = details.chain(changes).next() else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut looked_at = 2 * DEVIATIONS_MAX;
        let all = super::life().map(|all| self.overlapping(all, &mut found, &mut looked_at));
        if !matches!(all, Ok(Ok(()))) || found.len() > DEVIATIONS_MAX {
            let reason = Reason::Set(SetError::TooManyDeviations);
            problems.push(self.problem(details, "VEVENT", "", reason));
            return Vec::new();
        }
        let mut listed = Vec::new();
        for one in found.iter().filter(|one| !one.is_cancelled) {
            let at = |moment: super::Moment| moment.instant().timestamp();
            let (id, start) = (at(one.recurrence_id), at(one.start));
            let length = Length::Exact(at(one.end) - start);
            let start_at = At {
                is_date: matches!(one.start, super::Moment::Date(_)),
                unix: start,
                ..details.start.clone()
            };
            let of_one = Details {
                start: start_at,
                length,
                ..details.clone()
            };
            let Some(minutes) = self.minutes(&of_one, problems) else {
                return Vec::new();
            };
            listed.push(Listed { id, start, minutes });
        }
        listed.sort_by_key(|one| one.id);
        self.listed(&listed, details, problems)
            .into_iter()
            .collect()
    }

    /// A set of listed occurrences, in order; `None` if there are none.
    fn listed(
        &self,
        listed: &[Listed],
        details: &Details,
        problems: &mut Vec<Problem>,
    ) -> Option<RecurrenceSet> {
        let zone = self.zone();
        let first = listed.first()?;
        let mut wall = |unix: i64| {
            let wall = zone.local(instant(unix));
            if zone.resolve(wall).0.timestamp() != unix {
                problems.push(self.problem(details, "VEVENT", "", Reason::NoSuchWall { zone }));
            }
            wall
        };
        let mut deviations = Deviations::default();
        for one in listed {
            let (id, start) = (wall(one.id), wall(one.start));
            deviations.additions.insert(id);
            let changed = Override {
                start: Some(start).filter(|start| *start != id),
                minutes: Some(one.minutes).filter(|minutes| *minutes != first.minutes),
                cancelled: false,
            };
            if changed != Override::default() {
                deviations.overrides.insert(id, changed);
            }
        }
        let start = deviations.additions.pop_first()?;
        let set = RecurrenceSet::new(start, zone, first.minutes);
        match set.and_then(|set| set.with_deviations(deviations)) {
            Ok(set) => Some(set),
            Err(error) => {
                problems.push(self.problem(details, "VEVENT", "", Reason::Set(error)));
                None
            }
        }
    }

    /// An override of a recurrence-id in a zone, of a set that lasts so many minutes.
    pub(super) fn changed(
        &self,
        id: LocalDateTime,
        details: &Details,
        zone: Zone,
        minutes: u32,
        problems: &mut Vec<Problem>,
    ) -> Option<Override> {
        // What does not take place need not fit.
        let mut unheard = Vec::new();
        let heard = if details.is_cancelled {
            &mut unheard
        } else {
            problems
        };
        let length = self.minutes(details, heard);
        if length.is_none() && !details.is_cancelled {
            return None;
        }
        let start = details.start.wall_in(&TimeZone::Iana(zone));
        if zone.resolve(start).0.timestamp() != details.start.unix && !details.start.is_date {
            let (start, reason) = (details.start.wall.to_basic(), Reason::NoSuchWall { zone });
            heard.push(self.problem(details, "DTSTART", &start, reason));
        }
        Some(Override {
            start: Some(start).filter(|start| *start != id && !details.start.is_date),
            minutes: length.filter(|length| *length != minutes),
            cancelled: details.is_cancelled,
        })
    }

    /// The length in minutes, if a set can have it.
    pub(super) fn minutes(&self, details: &Details, problems: &mut Vec<Problem>) -> Option<u32> {
        let reason = match details.length {
            _ if details.start.is_date => Reason::AllDay,
            Length::Nominal { days, .. } if days != 0 => Reason::NominalLength,
            Length::Exact(seconds) | Length::Nominal { seconds, .. } => {
                let minutes = u32::try_from(seconds / 60).unwrap_or(u32::MAX);
                if seconds % 60 == 0 && (1..=MINUTES_MAX).contains(&minutes) {
                    return Some(minutes);
                }
                Reason::Length
            }
        };
        let (property, value) = if details.start.is_date {
            (
                "DTSTART",
                details.start.wall.date().format("%Y%m%d").to_string(),
            )
        } else {
            ("DURATION", details.length.to_string())
        };
        problems.push(self.problem(details, property, &value, reason));
        None
    }

    pub(super) fn problem(
        &self,
        details: &Details,
        property: &str,
        value: &str,
        reason: Reason,
    ) -> Problem {
        let (uid, line) = (Some(&*self.uid), details.line);
        Problem::of_event(uid, line, property, value, reason, Done::NoIntent)
    }
}

/// Whether a set has no occurrence at all.
fn is_nothing(set: &RecurrenceSet) -> bool {
    let live = set
        .deviations()
        .overrides
        .values()
        .any(|changed| !changed.cancelled);
    set.compile().is_empty() && !live
}
