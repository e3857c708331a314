//! Whatever command carries a reason, it is accepted exactly if the code is in the clinic's list.

use std::collections::BTreeSet;

use chrono::{NaiveDate, TimeDelta};
use clinic::account::{ByHand, by_hand};
use clinic::occurrence::Touch;
use clinic::series::{self, edit, undo};
use clinic::settlement::waive;
use clinic::time_off::{Times, change_times};
use clinic::{Blackout, Decision, PersonId, Refusal, Role, Scope, View, reason};
use ledger_core::{AccountId, CarryOver, Credits, Key, LotId, LotNumber, ReasonCode, Source};
use proptest::prelude::*;
use scheduler_core::intent::{Changes, Edit, Overrides};
use scheduler_core::{IntentId, Pause, PausedSlot, SessionId};
use store::{Request, Store, StoreError, Written};
use uuid::Uuid;

use crate::world::{CLIENT, CLINIC, Policy, SERVICE, THERAPISTS, World, by, cases, wait};

/// A clinic in which each of the commands has something to do.
struct Ground {
    world: World,
    forfeited: SessionId,
    series: IntentId,
    grant: Uuid,
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn paused(from: &str, until: &str) -> Edit {
    Edit::Pause(Pause {
        from: date(from),
        until: Some(date(until)),
        slot: PausedSlot::Kept,
    })
}

fn code(text: &str) -> ReasonCode {
    text.parse().unwrap()
}

impl Ground {
    fn new() -> Self {
        let mut world = World::open(Policy {
            credits: 4,
            rollover: CarryOver::None,
            grace_days: 14,
        });
        assert!(
            world.book(30),
            "every week at 14:00, six times from 2 March"
        );
        world.pass(12);
        let session = world.sessions().remove(0);
        assert!(world.touch(&session, Touch::Cancel, by(Role::Client(CLIENT))));
        let ground = Self {
            world,
            forfeited: session.id,
            series: session.intent,
            grant: Uuid::from_u128(0x91),
        };
        for what in [Command::GrantBefore, Command::PauseBefore] {
            let done = ground.give(what, &code("other"), false);
            assert!(matches!(done, Ok(Written::Committed { .. })), "{done:?}");
        }
        ground
    }

    fn write(
        &self,
        scope: Scope,
        decide: impl FnOnce(&View) -> Decision + Send,
        dry_run: bool,
    ) -> Outcome {
        let request = Request {
            dry_run,
            ..Request::of(by(Role::Admin), self.world.now)
        };
        wait(self.world.store.write(&request, scope, Box::new(decide)))
    }

    fn add(&self, own: &ReasonCode) -> Outcome {
        let (new, now) = (own.clone(), self.world.now);
        let decide = |view: &View| reason::add(view, new, by(Role::Admin), now);
        self.write(Scope::Reasons, decide, false)
    }

