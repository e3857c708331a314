//! What happens in a simulated year, from a seed: who comes, who stays for how long, who moves,
//! cancels, pauses, and who leaves.
//!
//! The plan is all there is of chance: both designs are told the same, at the same times.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};
use fastrand::Rng;
use scheduler_core::{LocalDateTime, Zone};

use crate::practice::{MINUTES, Wish};

/// The practice's zone.
pub const ZONE: &str = "Europe/London";
/// The year's first day.
pub const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 1, 5).expect("a date");
/// How many weeks it has.
pub const WEEKS: u64 = 52;
/// Weeks in which the practice is closed, by their number.
const CLOSED: [u64; 2] = [31, 50];
/// How many weeks ahead it is told.
const TOLD_AHEAD: u64 = 8;
/// Half of the clients stay no longer.
const MEDIAN_WEEKS: f64 = 14.0;
/// Who leaves, and in which week; a new therapist takes over.
const LEAVES: (u32, u64) = (2, 34);

/// How large a practice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Clients who come in the year.
    pub clients: u32,
    /// Therapists at its beginning.
    pub therapists: u32,
}

impl Scale {
    /// As the report has it.
    pub const FULL: Self = Self {
        clients: 200,
        therapists: 20,
    };
    /// To see that it works.
    pub const TRIAL: Self = Self {
        clients: 12,
        therapists: 8,
    };
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client comes and books.
    Book(Wish),
    /// A series rests.
    Pause {
        /// Which.
        booking: u32,
        /// The first date of it.
        from: NaiveDate,
        /// The first after it.
        until: NaiveDate,
    },
    /// A client is gone.
    End {
        /// Which series.
        booking: u32,
    },
    /// One date is moved.
    Reschedule {
        /// Of which series.
        booking: u32,
        /// Which.
        at: LocalDateTime,
        /// Where to.
        to: LocalDateTime,
    },
    /// One date is called off.
    Cancel {
        /// Of which series.
        booking: u32,
        /// Which.
        at: LocalDateTime,
    },
    /// A session is over.
    Settle {
        /// Of which series.
        booking: u32,
        /// Which.
        at: LocalDateTime,
        /// When it was.
        start: DateTime<Utc>,
        /// Whether the client came.
        came: bool,
    },
    /// A series goes to another therapist from a date on.
    Reassign {
        /// Which.
        booking: u32,
        /// To whom.
        to: u32,
    },
    /// A therapist is hired.
    Hire(u32),
}

/// A year.
#[derive(Debug, Clone)]
pub struct Year {
    /// What happens, in order.
    pub events: Vec<(DateTime<Utc>, Event)>,
    /// The sessions to which clients came: booking, start.
    pub attended: Vec<(u32, DateTime<Utc>)>,
}

/// One client's place in the week.
struct Place {
    therapist: u32,
    day: u64,
    hour: u32,
    /// Where a date of theirs is moved to: a place of its own on the weekend, at no hour that the
    /// clocks skip or repeat.
    spare: (u64, u32),
}

/// Makes a year from a seed.
///
/// # Panics
/// Never: the year is within the calendar.
#[must_use]
pub fn year(scale: Scale, seed: u64) -> Year {
    let mut rng = Rng::with_seed(seed);
    let mut places: Vec<u32> = (0..40).collect();
    rng.shuffle(&mut places);
    let mut events = Vec::new();
    let mut attended = Vec::new();
    let new_therapist = scale.therapists;
    let leaving = day(LEAVES.1);
    events.push((at(leaving - Days::new(14), 8), Event::Hire(new_therapist)));
    for booking in 0..scale.clients {
        // Therapists have as many clients each, and none two at one hour of the week.
        let round = usize::try_from(booking / scale.therapists).unwrap_or(0);
        let within = places.get(round).copied().unwrap_or(0);
        let place = Place {
            therapist: booking % scale.therapists,
            day: u64::from(within / 8),
            hour: 9 + within % 8,
            spare: (5 + u64::from(within / 20), 2 + within % 20),
        };
        life(
            booking,
            &place,
            new_therapist,
            &mut rng,
            (&mut events, &mut attended),
        );
    }
    events.sort_by_key(|(at, event)| (*at, order(event)));
    attended.sort_unstable();
    Year { events, attended }
}

