//! A client's account, other than for a session: credits that are given, bought, corrected, or
//! whose time is over.

use chrono::{DateTime, Utc};
use ledger_core::{
    Account, AmountPolicy, Checkout, Command, Credits, Evidence, Key, LotId, Proof, Purchase,
    ReasonCode, Source, TransferReason, VendorId,
};
use scheduler_core::{ClientId, ServiceId};
use serde_json::json;
use uuid::Uuid;

use crate::credit::Posting;
use crate::paid::Paid;
use crate::people::BACK_DAYS;
use crate::plan::customer;
use crate::session_change::fund_waiting;
use crate::{
    Commit, Decision, Idempotent, Journal, Principal, Refusal, Scope, Subject, View, reason,
};

/// What is done to a client's account by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ByHand {
    /// Credits are granted.
    Grant {
        /// The id of the command.
        id: Uuid,
        /// What they pay for.
        service: ServiceId,
        /// How many.
        amount: Credits,
        /// Where they come from.
        source: Source,
        /// Why.
        reason: ReasonCode,
    },
    /// One of a service is bought at its price.
    Purchase {
        /// What it pays for.
        service: ServiceId,
        /// What proves that it was paid.
        checkout: VendorId,
        /// How much was, and how the rest of the price was settled.
        paid: Paid,
    },
    /// The number of a service's credits is corrected.
    Adjust {
        /// The id of the command.
        id: Uuid,
        /// Of which service.
        service: ServiceId,
        /// How many more, or, if negative, fewer.
        amount: Credits,
        /// Why.
        reason: ReasonCode,
    },
    /// An entry is taken back.
    Reverse {
        /// The entry's key.
        entry: Key,
        /// Why.
        reason: ReasonCode,
        /// Until when credits can be used that come back after their own end; if not said, for
        /// [`BACK_DAYS`].
        until: Option<DateTime<Utc>>,
    },
    /// Credits of a lot get another end.
    Transfer {
        /// The id of the command.
        id: Uuid,
        /// The lot.
        lot: LotId,
        /// How many. Those that are available go first, then those that have expired.
        amount: Credits,
        /// Their new end; none: they do not expire.
        until: Option<DateTime<Utc>>,
        /// Why.
        reason: ReasonCode,
    },
}

impl ByHand {
    /// The key of the entry that it writes.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Grant { id, .. } => Key::manual_grant(*id),
            Self::Purchase { checkout, .. } => Key::consultation_grant(checkout),
            Self::Adjust { id, .. } => Key::adjust(*id),
            Self::Reverse { entry, .. } => Key::reversed(entry),
            Self::Transfer { id, lot, .. } => Key::transfer(*lot, TransferReason::Grace, *id),
        }
    }

    /// What deciding it has to see.
    #[must_use]
    pub fn scope(&self, client: ClientId) -> Scope {
        let (service, about) = match self {
            Self::Grant { service, .. }
            | Self::Purchase { service, .. }
            | Self::Adjust { service, .. } => (Some(*service), None),
            Self::Reverse { entry, .. } => (None, Some(entry.clone())),
            Self::Transfer { .. } => (None, None),
        };
        let key = self.key();
        let reversed = Key::reversed(&key);
        Scope::Account {
            client,
            service,
            keys: about.into_iter().chain([key, reversed]).collect(),
            proof: match self {
                Self::Purchase { checkout, .. } => Some(Proof::checkout(checkout)),
                _ => None,
            },
        }
    }

    /// Why it is done; a purchase is named by its receipt.
    fn reason(&self) -> Option<&ReasonCode> {
        match self {
            Self::Grant { reason, .. }
            | Self::Adjust { reason, .. }
            | Self::Reverse { reason, .. }
            | Self::Transfer { reason, .. } => Some(reason),
            Self::Purchase { .. } => None,
        }
    }

    /// What the ledger would let pass.
    fn check(&self, view: &View) -> Result<(), Refusal> {
        reason::check(view, self.reason())?;
        match self {
            Self::Grant { amount, .. } | Self::Adjust { amount, .. } => {
                if (-BY_HAND_MAX..=BY_HAND_MAX).contains(&amount.0) {
                    return Ok(());
                }
                Err(Refusal::Invalid {
                    field: "amount",
                    value: amount.to_string(),
                    expected: "10000 at most",
                })
            }
            // Whether a forfeit is given back is a policy of its own.
            Self::Reverse { entry, .. } => {
                let spoken_of = view.entries.iter().find(|stored| stored.key == *entry);
                match spoken_of {
                    Some(stored) if stored.body.kind() == "forfeit" => Err(Refusal::WaivedInstead),
                    _ => Ok(()),
                }
            }
            Self::Purchase { .. } if is_reversed(view, &self.key()) => {
                Err(Refusal::Reversed { key: self.key() })
            }
            Self::Purchase { .. } | Self::Transfer { .. } => Ok(()),
        }
    }

    fn journaled(&self) -> &'static str {
        match self {
            Self::Grant { .. } => "credits_granted",
            Self::Purchase { .. } => "credits_bought",
            Self::Adjust { .. } => "credits_adjusted",
            Self::Reverse { .. } => "entry_reversed",
            Self::Transfer { .. } => "credits_transferred",
        }
    }
}

/// The most credits that are granted or adjusted at once by hand.
pub const BY_HAND_MAX: i64 = 10_000;

