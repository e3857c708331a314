//! Random histories: few bookings, keys and hours, so that commands meet each other.

use chrono::{DateTime, TimeDelta, Utc};
use ledger_core::{
    Command, Credits, Evidence, ForfeitReason, HoldId, Key, ReleaseReason, ServiceId, Source,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::ledger::{at, hold_id, service};

/// A command and the clock's reading when it arrives.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) command: Command,
    pub(crate) now: DateTime<Utc>,
}

/// At least 100 commands; some again, some impossible; the clock jumps forwards and back.
pub(crate) fn history() -> impl Strategy<Value = Vec<Step>> {
    let fresh = command().prop_map(Some);
    let step = prop_oneof![5 => fresh, 1 => Just(None)];
    let clock =
        prop_oneof![6 => 0..5_000_000_000i64, 1 => -9_000_000_000_000..9_000_000_000_000i64];
    let steps = prop::collection::vec((step, any::<prop::sample::Index>(), clock), 100..140);
    steps.prop_map(|steps| {
        let mut now = at(0);
        let mut history: Vec<Step> = Vec::new();
        for (fresh, earlier, nanos) in steps {
            now += TimeDelta::nanoseconds(nanos);
            let command = match fresh {
                Some(command) => command,
                None if history.is_empty() => continue,
                None => history[earlier.index(history.len())].command.clone(),
            };
            history.push(Step { command, now });
        }
        history
    })
}

/// Any command, sensible or not.
pub(crate) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => grant(),
        6 => (holds(), services(), instants())
            .prop_map(|(hold, service, slot_start)| Command::Hold { hold, service, slot_start }),
        3 => (holds(), releases()).prop_map(|(hold, reason)| Command::Release { hold, reason }),
        2 => holds().prop_map(|hold| Command::Use { hold }),
        2 => (holds(), forfeits()).prop_map(|(hold, reason)| Command::Forfeit { hold, reason }),
        4 => (holds(), 0..5u32, instants())
            .prop_map(|(hold, slot_version, to)| Command::Reschedule { hold, slot_version, to }),
    ]
}

fn grant() -> impl Strategy<Value = Command> {
    let amount = prop_oneof![40 => 1..4i64, 4 => -2..1i64, 2 => Just(i64::MAX - 5)];
    let source = prop_oneof![Just(Source::Goodwill), Just(Source::Paid)];
    let expiry = prop_oneof![
        2 => Just(None),
        5 => (1..16i64).prop_map(|hours| Some(at(hours))),
        1 => instants().prop_map(Some),
    ];
    (
        keys(),
        services(),
        amount,
        source,
        0..2u128,
        (instants(), expiry),
    )
        .prop_map(
            |(key, service, amount, source, actor, (effective_at, expires_at))| Command::Grant {
                key,
                service,
                amount: Credits(amount),
                source,
                evidence: Evidence::Manual {
                    actor: Uuid::from_u128(actor),
                    reason: "welcome".parse().unwrap(),
                },
                effective_at,
                expires_at,
            },
        )
}

fn keys() -> impl Strategy<Value = Key> {
    prop_oneof![
        20 => (0..30u128).prop_map(|n| Key::manual_grant(Uuid::from_u128(n))),
        1 => holds().prop_map(Key::hold),
    ]
}

fn holds() -> impl Strategy<Value = HoldId> {
    let generation = prop_oneof![8 => Just(1), 3 => Just(2), 1 => any::<u32>()];
    (0..5u8, generation).prop_map(|(booking, generation)| hold_id(booking, generation))
}

fn services() -> impl Strategy<Value = ServiceId> {
    prop_oneof![3 => Just(service(1)), 1 => Just(service(2))]
}

/// Few hours, so that instants coincide; now and then digits below a microsecond, or an end of
/// time.
pub(crate) fn instants() -> impl Strategy<Value = DateTime<Utc>> {
    prop_oneof![
        20 => (0..12i64).prop_map(at),
        2 => (0..12i64, 1..2000i64).prop_map(|(h, n)| at(h) + TimeDelta::nanoseconds(n)),
        1 => prop_oneof![Just(DateTime::<Utc>::MIN_UTC), Just(DateTime::<Utc>::MAX_UTC)],
    ]
}

fn releases() -> impl Strategy<Value = ReleaseReason> {
    prop_oneof![
        4 => Just(ReleaseReason::Cancelled),
        2 => Just(ReleaseReason::ClinicCancelled),
        2 => Just(ReleaseReason::Skipped),
        1 => Just(ReleaseReason::Used),
        1 => Just(ReleaseReason::Forfeited),
    ]
}

fn forfeits() -> impl Strategy<Value = ForfeitReason> {
    prop_oneof![Just(ForfeitReason::LateCancel), Just(ForfeitReason::NoShow)]
}
