//! UNTIL on its way out: in UTC, and the same last occurrence for a reader that compares instants.
//!
//! The reader here takes the text alone. It expands rules with the oracle of [`crate::naive`],
//! resolves wall times with `chrono-tz`, and shares no code with the engine.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate, NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use scheduler_core::intent::{self, Changes, Edit, Intent, NewIntent, Overrides};
use scheduler_core::set::Deviations;
use scheduler_core::{
    ClientId, GapPolicy, Idempotent, IntentId, LocalDateTime, RecurrenceSet, ServiceId,
    TherapistId, Window, Zone,
};
use uuid::Uuid;

use crate::expansion_laws::{cases, rules};
use crate::ical_round_trip::{comes_back, text_of};
use crate::naive::{self, Freq, Parts, Skipped};
use crate::zone_laws::resolve;

/// Zones, and a date on which each changes its clocks.
const ZONES: [(&str, (i32, u32, u32)); 9] = [
    ("Europe/London", (2026, 3, 29)),
    ("Europe/London", (2026, 10, 25)),
    ("America/New_York", (2026, 3, 8)),
    ("America/New_York", (2026, 11, 1)),
    ("Australia/Lord_Howe", (2026, 10, 4)),
    ("Australia/Lord_Howe", (2026, 4, 5)),
    ("America/Sao_Paulo", (2018, 11, 4)),
    ("America/Sao_Paulo", (2018, 2, 18)),
    ("UTC", (2026, 3, 1)),
];

/// How far sets are compared, from the start on.
const DAYS: u64 = 130;

const WEEKDAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

/// What a reader of RFC 5545 sees of one VEVENT.
struct Reader {
    zone: Tz,
    start: NaiveDateTime,
    /// Each rule, its UNTIL in Unix seconds, and its COUNT.
    rules: Vec<(Parts, Option<i64>, Option<usize>)>,
    added: Vec<NaiveDateTime>,
    excluded: Vec<NaiveDateTime>,
}

impl Reader {
    fn new(text: &str) -> Result<Self, String> {
        let unfolded = text.replace("\r\n ", "");
        let (_, event) = unfolded.split_once("BEGIN:VEVENT").ok_or("no event")?;
        let mut reader = Self {
            zone: Tz::UTC,
            start: NaiveDateTime::default(),
            rules: Vec::new(),
            added: Vec::new(),
            excluded: Vec::new(),
        };
        for line in event.lines().take_while(|line| *line != "END:VEVENT") {
            let Some((head, value)) = line.split_once(':') else {
                continue;
            };
            let (name, parameter) = head.split_once(';').unwrap_or((head, "TZID=UTC"));
            let times = || value.split(',').map(wall).collect::<Vec<_>>();
            match name {
                "DTSTART" => {
                    let zone = parameter.strip_prefix("TZID=").ok_or("no TZID")?;
                    reader.zone = zone.parse().map_err(|_| zone.to_owned())?;
                    reader.start = wall(value);
                }
                "RRULE" => reader.rules.push(rule(value)?),
                "RDATE" => reader.added = times(),
                "EXDATE" => reader.excluded = times(),
                _ => {}
            }
        }
        Ok(reader)
    }

    fn instant(&self, wall: NaiveDateTime) -> i64 {
        resolve(self.zone, wall).0.timestamp()
    }

    /// The instants of occurrences before `end`.
    fn before(&self, end: i64) -> BTreeSet<i64> {
        let horizon = self.start.date() + Days::new(3 * DAYS);
        let mut found = BTreeSet::from([self.instant(self.start)]);
        for (parts, until, count) in &self.rules {
            let walls = naive::expand(parts, self.start, horizon);
            let instants = walls.iter().take(count.unwrap_or(usize::MAX));
            let instants = instants.map(|wall| self.instant(*wall));
            found.extend(instants.filter(|at| until.is_none_or(|until| *at <= until)));
        }
        found.extend(self.added.iter().map(|wall| self.instant(*wall)));
        for wall in &self.excluded {
            found.remove(&self.instant(*wall));
        }
        found.retain(|at| *at < end);
        found
    }
}

