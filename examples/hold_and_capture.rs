//! The life of four credits: paid for, held across a reschedule and the end of their lot, used,
//! disputed and reinstated; told as a statement that anybody can check.
//!
//! `cargo run -p examples --example hold_and_capture`

use std::error::Error;

use chrono::{DateTime, Days, TimeDelta, Utc};
use ledger_core::{
    Account, AccountId, AmountPolicy, AsOf, Cause, Charge, Command, Credits, Entry, Expiry,
    ForfeitReason, HeldPolicy, HoldId, Idempotent, Invoice, InvoiceLine, InvoiceStatus, Money,
    Plan, ReleaseReason, Renewal, ServiceId, Statement, decide, evolve, fold, verify,
    verify_anchored,
};
use uuid::Uuid;

/// What an application does around the two pure functions: it keeps the entries and the account.
struct Books {
    account: Account,
    entries: Vec<Entry>,
}

impl Books {
    /// Asks for something; the answer is whether it was new.
    fn ask(&mut self, command: &Command, now: DateTime<Utc>) -> Result<bool, Box<dyn Error>> {
        let keys = command.keys();
        let seen = self
            .entries
            .iter()
            .filter(|entry| keys.contains(&entry.key));
        let seen: Vec<Entry> = seen.cloned().collect();
        match decide(&self.account, &seen, command, now)? {
            Idempotent::AlreadyApplied => Ok(false),
            Idempotent::Applied(new) => {
                for entry in &new {
                    self.account = evolve(self.account.clone(), entry)?;
                }
                self.entries.extend(new);
                Ok(true)
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let anna = AccountId(Uuid::from_u128(0xa));
    let mut books = Books {
        account: Account::open(anna),
        entries: Vec::new(),
    };
    let anchor: DateTime<Utc> = "2026-01-31T08:00:00Z".parse()?;
    let renewal = Renewal { anchor, months: 1 };
    let (january, plan) = (renewal.period(0)?, plan()?);
    let day = |n| anchor + Days::new(n);

    println!("Anna pays for {january}: four sessions. The provider tells it twice.");
    let grant = plan.grant(january, invoice(&plan, january.start(), january.end())?);
    assert!(books.ask(&grant, day(0))?);
    assert!(!books.ask(&grant, day(0))?);
    let mut again = invoice(&plan, january.start(), january.end())?;
    again.id = "in_reissued".parse()?;
    println!("A second invoice for the same month is refused: was it paid twice?");
    let twice = books.ask(&plan.grant(january, again), day(1));
    println!("  {}", twice.expect_err("one month, one invoice"));

    println!("The same invoice for the next period is refused:");
    let wrong = plan.grant(
        renewal.period(1)?,
        invoice(&plan, january.start(), january.end())?,
    );
    let refused = books
        .ask(&wrong, day(1))
        .expect_err("another period's evidence");
    println!("  {refused}");

    println!("She books three sessions. The first takes place.");
    let holds = [1, 2, 3].map(|n| HoldId {
        booking: Uuid::from_u128(n),
        generation: 1,
    });
    for (hold, week) in holds.into_iter().zip([7, 14, 21]) {
        let service = plan.service;
        let slot_start = day(week);
        assert!(books.ask(
            &Command::Hold {
                hold,
                service,
                slot_start
            },
            day(2)
        )?);
    }
    let [first, second, third] = holds;
    assert!(books.ask(&Command::Use { hold: first }, day(7))?);

    println!("The second moves beyond the period's end, and keeps its credit.");
    let to = day(35);
    let moved = Command::Reschedule {
        hold: second,
        slot_version: 1,
        to,
    };
    assert!(books.ask(&moved, day(8))?);
    for lot in books.account.due(day(30)).collect::<Vec<_>>() {
        assert!(books.ask(&Command::Expire { lot }, day(30))?);
    }
    let balance = books.account.balance();
    assert_eq!((balance.held, balance.expired), (Credits(2), Credits(1)));

    println!(
        "The third she cancels too late; the second, held past the end, is cancelled in time."
    );
    let late = ForfeitReason::LateCancel;
    assert!(books.ask(
        &Command::Forfeit {
            hold: third,
            reason: late
        },
        day(30)
    )?);
    let reason = ReleaseReason::Cancelled;
    assert!(books.ask(
        &Command::Release {
            hold: second,
            reason
        },
        day(31)
    )?);
    assert_eq!(books.account.balance().expired, Credits(2));

    println!("Her bank disputes the payment of two sessions, and the clinic wins.");
    let cause = Cause::Dispute {
        id: "du_1".parse()?,
    };
    let lot = books.account.lot_id(books.account.lots()[0].number);
    let before = books.account.balance();
    let held = HeldPolicy::Keep;
    let amount = Credits(2);
    assert!(books.ask(
        &Command::Clawback {
            cause: cause.clone(),
            lot,
            amount,
            held
        },
        day(40)
    )?);
    assert_eq!(books.account.balance().debt, Credits(2));
    assert!(books.ask(&Command::Reinstate { cause }, day(50))?);
    assert_eq!(books.account.balance(), before);

    statement(anna, &books, day(20))
}

/// Prints the statement, and checks all of it from the entries alone.
fn statement(anna: AccountId, books: &Books, middle: DateTime<Utc>) -> Result<(), Box<dyn Error>> {
    let Books { account, entries } = books;
    let statement = Statement::of(anna, entries, None, None)?;
    println!("\n seq  kind         free  held  used  lost  owed");
    for line in &statement.lines {
        let b = line.balance;
        let lost = b.forfeited.plus(b.expired)?;
        println!(
            "{:>4}  {:<11} {:>5} {:>5} {:>5} {:>5} {:>5}",
            line.seq, line.kind, b.available.0, b.held.0, b.used.0, lost.0, b.debt.0
        );
    }
    assert_eq!(statement.closing, account.balance());
    assert_eq!(statement.head, verify(anna, entries)?);
    assert_eq!(&fold(anna, entries)?, account);
    let then = AsOf::of(anna, entries, middle, middle)?;
    assert_eq!(
        (then.balance.available, then.balance.held),
        (Credits(1), Credits(2))
    );

    let anchored = account.head();
    let cut = &entries[..entries.len() - 1];
    let found = verify_anchored(anna, cut, &[anchored]).expect_err("the last entry is gone");
    println!("\nWithout its last entry: {found}");
    Ok(())
}

fn plan() -> Result<Plan, Box<dyn Error>> {
    let fee = Money {
        minor: 24_000,
        currency: "GBP".parse()?,
    };
    Ok(Plan {
        customer: "cus_anna".parse()?,
        livemode: true,
        subscription: "sub_anna".parse()?,
        item: "si_sessions".parse()?,
        price: "price_four_sessions".parse()?,
        service: ServiceId(Uuid::from_u128(1)),
        credits: Credits(4),
        amount: AmountPolicy::Exactly(fee),
        expiry: Expiry::PeriodEnd,
    })
}

/// A paid invoice for the plan; its proration, of another plan, proves nothing.
fn invoice(
    plan: &Plan,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> Result<Invoice, Box<dyn Error>> {
    let (AmountPolicy::Exactly(paid) | AmountPolicy::AtLeast(paid)) = plan.amount;
    let line = |proration, start, minor| InvoiceLine {
        item: Some(plan.item.clone()),
        price: Some(plan.price.clone()),
        proration,
        start,
        end,
        charge: Some(Charge {
            price: Money { minor, ..paid },
            discount: Money { minor: 0, ..paid },
        }),
    };
    Ok(Invoice {
        id: "in_1".parse()?,
        status: InvoiceStatus::Paid,
        customer: plan.customer.clone(),
        livemode: plan.livemode,
        subscription: Some(plan.subscription.clone()),
        reason: "subscription_cycle".parse()?,
        lines: vec![
            line(true, start + TimeDelta::days(3), 500),
            line(false, start, paid.minor),
        ],
        paid: Money {
            minor: paid.minor + 500,
            ..paid
        },
    })
}
