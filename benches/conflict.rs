//! Conflicts and slots: a therapist with 50 standing intents, and one more.
//!
//! Three practices: one rhythm and one zone, as most are; every rhythm there is; clients in three
//! zones, each in their own wall time. A candidate is proved free, and another refuted, for its
//! whole life, through the end of the zone data. `cargo bench -p benches --bench conflict`
#![allow(missing_docs, clippy::unwrap_used, reason = "a program that measures")]

use std::hint::black_box;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc, Weekday};
use criterion::{Criterion, criterion_group, criterion_main};
use scheduler_core::availability::{Availability, Hours, WeeklyHours};
use scheduler_core::calendar::{Buffers, Calendar};
use scheduler_core::intent::{Intent, NewIntent, created};
use scheduler_core::proof::{Candidate, Unproven, prove};
use scheduler_core::slots::{
    Ranking, SlotPolicy, StandingWish, alternatives, explain, free_slots, standing_slots,
};
use scheduler_core::{
    ClientId, IntentId, RecurrenceSet, ServiceId, TherapistId, Window, for_each_due,
};
use uuid::Uuid;

const INTENTS: usize = 50;
const LONDON: &str = "Europe/London";

fn set(start: &str, zone: &str, rule: &str) -> RecurrenceSet {
    RecurrenceSet::new(start.parse().unwrap(), zone.parse().unwrap(), 50)
        .unwrap()
        .with_rule(rule.parse().unwrap())
}

/// Name, and of each of ten intents an hour: its zone, the hour there, its rule.
type Row = (&'static str, u32, &'static str);

const WEEKLY: [Row; 2] = [
    (LONDON, 0, "FREQ=WEEKLY"),
    (LONDON, 0, "FREQ=WEEKLY;INTERVAL=2"),
];
const RHYTHMS: [Row; 5] = [
    (LONDON, 0, "FREQ=WEEKLY"),
    (LONDON, 0, "FREQ=WEEKLY;INTERVAL=2"),
    (LONDON, 0, "FREQ=MONTHLY;BYDAY=2MO"),
    (LONDON, 0, "FREQ=WEEKLY;INTERVAL=3;COUNT=500"),
    (LONDON, 0, "FREQ=MONTHLY;BYMONTHDAY=5,20"),
];
const ZONES: [Row; 3] = [
    (LONDON, 0, "FREQ=WEEKLY"),
    ("Europe/Berlin", 1, "FREQ=WEEKLY;INTERVAL=2"),
    ("America/New_York", 19, "FREQ=WEEKLY"),
];

/// Ten a day from Monday to Friday, 08:00 to 17:00 in London in winter; 18:00 is free.
fn intents(rows: &[Row]) -> Vec<Intent> {
    let each = (0..INTENTS).map(|number| {
        let (zone, ahead, rule) = rows[number % rows.len()];
        let hour = (u32::try_from(number / 5).unwrap() + 8 + ahead) % 24;
        let start = format!("2026-01-{:02}T{hour:02}:00:00", 5 + number % 5);
        let id = Uuid::from_u128(u128::try_from(number).unwrap());
        let new = NewIntent {
            id: IntentId(id),
            therapist: TherapistId(Uuid::nil()),
            client: ClientId(id),
            service: ServiceId(Uuid::nil()),
            set: set(&start, zone, rule),
        };
        created(new, DateTime::UNIX_EPOCH)
    });
    each.collect()
}

fn availability() -> Availability {
    let days = [
        Weekday::Mon,
        Weekday::Tue,
        Weekday::Wed,
        Weekday::Thu,
        Weekday::Fri,
    ];
    let hours = days.map(|weekday| Hours {
        weekday,
        from: 8 * 60,
        to: 20 * 60,
    });
    let week = WeeklyHours::new(LONDON.parse().unwrap(), hours.to_vec()).unwrap();
    let holiday = |month| NaiveDate::from_ymd_opt(2026, month, 25).unwrap();
    let august: DateTime<Utc> = "2026-08-08T00:00:00Z".parse().unwrap();
    let away = Window::new(august, august + TimeDelta::days(2)).unwrap();
    [5, 12]
        .into_iter()
        .fold(Availability::new(week), |availability, month| {
            availability.with_date(holiday(month), Vec::new()).unwrap()
        })
        .with_blackouts(vec![away])
        .unwrap()
}

fn calendar(intents: &[Intent]) -> Calendar {
    let buffers = Buffers::new(0, 10).unwrap();
    Calendar::new(intents, &[], |_| buffers)
}

fn candidate(set: &RecurrenceSet) -> Candidate<'_> {
    Candidate {
        set,
        buffers: Buffers::new(0, 10).unwrap(),
        from: "2026-02-01T00:00:00Z".parse().unwrap(),
    }
}