fn wall(text: &str) -> NaiveDateTime {
    let text = text.strip_suffix('Z').unwrap_or(text);
    NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").unwrap()
}

/// A rule in parts, with UNTIL, which must be in UTC beside a DTSTART with a time zone (§3.3.10).
fn rule(text: &str) -> Result<(Parts, Option<i64>, Option<usize>), String> {
    let of = |name: &str| {
        let parts = text.split(';').filter_map(|part| part.split_once('='));
        let mut found = parts.filter(|(found, _)| *found == name);
        found.next().map(|(_, value)| value)
    };
    let until = match of("UNTIL") {
        Some(until) if until.len() == 16 && until.ends_with('Z') => {
            Some(wall(until).and_utc().timestamp())
        }
        Some(until) => return Err(format!("UNTIL={until} is not in UTC")),
        None => None,
    };
    let numbers = |name| -> Vec<i64> {
        let values = of(name).into_iter().flat_map(|list| list.split(','));
        values.map(|value| value.parse().unwrap()).collect()
    };
    let small = |name| -> Vec<u32> {
        let values = numbers(name).into_iter();
        values.map(|value| u32::try_from(value).unwrap()).collect()
    };
    let weekday = |name: &str| {
        let mut numbered = (0..).zip(WEEKDAYS);
        numbered.find(|(_, known)| *known == name).unwrap().0
    };
    let days = of("BYDAY").into_iter().flat_map(|list| list.split(','));
    let by_day = days.map(|day| {
        let (nth, name) = day.split_at(day.len() - 2);
        (nth.parse().unwrap_or(0), weekday(name))
    });
    let parts = Parts {
        freq: match of("FREQ").ok_or("no FREQ")? {
            "MINUTELY" => Freq::Minutely,
            "HOURLY" => Freq::Hourly,
            "DAILY" => Freq::Daily,
            "WEEKLY" => Freq::Weekly,
            "MONTHLY" => Freq::Monthly,
            other => return Err(other.to_owned()),
        },
        interval: numbers("INTERVAL").first().copied().unwrap_or(1),
        by_month: small("BYMONTH"),
        by_week_no: numbers("BYWEEKNO"),
        by_year_day: numbers("BYYEARDAY"),
        by_month_day: numbers("BYMONTHDAY"),
        by_day: by_day.collect(),
        by_hour: small("BYHOUR"),
        by_minute: small("BYMINUTE"),
        by_second: small("BYSECOND"),
        by_set_pos: numbers("BYSETPOS"),
        week_start: of("WKST").map_or(0, weekday),
        skip: match of("SKIP") {
            Some("BACKWARD") => Skipped::Backward,
            Some("FORWARD") => Skipped::Forward,
            _ => Skipped::Omit,
        },
    };
    let count = of("COUNT").map(|count| count.parse().unwrap());
    Ok((parts, until, count))
}

/// The reader and the importer see the occurrences of the set.
fn is_read_alike(set: &RecurrenceSet) -> Result<(), TestCaseError> {
    let start = set.zone().resolve(set.start()).0;
    let (from, to) = (start - TimeDelta::days(3), start + Days::new(DAYS));
    let window = Window::new(from, to).unwrap();
    let compiled = set.compile();
    let expected: BTreeSet<i64> = compiled
        .within(window)
        .unwrap()
        .map(|one| one.unix)
        .collect();
    let text = text_of(set);
    let reader = Reader::new(&text).map_err(TestCaseError::fail)?;
    let read = reader.before(to.timestamp());
    let only = |one: &BTreeSet<i64>, other| {
        let only: Vec<_> = one.difference(other).take(4).copied().collect();
        only.into_iter()
            .filter_map(|unix| chrono::DateTime::from_timestamp(unix, 0))
            .collect::<Vec<_>>()
    };
    let (missing, more) = (only(&expected, &read), only(&read, &expected));
    prop_assert!(
        missing.is_empty() && more.is_empty(),
        "missing {:?}, too many {:?} of {:?} in {}",
        missing,
        more,
        set,
        text
    );
    comes_back(set, window)
}

