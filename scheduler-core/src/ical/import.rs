//! From text to series.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::content::{self, Component, Unread};
use super::event::{Cancellation, Event, Overridden, Reader};
use super::problem::{Done, IcalError, Problem, Problems, Reason};
use super::series::{Change, Master, Series, is_off};
use super::timezone::TimeZone;
use super::twin::Defined;
use super::tzid::Zones;
use super::value::{At, Length};
use super::{Calendar, EFFORT_MAX, EVENTS_MAX};
use crate::epoch::SECONDS_PER_DAY;
use crate::pause::midnight;
use crate::rule::{End, Expansion, Until};
use crate::{LocalDateTime, Zone};

pub(super) fn read(
    text: &[u8],
    given: Zone,
    meant: &BTreeMap<String, Zone>,
) -> Result<Calendar, IcalError> {
    let mut problems = Problems::default();
    let outermost = content::read(text, &mut problems)?;
    let (calendars, mut others): (Vec<_>, Vec<_>) = outermost
        .into_iter()
        .partition(|component| component.name == "VCALENDAR");
    let mut calendars = calendars;
    // Events that lie in no calendar, as a part of a message may be.
    let is_event = |other: &Component| other.name == "VEVENT";
    if let Some(first) = others.iter().find(|other| is_event(other)) {
        let (line, reason) = (first.line, Reason::NoCalendar);
        problems.push(|| Problem::of_line(line, "BEGIN", "VEVENT", reason, Done::Honoured));
        let bare = others.extract_if(.., |other| is_event(other) || other.name == "VTIMEZONE");
        calendars.push(Component::around(bare.collect()));
    }
    if calendars.is_empty() {
        return Err(IcalError::NoCalendar);
    }
    let mut unread = Unread::default();
    others.iter().for_each(|other| unread.note(other));
    // By UID, in the order of the first of each; an event without one is a series by itself.
    let mut groups: Vec<Vec<Event>> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut read = Read {
        events: 0,
        effort: EFFORT_MAX,
        cancelled: BTreeMap::new(),
    };
    for calendar in &calendars {
        let zones = Zones::new(calendar, given, meant, &mut problems);
        for event in events(calendar, zones, &mut read, &mut unread, &mut problems)? {
            let new = groups.len();
            let place = match &event.uid {
                Some(uid) => *places.entry(uid.clone()).or_insert(new),
                None => new,
            };
            if place == new {
                groups.push(Vec::with_capacity(1));
            }
            groups[place].push(event);
        }
    }
    unread.report(&mut problems);
    let methods = calendars
        .iter()
        .filter_map(|calendar| calendar.value("METHOD"));
    let method = methods
        .map(|method| method.trim().to_ascii_uppercase())
        .next();
    let cancelled = &mut read.cancelled;
    let series = groups.into_iter().filter_map(|events| {
        let uid = events.first().and_then(|event| event.uid.as_ref());
        let cancellation = uid.and_then(|uid| cancelled.remove(uid));
        series(events, cancellation.as_ref(), &mut problems)
    });
    let series: Vec<Series> = series.collect();
    // Of an event that is not in the text.
    for one in read.cancelled.values() {
        let (uid, reason) = (Some(&*one.uid), Reason::Missing);
        problems
            .push(|| Problem::of_event(uid, one.line, "DTSTART", "", reason, Done::EventLeftOut));
    }
    Ok(Calendar {
        method,
        series,
        problems: problems.into_vec(),
    })
}

/// What was read of a text.
struct Read {
    events: usize,
    /// What is left of [`EFFORT_MAX`].
    effort: u32,
    /// By UID the newest that says no more.
    cancelled: BTreeMap<String, Cancellation>,
}