/// What happens at the same time happens in this order.
fn order(event: &Event) -> u32 {
    match event {
        Event::Hire(_) => 0,
        Event::Settle { .. } => 1,
        Event::End { .. } => 2,
        Event::Book(_) => 3,
        Event::Pause { .. } => 4,
        Event::Cancel { .. } | Event::Reschedule { .. } => 5,
        Event::Reassign { .. } => 6,
    }
}

type Sink<'a> = (
    &'a mut Vec<(DateTime<Utc>, Event)>,
    &'a mut Vec<(u32, DateTime<Utc>)>,
);

/// One client's year.
fn life(booking: u32, place: &Place, new_therapist: u32, rng: &mut Rng, sink: Sink<'_>) {
    let (events, attended) = sink;
    let arrival = FIRST_DAY + Days::new(rng.u64(0..WEEKS * 7 - 21));
    let booked = at(arrival, 10);
    let to_weekday = (place.day + 14 - u64::from(arrival.weekday().num_days_from_monday())) % 7;
    let mut first = arrival + Days::new(to_weekday);
    if first < arrival + Days::new(2) {
        first = first + Days::new(7);
    }
    let weeks = stay(rng);
    let has_left = booked >= at(day(LEAVES.1), 7) - TimeDelta::days(14);
    let is_theirs = place.therapist == LEAVES.0;
    let therapist = if is_theirs && has_left {
        new_therapist
    } else {
        place.therapist
    };
    events.push((
        booked,
        Event::Book(Wish {
            number: booking,
            therapist,
            client: booking,
            first: local(first, place.hour),
            zone: zone(),
            rule: "FREQ=WEEKLY",
        }),
    ));
    let mut rests = rests(booking, first, weeks, booked, rng, events);
    rests.sort_unstable();
    let year_ends = FIRST_DAY + Days::new(7 * WEEKS);
    let mut last = None;
    for week in 0..weeks {
        let date = first + Days::new(7 * week);
        if date >= year_ends {
            last = None;
            break;
        }
        let is_resting = rests
            .iter()
            .any(|(from, until)| (*from..*until).contains(&date));
        let (wall, end) = if is_resting {
            (local(date, place.hour), at(date, place.hour))
        } else {
            one(booking, date, place, booked, rng, (events, attended))
        };
        last = Some((wall, end));
    }
    let end = last.map(|(_, end)| end + TimeDelta::hours(2));
    let end = end.filter(|end| *end < at(year_ends, 0));
    let told = at(day(LEAVES.1), 7);
    if is_theirs && !has_left && booked < told && end.is_none_or(|end| end > told) {
        let to = new_therapist;
        events.push((told, Event::Reassign { booking, to }));
    }
    if let Some(end) = end {
        events.push((end, Event::End { booking }));
    }
}

/// How many weeks a client stays: the same chance to be gone in any week.
fn stay(rng: &mut Rng) -> u64 {
    let chance: f64 = 1.0 - rng.f64();
    let weeks = -chance.ln() * MEDIAN_WEEKS / std::f64::consts::LN_2;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some dozens, and not below nothing"
    )]
    let weeks = weeks.ceil() as u64;
    weeks.clamp(1, 2 * WEEKS)
}

