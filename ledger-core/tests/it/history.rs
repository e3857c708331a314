//! Random histories: few bookings, keys and hours, so that commands meet each other.

use chrono::{DateTime, TimeDelta, Utc};
use ledger_core::{
    AccountId, Cause, Command, Credits, Evidence, ForfeitReason, HeldPolicy, HoldId, InvoiceStatus,
    Key, LotId, LotNumber, ReleaseReason, ServiceId, Source, TransferReason,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::ledger::{Ledger, at, hold_id, invoice, lot_id, period, plan, service};

/// A command and the clock's reading when it arrives.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) command: Command,
    pub(crate) now: DateTime<Utc>,
}

/// How many cases of a property: as many as usual, or as `STANDING_CASES` says.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let given = std::env::var("STANDING_CASES").ok();
    ProptestConfig {
        cases: given.and_then(|text| text.parse().ok()).unwrap_or(usual),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// At least 200 commands; some again, some impossible; the clock jumps forwards and back.
pub(crate) fn history() -> impl Strategy<Value = Vec<Step>> {
    history_of(command(), 200..240)
}

/// A history of some kind of commands.
pub(crate) fn history_of(
    commands: impl Strategy<Value = Command> + 'static,
    count: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<Step>> {
    let fresh = commands.prop_map(Some);
    let step = prop_oneof![5 => fresh, 1 => Just(None)];
    let clock =
        prop_oneof![12 => 0..200_000_000_000i64, 1 => -4_000_000_000_000..7_000_000_000_000i64];
    let steps = prop::collection::vec((step, any::<prop::sample::Index>(), clock), count);
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

/// Runs a history, whatever comes of each command.
pub(crate) fn run(history: &[Step]) -> Ledger {
    let mut ledger = Ledger::open();
    for Step { command, now } in history {
        let _ = ledger.send(command, *now);
    }
    ledger
}

/// Any command, sensible or not.
pub(crate) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        3 => grant(),
        3 => paid_grant(),
        12 => (holds(), services(), instants())
            .prop_map(|(hold, service, slot_start)| Command::Hold { hold, service, slot_start }),
        4 => (holds(), releases()).prop_map(|(hold, reason)| Command::Release { hold, reason }),
        3 => holds().prop_map(|hold| Command::Use { hold }),
        2 => (holds(), forfeits()).prop_map(|(hold, reason)| Command::Forfeit { hold, reason }),
        4 => (holds(), 0..5u32, instants())
            .prop_map(|(hold, slot_version, to)| Command::Reschedule { hold, slot_version, to }),
        2 => lots().prop_map(|lot| Command::Expire { lot }),
        4 => (causes(), lots(), -1..6i64, policies()).prop_map(|(cause, lot, amount, held)| {
            Command::Clawback { cause, lot, amount: Credits(amount), held }
        }),
        3 => causes().prop_map(|cause| Command::Reinstate { cause }),
        6 => transfer(),
        5 => extend(),
        3 => (holds(), holds()).prop_map(|(hold, into)| Command::Rebook { hold, into }),
        2 => (lots(), 0..4u128).prop_map(|(lot, id)| Command::Unextend {
            lot,
            id: Uuid::from_u128(id),
        }),
        4 => (holds(), holds(), services(), instants(), 0..4u128).prop_map(
            |(hold, of, service, slot_start, extension)| Command::Restore {
                hold,
                of,
                service,
                slot_start,
                extension: Uuid::from_u128(extension),
                actor: Uuid::from_u128(7),
                reason: "reopened".parse().unwrap(),
            },
        ),
        2 => adjust(),
        8 => (entries(), 0..2u128).prop_map(|(entry, actor)| Command::Reverse {
            entry,
            actor: Uuid::from_u128(actor),
            reason: "by_mistake".parse().unwrap(),
        }),
    ]
}

/// A lot that may be there, or another account's.
fn lots() -> impl Strategy<Value = LotId> {
    let strange = LotId {
        account: AccountId(Uuid::from_u128(0xb)),
        number: LotNumber(1),
    };
    prop_oneof![30 => (0..10u32).prop_map(lot_id), 1 => Just(strange)]
}

pub(crate) fn causes() -> impl Strategy<Value = Cause> {
    (0..3u8, 0..3u8).prop_map(|(kind, n)| {
        let id = format!("x_{n}").parse().unwrap();
        match kind {
            0 => Cause::Refund { id },
            1 => Cause::Dispute { id },
            _ => Cause::Void { id },
        }
    })
}

fn policies() -> impl Strategy<Value = HeldPolicy> {
    prop_oneof![Just(HeldPolicy::Keep), Just(HeldPolicy::Take)]
}

fn reasons() -> impl Strategy<Value = TransferReason> {
    prop_oneof![
        Just(TransferReason::Rollover),
        Just(TransferReason::CarryOver),
        Just(TransferReason::ExpiryChange),
        Just(TransferReason::Grace),
        Just(TransferReason::Restored),
    ]
}

fn extend() -> impl Strategy<Value = Command> {
    let end = prop_oneof![1 => Just(None), 3 => instants().prop_map(Some)];
    (0..4u128, lots(), reasons(), 0..4i64, end).prop_map(|(id, lot, reason, amount, until)| {
        Command::Extend {
            id: Uuid::from_u128(id),
            lot,
            reason,
            amount: Credits(amount),
            until,
        }
    })
}

fn transfer() -> impl Strategy<Value = Command> {
    let reasons = reasons();
    let end = prop_oneof![1 => Just(None), 3 => instants().prop_map(Some)];
    (0..2u128, lots(), reasons, 0..4i64, instants(), end).prop_map(
        |(id, lot, reason, amount, effective_at, expires_at)| Command::Transfer {
            id: Uuid::from_u128(id),
            lot,
            reason,
            amount: Credits(amount),
            effective_at,
            expires_at,
        },
    )
}

fn adjust() -> impl Strategy<Value = Command> {
    let amount = prop_oneof![30 => -3..4i64, 1 => Just(i64::MAX - 5)];
    (0..8u128, services(), amount).prop_map(|(id, service, amount)| Command::Adjust {
        id: Uuid::from_u128(id),
        service,
        amount: Credits(amount),
        actor: Uuid::from_u128(0xac),
        reason: "counted_wrong".parse().unwrap(),
    })
}

/// The keys of entries that may be there.
fn entries() -> impl Strategy<Value = Key> {
    let moved = (1..9u32, 0..2u128).prop_map(|(lot, id)| {
        Key::transfer(lot_id(lot), TransferReason::Grace, Uuid::from_u128(id))
    });
    prop_oneof![
        5 => holds().prop_map(Key::used),
        2 => holds().prop_map(Key::forfeit),
        1 => holds().prop_map(Key::release),
        3 => (0..30u128).prop_map(|n| Key::manual_grant(Uuid::from_u128(n))),
        3 => (0..14u32).prop_map(|lot| Key::expire(lot_id(lot))),
        3 => (0..8u128).prop_map(|id| Key::adjust(Uuid::from_u128(id))),
        3 => moved,
        1 => causes().prop_map(|cause| Key::clawback(&cause)),
        1 => (holds(), 0..14u32).prop_map(|(hold, lot)| {
            format!("{}/expire/{lot}", Key::release(hold)).parse().unwrap()
        }),
        1 => (1..14u32, 1..14u32, 0..4u128).prop_map(|(lot, new, id)| {
            let id = Uuid::from_u128(id);
            format!("{}/{new}", Key::extend(lot_id(lot), id)).parse().unwrap()
        }),
    ]
}

/// The grant of a paid period, now and then with an invoice that does not prove it.
fn paid_grant() -> impl Strategy<Value = Command> {
    let starts = prop_oneof![6 => (0..4i64).prop_map(|n| 3 * n), 1 => 0..12i64];
    (
        1..3u8,
        prop_oneof![4 => Just(3i64), 1 => Just(4)],
        starts,
        0..20u8,
    )
        .prop_map(|(item, credits, start, fault)| {
            let (plan, period) = (plan(item, credits), period(start, start + 3));
            let mut invoice = invoice(&plan, period);
            let mut grant_of = period;
            match fault {
                0 => invoice.status = InvoiceStatus::Open,
                1 => invoice.reason = "subscription_update".parse().unwrap(),
                2 => grant_of = crate::ledger::period(start + 3, start + 6),
                3 => invoice.lines[1].charge = None,
                4 => invoice.id = "in_2".parse().unwrap(),
                5 => invoice.id = "IN-2.".parse().unwrap(),
                6 => invoice.paid.minor -= 1,
                // A discount, which is on the line; what was paid may be anything.
                7 => {
                    let charge = invoice.lines[1].charge.as_mut().unwrap();
                    charge.discount.minor = 6_000;
                    invoice.paid.minor = 0;
                }
                8 => invoice.lines[1].charge.as_mut().unwrap().price.minor -= 1,
                // No charges, and one line.
                9 => {
                    invoice.lines.remove(0);
                    invoice.lines[0].charge = None;
                }
                // One invoice for both items: each has its line.
                10..13 => {
                    invoice.id = format!("in_both_{start}").parse().unwrap();
                    let both = [1, 2].map(|item| {
                        let mut line = invoice.lines[1].clone();
                        line.item = Some(format!("si_{item}").parse().unwrap());
                        line
                    });
                    invoice.lines = both.to_vec();
                }
                _ => {}
            }
            plan.grant(grant_of, invoice)
        })
}

fn grant() -> impl Strategy<Value = Command> {
    let amount = prop_oneof![40 => 1..4i64, 4 => -2..1i64, 1 => Just(i64::MAX - 5)];
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
    let generation = prop_oneof![12 => Just(1), 6 => Just(2), 1 => any::<u32>()];
    (0..9u8, generation).prop_map(|(booking, generation)| hold_id(booking, generation))
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
        1 => Just(ReleaseReason::Skipped),
        1 => Just(ReleaseReason::Rebooked),
        1 => Just(ReleaseReason::NoShow),
        1 => Just(ReleaseReason::Used),
        1 => Just(ReleaseReason::Forfeited),
    ]
}

fn forfeits() -> impl Strategy<Value = ForfeitReason> {
    prop_oneof![Just(ForfeitReason::LateCancel), Just(ForfeitReason::NoShow)]
}
