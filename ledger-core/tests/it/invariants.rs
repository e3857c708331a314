//! The invariants that are about more than one command: permuted webhooks, evidence, clawback and
//! reinstatement, two times, loops of plan changes, and writers who race.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use ledger_core::{
    Account, AsOf, Balance, Body, Bucket, CarryOver, Cause, Command, Credits, Entry, Error,
    Evidence, HeldPolicy, Idempotent, Key, LotNumber, Statement, TransferReason, decide, evolve,
    fold, verify,
};
use proptest::prelude::*;

use crate::history::{Step, cases, command, history, instants, run};
use crate::ledger::{
    Ledger, anna, at, claw, grant, hold, hold_id, invoice, paid, period, plan, refund, seen,
    service, transfer,
};
use crate::reading::Reading;

/// The balance after some entries, of whatever service, read and not folded.
fn total(reading: &Reading) -> BTreeMap<&'static str, i128> {
    let mut sum = BTreeMap::new();
    for lot in reading.lots.values() {
        for (place, n) in &lot.places {
            *sum.entry(*place).or_default() += n;
        }
        *sum.entry("debt").or_default() += lot.debt;
    }
    sum.retain(|_, n| *n != 0);
    sum
}

fn named(balance: Balance) -> BTreeMap<&'static str, i128> {
    let mut sum: BTreeMap<&str, i128> = BTreeMap::new();
    for bucket in Bucket::ALL {
        sum.insert(bucket.as_str(), balance.of(bucket).0.into());
    }
    sum.insert("debt", balance.debt.0.into());
    sum.retain(|_, n| *n != 0);
    sum
}

/// What the payment provider tells: paid periods, refunds and disputes. Lots have numbers in the
/// order they come in, so a clawback looks its lot up by the grant's key, as a caller does.
#[derive(Clone, Debug)]
enum Webhook {
    Paid(Command),
    TakenBack {
        cause: Cause,
        grant: Key,
        amount: i64,
    },
    Reinstated(Cause),
}

impl Webhook {
    fn send(&self, ledger: &mut Ledger, now: DateTime<Utc>) -> bool {
        let command = match self {
            Webhook::Paid(command) => command.clone(),
            Webhook::Reinstated(cause) => Command::Reinstate {
                cause: cause.clone(),
            },
            Webhook::TakenBack {
                cause,
                grant,
                amount,
            } => {
                let stored = ledger.entries.iter().find(|entry| entry.key == *grant);
                let Some(Body::Grant { lot, .. }) = stored.map(|entry| &entry.body) else {
                    return false;
                };
                claw(cause.clone(), lot.0, *amount, HeldPolicy::Keep)
            }
        };
        matches!(ledger.send(&command, now), Ok(Idempotent::Applied(_)))
    }
}

/// Four paid periods, and for each a refund or a dispute of so many credits; some are reinstated.
fn webhooks() -> impl Strategy<Value = Vec<Webhook>> {
    let back = prop::collection::vec((0..4i64, any::<bool>(), any::<bool>()), 4);
    (back, 1..5i64).prop_map(|(back, credits)| {
        let mut webhooks = Vec::new();
        for ((amount, disputed, won), n) in back.into_iter().zip(0u8..) {
            let start = 1000 + 10 * i64::from(n);
            let grant = paid(1, credits, (start, start + 10));
            let id = format!("x_{n}").parse().unwrap();
            let cause = if disputed {
                Cause::Dispute { id }
            } else {
                Cause::Refund { id }
            };
            let (amount, key) = (amount.min(credits), grant.key());
            webhooks.push(Webhook::Paid(grant));
            if amount > 0 {
                let back = Webhook::TakenBack {
                    cause: cause.clone(),
                    grant: key,
                    amount,
                };
                webhooks.push(back);
            }
            if amount > 0 && won {
                webhooks.push(Webhook::Reinstated(cause));
            }
        }
        webhooks
    })
}

/// A client who has used two credits of a package of three, and holds one; who was refunded two.
fn client() -> Ledger {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, 3));
    for booking in 1..=3 {
        ledger.must(&hold(booking, 24));
    }
    for booking in 1..=2 {
        ledger.must(&Command::Use {
            hold: hold_id(booking, 1),
        });
    }
    ledger.must(&claw(refund(9), 1, 2, HeldPolicy::Keep));
    ledger
}

