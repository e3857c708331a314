//! From text to series.

use std::collections::BTreeMap;

use super::content::{self, Component};
use super::event::{Event, Overridden, Reader};
use super::problem::{Done, IcalError, Problem, Reason};
use super::series::{Addition, Details, Master, Recurring, Series};
use super::tzid::Zones;
use super::value::At;
use super::{Calendar, EVENTS_MAX};
use crate::epoch::SECONDS_PER_DAY;
use crate::pause::midnight;
use crate::{LocalDateTime, Zone};

pub(super) fn read(text: &[u8], floating: Zone) -> Result<Calendar, IcalError> {
    let mut problems = Vec::new();
    let outermost = content::read(text, &mut problems)?;
    let (calendars, others): (Vec<_>, Vec<_>) = outermost
        .into_iter()
        .partition(|component| component.name == "VCALENDAR");
    if calendars.is_empty() {
        return Err(IcalError::NoCalendar);
    }
    let mut unread = Unread::default();
    others.iter().for_each(|other| unread.note(other));
    // By UID, in the order of the first of each; an event without one is a series by itself.
    let mut groups: Vec<Vec<Event>> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = 0;
    for calendar in &calendars {
        let mut reader = Reader {
            zones: Zones::new(calendar, floating),
            problems: &mut problems,
            uid: None,
        };
        for component in &calendar.components {
            match component.name.as_str() {
                "VTIMEZONE" => {}
                "VEVENT" => {
                    count += 1;
                    if count > EVENTS_MAX {
                        let line = component.line;
                        return Err(IcalError::TooManyEvents { line });
                    }
                    component
                        .components
                        .iter()
                        .for_each(|part| unread.note(part));
                    let Some(event) = reader.event(component)? else {
                        continue;
                    };
                    let new = groups.len();
                    let place = match &event.uid {
                        Some(uid) => *places.entry(uid.clone()).or_insert(new),
                        None => new,
                    };
                    if place == new {
                        groups.push(Vec::new());
                    }
                    groups[place].push(event);
                }
                _ => unread.note(component),
            }
        }
    }
    unread.report(&mut problems);
    let methods = calendars
        .iter()
        .filter_map(|calendar| calendar.value("METHOD"));
    Ok(Calendar {
        method: methods
            .map(|method| method.trim().to_ascii_uppercase())
            .next(),
        series: groups
            .into_iter()
            .filter_map(|events| series(events, &mut problems))
            .collect(),
        problems,
    })
}

/// The components that are not read: where the first of each name is, and how many there are.
#[derive(Default)]
struct Unread(BTreeMap<String, (usize, usize)>);

impl Unread {
    fn note(&mut self, component: &Component) {
        let first = (component.line, 0);
        self.0.entry(component.name.clone()).or_insert(first).1 += 1;
    }

    fn report(self, problems: &mut Vec<Problem>) {
        for (name, (line, count)) in self.0 {
            problems.push(Problem {
                uid: None,
                line,
                property: "BEGIN".to_owned(),
                value: name,
                reason: Reason::Component { count },
                done: Done::LeftOut,
            });
        }
    }
}