#[derive(Debug, Clone)]
enum Ends {
    Never,
    Count(u32),
    /// So many quarters of an hour after the midnight at which the date of the change begins.
    Local(i64),
    Date(i64),
    Instant(i64),
}

fn ends() -> impl Strategy<Value = Ends> {
    let near = || prop_oneof![3 => -8..30_i64, 1 => -5000..9000_i64];
    prop_oneof![
        1 => Just(Ends::Never),
        1 => (1..60_u32).prop_map(Ends::Count),
        4 => near().prop_map(Ends::Local),
        2 => (-60..90_i64).prop_map(Ends::Date),
        1 => (-2_i64..3).prop_map(Ends::Date),
        1 => near().prop_map(Ends::Instant),
    ]
}

fn recurring() -> impl Strategy<Value = String> {
    const FREQS: &[Freq] = &[Freq::Hourly, Freq::Daily, Freq::Weekly, Freq::Monthly];
    let common = select(vec![
        "FREQ=DAILY",
        "FREQ=DAILY;INTERVAL=3",
        "FREQ=WEEKLY",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO",
        "FREQ=MONTHLY",
        "FREQ=MONTHLY;BYMONTHDAY=-1,8",
        "FREQ=MONTHLY;BYDAY=-1SU",
    ]);
    // Several times a day, so that a gap shifts some past others.
    let dense = select(vec![
        "FREQ=HOURLY",
        "FREQ=DAILY;BYHOUR=0,1,2,3;BYMINUTE=0,20,45",
        "FREQ=MINUTELY;INTERVAL=20;BYHOUR=0,1,2,3",
        "FREQ=WEEKLY;BYDAY=SU;BYHOUR=0,1,2;BYMINUTE=10,40",
    ]);
    let any = rules(FREQS).prop_map(|parts| parts.to_string());
    prop_oneof![
        3 => common.prop_map(str::to_owned),
        3 => dense.prop_map(str::to_owned),
        1 => any,
    ]
}

#[derive(Debug, Clone)]
struct Case {
    zone: &'static str,
    change: NaiveDate,
    start: NaiveDateTime,
    rules: Vec<String>,
    excluded: Vec<Index>,
    cut: Option<i64>,
    omit: bool,
}

prop_compose! {
    fn case()(
        (zone, (year, month, day)) in select(&ZONES[..]),
        days in prop_oneof![0..60_u64, 0..3_u64],
        quarters in prop_oneof![3 => 0..14_u32, 1 => 0..96_u32],
        rules in prop::collection::vec((recurring(), ends()), 1..3),
        excluded in prop::collection::vec(any::<Index>(), 0..3),
        cut in prop::option::weighted(0.3, prop_oneof![-8..30_i64, -3000..9000_i64]),
        omit in prop::bool::weighted(0.2),
    ) -> Case {
        let change = NaiveDate::from_ymd_opt(year, month, day).unwrap();
        let start = (change - Days::new(days)).and_hms_opt(0, 0, 0).unwrap();
        let start = start + TimeDelta::minutes(15 * i64::from(quarters));
        let rules = rules.into_iter().map(|(rule, ends)| rule + &ends.text(change)).collect();
        Case { zone, change, start, rules, excluded, cut, omit }
    }
}

fn quarters_after(date: NaiveDate, quarters: i64) -> NaiveDateTime {
    date.and_hms_opt(0, 0, 0).unwrap() + TimeDelta::minutes(15 * quarters)
}

impl Ends {
    fn text(&self, change: NaiveDate) -> String {
        let at = |quarters| quarters_after(change, quarters).format("%Y%m%dT%H%M%S");
        match self {
            Self::Never => String::new(),
            Self::Count(count) => format!(";COUNT={count}"),
            Self::Local(quarters) => format!(";UNTIL={}", at(*quarters)),
            Self::Date(days) => format!(";UNTIL={}", at(96 * days).to_string().get(..8).unwrap()),
            Self::Instant(quarters) => format!(";UNTIL={}Z", at(*quarters)),
        }
    }
}

