//! What the rules already say of the future: how many more clients there is room for, and when a
//! client's credits run out.

use chrono::{DateTime, Utc};

use crate::LocalDateTime;
use crate::availability::Availability;
use crate::calendar::Calendar;
use crate::slots::{SlotPolicy, StandingError, StandingSlot, StandingWish, standing_slots};

const WEEK_SECONDS: i64 = 7 * 24 * 3600;

/// Standing slots that can all be taken beside each other: how many there are is how many more
/// clients there is room for.
///
/// They are taken through the week, each as early as the one before allows, which is as many as fit.
/// Only if blocks reach over the week's end may one more fit. With every
/// [`weeks`](StandingWish::weeks) above 1 it is the room in the weeks of the first dates.
///
/// # Errors
/// [`StandingError`] if the wish is out of range, or beyond what a calendar can compute.
pub fn room(
    calendar: &Calendar,
    availability: &Availability,
    policy: SlotPolicy,
    now: DateTime<Utc>,
    wish: &StandingWish,
) -> Result<Vec<StandingSlot>, StandingError> {
    let mut found = standing_slots(calendar, availability, policy, now, wish)?;
    found.sort_by_key(|slot| slot.start);
    let length = 60 * i64::from(policy.minutes());
    let block = |at: LocalDateTime| {
        let starts = at.seconds();
        policy.buffers().around(starts, starts + length)
    };
    let mut taken: Vec<StandingSlot> = Vec::new();
    for slot in found {
        let (starts, ends) = block(slot.start);
        let after = taken
            .last()
            .is_none_or(|last| block(last.start).1 <= starts);
        // A week after the first is the first again.
        let again = taken
            .first()
            .is_none_or(|first| ends <= block(first.start).0 + WEEK_SECONDS);
        if after && again && ends - starts <= WEEK_SECONDS {
            taken.push(slot);
        }
    }
    Ok(taken)
}

/// Credits that are valid for a while: units, as a ledger counts them for one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credits {
    /// How many are left.
    pub count: u32,
    /// The first instant at which an appointment can start that they pay.
    pub from: DateTime<Utc>,
    /// The first instant at which none can any more; never if `None`.
    pub until: Option<DateTime<Utc>>,
}

/// The first of these starts, in order, that no credit is left for. What expires first is used
/// first, and what never does last, so that no other order reaches further.
///
/// ```
/// use scheduler_core::forecast::{Credits, first_unfunded};
///
/// let dates = ["2026-03-02T18:00:00Z", "2026-03-09T18:00:00Z", "2026-03-16T18:00:00Z"];
/// let dates: Vec<_> = dates.iter().map(|at| at.parse()).collect::<Result<_, _>>()?;
/// let lot = Credits { count: 4, from: "2026-03-01T00:00:00Z".parse()?, until: Some(dates[2]) };
/// assert_eq!(first_unfunded(dates.iter().copied(), &[lot]), Some(dates[2]));
/// # Ok::<(), chrono::ParseError>(())
/// ```
pub fn first_unfunded(
    starts: impl IntoIterator<Item = DateTime<Utc>>,
    lots: &[Credits],
) -> Option<DateTime<Utc>> {
    let mut lots = lots.to_vec();
    lots.sort_by_key(|lot| (lot.until.is_none(), lot.until, lot.from));
    starts.into_iter().find(|start| {
        let valid = |lot: &&mut Credits| {
            lot.count > 0 && lot.from <= *start && lot.until.is_none_or(|until| *start < until)
        };
        match lots.iter_mut().find(valid) {
            Some(lot) => {
                lot.count -= 1;
                false
            }
            None => true,
        }
    })
}
