//! Random calendars, and what is in the way in them, found by comparing everything with everything.
//!
//! All times are multiples of five minutes, so that hours are asked in steps of five.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use scheduler_core::availability::{Availability, DayHours, Hours, WeeklyHours};
use scheduler_core::calendar::{Buffers, Calendar};
use scheduler_core::intent::{Intent, NewIntent, created};
use scheduler_core::proof::{Candidate, Obstacle};
use scheduler_core::session::{Session, SessionState};
use scheduler_core::set::Deviations;
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{
    ClientId, GapPolicy, IntentId, LocalDateTime, Occurrence, Override, Pause, PausedSlot,
    RecurrenceSet, ServiceId, SessionId, TherapistId, Window,
};
use uuid::Uuid;

const ZONES: [&str; 9] = [
    "Europe/London",
    "Europe/London",
    "Europe/London",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "UTC",
    "Etc/GMT+5",
];

/// Many of them meet each other, some only after years.
const RULES: [&str; 19] = [
    "FREQ=WEEKLY",
    "FREQ=WEEKLY",
    "FREQ=WEEKLY;INTERVAL=2",
    "FREQ=WEEKLY;INTERVAL=3",
    "FREQ=WEEKLY;INTERVAL=5;BYDAY=MO,TH,SU",
    "FREQ=WEEKLY;BYDAY=SU,TU",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=SA,SU;COUNT=40",
    "FREQ=DAILY;INTERVAL=3",
    "FREQ=DAILY;INTERVAL=7",
    "FREQ=DAILY;INTERVAL=10;UNTIL=20310401",
    "FREQ=DAILY",
    "FREQ=MONTHLY;BYDAY=-1SU",
    "FREQ=MONTHLY;BYMONTHDAY=31",
    "FREQ=YEARLY;BYMONTH=3,10;BYDAY=-1SU",
    "FREQ=HOURLY;INTERVAL=36",
    "FREQ=HOURLY;INTERVAL=25",
    "FREQ=WEEKLY;BYDAY=WE;BYHOUR=1,2,9;BYMINUTE=30",
    "FREQ=DAILY;COUNT=1",
    "FREQ=WEEKLY;COUNT=12",
];

/// Around the changes of clocks, and in a day's work.
const MINUTES: [u32; 14] = [
    0, 30, 60, 90, 120, 125, 150, 180, 210, 540, 600, 645, 1080, 1410,
];

type Five = u32;

pub(crate) fn set() -> impl Strategy<Value = RecurrenceSet> {
    let changed = (
        0..40_usize,
        prop::option::of(-600..600_i64),
        any::<bool>(),
        prop::option::of(1..60_u32),
    );
    let when = (0..500_i64, select(&MINUTES[..]), select(&ZONES[..]));
    let length: BoxedStrategy<Five> = prop_oneof![6 => 1..24_u32, 1 => 24..289_u32].boxed();
    let rules = vec(select(&RULES[..]), 0..3);
    let changes = (
        vec(changed, 0..4),
        vec(0..40_usize, 0..4),
        vec((0..2_000_i64, select(&MINUTES[..])), 0..3),
        rests(),
    );
    (when, length, rules, changes, any::<bool>()).prop_map(
        |((day, minute, zone), fives, rules, (changed, excluded, added, (pauses, ends)), omit)| {
            let start = local(day, minute);
            let gap = if omit {
                GapPolicy::Omit
            } else {
                GapPolicy::Shift
            };
            let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
            let set = RecurrenceSet::new(start, zone.parse().unwrap(), 5 * fives)
                .unwrap()
                .with_rules(rules)
                .unwrap()
                .with_gap_policy(gap);
            let compiled = set.compile();
            let nth = |n: usize| {
                let found = compiled.nth(u64::try_from(n).unwrap()).ok().flatten();
                found.map(|found| found.recurrence_id)
            };
            let overrides = changed
                .into_iter()
                .filter_map(|(n, moved, cancelled, fives)| {
                    let at = nth(n)?;
                    let start = moved.map(|fives| at.plus_seconds(300 * fives).unwrap());
                    let minutes = fives.map(|fives| 5 * fives);
                    let change = Override {
                        start,
                        cancelled,
                        minutes,
                    };
                    Some((at, change))
                });
            let mut deviations = Deviations::default();
            let added = added.into_iter().map(|(day, at)| local(day, at));
            deviations.additions.extend(added);
            let excluded = excluded.into_iter().filter_map(nth);
            deviations.exclusions.extend(excluded);
            deviations.overrides.extend(overrides);
            deviations.pauses = pauses;
            deviations.ends = ends.map(|(days, minute)| local(day + days, minute));
            set.with_deviations(deviations).unwrap()
        },
    )
}