fn proofs(c: &mut Criterion) {
    let availability = availability();
    let free = set("2026-02-03T18:00:00", LONDON, "FREQ=WEEKLY");
    let taken = set("2026-02-03T11:30:00", LONDON, "FREQ=WEEKLY");
    // Five hours of a Tuesday, and an hour of every working day: five intents each, or ten.
    let long = RecurrenceSet::new(taken.start(), taken.zone(), 240).unwrap();
    let long = long.with_rule("FREQ=WEEKLY".parse().unwrap());
    let daily = set(
        "2026-02-03T11:30:00",
        LONDON,
        "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
    );
    let monthly = set("2026-02-10T18:00:00", LONDON, "FREQ=MONTHLY;BYDAY=2TU");
    let mut group = c.benchmark_group("50 intents against a new one");
    for (name, rows) in [
        ("one zone", &WEEKLY[..]),
        ("every rhythm", &RHYTHMS[..]),
        ("three zones", &ZONES[..]),
    ] {
        let intents = intents(rows);
        let calendar = calendar(&intents);
        let certified = prove(candidate(&free), &calendar, &availability);
        assert!(certified.is_ok(), "{name}");
        let refuted = prove(candidate(&taken), &calendar, &availability);
        assert!(matches!(refuted, Err(Unproven::Clashes(_))), "{name}");
        group.bench_function(format!("{name}: compile and prove"), |b| {
            b.iter(|| prove(candidate(&free), &self::calendar(&intents), &availability));
        });
        group.bench_function(format!("{name}: prove"), |b| {
            b.iter(|| prove(black_box(candidate(&free)), &calendar, &availability));
        });
        group.bench_function(format!("{name}: refute"), |b| {
            b.iter(|| prove(black_box(candidate(&taken)), &calendar, &availability));
        });
        for (size, taken) in [("a long one", &long), ("one of every day", &daily)] {
            let refuted = prove(candidate(taken), &calendar, &availability);
            let Err(Unproven::Clashes(clashes)) = refuted else {
                panic!("{name}: {size} is not free");
            };
            let (intents, count) = (clashes.against.len(), clashes.count);
            let title = format!("{name}: refute {size}, {count} clashes with {intents}");
            group.bench_function(title, |b| {
                b.iter(|| prove(black_box(candidate(taken)), &calendar, &availability));
            });
        }
        group.bench_function(format!("{name}: prove a monthly one"), |b| {
            b.iter(|| prove(black_box(candidate(&monthly)), &calendar, &availability));
        });
    }
    // What expanding everything takes, without comparing it.
    let sets: Vec<_> = intents(&WEEKLY)
        .iter()
        .map(|intent| intent.set.compile())
        .collect();
    let from: DateTime<Utc> = "2026-02-01T00:00:00Z".parse().unwrap();
    let window = Window::new(from, from + TimeDelta::days(3_653)).unwrap();
    group.bench_function("floor: expand ten years of one zone", |b| {
        b.iter(|| {
            let mut sum = 0i64;
            for_each_due(&sets, window, |_, due| sum = sum.wrapping_add(due.starts)).unwrap();
            sum
        });
    });
    group.finish();
}

fn slots(c: &mut Criterion) {
    let availability = availability();
    let calendar = calendar(&intents(&RHYTHMS));
    let policy = SlotPolicy::new(50, 15)
        .unwrap()
        .with_buffers(Buffers::new(0, 10).unwrap());
    let now: DateTime<Utc> = "2026-03-01T00:00:00Z".parse().unwrap();
    let month = Window::new(now, now + TimeDelta::days(31)).unwrap();
    let mut group = c.benchmark_group("slots of a therapist with 50 intents");
    group.bench_function("a month", |b| {
        b.iter(|| {
            let ranking = Ranking::Earliest;
            free_slots(&calendar, &availability, policy, now, month, ranking).unwrap()
        });
    });
    let start: DateTime<Utc> = "2026-03-10T11:30:00Z".parse().unwrap();
    group.bench_function("explain one", |b| {
        b.iter(|| explain(&calendar, &availability, policy, now, black_box(start)).unwrap());
    });
    let wish = StandingWish {
        zone: LONDON.parse().unwrap(),
        from: now.date_naive(),
        weekdays: Vec::new(),
        weeks: 1,
        dates: 24,
        at_least: 20,
    };
    group.bench_function("standing, 20 of the next 24 weeks", |b| {
        b.iter(|| standing_slots(&calendar, &availability, policy, now, &wish).unwrap());
    });
    let taken = set("2026-02-03T11:30:00", LONDON, "FREQ=WEEKLY");
    group.bench_function("alternatives for the first 24 dates", |b| {
        b.iter(|| {
            let candidate = candidate(&taken);
            alternatives(candidate, &calendar, &availability, policy, now, 24).unwrap()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200));
    targets = proofs, slots
}
criterion_main!(benches);