/// When a series rests: while the practice is closed, and once by chance.
fn rests(
    booking: u32,
    first: NaiveDate,
    weeks: u64,
    booked: DateTime<Utc>,
    rng: &mut Rng,
    events: &mut Vec<(DateTime<Utc>, Event)>,
) -> Vec<(NaiveDate, NaiveDate)> {
    let last = first + Days::new(7 * weeks);
    let mut rests: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    for week in CLOSED {
        let (from, until) = (day(week), day(week + 1));
        if first < until && from < last {
            let told = at(day(week - TOLD_AHEAD), 9);
            let told = told.max(booked + TimeDelta::minutes(1));
            events.push((
                told,
                Event::Pause {
                    booking,
                    from,
                    until,
                },
            ));
            rests.push((from, until));
        }
    }
    if rng.u32(0..100) < 20 && weeks > 6 {
        let ahead = Days::new(rng.u64(3..21));
        let asked = first + Days::new(7 * rng.u64(1..weeks - 4));
        let from = asked + ahead;
        let until = from + Days::new(7 * rng.u64(2..5));
        let free = rests
            .iter()
            .all(|(start, end)| until <= *start || *end <= from);
        if free && until < last {
            events.push((
                at(asked, 6),
                Event::Pause {
                    booking,
                    from,
                    until,
                },
            ));
            rests.push((from, until));
        }
    }
    rests
}

/// One date: it takes place, or is moved, called off, or nobody comes. Tells where it was and when
/// it was over.
fn one(
    booking: u32,
    date: NaiveDate,
    place: &Place,
    booked: DateTime<Utc>,
    rng: &mut Rng,
    sink: Sink<'_>,
) -> (LocalDateTime, DateTime<Utc>) {
    let (events, attended) = sink;
    let wall = local(date, place.hour);
    let fate = rng.u32(0..100);
    let asked = at(date - Days::new(rng.u64(1..7)), 7);
    let asked = asked.max(booked + TimeDelta::minutes(2));
    // Whoever comes by short notice lets the first date be.
    let in_time = asked < at(date, place.hour) - TimeDelta::hours(25);
    let mut held = wall;
    if fate < 7 && in_time {
        events.push((asked, Event::Cancel { booking, at: wall }));
        return (wall, at(date, place.hour));
    }
    if (7..15).contains(&fate) && in_time {
        let (weekend, hour) = place.spare;
        held = local(date + Days::new(weekend - place.day), hour);
        events.push((
            asked,
            Event::Reschedule {
                booking,
                at: wall,
                to: held,
            },
        ));
    }
    let (start, _) = zone().resolve(held);
    let end = start + TimeDelta::minutes(MINUTES.into());
    if end >= at(FIRST_DAY + Days::new(7 * WEEKS), 0) {
        return (wall, end);
    }
    let came = fate < 96;
    let over = end + TimeDelta::minutes(10);
    events.push((
        over,
        Event::Settle {
            booking,
            at: wall,
            start,
            came,
        },
    ));
    if came {
        attended.push((booking, start));
    }
    (wall, end)
}

/// The Monday of a week of the year.
#[must_use]
pub fn day(week: u64) -> NaiveDate {
    debug_assert_eq!(FIRST_DAY.weekday(), Weekday::Mon);
    FIRST_DAY + Days::new(7 * week)
}

fn zone() -> Zone {
    ZONE.parse().unwrap_or(Zone::UTC)
}

/// An hour of a day, in UTC.
#[must_use]
pub fn at(date: NaiveDate, hour: u32) -> DateTime<Utc> {
    date.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(hour.into())
}

fn local(date: NaiveDate, hour: u32) -> LocalDateTime {
    let wall = date.and_time(NaiveTime::MIN) + TimeDelta::hours(hour.into());
    LocalDateTime::try_from(wall).unwrap_or(LocalDateTime::MIN)
}

/// How much happens, by what.
#[must_use]
pub fn counts(year: &Year) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for (_, event) in &year.events {
        let name = match event {
            Event::Book(_) => "bookings",
            Event::Pause { .. } => "pauses",
            Event::End { .. } => "bookings ended",
            Event::Reschedule { .. } => "dates moved",
            Event::Cancel { .. } => "dates called off",
            Event::Settle { came: true, .. } => "sessions attended",
            Event::Settle { came: false, .. } => "no-shows",
            Event::Reassign { .. } => "series given to another therapist",
            Event::Hire(_) => "therapists hired",
        };
        *counts.entry(name).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::SEED;

    #[test]
    fn everything_happens_in_the_year_of_the_report() {
        let counts = counts(&year(Scale::FULL, SEED));
        assert_eq!(counts.len(), 9, "{counts:?}");
        assert_eq!(counts["bookings"], 200);
    }
}
