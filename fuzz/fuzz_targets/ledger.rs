//! Any sequence of commands: nothing panics, what is decided fits, retries change nothing, each
//! lot's buckets sum to what was granted, and the stored chain and snapshot read back the same.
#![no_main]

use chrono::{DateTime, TimeDelta, Utc};
use ledger_core::{
    Account, AccountId, Cause, Command, Credits, Entry, Evidence, ForfeitReason, HeldPolicy,
    HoldId, Idempotent, Key, LotId, LotNumber, ReleaseReason, ServiceId, Source, TransferReason,
    decide, evolve, fold, verify,
};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

// Eight bytes are a command.
fuzz_target!(|bytes: &[u8]| {
    let id = AccountId(Uuid::from_u128(0xa));
    let (mut account, mut entries) = (Account::open(id), Vec::<Entry>::new());
    let mut now = DateTime::UNIX_EPOCH;
    for chunk in bytes.chunks_exact(8) {
        let chunk: [u8; 8] = chunk.try_into().expect("eight bytes");
        now += TimeDelta::minutes(i64::from(chunk[0]) - 16);
        let command = command(chunk);
        for again in [false, true] {
            let keys = command.keys();
            let seen = entries.iter().filter(|entry| keys.contains(&entry.key));
            let seen: Vec<Entry> = seen.cloned().collect();
            match decide(&account, &seen, &command, now) {
                Ok(Idempotent::Applied(new)) => {
                    assert!(!again, "{command} was applied twice");
                    account = new.iter().try_fold(account, evolve).expect("it fits");
                    entries.extend(new);
                }
                Ok(Idempotent::AlreadyApplied) => {}
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        for lot in account.lots() {
            assert_eq!(lot.balance.total(), Ok(lot.granted));
        }
    }
    assert_eq!(verify(id, &entries), Ok(account.head()));
    assert_eq!(fold(id, &entries).as_ref(), Ok(&account));
    let stored = serde_json::to_string(&account).expect("it is written");
    assert_eq!(serde_json::from_str::<Account>(&stored).expect("it reads"), account);
});

fn command([_, kind, a, b, c, d, e, f]: [u8; 8]) -> Command {
    let uuid = |n: u8| Uuid::from_u128((n % 8).into());
    let at = |n: u8| -> DateTime<Utc> { DateTime::UNIX_EPOCH + TimeDelta::hours(n.into()) };
    let until = |n: u8| (n % 4 != 0).then(|| at(n));
    let hold = HoldId { booking: uuid(a), generation: (b % 2).into() };
    let service = ServiceId(uuid(c % 2));
    let small = Credits(i64::from(d % 8) - 1);
    let amount = if d == 255 { Credits(i64::MAX) } else { small };
    let lot = LotId { account: AccountId(Uuid::from_u128(0xa)), number: LotNumber((b % 16).into()) };
    let vendor = || format!("x_{}", a % 4).parse().expect("an id");
    let cause = match c % 3 {
        0 => Cause::Refund { id: vendor() },
        1 => Cause::Dispute { id: vendor() },
        _ => Cause::Void { id: vendor() },
    };
    let reason = || "by_hand".parse().expect("a code");
    let actor = uuid(f);
    match kind % 12 {
        0 => Command::Grant {
            key: Key::manual_grant(Uuid::from_u128(a.into())),
            service,
            amount,
            source: if b % 2 == 0 { Source::Paid } else { Source::Goodwill },
            evidence: Evidence::Manual { actor, reason: reason() },
            effective_at: at(e),
            expires_at: until(f),
        },
        1 => Command::Hold { hold, service, slot_start: at(e) },
        2 => Command::Release {
            hold,
            reason: match c % 5 {
                0 => ReleaseReason::Cancelled,
                1 => ReleaseReason::ClinicCancelled,
                2 => ReleaseReason::Skipped,
                3 => ReleaseReason::NoShow,
                _ => ReleaseReason::Used,
            },
        },
        3 => Command::Use { hold },
        4 => Command::Forfeit { hold, reason: ForfeitReason::NoShow },
        5 => Command::Reschedule { hold, slot_version: d.into(), to: at(e) },
        6 => Command::Expire { lot },
        7 => {
            let held = if e % 2 == 0 { HeldPolicy::Keep } else { HeldPolicy::Take };
            Command::Clawback { cause, lot, amount, held }
        }
        8 => Command::Reinstate { cause },
        9 => Command::Transfer {
            id: uuid(a),
            lot,
            reason: match c % 4 {
                0 => TransferReason::Rollover,
                1 => TransferReason::CarryOver,
                2 => TransferReason::ExpiryChange,
                _ => TransferReason::Grace,
            },
            amount,
            effective_at: at(e),
            expires_at: until(f),
        },
        10 => Command::Adjust { id: uuid(a), service, amount, actor, reason: reason() },
        _ => Command::Reverse {
            entry: match c % 5 {
                0 => Key::used(hold),
                1 => Key::forfeit(hold),
                2 => Key::manual_grant(Uuid::from_u128(a.into())),
                3 => Key::expire(lot),
                _ => Key::adjust(uuid(a)),
            },
            actor,
            reason: reason(),
        },
    }
}