/// Does it, and holds credits that it brings at once for sessions that waited for one.
///
/// # Errors
/// [`Refusal`] if there is no such client, service or reason, or the ledger refuses.
pub fn by_hand(
    view: &View,
    what: &ByHand,
    principal: Principal,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    let client = view.client()?;
    Refusal::check_version(expected, view.account()?.seq())?;
    what.check(view)?;
    let actor = principal.identity();
    let in_ledger = |service: &ServiceId| ledger_core::ServiceId(service.0);
    let command = match what {
        ByHand::Grant {
            service,
            amount,
            source,
            reason,
            ..
        } => {
            view.service()?;
            Command::Grant {
                key: what.key(),
                service: in_ledger(service),
                amount: *amount,
                source: *source,
                evidence: Evidence::Manual {
                    actor,
                    reason: reason.clone(),
                },
                effective_at: now,
                expires_at: None,
            }
        }
        ByHand::Purchase {
            service,
            checkout,
            paid,
        } => Purchase {
            customer: customer(client.id),
            livemode: true,
            service: in_ledger(service),
            credits: Credits::ONE,
            amount: AmountPolicy::Exactly(view.service()?.price),
            valid_from: first_entered(view, &what.key()).unwrap_or(now),
        }
        .grant(Checkout {
            id: checkout.clone(),
            is_paid: true,
            customer: customer(client.id),
            livemode: true,
            paid: paid.amount,
            charge: paid.charge()?,
        }),
        ByHand::Adjust {
            id,
            service,
            amount,
            reason,
        } => {
            view.service()?;
            Command::Adjust {
                id: *id,
                service: in_ledger(service),
                amount: *amount,
                actor,
                reason: reason.clone(),
            }
        }
        ByHand::Reverse { entry, reason, .. } => Command::Reverse {
            entry: entry.clone(),
            actor,
            reason: reason.clone(),
        },
        ByHand::Transfer {
            id,
            lot,
            amount,
            until,
            ..
        } => Command::Transfer {
            id: *id,
            lot: *lot,
            reason: TransferReason::Grace,
            amount: *amount,
            effective_at: view
                .account()?
                .lot(lot.number)
                .map_or(now, |lot| lot.effective_at),
            expires_at: check_ahead(*until, now)?,
        },
    };
    let Some(posting) = Posting::of(view.account()?).post(&view.entries, &command, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    let posting = match what {
        ByHand::Reverse { until, .. } => {
            let until = check_ahead(*until, now)?;
            dated(
                view,
                posting,
                &command,
                until.unwrap_or(now + BACK_DAYS),
                now,
            )?
        }
        _ => posting,
    };
    let mut decided = credited(view, posting, command.key(), what.journaled(), now)?;
    // A transfer's entry says grace, and has no place for why.
    if let ByHand::Transfer { reason, .. } = what
        && let Idempotent::Applied(Commit {
            journal: Some(line),
            ..
        }) = &mut decided
    {
        line.body["reason"] = json!(reason);
    }
    Ok(decided)
}

/// An end that is to come, or none.
fn check_ahead(
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, Refusal> {
    match until {
        Some(until) if until <= now => Err(Refusal::Invalid {
            field: "expires_at",
            value: until.to_rfc3339(),
            expected: "a time to come",
        }),
        until => Ok(until),
    }
}

/// Gives an end to what came back into lots whose own end has come.
fn dated(
    view: &View,
    posting: Posting,
    command: &Command,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Posting, Refusal> {
    let before = view.account()?;
    let kept = |account: &Account, number| account.lot(number).map_or(0, |lot| lot.kept.0);
    let mut dated = posting;
    for lot in before.lots() {
        let number = lot.number;
        let more = kept(dated.account(), number) - kept(before, number);
        let name = format!("{}/{number}", command.key());
        let id = Uuid::new_v5(&before.id().0, name.as_bytes());
        let (reason, more) = (TransferReason::Grace, Credits(more));
        dated = dated.extend(id, number, reason, more, Some(until), now)?;
    }
    Ok(dated)
}

/// Whether the entry of this key was taken back.
pub(crate) fn is_reversed(view: &View, key: &Key) -> bool {
    let reversed = Key::reversed(key);
    view.entries.iter().any(|entry| entry.key == reversed)
}

/// When a purchase was entered first: from then on it is valid, however often it is sent.
fn first_entered(view: &View, key: &Key) -> Option<DateTime<Utc>> {
    let entry = view.entries.iter().find(|entry| entry.key == *key);
    entry.map(|entry| entry.effective_at)
}

/// Carries out the ends of all of an account's lots that are due.
///
/// # Errors
/// [`Refusal`] if the stored state does not hold together.
pub fn expire(view: &View, now: DateTime<Utc>) -> Decision {
    let account = view.account()?;
    let due: Option<LotId> = account.due(now).next();
    let Some(lot) = due else {
        return Ok(Idempotent::AlreadyApplied);
    };
    // With one lot's end the ledger carries out all that have come.
    let command = Command::Expire { lot };
    match Posting::of(account).post(&[], &command, now)? {
        None => Ok(Idempotent::AlreadyApplied),
        Some(posting) => credited(view, posting, command.key(), "credits_expired", now),
    }
}

/// The commit of new entries, the sessions that they give a credit to, and a line of the journal
/// about the entry of this key.
pub(crate) fn credited(
    view: &View,
    posting: Posting,
    key: Key,
    kind: &'static str,
    now: DateTime<Utc>,
) -> Decision {
    let account = view.account()?;
    let client = ClientId(account.id().0);
    let mut changes = Vec::new();
    let funded = fund_waiting(view, posting, &[], now, &mut changes)?;
    let journal = Journal::new(Subject::Entry(client, key), account.seq() + 1, kind)
        .with_body(json!({ "funded": funded }));
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes,
    }))
}
