//! No client is worse off for what the clinic did, for paying early, or for a slip that was undone.
//!
//! Each property runs one random history twice, with one step done in two ways, on the plainest store
//! and with the worker's own decisions. A client has so many credits that are not lost: available,
//! held, used or forfeited by their own doing. `STANDING_CASES=100000` runs them at length.

use chrono::{DateTime, TimeDelta, Utc};
use clinic::account::{ByHand, by_hand};
use clinic::occurrence::Touch;
use clinic::reassignment::{self, reassign_one};
use clinic::series::{self, edit, undo};
use clinic::settlement::waive;
use clinic::{Role, Scope};
use ledger_core::{CarryOver, Credits};
use proptest::prelude::*;
use scheduler_core::IntentId;
use scheduler_core::intent::Edit;
use scheduler_core::session::SessionState;
use scheduler_core::{Pause, PausedSlot};
use store::Store;
use uuid::Uuid;

use crate::world::*;

/// Two worlds after the same beginning.
fn twice(policy: Policy, before: &[Step]) -> (World, World) {
    let begin = || {
        let mut world = World::open(policy);
        for step in before {
            world.take(*step);
        }
        world
    };
    (begin(), begin())
}

/// Takes the same steps in both, and then lets two months pass; the first must never have fewer
/// credits. `equal` if they must have as many.
fn compare(
    (mut one, mut other): (World, World),
    after: &[Step],
    equal: bool,
) -> Result<(), TestCaseError> {
    let mut rest: Vec<Step> = after.to_vec();
    rest.extend([Step::Pass { hours: 24 }; 70]);
    for step in rest {
        if !both(&mut one, &mut other, step) {
            break;
        }
        let (had, has) = (other.kept(), one.kept());
        prop_assert!(
            if equal { has == had } else { has >= had },
            "{has} and not {had} at {} after {step:?}: {}\n and {}",
            one.now,
            one.story(),
            other.story()
        );
    }
    Ok(())
}

/// Takes a step in both. Whether they can be compared after it: where there are fewer credits than
/// sessions, who gets one decides what is left, and only a session that has one can be moved.
fn both(one: &mut World, other: &mut World, step: Step) -> bool {
    let same = one.take(step) == other.take(step) || !matches!(step, Step::Move { .. });
    same && [one, other]
        .iter()
        .all(|world| !world.is_short() && !world.is_out_of_order())
}

/// Passes and payments: what does not depend on which sessions there are.
fn quiet(steps: &[Step]) -> Vec<Step> {
    let quiet = |step: &&Step| matches!(step, Step::Pass { .. } | Step::Pay { .. });
    steps.iter().filter(quiet).copied().collect()
}

