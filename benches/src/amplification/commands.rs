//! The commands that are measured, as either design carries them out.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use clinic::occurrence::Touch;
use scheduler_core::intent::{Changes, Edit, Overrides};
use scheduler_core::{IntentId, LocalDateTime, Pause, PausedSlot};

use crate::eager::Eager;
use crate::practice::{Practice, Wish, id, intent, therapist};

/// The Monday of the first dates.
const FIRST_MONDAY: &str = "2026-03-16";
/// Of whom bookings are made; as many again stand in for them.
pub(super) const THERAPISTS: u32 = 40;
/// Bookings of one therapist in a day.
const HOURS: u32 = 8;

/// What is done.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Book(Wish),
    RescheduleSeries(u32, LocalDateTime),
    Pause(u32, NaiveDate),
    CancelSeries(u32),
    RescheduleOne(u32, LocalDateTime),
    Reassign(u32),
    Undo(u32),
}

impl Command {
    pub(super) const BOOK: &str = "book a weekly series";

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Book(_) => Self::BOOK,
            Self::RescheduleSeries(..) => "reschedule a series",
            Self::Pause(..) => "pause for 3 weeks",
            Self::CancelSeries(_) => "cancel a series",
            Self::RescheduleOne(..) => "reschedule one date",
            Self::Reassign(_) => "give a series to another therapist",
            Self::Undo(_) => "take that back",
        }
    }
}

/// The first date of a booking by its number.
fn first_date(number: u32) -> anyhow::Result<LocalDateTime> {
    let place = number / THERAPISTS;
    let (day, hour) = (place / HOURS, 9 + place % HOURS);
    let monday: NaiveDate = FIRST_MONDAY.parse()?;
    local(monday + Days::new(day.into()), hour)
}

fn local(date: NaiveDate, hour: u32) -> anyhow::Result<LocalDateTime> {
    Ok(format!("{date}T{hour:02}:00:00").parse()?)
}

/// A weekly series, by its number: each has a place in a therapist's week that no other has.
pub(crate) fn wish(number: u32) -> anyhow::Result<Wish> {
    Ok(Wish {
        number,
        therapist: number % THERAPISTS,
        client: number,
        first: first_date(number)?,
        zone: "Europe/London".parse()?,
        rule: "FREQ=WEEKLY",
    })
}

/// Commands on series, a list for each kind of edit: each is done to so many bookings of its own, and
/// what was given to another therapist is taken back.
pub(super) fn edits(each: u32) -> anyhow::Result<Vec<Vec<Command>>> {
    let monday: NaiveDate = FIRST_MONDAY.parse()?;
    let sunday = monday + Days::new(6);
    let all = |kind: u32, command: &dyn Fn(u32) -> anyhow::Result<Command>| {
        let bookings = kind * each..(kind + 1) * each;
        bookings
            .map(command)
            .collect::<anyhow::Result<Vec<Command>>>()
    };
    Ok(vec![
        all(0, &|number| {
            let first = first_date(number)?;
            let to = local(first.date() + Days::new(5), hour(first))?;
            Ok(Command::RescheduleSeries(number, to))
        })?,
        all(1, &|number| Ok(Command::Pause(number, monday)))?,
        all(2, &|number| Ok(Command::CancelSeries(number)))?,
        all(3, &|number| {
            let to = local(sunday, hour(first_date(number)?))?;
            Ok(Command::RescheduleOne(number, to))
        })?,
        all(4, &|number| Ok(Command::Reassign(number)))?,
        all(4, &|number| Ok(Command::Undo(number)))?,
    ])
}

pub(super) async fn ours(practice: &Practice, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Book(wish) => practice.book(wish).await,
        Command::RescheduleSeries(number, first) => {
            let edit = Edit::Amend {
                into: IntentId(id(8, (*number).into())),
                changes: Changes {
                    start: Some(*first),
                    ..Changes::default()
                },
                overrides: Overrides::Carry,
            };
            practice.edit(intent(*number), edit).await
        }
        Command::Pause(number, from) => {
            let pause = Pause {
                from: *from,
                until: Some(*from + Days::new(21)),
                slot: PausedSlot::Kept,
            };
            practice.edit(intent(*number), Edit::Pause(pause)).await
        }
        Command::CancelSeries(number) => {
            let from = practice.now().date_naive();
            practice.edit(intent(*number), Edit::End { from }).await
        }
        Command::RescheduleOne(number, to) => {
            let at = first_date(*number)?;
            let touch = Touch::Reschedule(*to);
            practice.touch(intent(*number), at, touch).await
        }
        Command::Reassign(number) => {
            let edit = Edit::Reassign {
                from: practice.now().date_naive(),
                to: therapist(standing_in(*number)),
                into: reassigned(*number),
            };
            practice.edit(intent(*number), edit).await
        }
        Command::Undo(number) => practice.undo(intent(*number)).await,
    }
}

/// The segment that a reassigned booking goes on in.
fn reassigned(number: u32) -> IntentId {
    IntentId(id(9, number.into()))
}

/// Who takes a booking over: a therapist of whom nobody else has booked anything.
fn standing_in(number: u32) -> u32 {
    THERAPISTS + number % THERAPISTS
}

pub(super) async fn theirs(
    eager: &mut Eager,
    command: &Command,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    match command {
        Command::Book(wish) => eager.book(wish, now).await,
        Command::RescheduleSeries(number, first) => {
            eager.reschedule_series(*number, *first, now).await
        }
        Command::Pause(number, from) => {
            let from = from.and_time(chrono::NaiveTime::MIN).and_utc();
            let dates = eager.dates(*number, from, from + TimeDelta::days(21))?;
            eager.call_off("series_paused", &dates, now).await
        }
        Command::CancelSeries(number) => eager.cancel_series(*number, now, now).await,
        Command::RescheduleOne(number, to) => {
            let at = first_date(*number)?;
            let wish = wish(*number)?;
            let (start, _) = wish.zone.resolve(*to);
            eager.reschedule(*number, at, start, now).await
        }
        Command::Reassign(number) => eager.reassign(*number, standing_in(*number), now).await,
        Command::Undo(number) => eager.reassign(*number, number % THERAPISTS, now).await,
    }
}

fn hour(at: LocalDateTime) -> u32 {
    use chrono::Timelike;
    at.naive().hour()
}