/// Pauses apart from each other, the last one perhaps open; and an end.
#[allow(clippy::type_complexity, reason = "it is taken apart at once")]
fn rests() -> impl Strategy<Value = (Vec<Pause>, Option<(i64, u32)>)> {
    let pause = (0..200_i64, 1..100_i64, any::<bool>());
    let pauses = (vec(pause, 0..3), prop::bool::weighted(0.1)).prop_map(|(pauses, open)| {
        let mut day = 0;
        let mut pauses: Vec<Pause> = pauses
            .into_iter()
            .map(|(later, days, kept)| {
                let from = day + later;
                day = from + days;
                let slot = if kept {
                    PausedSlot::Kept
                } else {
                    PausedSlot::Freed
                };
                let (from, until) = (local(from, 0).date(), Some(local(day, 0).date()));
                Pause { from, until, slot }
            })
            .collect();
        if let Some(last) = pauses.last_mut().filter(|_| open) {
            last.until = None;
        }
        pauses
    });
    let pauses = prop_oneof![2 => Just(Vec::new()), 1 => pauses];
    let ends = prop::option::weighted(0.1, (1..2_000_i64, select(&MINUTES[..])));
    (pauses, ends)
}

/// The set as it takes somebody's time: a pause that keeps the slot keeps it.
pub(crate) fn keeping(set: &RecurrenceSet) -> RecurrenceSet {
    let mut deviations = set.deviations().clone();
    deviations
        .pauses
        .retain(|pause| pause.slot == PausedSlot::Freed);
    set.clone().with_deviations(deviations).unwrap()
}

fn local(day: i64, minute: u32) -> LocalDateTime {
    let date = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() + TimeDelta::days(day);
    let at = date.and_hms_opt(minute / 60, minute % 60, 0).unwrap();
    LocalDateTime::try_from(at).unwrap()
}

pub(crate) fn buffers() -> impl Strategy<Value = Buffers> {
    prop_oneof![
        2 => Just(Buffers::NONE),
        1 => (0..7_u16, 0..7_u16).prop_map(|(a, b)| Buffers::new(5 * a, 5 * b).unwrap()),
    ]
}

/// Hours that leave much open, or everything; a few other dates; a few blackouts.
pub(crate) fn availability() -> impl Strategy<Value = Availability> {
    let weekdays = [
        Weekday::Mon,
        Weekday::Tue,
        Weekday::Wed,
        Weekday::Thu,
        Weekday::Fri,
        Weekday::Sat,
        Weekday::Sun,
    ];
    let stretch = (select(weekdays.to_vec()), 0..287_u16, 1..288_u16);
    let all = weekdays.map(|weekday| Hours {
        weekday,
        from: 0,
        to: 1440,
    });
    let some = vec(stretch, 4..30).prop_map(|stretches| {
        let each = stretches.into_iter().map(|(weekday, from, length)| Hours {
            weekday,
            from: 5 * from,
            to: (5 * (from + length)).min(1440),
        });
        each.collect::<Vec<_>>()
    });
    let hours = prop_oneof![2 => Just(all.to_vec()), 1 => some];
    let dates = vec(
        (0..900_i64, prop::option::of((0..287_u16, 1..288_u16))),
        0..4,
    );
    let blackouts = vec((0..200_000_i64, 1..5_000_i64), 0..3);
    (hours, select(&ZONES[..]), dates, blackouts).prop_map(|(hours, zone, dates, blackouts)| {
        let week = WeeklyHours::new(zone.parse().unwrap(), hours).unwrap();
        let mut availability = Availability::new(week);
        for (day, other) in dates {
            let hours = other.map(|(from, length)| DayHours {
                from: 5 * from,
                to: (5 * (from + length)).min(1440),
            });
            let date = local(day, 0).date();
            availability = availability
                .with_date(date, hours.into_iter().collect())
                .unwrap();
        }
        let windows = blackouts.into_iter().map(|(from, length)| {
            let start = local(0, 0).naive().and_utc() + TimeDelta::minutes(5 * from);
            Window::new(start, start + TimeDelta::minutes(5 * length)).unwrap()
        });
        availability.with_blackouts(windows.collect()).unwrap()
    })
}