proptest! {
    #![proptest_config(cases(64))]

    /// Invariant 5: webhooks permuted, duplicated, delayed and lost end in the same state once a
    /// reconciliation has told everything again.
    #[test]
    fn webhooks_in_any_order_end_in_the_same_state(
        (webhooks, order) in webhooks().prop_flat_map(|webhooks| {
            let order = prop::collection::vec(0..webhooks.len(), 0..40);
            (Just(webhooks), order)
        }),
        clock in prop::collection::vec(0..900i64, 40),
    ) {
        let reconcile = |ledger: &mut Ledger| {
            for _ in 0..webhooks.len() {
                for webhook in &webhooks {
                    webhook.send(ledger, at(900));
                }
            }
            for webhook in &webhooks {
                assert!(!webhook.send(ledger, at(901)), "all is told: {webhook:?}");
            }
        };
        let (mut in_order, mut shuffled) = (client(), client());
        reconcile(&mut in_order);
        for (index, hour) in order.into_iter().zip(clock) {
            webhooks[index].send(&mut shuffled, at(hour));
        }
        reconcile(&mut shuffled);
        prop_assert_eq!(in_order.account.balance(), shuffled.account.balance());
        let granted = |ledger: &Ledger| -> BTreeSet<(Key, i64)> {
            let grants = ledger.entries.iter().filter(|entry| entry.body.kind() == "grant");
            grants.map(|entry| (entry.key.clone(), entry.body.moves()[0].amount.0)).collect()
        };
        prop_assert_eq!(granted(&in_order), granted(&shuffled));
        let balance = in_order.account.balance();
        prop_assert!(balance.debt == Credits::ZERO || balance.available == Credits::ZERO);
    }

    /// Invariant 6: every grant has evidence, for exactly its period where it is a payment's, and
    /// no two paid periods of one item overlap.
    #[test]
    fn no_grant_without_evidence_for_its_period(history in history()) {
        let mut periods: Vec<(u32, String, DateTime<Utc>, DateTime<Utc>)> = Vec::new();
        let entries = run(&history).entries;
        for (index, entry) in entries.iter().enumerate() {
            let Body::Grant { lot, evidence, effective_at, expires_at, source, .. } = &entry.body
            else {
                continue;
            };
            let Evidence::Payment(payment) = evidence else {
                prop_assert!(entry.key.is_manual_grant());
                continue;
            };
            let (item, period) = (payment.plan.item.to_string(), payment.period);
            prop_assert_eq!(*effective_at, period.start());
            prop_assert_eq!(*expires_at, Some(period.end()));
            prop_assert_eq!(source.as_str(), "paid");
            let invoice = &payment.invoice;
            prop_assert_eq!(invoice.status.as_str(), "paid");
            let proof = invoice.lines.iter().filter(|line| {
                !line.proration
                    && line.item.as_ref() == Some(&payment.plan.item)
                    && line.price.as_ref() == Some(&payment.plan.price)
                    && (line.start, line.end) == (period.start(), period.end())
            });
            prop_assert_eq!(proof.count(), 1);
            let before = Reading::of(&entries[..index]);
            for (lot, other, start, end) in &periods {
                let apart = period.end() <= *start || *end <= period.start();
                let lot = &before.lots[lot];
                let gone = lot.at("clawed") == lot.granted;
                prop_assert!(*other != item || apart || gone);
            }
            periods.push((lot.0, item, period.start(), period.end()));
        }
    }

    /// Invariant 7: a clawback and its reinstatement are the identity on lots, holds and debts,
    /// whatever the account, the lot, the amount and the policy.
    #[test]
    fn clawback_then_reinstate_is_the_identity(
        history in history(),
        picks in prop::collection::vec((1..12u32, 1..6i64, any::<bool>()), 1..12),
    ) {
        let mut ledger = run(&history);
        // Under a clock that was set back, what came free after a lot's end would come back before it.
        let now = history.iter().map(|step| step.now).max().unwrap_or(at(0));
        // The ends that are due are carried out first, as they would be by anything.
        for lot in ledger.account.due(now).collect::<Vec<_>>() {
            let _ = ledger.send(&Command::Expire { lot }, now);
        }
        for (n, (lot, amount, keep)) in (0..).zip(picks) {
            let before = ledger.account.clone();
            let held = if keep { HeldPolicy::Keep } else { HeldPolicy::Take };
            let cause = Cause::Void { id: format!("in_{n}").parse().unwrap() };
            if ledger.send(&claw(cause.clone(), lot, amount, held), now).is_err() {
                continue;
            }
            prop_assert!(ledger.account.lots() != before.lots());
            let undo = Command::Reinstate { cause };
            prop_assert!(ledger.send(&undo, now).is_ok());
            prop_assert_eq!(ledger.account.lots(), before.lots());
            prop_assert!(ledger.account.holds().eq(before.holds()));
            prop_assert_eq!(ledger.account.balance(), before.balance());
        }
    }

    /// Invariant 8: the balance as of two times is what a reader finds in the entries that were
    /// recorded by the one, of which only the moves count that were in effect by the other; and
    /// with both times late it is the account's.
    #[test]
    fn the_balance_as_of_two_times_is_the_filtered_fold(
        history in history(),
        times in prop::collection::vec((instants(), instants()), 1..20),
    ) {
        let Ledger { account, entries } = run(&history);
        for (effective, recorded) in times {
            let as_of = AsOf::of(anna(), &entries, effective, recorded).unwrap();
            let mut expected: BTreeMap<u32, BTreeMap<&str, i128>> = BTreeMap::new();
            let mut starts: BTreeMap<u32, DateTime<Utc>> = BTreeMap::new();
            for entry in entries.iter().filter(|entry| entry.recorded_at <= recorded) {
                let line = crate::shown::read(entry);
                let begins = match &entry.body {
                    Body::Transfer { effective_at, .. } => *effective_at,
                    _ => entry.effective_at,
                };
                let mut counted = expected.clone();
                for (lot, from, to, n) in line.moves {
                    if from == "outside" {
                        starts.insert(lot, begins.max(entry.effective_at));
                    }
                    if entry.effective_at.max(starts[&lot]) > effective {
                        continue;
                    }
                    let places = counted.entry(lot).or_default();
                    *places.entry(to).or_default() += n;
                    *places.entry(from).or_default() -= i128::from(from != "outside") * n;
                }
                let begun = |lot: &u32| starts[lot] <= effective && entry.effective_at <= effective;
                let mut builds_on_nothing = false;
                if let Some((lot, more)) = line.debt.filter(|(lot, _)| begun(lot)) {
                    // The entry that made the lot does not count.
                    builds_on_nothing = !counted.contains_key(&lot);
                    *counted.entry(lot).or_default().entry("debt").or_default() += more;
                }
                // What it builds on is not in effect yet: a clock was set back in between.
                let mut places = counted.values().flat_map(BTreeMap::values);
                if !builds_on_nothing && places.all(|n| *n >= 0) {
                    expected = counted;
                }
            }
            for places in expected.values_mut() {
                places.retain(|_, n| *n != 0);
            }
            let found = as_of.lots.iter().map(|(lot, balance)| (lot.0, named(*balance)));
            prop_assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
        }
        let late = AsOf::of(anna(), &entries, DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MAX_UTC);
        prop_assert_eq!(late.unwrap().balance, account.balance());
    }

    /// Invariant 10: however often the plan changes, no more is there than was paid for: a
    /// proration grants nothing, and what is carried over leaves where it was.
    #[test]
    fn loops_of_plan_changes_bring_nothing(
        changes in prop::collection::vec((any::<bool>(), 0..4u8, 1..40u32, -1..5i64), 1..60),
    ) {
        let mut ledger = Ledger::open();
        ledger.must(&paid(1, 4, (0, 100)));
        for (n, (up, step, lot, most)) in (0u8..).zip(changes) {
            let (plan, period) = (plan(1, if up { 8 } else { 4 }), period(n.into(), 100));
            let mut proration = invoice(&plan, period);
            match step {
                // A paid invoice for the change of plan itself.
                0 => proration.reason = "subscription_update".parse().unwrap(),
                // A proration that claims to be a period.
                1 => proration.lines.retain(|line| line.proration),
                // The rest of the period as a period of its own: it overlaps the paid one.
                _ => {}
            }
            let refused = ledger.send(&plan.grant(period, proration), at(n.into()));
            prop_assert!(refused.is_err() || n == 0, "{:?}", refused);
            if let Some(from) = ledger.account.lot(LotNumber(lot)) {
                let policy = if most < 0 { CarryOver::All } else { CarryOver::AtMost(Credits(most)) };
                let reason = TransferReason::CarryOver;
                let amount = policy.of(from, reason).0;
                let carry = transfer(n, lot, reason, amount, (0, Some(100)));
                prop_assert_eq!(ledger.send(&carry, at(n.into())).is_ok(), amount > 0);
            }
            let balance = ledger.account.balance();
            let total = balance.total().unwrap().minus(balance.moved_out).unwrap();
            prop_assert_eq!(total, Credits(4));
            prop_assert_eq!(balance.available, Credits(4));
        }
    }

    /// Invariant 12, its pure half: of writers who decide on what they last read, and whose entries
    /// are taken only if their number is free, the ledger comes out as if they had stood in line.
    #[test]
    fn racing_writers_come_out_as_one(
        commands in prop::collection::vec((command(), 0..4usize, any::<bool>()), 1..120),
    ) {
        let mut stored: Vec<Entry> = Vec::new();
        let mut in_line = Ledger::open();
        let mut writers = vec![Account::open(anna()); 4];
        for (command, writer, reads) in commands {
            if reads {
                writers[writer] = fold(anna(), &stored).unwrap();
            }
            loop {
                let seen = seen(&stored, &command);
                let current = u64::try_from(stored.len()).unwrap();
                let stale = writers[writer].seq() != current;
                let decided = decide(&writers[writer], &seen, &command, at(5));
                let new = match decided {
                    Ok(Idempotent::Applied(new)) => new,
                    // A refusal by one who read long ago is asked again, as after a conflict.
                    _ if stale => {
                        writers[writer] = fold(anna(), &stored).unwrap();
                        continue;
                    }
                    _ => break,
                };
                if new.first().is_none_or(|first| first.seq == current + 1) {
                    writers[writer] = new.iter().try_fold(writers[writer].clone(), evolve).unwrap();
                    stored.extend(new);
                    break;
                }
                writers[writer] = fold(anna(), &stored).unwrap();
            }
            let _ = in_line.send(&command, at(5));
        }
        prop_assert_eq!(&stored, &in_line.entries);
        prop_assert_eq!(verify(anna(), &stored), Ok(in_line.account.head()));
    }

    /// A statement's lines follow from each other by the moves they show, and its ends are the
    /// balances that a reader of the plain entries finds.
    #[test]
    fn a_statement_adds_up(history in history(), (from, until) in (instants(), instants())) {
        let Ledger { account, entries } = run(&history);
        let whole = Statement::of(anna(), &entries, None, None).unwrap();
        prop_assert_eq!(whole.closing, account.balance());
        prop_assert_eq!(whole.head, account.head());
        let part = Statement::of(anna(), &entries, Some(from), Some(until)).unwrap();
        for statement in [whole, part] {
            let mut running = named(statement.opening);
            for line in &statement.lines {
                for one in &line.moves {
                    if let Some(from) = one.from {
                        *running.entry(from.as_str()).or_default() -= i128::from(one.amount.0);
                    }
                    *running.entry(one.to.as_str()).or_default() += i128::from(one.amount.0);
                }
                *running.entry("debt").or_default() += i128::from(line.debt.0);
                running.retain(|_, n| *n != 0);
                prop_assert_eq!(&running, &named(line.balance), "line {}", line.seq);
            }
            prop_assert_eq!(&running, &named(statement.closing));
            let count = usize::try_from(statement.head.seq).unwrap();
            prop_assert_eq!(total(&Reading::of(&entries[..count])), running);
        }
    }

    /// After every decision what is owed and what is available are not both there for a service,
    /// but for credits whose lot's end has come.
    #[test]
    fn debt_and_available_credits_exclude_each_other(history in history()) {
        let mut ledger = Ledger::open();
        for Step { command, now } in &history {
            let Ok(Idempotent::Applied(new)) = ledger.send(command, *now) else { continue };
            let recorded = new.last().unwrap().recorded_at;
            for n in [1, 2] {
                let lots = ledger.account.lots().iter().filter(|lot| lot.service == service(n));
                let live = lots.filter(|lot| !lot.is_over_at(recorded));
                let available: i64 = live.map(|lot| lot.balance.available.0).sum();
                let debt = ledger.account.balance_for(service(n)).debt;
                prop_assert!(debt == Credits::ZERO || available == 0, "{}", command);
            }
        }
    }
}

/// A refusal names what failed; the oracle of the plan-change loop above relies on these two.
#[test]
fn an_update_or_an_overlap_never_grants() {
    let mut ledger = Ledger::open();
    ledger.must(&paid(1, 4, (0, 100)));
    let overlap = ledger.send(&paid(1, 4, (50, 150)), at(1)).unwrap_err();
    assert!(matches!(overlap, Error::Overlap { .. }), "{overlap}");
    ledger.must(&paid(2, 4, (50, 150)));
    ledger.must(&paid(1, 4, (100, 200)));
}