/// The events of one VCALENDAR, each in the zone that is meant.
fn events(
    calendar: &Component,
    zones: Zones<'_>,
    read: &mut Read,
    unread: &mut Unread,
    problems: &mut Problems,
) -> Result<Vec<Event>, IcalError> {
    let method = calendar.value("METHOD").unwrap_or_default().trim();
    let is_cancel = method.eq_ignore_ascii_case("CANCEL");
    let mut reader = Reader::new(zones, problems, read.effort, is_cancel);
    let mut events: Vec<Event> = Vec::new();
    for component in &calendar.components {
        match component.name.as_str() {
            "VTIMEZONE" => {}
            "VEVENT" => {
                read.events += 1;
                if read.events > EVENTS_MAX {
                    let line = component.line;
                    return Err(IcalError::TooManyEvents { line });
                }
                component
                    .components
                    .iter()
                    .for_each(|part| unread.note(part));
                // Of one without an END a rule or an EXDATE may be missing.
                if !component.is_broken {
                    events.extend(reader.event(component)?);
                }
            }
            _ => unread.note(component),
        }
    }
    read.effort = reader.effort;
    for one in reader.cancellations.drain(..) {
        match read.cancelled.get(&one.uid) {
            Some(known) if known.version > one.version => {}
            _ => drop(read.cancelled.insert(one.uid.clone(), one)),
        }
    }
    reader.report_floating();
    reader.zones.report(reader.problems);
    let mut defined = std::mem::take(&mut reader.zones.defined);
    for (number, event) in events.iter().enumerate() {
        event.note_uses(&mut defined, number + 1);
    }
    let meant = defined.into_iter().map(|zone| zone.settle(problems));
    let meant: Vec<TimeZone> = meant.collect();
    for event in &mut events {
        event.settle(&meant);
    }
    Ok(events)
}

/// All events of one UID.
fn series(
    mut events: Vec<Event>,
    cancellation: Option<&Cancellation>,
    problems: &mut Problems,
) -> Option<Series> {
    let uid = events.first()?.uid.clone();
    // Alone, and with a rule, it is the series that it says to be an occurrence of.
    if let [event] = &mut events[..]
        && !event.rules.is_empty()
        && let Some(overridden) = event.overrides.take()
    {
        event.recurring.clear();
        let (line, text) = (overridden.line, &overridden.text);
        let (reason, done) = (Reason::Meaningless, Done::IsTheSeries);
        problems
            .push(|| Problem::of_event(uid.as_deref(), line, "RECURRENCE-ID", text, reason, done));
    }
    let (masters, mut overrides): (Vec<Event>, Vec<Event>) = events
        .into_iter()
        .partition(|event| event.overrides.is_none());
    let mut group = Group {
        uid: uid.as_deref(),
        problems,
    };
    let master = group.newest(masters.into_iter().map(|event| ((), event)));
    let mut master = master.into_iter().next().map(|(_, event)| event);
    if let Some(cancellation) = cancellation {
        group.cancel(cancellation, master.as_mut(), &mut overrides);
    }
    let sequence = master.as_ref().map(|event| event.version.0);
    let master = master.map(|event| group.master(event));
    let first = overrides.first().and_then(|event| event.overrides.as_ref());
    let (zone, is_all_day) = match (&master, first) {
        (Some(master), _) => (
            master.details.start.zone.clone(),
            master.details.start.is_date,
        ),
        (None, Some(first)) => (first.at.zone.clone(), first.at.is_date),
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
    let keyed = overrides.into_iter().filter_map(|event| {
        let overridden = event.overrides.as_ref()?;
        let is_range = overridden.is_range && series.master.is_some();
        Some(((is_range, series.names(overridden)), event))
    });
    let keyed: Vec<_> = keyed.collect();
    for ((is_range, unix), event) in group.newest(keyed) {
        group.override_with(&mut series, sequence, is_range, unix, event);
    }
    Some(series)
}

/// The events of one UID, and what is to be said of them.
struct Group<'a> {
    uid: Option<&'a str>,
    problems: &'a mut Problems,
}