/// All events of one UID.
fn series(events: Vec<Event>, problems: &mut Vec<Problem>) -> Option<Series> {
    let uid = events.first()?.uid.clone();
    let (masters, overrides): (Vec<Event>, Vec<Event>) = events
        .into_iter()
        .partition(|event| event.overrides.is_none());
    let problem = |details: &Details, value: &str, reason, done| Problem {
        uid: uid.clone(),
        line: details.line,
        property: "VEVENT".to_owned(),
        value: value.to_owned(),
        reason,
        done,
    };
    let mut newest: Option<Event> = None;
    for event in masters {
        let old = match &newest {
            Some(known) if known.version > event.version => Some(event),
            _ => newest.replace(event),
        };
        if let Some(old) = old {
            problems.push(problem(&old.details, "", Reason::Superseded, Done::LeftOut));
        }
    }
    let master = newest.map(master);
    let first = overrides.first().and_then(|event| event.overrides.as_ref());
    let (zone, is_all_day) = match (&master, first) {
        (Some(master), _) => (master.details.start.zone, master.details.start.is_date),
        (None, Some(first)) => (first.at.zone, first.at.is_date),
        (None, None) => return None,
    };
    let mut series = Series {
        uid: uid.clone().unwrap_or_default(),
        zone,
        is_all_day,
        master,
        changes: BTreeMap::new(),
        ranges: BTreeMap::new(),
    };
    let mut newest: BTreeMap<(bool, LocalDateTime), Event> = BTreeMap::new();
    for event in overrides {
        let Some(overridden) = &event.overrides else {
            continue;
        };
        let mut is_range = overridden.is_range;
        if is_range && series.master.is_none() {
            is_range = false;
            let (reason, done) = (Reason::Meaningless, Done::StandsAlone);
            problems.push(problem(&event.details, "RANGE=THISANDFUTURE", reason, done));
        }
        let key = (is_range, series.recurrence_id(overridden));
        let old = match newest.get(&key) {
            Some(known) if known.version > event.version => Some(event),
            _ => newest.insert(key, event),
        };
        if let Some(old) = old {
            let value = old.overrides.map(|overridden| overridden.text);
            let value = value.unwrap_or_default();
            problems.push(problem(
                &old.details,
                &value,
                Reason::Superseded,
                Done::LeftOut,
            ));
        }
    }
    for ((is_range, id), event) in newest {
        let text = event
            .overrides
            .map_or_else(String::new, |overridden| overridden.text);
        let mut details = event.details;
        if let Some(master) = &series.master {
            if !master.generates(id) && !details.is_cancelled {
                let (reason, done) = (Reason::NotGenerated, Done::StandsAlone);
                problems.push(problem(&details, &text, reason, done));
            }
            if !event.has_start {
                details.length = master.details.length;
            }
            if master.details.is_cancelled && !details.is_cancelled {
                details.is_cancelled = true;
                let (reason, done) = (Reason::Cancelled, Done::CalledOff);
                problems.push(problem(&details, &text, reason, done));
            }
        }
        if !event.has_start {
            details.start = series.at(id);
        }
        let kept = if is_range {
            &mut series.ranges
        } else {
            &mut series.changes
        };
        kept.insert(id, details);
    }
    Some(series)
}

fn master(event: Event) -> Master {
    let start = event.details.start;
    let mut master = Master::new(event.details, event.rules);
    let exceptions = event.exceptions.into_iter();
    master.exceptions = exceptions
        .map(|rule| Recurring::new(rule, start.wall, start.zone))
        .collect();
    master
        .additions
        .extend(event.added.iter().map(|(at, length)| Addition {
            wall: at.wall_in(start.zone),
            unix: at.unix,
            length: *length,
        }));
    let exclusions = &mut master.exclusions;
    for at in event.excluded {
        if start.is_date {
            exclusions.walls.insert(midnight(at.wall.date()));
        } else if at.is_date {
            exclusions.dates.insert(at.wall.date());
        } else if at.zone == start.zone {
            exclusions.walls.insert(at.wall);
        } else {
            // What is at that instant, and else its wall time: never both are there.
            exclusions.instants.insert(at.unix);
            exclusions.walls.insert(at.wall_in(start.zone));
        }
    }
    master
}

impl Series {
    /// A wall time of the series, or one of its dates.
    pub(super) fn at(&self, wall: LocalDateTime) -> At {
        if self.is_all_day {
            At::date(wall.date())
        } else {
            At::wall(wall, self.zone)
        }
    }

    /// The recurrence-id that a RECURRENCE-ID means: a wall time of the series' zone as it stands;
    /// a date by its day; an instant by what is generated there, and else by its wall time.
    fn recurrence_id(&self, overridden: &Overridden) -> LocalDateTime {
        let at = overridden.at;
        if self.is_all_day {
            return midnight(at.wall.date());
        }
        let generating = self.master.as_ref();
        if at.is_date {
            let found = generating.and_then(|master| master.generated_on(at.wall.date()));
            let start = generating.map_or(0, |master| master.details.start.wall.seconds());
            let time = start.rem_euclid(SECONDS_PER_DAY);
            let at_its_time = at.wall.plus_seconds(time).unwrap_or(at.wall);
            return found.map_or(at_its_time, |found| found.id);
        }
        if overridden.is_floating || at.zone == self.zone {
            return at.wall;
        }
        let found = generating.and_then(|master| master.generated_at(at.unix));
        found.map_or_else(|| at.wall_in(self.zone), |found| found.id)
    }
}
