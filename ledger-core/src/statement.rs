//! What an account shows: a statement with a running balance, and the balance as of two times.
//!
//! Both are read from the entries alone, so whoever holds the entries and the head they end in
//! ([`verify`](crate::verify)) can compute them again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::account::{Account, Corrupt, Misfit, evolve};
use crate::amount::Credits;
use crate::body::{Body, Move};
use crate::chain::Head;
use crate::entry::Entry;
use crate::id::{AccountId, HoldId, LotNumber};
use crate::key::Key;
use crate::lot::Balance;

/// The entries that were recorded in a window of time, each with what it moved and the balance
/// after it, between the balances at the window's ends.
///
/// It can be checked line by line: the opening balance and a line's moves give the balance of
/// that line, and the last line's is the closing one. The head says which entries it ends with.
///
/// ```
/// use ledger_core::*;
/// use uuid::Uuid;
///
/// let anna = AccountId(Uuid::from_u128(2));
/// let now = "2026-03-02T09:00:00Z".parse()?;
/// let gift = Command::Adjust {
///     id: Uuid::from_u128(1),
///     service: ServiceId(Uuid::from_u128(1)),
///     amount: Credits(2),
///     actor: Uuid::from_u128(3),
///     reason: "welcome".parse()?,
/// };
/// let account = Account::open(anna);
/// let entries = decide(&account, &[], &gift, now)?.applied().unwrap_or_default();
/// let statement = Statement::of(anna, &entries, None, None)?;
/// assert_eq!(statement.lines[0].kind, "adjust");
/// assert_eq!(statement.lines[0].balance, statement.closing);
/// assert_eq!(statement.closing.available, Credits(2));
/// assert_eq!(statement.head, verify(anna, &entries)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Statement {
    /// Whose.
    pub account: AccountId,
    /// The first time of recording it covers; none: from the first entry on.
    pub from: Option<DateTime<Utc>>,
    /// The first time of recording it no longer covers; none: to the last entry.
    pub until: Option<DateTime<Utc>>,
    /// The balance before its first line.
    pub opening: Balance,
    /// A line for each entry.
    pub lines: Vec<Line>,
    /// The balance after its last line.
    pub closing: Balance,
    /// Where the chain is after its last line.
    pub head: Head,
}

/// A line of a statement: an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Line {
    /// The entry's number.
    pub seq: u64,
    /// Its kind.
    pub kind: &'static str,
    /// Its key.
    pub key: Key,
    /// The hold it is about, if it is about one.
    pub hold: Option<HoldId>,
    /// From when it counts.
    pub effective_at: DateTime<Utc>,
    /// When it was written.
    pub recorded_at: DateTime<Utc>,
    /// What it moved.
    pub moves: Vec<Move>,
    /// By how much what is owed has changed.
    pub debt: Credits,
    /// The balance after it.
    pub balance: Balance,
}

impl Statement {
    /// The statement over all entries recorded at or after `from` and before `until`. `entries`
    /// are the account's, from its first one on.
    ///
    /// # Errors
    /// [`Corrupt`] names the first entry that does not fit.
    pub fn of<'a>(
        account: AccountId,
        entries: impl IntoIterator<Item = &'a Entry>,
        from: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    ) -> Result<Statement, Corrupt> {
        let mut state = Account::open(account);
        let mut opening = state.balance();
        let mut lines = Vec::new();
        for entry in entries {
            if until.is_some_and(|until| entry.recorded_at >= until) {
                break;
            }
            state = evolve(state, entry)?;
            if from.is_some_and(|from| entry.recorded_at < from) {
                opening = state.balance();
            } else {
                lines.push(Line::of(entry, state.balance()));
            }
        }
        Ok(Statement {
            account,
            from,
            until,
            opening,
            lines,
            closing: state.balance(),
            head: state.head(),
        })
    }
}