fn local(at: NaiveDateTime) -> LocalDateTime {
    LocalDateTime::try_from(at).unwrap()
}

impl Case {
    fn set(&self) -> RecurrenceSet {
        let zone: Zone = self.zone.parse().unwrap();
        let rules = self.rules.iter().map(|rule| rule.parse().unwrap());
        let set = RecurrenceSet::new(local(self.start), zone, 50).unwrap();
        let set = set.with_rules(rules.collect()).unwrap();
        let gap = if self.omit {
            GapPolicy::Omit
        } else {
            GapPolicy::Shift
        };
        set.with_gap_policy(gap)
    }

    fn deviating(&self) -> RecurrenceSet {
        let set = self.set();
        let from = set.zone().resolve(set.start()).0;
        let window = Window::new(from, from + Days::new(DAYS)).unwrap();
        let compiled = set.compile();
        let ids: Vec<LocalDateTime> = compiled
            .within(window)
            .unwrap()
            .map(|one| one.recurrence_id)
            .collect();
        let excluded = self.excluded.iter().filter(|_| !ids.is_empty());
        let deviations = Deviations {
            exclusions: excluded.map(|index| ids[index.index(ids.len())]).collect(),
            ends: self.cut.map(|cut| local(quarters_after(self.change, cut))),
            ..Deviations::default()
        };
        set.with_deviations(deviations).unwrap()
    }
}

/// An edit of a series: its kind, after how many days, and how far its times move, in minutes.
type Edited = (u8, u64, i64);

fn changed(intent: &Intent, edit: Edited, into: u128) -> Option<(Intent, Option<Intent>)> {
    let (kind, days, moved) = edit;
    let set = &intent.set;
    let date = set.start().date() + Days::new(days);
    let start = set.zone().resolve(set.start()).0;
    let into = IntentId(Uuid::from_u128(into));
    let window = Window::new(start + Days::new(days), start + Days::new(DAYS)).ok()?;
    let compiled = set.compile();
    let pivot = compiled.within(window).unwrap().next()?.recurrence_id;
    let changes = Changes {
        start: pivot.plus_seconds(60 * moved),
        zone: (kind == 3).then(|| "Asia/Tokyo".parse().unwrap()),
        ..Changes::default()
    };
    let overrides = Overrides::Carry;
    let (edit, now) = match kind {
        0 => (Edit::End { from: date }, start - TimeDelta::days(1)),
        1 => {
            let now = set.zone().resolve(pivot).0 - TimeDelta::seconds(1);
            let edit = Edit::Amend {
                into,
                changes,
                overrides,
            };
            (edit, now)
        }
        _ => {
            let edit = Edit::Split {
                at: pivot,
                into,
                changes,
                overrides,
            };
            (edit, start - TimeDelta::days(1))
        }
    };
    let Ok(Idempotent::Applied(done)) = intent::edit(intent, &[], &edit, now) else {
        return None;
    };
    let opened = done.opened.first().map(|opened| opened.clone().intent());
    Some((intent::evolve(intent.clone(), &done.event), opened))
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn an_end_is_read_alike_in_utc(case in case()) {
        is_read_alike(&case.deviating())?;
    }

    #[test]
    fn an_end_is_read_alike_after_edits(
        case in case(),
        edits in prop::collection::vec((0..4_u8, 0..50_u64, select(vec![0_i64, 15, -30, 60, 600, -1440])), 1..4),
    ) {
        let new = NewIntent {
            id: IntentId(Uuid::from_u128(1)),
            therapist: TherapistId(Uuid::from_u128(2)),
            client: ClientId(Uuid::from_u128(3)),
            service: ServiceId(Uuid::from_u128(4)),
            set: case.set(),
        };
        let now = case.start.and_utc() - TimeDelta::days(3);
        let mut intent = intent::created(new, now);
        for (into, edit) in (10..).zip(edits) {
            let Some((left, opened)) = changed(&intent, edit, into) else { continue };
            is_read_alike(&left.set)?;
            intent = opened.unwrap_or(left);
        }
        is_read_alike(&intent.set)?;
    }
}