/// Somebody's intents, some of whose occurrences are sessions.
#[derive(Debug, Clone)]
pub(crate) struct Practice {
    pub(crate) intents: Vec<Intent>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) buffers: BTreeMap<ServiceId, Buffers>,
}

pub(crate) fn practice(most: usize) -> impl Strategy<Value = Practice> {
    let made = vec((0..30_usize, -400..400_i64, any::<bool>()), 0..4);
    vec((set(), buffers(), made), 0..=most).prop_map(|rows| {
        let mut practice = Practice {
            intents: Vec::new(),
            sessions: Vec::new(),
            buffers: BTreeMap::new(),
        };
        for (number, (set, buffers, made)) in (1..).zip(rows) {
            let intent = intent(number, &set);
            practice.buffers.insert(intent.service, buffers);
            let times = first_dates(&set, 30);
            let mut known = BTreeSet::new();
            for (n, moved, live) in made {
                let Some(at) = times.get(n).filter(|at| known.insert(at.recurrence_id)) else {
                    continue;
                };
                practice
                    .sessions
                    .push(session(&intent, at, 5 * moved, live));
            }
            practice.intents.push(intent);
        }
        practice
    })
}

pub(crate) fn intent(number: u128, set: &RecurrenceSet) -> Intent {
    let new = NewIntent {
        id: IntentId(Uuid::from_u128(number)),
        therapist: TherapistId(Uuid::from_u128(1_000)),
        client: ClientId(Uuid::from_u128(number)),
        service: ServiceId(Uuid::from_u128(number)),
        set: set.clone(),
    };
    created(new, DateTime::UNIX_EPOCH)
}

pub(crate) fn session(intent: &Intent, at: &Occurrence, moved: i64, live: bool) -> Session {
    let moved = TimeDelta::minutes(moved);
    Session {
        id: SessionId::of_occurrence(intent.id, at.recurrence_id),
        intent: intent.id,
        recurrence_id: at.recurrence_id,
        therapist: intent.therapist,
        client: intent.client,
        service: intent.service,
        starts_local: intent.set.zone().local(at.start + moved),
        starts_at: at.start + moved,
        ends_at: at.end + moved,
        zone: intent.set.zone(),
        tzdb: "test".to_owned(),
        state: if live {
            SessionState::Scheduled
        } else {
            SessionState::Missed
        },
        slot_version: 0,
        hold_generation: 1,
        next_due_at: None,
        version: 1,
    }
}

impl Practice {
    pub(crate) fn calendar(&self) -> Calendar {
        Calendar::new(&self.intents, &self.sessions, |service| {
            self.buffers[&service]
        })
    }

    /// Every appointment that takes place about this window: with what, and its block.
    pub(crate) fn busy(&self, window: Window) -> Vec<Taken> {
        let wide = widened(window, 3);
        let mut taken = Vec::new();
        for intent in &self.intents {
            let made: BTreeSet<LocalDateTime> = self
                .sessions
                .iter()
                .filter(|session| session.intent == intent.id)
                .map(|session| session.recurrence_id)
                .collect();
            for at in expanded(&keeping(&intent.set), wide) {
                if !at.cancelled && !made.contains(&at.recurrence_id) {
                    let id = (intent.id, at.recurrence_id);
                    taken.push(self.taken(intent.service, id, at.start, at.end));
                }
            }
        }
        let live = self
            .sessions
            .iter()
            .filter(|session| session.state.is_live());
        taken.extend(live.map(|session| {
            let id = (session.intent, session.recurrence_id);
            self.taken(session.service, id, session.starts_at, session.ends_at)
        }));
        taken.sort_by_key(|taken| taken.block.0);
        taken
    }