impl Line {
    fn of(entry: &Entry, balance: Balance) -> Line {
        // An entry that fits an account has a debt that can be counted.
        let debt = entry.body.debt().ok().flatten();
        Line {
            seq: entry.seq,
            kind: entry.body.kind(),
            key: entry.key.clone(),
            hold: entry.body.hold(),
            effective_at: entry.effective_at,
            recorded_at: entry.recorded_at,
            moves: entry.body.moves(),
            debt: debt.map_or(Credits::ZERO, |(_, more)| more),
            balance,
        }
    }
}

/// A balance as of two times: what counted at one, as far as it was known at the other.
///
/// What an entry moves of a lot counts if it was recorded by the one time, and if it and the lot
/// were in effect by the other. One that was written while a clock was set back may take effect before
/// an entry that it builds on: what it moves is not there yet then, and it counts later. So the two questions "how many were left at the end of March" and
/// "what did we believe then" have each an answer, and a lot that begins in April is in neither.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AsOf {
    /// Of the account.
    pub balance: Balance,
    /// Of each lot in effect.
    pub lots: BTreeMap<LotNumber, Balance>,
}

impl AsOf {
    /// Reads it from an account's entries, from its first one on; both times are included.
    ///
    /// # Errors
    /// [`Corrupt`] if there are more credits than can be counted. Whether the entries follow each other
    /// and fit, [`fold`](crate::fold) says.
    pub fn of<'a>(
        account: AccountId,
        entries: impl IntoIterator<Item = &'a Entry>,
        effective_at: DateTime<Utc>,
        recorded_at: DateTime<Utc>,
    ) -> Result<AsOf, Corrupt> {
        let (mut as_of, mut absent) = (AsOf::default(), BTreeSet::new());
        let known = entries
            .into_iter()
            .take_while(|entry| entry.recorded_at <= recorded_at);
        for entry in known {
            let added = as_of.add(entry, effective_at, &mut absent);
            added.map_err(|misfit| Corrupt {
                account,
                seq: entry.seq,
                misfit,
            })?;
        }
        Ok(as_of)
    }

    /// Lots that are not in effect have no balance here, and what moves in them does not count. Lots are
    /// `absent` that would be in effect, but for an entry that made them and does not count yet: no entry
    /// counts that builds on one.
    fn add(
        &mut self,
        entry: &Entry,
        at: DateTime<Utc>,
        absent: &mut BTreeSet<LotNumber>,
    ) -> Result<(), Misfit> {
        if entry.effective_at > at {
            return Ok(());
        }
        let begun = match &entry.body {
            Body::Grant {
                lot, effective_at, ..
            }
            | Body::Transfer {
                lot, effective_at, ..
            } => Some((*lot, *effective_at)),
            Body::Adjust { lot: Some(lot), .. } => Some((*lot, entry.effective_at)),
            _ => None,
        };
        let mut moved: BTreeMap<LotNumber, Balance> = BTreeMap::new();
        let begun = begun.filter(|(_, from)| *from <= at).map(|(lot, _)| lot);
        moved.extend(begun.map(|lot| (lot, Balance::default())));
        let mut balance = self.balance;
        let mut fits = entry.body.try_each_move(|one| -> Result<(), ()> {
            if absent.contains(&one.lot) {
                return Err(());
            }
            let Some(lot) = moved.get(&one.lot).or_else(|| self.lots.get(&one.lot)) else {
                return Ok(());
            };
            let shift = |balance: Balance| balance.shift(one.from, one.to, one.amount);
            let lot = shift(*lot).ok_or(())?;
            moved.insert(one.lot, lot);
            balance = shift(balance).ok_or(())?;
            Ok(())
        });
        if let Some((number, more)) = entry.body.debt()? {
            if let Some(lot) = self.lots.get(&number) {
                let lot = moved.entry(number).or_insert(*lot);
                lot.debt = lot.debt.plus(more)?;
                balance.debt = balance.debt.plus(more)?;
            } else if absent.contains(&number) {
                fits = Err(());
            }
        }
        if fits.is_ok() && moved.values().all(|lot| lot.debt >= Credits::ZERO) {
            self.lots.extend(moved);
            self.balance = balance;
        } else {
            absent.extend(begun);
        }
        Ok(())
    }
}