impl Group<'_> {
    fn problem(&mut self, line: usize, property: &str, value: &str, reason: Reason, done: Done) {
        let uid = self.uid;
        self.problems
            .push(|| Problem::of_event(uid, line, property, value, reason, done));
    }

    /// The newest event of each key; of two that are as new, the later in the text.
    fn newest<K: Ord>(
        &mut self,
        events: impl IntoIterator<Item = (K, Event)>,
    ) -> BTreeMap<K, Event> {
        let mut newest: BTreeMap<K, Event> = BTreeMap::new();
        // The first that is older than another, the first that is as new, and how many there are.
        let mut dropped: [Option<(Event, usize)>; 2] = [None, None];
        for (key, event) in events {
            let (old, as_new) = match newest.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(event);
                    continue;
                }
                Entry::Occupied(mut known) => match event.version.cmp(&known.get().version) {
                    Ordering::Less => (event, false),
                    Ordering::Equal => (known.insert(event), true),
                    Ordering::Greater => (known.insert(event), false),
                },
            };
            dropped[usize::from(as_new)].get_or_insert((old, 0)).1 += 1;
        }
        let kinds = [
            (Reason::Superseded, Done::KeptOther),
            (Reason::SameUid, Done::LeftOut),
        ];
        for (dropped, (reason, done)) in dropped.into_iter().zip(kinds) {
            let Some((old, events)) = dropped else {
                continue;
            };
            let text = old
                .overrides
                .map_or_else(String::new, |overridden| overridden.text);
            let (uid, line) = (self.uid, old.details.line);
            self.problems.push(|| Problem {
                events,
                ..Problem::of_event(uid, line, "VEVENT", &text, reason, done)
            });
        }
        newest
    }

    /// Cancels what is not newer than a cancellation.
    fn cancel(
        &mut self,
        cancellation: &Cancellation,
        master: Option<&mut Event>,
        overrides: &mut [Event],
    ) {
        let is_newer = |event: &Event| event.version > cancellation.version;
        let is_superseded = match &master {
            Some(master) => is_newer(master),
            None => overrides.iter().all(is_newer),
        };
        if is_superseded {
            let (line, reason) = (cancellation.line, Reason::Superseded);
            self.problem(line, "VEVENT", "", reason, Done::KeptOther);
            return;
        }
        let all = master.into_iter().chain(overrides);
        for event in all.filter(|event| !is_newer(event)) {
            event.details.is_cancelled = true;
        }
    }

    fn master(&mut self, event: Event) -> Master {
        let (rules, exceptions) = (event.rules, event.exceptions);
        let mut rules_off = rules
            .iter()
            .filter(|rule| is_off(rule, event.details.start.wall));
        let counted = rules_off.next().map(ToString::to_string);
        let mut master = Master::new(event.details, rules, exceptions, &event.added);
        let is_date = master.details.start.is_date;
        let mut count = 0;
        for at in event.excluded {
            if at.is_date && !is_date {
                let date = at.wall.date();
                count += usize::from(master.generated_on(date).is_none());
                master.exclusions.dates.insert(date);
            } else {
                count += usize::from(master.generated_at(at.unix).is_none());
                master.exclusions.instants.insert(at.unix);
            }
        }
        if let Some((line, value)) = event.first_excluded.filter(|_| count > 0) {
            let reason = Reason::ExcludesNothing { count };
            self.problem(line, "EXDATE", &value, reason, Done::Honoured);
        }
        let first = master.generated_at(master.details.start.unix);
        if let (Some(rule), Some(first)) = (counted, first)
            && master.is_excluded(&first)
        {
            let (line, reason) = (master.details.line, Reason::CountedStart);
            self.problem(line, "RRULE", &rule, reason, Done::StartCounted);
        }
        master
    }

    /// Takes an override into a series, `sequence` being that of the series.
    fn override_with(
        &mut self,
        series: &mut Series,
        sequence: Option<i64>,
        is_range: bool,
        unix: i64,
        event: Event,
    ) {
        let mut details = event.details;
        let line = details.line;
        let overridden = event.overrides.as_ref();
        let text = overridden.map_or("", |overridden| &overridden.text);
        for (line, property, value) in &event.recurring {
            self.problem(*line, property, value, Reason::Meaningless, Done::LeftOut);
        }
        if overridden.is_some_and(|overridden| overridden.is_range) && !is_range {
            let (reason, done) = (Reason::Meaningless, Done::StandsAlone);
            self.problem(line, "VEVENT", "RANGE=THISANDFUTURE", reason, done);
        }
        let generated = series
            .master
            .as_ref()
            .and_then(|master| master.generated_at(unix));
        let id = generated.map_or_else(|| series.wall_of(unix), |found| found.id);
        if let Some(master) = &series.master {
            if generated.is_none() && (is_range || !details.is_cancelled) {
                let done = if is_range {
                    Done::MovesTheRest
                } else {
                    Done::StandsAlone
                };
                self.problem(line, "VEVENT", text, Reason::NotGenerated, done);
            }
            let is_excluded = generated.is_some_and(|one| master.is_excluded(&one));
            if is_excluded && !is_range && sequence > Some(event.version.0) {
                self.problem(line, "VEVENT", text, Reason::ExcludedSince, Done::LeftOut);
                return;
            }
            if !event.has_start {
                details.length = master.details.length;
            }
            if master.details.is_cancelled && !details.is_cancelled {
                details.is_cancelled = true;
                self.problem(line, "VEVENT", text, Reason::Cancelled, Done::CalledOff);
            }
        }
        if !event.has_start {
            details.start = At {
                is_date: series.is_all_day,
                wall: id,
                zone: series.zone.clone(),
                unix,
            };
        }
        let kept = if is_range {
            &mut series.ranges
        } else {
            &mut series.changes
        };
        kept.insert(unix, Change { id, details });
    }
}