    fn taken(
        &self,
        service: ServiceId,
        with: (IntentId, LocalDateTime),
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Taken {
        Taken {
            block: block(self.buffers[&service], start, end),
            obstacle: Obstacle::Busy { with, start, end },
        }
    }
}

pub(crate) struct Taken {
    pub(crate) block: (DateTime<Utc>, DateTime<Utc>),
    pub(crate) obstacle: Obstacle,
}

pub(crate) fn block(
    buffers: Buffers,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> (DateTime<Utc>, DateTime<Utc>) {
    let before = TimeDelta::minutes(i64::from(buffers.before()));
    (
        start - before,
        end + TimeDelta::minutes(i64::from(buffers.after())),
    )
}

fn widened(window: Window, days: i64) -> Window {
    let end = (window.end() + TimeDelta::days(days)).min(END_OF_ZONE_DATA);
    Window::new(window.start() - TimeDelta::days(days), end).unwrap()
}

fn first_dates(set: &RecurrenceSet, count: usize) -> Vec<Occurrence> {
    let start = set.zone().resolve(set.start()).0;
    let mut found = Vec::new();
    for year in 0..5 {
        let from = start + TimeDelta::days(365 * year);
        let window = Window::new(from, from + TimeDelta::days(365)).unwrap();
        found.extend(set.overlapping(window).unwrap());
    }
    found.retain(|at| !at.cancelled);
    found.truncate(count);
    found
}

/// The whole of a window, a year at a time: a call gives a limited number.
pub(crate) fn expanded(set: &RecurrenceSet, window: Window) -> Vec<Occurrence> {
    let mut found = Vec::new();
    let mut from = window.start();
    while from < window.end() {
        let to = (from + TimeDelta::days(300)).min(window.end());
        let part = set.overlapping(Window::new(from, to).unwrap()).unwrap();
        let first = from == window.start();
        found.extend(part.into_iter().filter(|at| first || at.start >= from));
        from = to;
    }
    found
}

/// Whether every five minutes of `[start, end)` are within the hours of their wall-clock date.
pub(crate) fn within_hours(
    availability: &Availability,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> bool {
    let tz: Tz = availability.zone().name().parse().unwrap();
    let mut at = start;
    while at < end {
        let wall = tz.from_utc_datetime(&at.naive_utc());
        let minute = u16::try_from(wall.hour() * 60 + wall.minute()).unwrap();
        let open = match availability.dated().get(&wall.date_naive()) {
            Some(hours) => hours
                .iter()
                .any(|day| day.from <= minute && minute < day.to),
            None => availability.weekly().hours().iter().any(|hours| {
                hours.weekday == wall.weekday() && hours.from <= minute && minute < hours.to
            }),
        };
        if !open {
            return false;
        }
        at += TimeDelta::minutes(5);
    }
    true
}

/// Everything in the way of one appointment, itself aside.
pub(crate) fn in_the_way(
    (start, end): (DateTime<Utc>, DateTime<Utc>),
    buffers: Buffers,
    busy: &[Taken],
    availability: &Availability,
) -> BTreeSet<Obstacle> {
    let own = block(buffers, start, end);
    // No block is longer than four days.
    let near = busy.partition_point(|taken| taken.block.0 < own.0 - TimeDelta::days(4));
    let mut found: BTreeSet<Obstacle> = busy[near..]
        .iter()
        .take_while(|taken| taken.block.0 < own.1)
        .filter(|taken| own.0 < taken.block.1)
        .map(|taken| taken.obstacle)
        .collect();
    if !within_hours(availability, start, end) {
        found.insert(Obstacle::OutsideHours);
    }
    for away in availability.blackouts() {
        if start < away.end() && away.start() < end {
            found.insert(Obstacle::Blackout {
                start: away.start(),
                end: away.end(),
            });
        }
    }
    found
}

/// Every clash of a candidate's dates in a window.
pub(crate) fn compared(
    candidate: Candidate<'_>,
    window: Window,
    practice: &Practice,
    availability: &Availability,
) -> BTreeSet<(LocalDateTime, Obstacle)> {
    let busy = practice.busy(window);
    let mut own = expanded(&keeping(candidate.set), widened(window, 4));
    own.retain(|at| !at.cancelled);
    let mut found = BTreeSet::new();
    for (index, at) in own.iter().enumerate() {
        if !window.overlaps(at.start, at.end) {
            continue;
        }
        let obstacles = in_the_way((at.start, at.end), candidate.buffers, &busy, availability);
        found.extend(
            obstacles
                .into_iter()
                .map(|obstacle| (at.recurrence_id, obstacle)),
        );
        let (starts, _) = block(candidate.buffers, at.start, at.end);
        for earlier in own[..index].iter().rev().take(400) {
            if block(candidate.buffers, earlier.start, earlier.end).1 > starts {
                let recurrence_id = earlier.recurrence_id;
                found.insert((at.recurrence_id, Obstacle::Itself { recurrence_id }));
            }
        }
    }
    found
}
