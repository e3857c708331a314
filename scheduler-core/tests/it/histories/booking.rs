//! What is booked: a rule, worked out by loops over dates, in a zone.

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc, Weekday};
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use scheduler_core::intent::{self, NewIntent, Opened};
use scheduler_core::{ClientId, IntentId, LocalDateTime, RecurrenceSet, ServiceId, TherapistId};
use uuid::Uuid;

use super::oracle::Dated;

/// One of each kind: an hour at one in the morning, at two on both sides of the Atlantic, half an
/// hour on the other side of the year, and none.
const ZONES: [&str; 5] = [
    "Europe/London",
    "America/New_York",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "UTC",
];

/// When those zones put their clocks forward or back.
const CHANGES: [(i32, u32, u32); 6] = [
    (2025, 3, 9),
    (2025, 3, 30),
    (2025, 4, 6),
    (2025, 10, 5),
    (2025, 10, 26),
    (2025, 11, 2),
];

const DAYS_WORKED_OUT: u64 = 1500;

/// On which dates a booking falls, of every so many days, weeks or months.
#[derive(Debug, Clone)]
pub(super) enum Every {
    Day,
    /// The weekday that it begins on.
    Week,
    Weekdays(Vec<Weekday>),
    MonthDay(u32),
}

/// A booking: every `interval` days, weeks or months at one time, so often or without an end.
#[derive(Debug, Clone)]
pub(super) struct Booking {
    pub(super) zone: Tz,
    /// It begins on the first date from here on that it falls on.
    pub(super) date: NaiveDate,
    pub(super) hour: u32,
    pub(super) every: Every,
    pub(super) interval: u64,
    pub(super) count: Option<u32>,
}

pub(super) fn booking() -> impl Strategy<Value = Booking> {
    (
        select(&ZONES),
        date(),
        hour(),
        every(),
        1u64..4,
        proptest::option::of(3u32..40),
    )
        .prop_map(|(zone, date, hour, every, interval, count)| Booking {
            zone: zone.parse().unwrap(),
            date,
            hour,
            interval: if matches!(every, Every::Day) {
                interval + 1
            } else {
                interval
            },
            every,
            count,
        })
}

/// Any, or one from which a history reaches a change of clocks.
fn date() -> impl Strategy<Value = NaiveDate> {
    let first = NaiveDate::from_ymd_opt(2025, 1, 1).unwrap();
    let before = (select(&CHANGES), 0u64..50).prop_map(|((year, month, day), before)| {
        NaiveDate::from_ymd_opt(year, month, day).unwrap() - Days::new(before)
    });
    prop_oneof![
        1 => (0u64..700).prop_map(move |day| first + Days::new(day)),
        1 => before,
    ]
}

/// Mostly when clocks are changed, or near midnight.
fn hour() -> impl Strategy<Value = u32> {
    prop_oneof![2 => 7u32..20, 3 => 0u32..5, 1 => 21u32..24]
}

fn every() -> impl Strategy<Value = Every> {
    const WEEK: [Weekday; 7] = [
        Weekday::Mon,
        Weekday::Tue,
        Weekday::Wed,
        Weekday::Thu,
        Weekday::Fri,
        Weekday::Sat,
        Weekday::Sun,
    ];
    prop_oneof![
        3 => Just(Every::Day),
        3 => Just(Every::Week),
        2 => subsequence(WEEK.to_vec(), 2).prop_map(Every::Weekdays),
        1 => (1u32..29).prop_map(Every::MonthDay),
    ]
}

impl Every {
    /// Without the interval.
    fn falls_on(&self, first: NaiveDate, date: NaiveDate) -> bool {
        match self {
            Self::Day => true,
            Self::Week => date.weekday() == first.weekday(),
            Self::Weekdays(days) => days.contains(&date.weekday()),
            Self::MonthDay(day) => date.day() == *day,
        }
    }

    /// How many days, weeks that begin on Monday, or months lie between two dates.
    fn between(&self, first: NaiveDate, date: NaiveDate) -> u64 {
        let monday = |date: NaiveDate| date.week(Weekday::Mon).first_day();
        let months = |date: NaiveDate| i64::from(date.year()) * 12 + i64::from(date.month());
        let between = match self {
            Self::Day => (date - first).num_days(),
            Self::Week | Self::Weekdays(_) => (monday(date) - monday(first)).num_weeks(),
            Self::MonthDay(_) => months(date) - months(first),
        };
        u64::try_from(between).unwrap()
    }

    fn rule(&self) -> (&'static str, String) {
        match self {
            Self::Day => ("DAILY", String::new()),
            Self::Week => ("WEEKLY", String::new()),
            Self::Weekdays(days) => {
                let name = |day: &Weekday| day.to_string()[..2].to_uppercase();
                let names: Vec<String> = days.iter().map(name).collect();
                ("WEEKLY", format!(";BYDAY={}", names.join(",")))
            }
            Self::MonthDay(day) => ("MONTHLY", format!(";BYMONTHDAY={day}")),
        }
    }
}

impl Booking {
    fn dates(&self) -> Vec<NaiveDate> {
        let all = (0..DAYS_WORKED_OUT).map(|n| self.date + Days::new(n));
        let all = all.filter(|date| self.every.falls_on(self.date, *date));
        let all: Vec<NaiveDate> = all.collect();
        let most = self
            .count
            .map_or(usize::MAX, |count| usize::try_from(count).unwrap());
        let steps = |date: NaiveDate| self.every.between(all[0], date);
        let in_turn = |date: &NaiveDate| steps(*date).is_multiple_of(self.interval);
        all.iter().copied().filter(in_turn).take(most).collect()
    }

    pub(super) fn list(&self) -> Vec<Dated> {
        self.dates()
            .into_iter()
            .enumerate()
            .map(|(number, date)| Dated {
                number,
                zone: self.zone,
                wall: date.and_hms_opt(self.hour, 0, 0).unwrap(),
                own: None,
                minutes: 50,
                own_minutes: None,
                skipped: false,
                cancelled: false,
                named: false,
                therapist: 2,
                segment: 0,
                gone: false,
                real: false,
                off: false,
                extra: false,
                dropped: false,
            })
            .collect()
    }

    pub(super) fn intent(&self, now: DateTime<Utc>) -> Opened {
        let (frequency, days) = self.every.rule();
        let rule = format!(
            "FREQ={frequency};INTERVAL={}{days}{}",
            self.interval,
            self.count
                .map_or(String::new(), |count| format!(";COUNT={count}")),
        );
        let first = self.dates()[0];
        let start = LocalDateTime::try_from(first.and_hms_opt(self.hour, 0, 0).unwrap());
        let zone = self.zone.name().parse().unwrap();
        let set = RecurrenceSet::new(start.unwrap(), zone, 50).unwrap();
        let new = NewIntent {
            id: IntentId(Uuid::from_u128(1)),
            therapist: TherapistId(Uuid::from_u128(2)),
            client: ClientId(Uuid::from_u128(3)),
            service: ServiceId(Uuid::from_u128(4)),
            set: set.with_rule(rule.parse().unwrap()),
        };
        intent::opened(new, now)
    }
}