impl Event {
    /// All of its times.
    fn times(&mut self) -> impl Iterator<Item = &mut At> {
        let overridden = self
            .overrides
            .iter_mut()
            .map(|overridden| &mut overridden.at);
        let added = self.added.iter_mut().map(|(at, _)| at);
        let start = [&mut self.details.start].into_iter();
        start
            .chain(overridden)
            .chain(added)
            .chain(&mut self.excluded)
    }

    /// Notes when it can use zones that the text defines; `number` is its own, from 1.
    fn note_uses(&self, defined: &mut [Defined], number: usize) {
        let start = &self.details.start;
        let overridden = self.overrides.as_ref();
        let listed = self.added.iter().map(|(at, _)| at).chain(&self.excluded);
        let times = [start]
            .into_iter()
            .chain(overridden.map(|one| &one.at))
            .chain(listed);
        for at in times {
            if let TimeZone::Own(own) = &at.zone
                && let Some(defined) = defined.get_mut(own.number)
            {
                defined.use_at(at, number);
                let is_range = overridden.is_some_and(|overridden| overridden.is_range);
                let nominal =
                    matches!(self.details.length, Length::Nominal { days, .. } if days > 0);
                if std::ptr::eq(at, start) && (!self.rules.is_empty() || is_range || nominal) {
                    let lasts = self.details.length.seconds_at_most();
                    let last = if is_range {
                        i64::MAX
                    } else {
                        self.last_start()
                    };
                    defined.use_through(start.unix, last.saturating_add(lasts), number);
                }
            }
        }
    }

    /// The last instant at which it may start, or one later.
    fn last_start(&self) -> i64 {
        let start = &self.details.start;
        let last = self.rules.iter().map(|rule| match rule.end() {
            End::Never => i64::MAX,
            End::Until(Until::Instant(until)) => until.timestamp(),
            End::Until(Until::Local(until)) => start.zone.resolve(until).0,
            End::Until(Until::Date(date)) => start.zone.resolve(midnight(date)).0 + SECONDS_PER_DAY,
            End::Count(_) => {
                let last = Expansion::new(rule, start.wall).last();
                last.map_or(i64::MAX, |last| start.zone.resolve(last).0)
            }
        });
        last.chain([start.unix]).max().unwrap_or(start.unix)
    }

    /// Puts its times into the zones that are meant.
    fn settle(&mut self, meant: &[TimeZone]) {
        for at in self.times() {
            if let TimeZone::Own(own) = &at.zone
                && let Some(zone) = meant.get(own.number)
            {
                at.zone = zone.clone();
            }
        }
    }
}

impl Series {
    /// The wall time at an instant in the series' zone.
    fn wall_of(&self, unix: i64) -> LocalDateTime {
        self.zone.local(unix)
    }

    /// The instant that a RECURRENCE-ID names.
    fn names(&self, overridden: &Overridden) -> i64 {
        let at = &overridden.at;
        if self.is_all_day {
            return At::date(overridden.date).unix;
        }
        let master = self.master.as_ref();
        if at.is_date {
            let found = master.and_then(|master| master.generated_on(at.wall.date()));
            let start = master.map_or(0, |master| master.details.start.wall.seconds());
            let time = start.rem_euclid(SECONDS_PER_DAY);
            let at_its_time = at.wall.plus_seconds(time).unwrap_or(at.wall);
            return found.map_or_else(|| self.zone.resolve(at_its_time).0, |found| found.unix);
        }
        if overridden.is_floating {
            return self.zone.resolve(at.wall).0;
        }
        at.unix
    }
}