proptest! {
    #![proptest_config(cases())]

    /// Whoever the clinic calls off has as many credits as whoever calls off in time, or more.
    #[test]
    fn the_clinic_cancels_no_worse_than_the_client_in_time(
        policy in policy(),
        before in prop::collection::vec(step(), 1..25),
        after in prop::collection::vec(step(), 0..25),
        which in 0..12usize,
    ) {
        let (mut clinic, mut client) = twice(policy, &before);
        let live = client.live();
        let Some(session) = live.get(which % live.len().max(1)) else {
            return Ok(());
        };
        let forfeited = client.balance().forfeited;
        let done = client.touch(session, Touch::Cancel, by(Role::Client(CLIENT)));
        if !done || client.balance().forfeited != forfeited {
            return Ok(());
        }
        prop_assert!(clinic.touch(session, Touch::Cancel, by(Role::Admin)));
        compare((clinic, client), &after, false)?;
    }

    /// Paid early is no worse than paid on time, and that no worse than paid late within the month.
    #[test]
    fn paying_early_is_no_worse_than_paying_later(
        policy in policy(),
        before in prop::collection::vec(step(), 1..25),
        between in prop::collection::vec(step(), 0..15),
        after in prop::collection::vec(step(), 0..20),
        month in 1..3u32,
    ) {
        let paid = |step: &Step| matches!(step, Step::Pay { month: paid } if *paid == month);
        let other = |step: &Step| !paid(step);
        let before: Vec<Step> = before.into_iter().filter(other).collect();
        let between: Vec<Step> = between.into_iter().filter(other).collect();
        let (mut early, mut late) = twice(policy, &before);
        let end = early.month(month).end();
        prop_assert!(early.pay(month));
        for step in between {
            let waited = late.sessions_in(SessionState::Unfunded);
            let had = late.sessions_in(SessionState::Scheduled);
            if !both(&mut early, &mut late, step) {
                return Ok(());
            }
            // Whoever has not paid may see a session wait, and another one get the credit that comes.
            let has = late.sessions_in(SessionState::Scheduled);
            if !waited.is_empty() && !has.is_subset(&had) {
                return Ok(());
            }
        }
        // A month that is over is another question.
        if late.now >= end {
            return Ok(());
        }
        prop_assert!(late.pay(month));
        compare((early, late), &after, false)?;
    }

    /// A series that is paused, ended or moved, and undone a moment later, has cost nothing.
    #[test]
    fn an_edit_that_is_undone_is_nothing(
        policy in policy(),
        before in prop::collection::vec(step(), 1..25),
        after in prop::collection::vec(step(), 0..20),
        which in 0..12usize,
        what in 0..3u8,
        as_client in any::<bool>(),
    ) {
        let (mut edited, plain) = twice(policy, &before);
        let live = edited.live();
        let Some(session) = live.get(which % live.len().max(1)) else {
            return Ok(());
        };
        let principal = by(if as_client { Role::Client(CLIENT) } else { Role::Admin });
        let forfeited = edited.balance().forfeited;
        let date = edited.now.date_naive() + chrono::Days::new(1);
        let edit_it = match what {
            0 => Edit::Pause(Pause { from: date, until: None, slot: PausedSlot::Freed }),
            1 => Edit::Pause(Pause {
                from: date,
                until: Some(date + chrono::Days::new(9)),
                slot: PausedSlot::Kept,
            }),
            _ => Edit::End { from: date },
        };
        let scope = series::scope(session.intent, &edit_it, edited.now).unwrap();
        let done = edited.write_as(principal, scope, |view, now| edit(view, &edit_it, None, principal, None, now));
        if !done || edited.balance().forfeited != forfeited {
            return Ok(());
        }
        let intent = wait(edited.store.intent(CLINIC, session.intent)).unwrap().unwrap();
        edited.now += TimeDelta::seconds(1);
        let scope = series::undo_scope(&intent, edited.now).unwrap();
        let named = intent.id;
        let undone = edited.write_as(principal, scope, |view, now| undo(view, named, None, principal, None, now));
        prop_assert!(undone);
        edited.tick();
        edited.now -= TimeDelta::seconds(1);
        let states = |world: &World| -> Vec<(DateTime<Utc>, SessionState)> {
            let live = world.live().into_iter();
            live.map(|session| (session.starts_at, session.state)).collect()
        };
        prop_assert_eq!(states(&edited), states(&plain));
        prop_assert_eq!(edited.balance().held, plain.balance().held);
        compare((edited, plain), &after, true)?;
    }

    /// A date that goes to another therapist keeps its credit.
    #[test]
    fn a_date_that_is_reassigned_keeps_its_credit(
        policy in policy(),
        before in prop::collection::vec(step(), 1..25),
        after in prop::collection::vec(step(), 0..20),
        which in 0..12usize,
    ) {
        let (mut reassigned, plain) = twice(policy, &before);
        let live = reassigned.live();
        let Some(session) = live.get(which % live.len().max(1)) else {
            return Ok(());
        };
        let into = IntentId(Uuid::from_u128(0xeeee));
        let scope = reassignment::scope(session.intent, THERAPISTS[1], reassigned.now).unwrap();
        let at = session.recurrence_id;
        let principal = by(Role::Admin);
        let done = reassigned.write(scope, |view, now| {
            reassign_one(view, at, THERAPISTS[1], into, principal, None, now)
        });
        if !done {
            return Ok(());
        }
        let found = reassigned.live();
        let moved = found.iter().find(|one| one.intent == into);
        if session.state != SessionState::Scheduled {
            return Ok(());
        }
        prop_assert_eq!(moved.map(|one| one.state), Some(session.state));
        // A session that waited may have got one on the way.
        let there = |world: &World| world.balance().available.0 + world.balance().held.0;
        prop_assert_eq!(there(&reassigned), there(&plain));
        compare((reassigned, plain), &quiet(&after), true)?;
    }

    /// Whose forfeit is waived has no fewer credits than whose is not.
    #[test]
    fn a_waiver_takes_nothing(
        policy in policy(),
        before in prop::collection::vec(step(), 1..25),
        after in prop::collection::vec(step(), 0..20),
        which in 0..10usize,
    ) {
        let (mut waived, plain) = twice(policy, &before);
        let sessions = waived.sessions();
        let Some(session) = sessions.get(which % sessions.len().max(1)) else {
            return Ok(());
        };
        let scope = Scope::Waiver(session.id);
        let reason = "goodwill".parse().unwrap();
        let principal = by(Role::Admin);
        let done = waived.write(scope, |view, now| waive(view, &reason, principal, None, now));
        if !done {
            return Ok(());
        }
        // A forfeited credit counted as kept; a waived one counts while it can be used.
        let before = plain.balance();
        let now = waived.balance();
        prop_assert_eq!(now.available.0 + now.held.0, before.available.0 + before.held.0 + 1);
        let usable = |world: &World| {
            let balance = world.balance();
            balance.available.0 + balance.held.0 + balance.used.0
        };
        let (mut waived, mut plain) = (waived, plain);
        for step in quiet(&after).into_iter().chain([Step::Pass { hours: 24 }; 60]) {
            waived.take(step);
            plain.take(step);
            prop_assert!(usable(&waived) >= usable(&plain), "{step:?} at {}", plain.now);
        }
    }

    /// Whatever was paid is there, or was lost by its date: nothing is granted twice by all this.
    #[test]
    fn nothing_comes_from_nothing(
        policy in policy(),
        steps in prop::collection::vec(step(), 1..50),
    ) {
        let mut world = World::open(policy);
        let mut paid = policy.credits;
        for step in steps {
            let done = world.take(step);
            if done && matches!(step, Step::Pay { .. }) {
                paid += policy.credits;
            }
            let balance = world.balance();
            let all = world.kept() + balance.expired.0;
            prop_assert_eq!(all, paid, "{:?}: {:?}", step, balance);
        }
    }
}

/// What is entered by hand has a date when it comes back after its own.
#[test]
fn an_expiry_that_is_reversed_comes_back_with_a_date() {
    let policy = Policy {
        credits: 4,
        rollover: CarryOver::None,
        grace_days: 14,
    };
    let mut world = World::open(policy);
    world.pass(24 * 40);
    assert_eq!(world.balance().expired, Credits(4));
    let entries = wait(world.store.entries(CLINIC, CLIENT, 0, 50)).unwrap();
    let expiry = entries.iter().find(|entry| entry.body.kind() == "expire");
    let what = ByHand::Reverse {
        entry: expiry.unwrap().key.clone(),
        reason: "correction".parse().unwrap(),
        until: None,
    };
    let scope = what.scope(CLIENT);
    assert!(world.write(scope, |view, now| {
        by_hand(view, &what, by(Role::Admin), None, now)
    }));
    assert_eq!(world.balance().available, Credits(4));
    world.pass(24 * 12);
    assert_eq!(world.balance().available, Credits(4));
    assert!(world.book(31));
    world.pass(24 * 3);
    assert_eq!(world.balance().expired, Credits(3));
}