    /// Gives a command this reason.
    fn give(&self, command: Command, code: &ReasonCode, dry_run: bool) -> Outcome {
        let (now, staff) = (self.world.now, by(Role::Admin));
        let by_hand_with = |what: ByHand| {
            let scope = what.scope(CLIENT);
            let decide = |view: &View| by_hand(view, &what, staff, None, now);
            self.write(scope, decide, dry_run)
        };
        let edit_with = |wanted: Edit| {
            let scope = series::scope(self.series, &wanted, now).unwrap();
            let decide = |view: &View| edit(view, &wanted, Some(code), staff, None, now);
            self.write(scope, decide, dry_run)
        };
        let (reason, into) = (code.clone(), IntentId(Uuid::from_u128(0x92)));
        let changes = Changes {
            minutes: Some(40),
            ..Changes::default()
        };
        match command {
            Command::GrantBefore => by_hand_with(ByHand::Grant {
                id: self.grant,
                service: SERVICE,
                amount: Credits(2),
                source: Source::Paid,
                reason,
            }),
            Command::Grant => by_hand_with(ByHand::Grant {
                id: Uuid::from_u128(0x93),
                service: SERVICE,
                amount: Credits(1),
                source: Source::Goodwill,
                reason,
            }),
            Command::Adjust => by_hand_with(ByHand::Adjust {
                id: Uuid::from_u128(0x94),
                service: SERVICE,
                amount: Credits(-1),
                reason,
            }),
            Command::Reverse => by_hand_with(ByHand::Reverse {
                entry: Key::manual_grant(self.grant),
                reason,
                until: None,
            }),
            Command::Transfer => by_hand_with(ByHand::Transfer {
                id: Uuid::from_u128(0x95),
                lot: LotId {
                    account: AccountId(CLIENT.0),
                    number: LotNumber(2),
                },
                amount: Credits(1),
                until: Some(now + TimeDelta::days(60)),
                reason,
            }),
            Command::Waive => {
                let decide = |view: &View| waive(view, code, staff, None, now);
                self.write(Scope::Waiver(self.forfeited), decide, dry_run)
            }
            Command::PauseBefore => edit_with(paused("2026-03-16", "2026-03-23")),
            Command::Pause => edit_with(paused("2026-03-30", "2026-04-06")),
            Command::Resume => edit_with(Edit::Resume {
                from: date("2026-03-20"),
            }),
            Command::End => edit_with(Edit::End {
                from: date("2026-03-30"),
            }),
            Command::Reassign => edit_with(Edit::Reassign {
                from: date("2026-03-23"),
                to: THERAPISTS[1],
                into,
            }),
            Command::Amend => edit_with(Edit::Amend {
                into,
                changes,
                overrides: Overrides::default(),
            }),
            Command::Split => edit_with(Edit::Split {
                at: "2026-03-23T14:00:00".parse().unwrap(),
                into,
                changes,
                overrides: Overrides::default(),
            }),
            Command::Undo => {
                let named = wait(self.world.store.intent(CLINIC, self.series));
                let scope = series::undo_scope(&named.unwrap().unwrap(), now).unwrap();
                let decide = |view: &View| undo(view, self.series, Some(code), staff, None, now);
                self.write(scope, decide, dry_run)
            }
            Command::TimeOff => {
                let scope = Scope::Person {
                    id: PersonId::Therapist(THERAPISTS[0]),
                    email: Vec::new(),
                };
                let blackout = Blackout {
                    from: now + TimeDelta::days(90),
                    until: now + TimeDelta::days(91),
                    reason: Some(reason),
                    withdrawn: false,
                    kept: BTreeSet::new(),
                };
                let wanted = Times::Blackout(Uuid::from_u128(0x96), blackout);
                let decide = |view: &View| change_times(view, &wanted, staff, None);
                self.write(scope, decide, dry_run)
            }
        }
    }
}

type Outcome = Result<Written, StoreError>;

/// Everything that can be given a reason.
#[derive(Clone, Copy, Debug)]
enum Command {
    /// Made before the others, for them.
    GrantBefore,
    /// The same.
    PauseBefore,
    Grant,
    Adjust,
    Reverse,
    Transfer,
    Waive,
    Pause,
    Resume,
    End,
    Reassign,
    Amend,
    Split,
    Undo,
    TimeOff,
}

const COMMANDS: [Command; 13] = [
    Command::Grant,
    Command::Adjust,
    Command::Reverse,
    Command::Transfer,
    Command::Waive,
    Command::Pause,
    Command::Resume,
    Command::End,
    Command::Reassign,
    Command::Amend,
    Command::Split,
    Command::Undo,
    Command::TimeOff,
];

/// Codes that are often the same, codes of every clinic, and codes that are nearly theirs.
fn any_code() -> impl Strategy<Value = ReasonCode> {
    let default = prop::sample::select(&reason::DEFAULTS[..]);
    prop_oneof![
        3 => "[ab]{1,2}".prop_map(|text| code(&text)),
        1 => default.clone().prop_map(code),
        1 => default.clone().prop_map(|text| code(&format!("{text}_"))),
        1 => default.prop_map(|text| code(&text[..text.len() - 1])),
    ]
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_reason_is_accepted_exactly_if_it_is_in_the_list(
        own in prop::collection::btree_set(any_code(), 0..5),
        given in any_code(),
    ) {
        let ground = Ground::new();
        for one in &own {
            let added = ground.add(one).unwrap();
            let is_default = reason::DEFAULTS.contains(&one.as_str());
            prop_assert_eq!(added == Written::Unchanged, is_default);
            prop_assert_eq!(ground.add(one).unwrap(), Written::Unchanged);
        }
        let listed = own.contains(&given) || reason::DEFAULTS.contains(&given.as_str());
        let mut known: Vec<ReasonCode> = reason::DEFAULTS.map(code).to_vec();
        known.extend(own.iter().cloned());
        known.sort();
        known.dedup();
        for command in COMMANDS {
            match ground.give(command, &given, true) {
                Ok(Written::DryRun(_)) => prop_assert!(listed, "{command:?} takes {given}"),
                Err(StoreError::Refused(Refusal::UnknownReason { field, known: told })) => {
                    prop_assert!(!listed, "{command:?} refuses {given}");
                    prop_assert_eq!((field, &told), ("reason", &known));
                }
                other => prop_assert!(false, "{command:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_clinic_adds_a_hundred_codes_at_most() {
    let ground = Ground::new();
    for number in 0..reason::OWN_MAX {
        let added = ground.add(&code(&format!("own_{number}"))).unwrap();
        assert!(
            matches!(added, Written::Committed { rows: 2, .. }),
            "{added:?}"
        );
    }
    let refused = ground.add(&code("one_more"));
    let is_refused = matches!(refused, Err(StoreError::Refused(Refusal::TooManyReasons)));
    assert!(is_refused, "{refused:?}");
    for known in ["own_0", "goodwill"] {
        assert_eq!(ground.add(&code(known)).unwrap(), Written::Unchanged);
    }
}

#[test]
fn only_an_administrator_adds_a_code() {
    let ground = Ground::new();
    let now = ground.world.now;
    for role in [
        Role::Operator,
        Role::Therapist(THERAPISTS[0]),
        Role::Client(CLIENT),
    ] {
        let decide = |view: &View| reason::add(view, code("mine"), by(role), now);
        let refused = ground.write(Scope::Reasons, decide, false);
        let is_refused = matches!(refused, Err(StoreError::Refused(Refusal::NotFound { .. })));
        assert!(is_refused, "{role:?}: {refused:?}");
    }
}

/// The entry of a transfer has no place for it.
#[test]
fn why_credits_were_transferred_is_in_the_journal() {
    let ground = Ground::new();
    let done = ground.give(Command::Transfer, &code("transferred"), false);
    assert!(matches!(done, Ok(Written::Committed { .. })), "{done:?}");
    let lines = wait(ground.world.store.journal_lines(CLINIC, 0, u32::MAX)).unwrap();
    let line = lines.last().unwrap();
    assert_eq!(line.kind, "credits_transferred");
    assert!(
        line.body.contains(r#""reason":"transferred""#),
        "{}",
        line.body
    );
}
