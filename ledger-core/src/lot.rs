//! Lots, and the buckets their credits lie in.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::amount::{Credits, Overflow};
use crate::body::Part;
use crate::evidence::Source;
use crate::id::{LotNumber, ServiceId, VendorId};
use crate::instant::{micros, micros_option};
use crate::period::Period;
use crate::reason::TransferReason;

/// What one grant, transfer or adjustment brought, and where its credits are now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Lot {
    /// Its ordinal in the account.
    pub number: LotNumber,
    /// What its credits pay for.
    pub service: ServiceId,
    /// Where they come from.
    pub source: Source,
    /// How many there were.
    pub granted: Credits,
    /// The first slot start it is valid for.
    #[serde(with = "micros")]
    pub effective_at: DateTime<Utc>,
    /// The first slot start it is no longer valid for; none: it does not expire.
    #[serde(default, with = "micros_option")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Where they are. Sums to `granted`.
    pub balance: Balance,
    /// The lot they were first granted in, if they came by transfer: whose money they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<LotNumber>,
    /// The transfer that brought them, if one did; `None` too if it did before lots remembered that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brought: Option<Brought>,
    /// The period that was paid for, if one was: no other of the item may overlap it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<PaidPeriod>,
    /// How many of the credits first granted here clawbacks have taken back, from whichever lot
    /// they then were in, or made to be owed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recalled: Credits,
    /// How many of the credits first granted here a person took: an adjustment down, or the reversal
    /// of a grant. A clawback cannot take them again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub taken: Credits,
    /// How many of the available credits came free after its end and stay. They are good for slots at
    /// any time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kept: Credits,
    /// Its end has been carried out at least once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// Which of its credits outlive it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Extension>,
    /// What other lots, or this one, repaid of its debt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repaid: Vec<Part>,
}

/// Credits that outlive their lot: so many of those that are available at its end, or come free
/// after it, move to a lot that ends later.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// The id of the command that made it.
    pub id: Uuid,
    /// Why.
    pub reason: TransferReason,
    /// How many credits it may still move.
    pub left: Credits,
    /// The end of the lots that they move to; none: those do not expire.
    #[serde(default, with = "micros_option")]
    pub until: Option<DateTime<Utc>>,
}

/// The transfer that brought a lot's credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brought {
    /// The number of its entry.
    pub seq: u64,
    /// The lot they left.
    pub from: LotNumber,
    /// The id of the extension that moved them; none: a command did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<Uuid>,
    /// They had expired before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revived: bool,
}

impl Extension {
    /// It still moves something at an instant.
    pub(crate) fn is_live_at(&self, at: DateTime<Utc>) -> bool {
        self.left.is_positive() && self.until.is_none_or(|until| at < until)
    }
}

/// A period of a subscription's item.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaidPeriod {
    /// The item.
    pub item: VendorId,
    /// The period.
    pub period: Period,
}

/// Takes so many credits of extensions for a slot: of the one that ends first of those that reach the
/// slot, or, if none does, of the one that ends first; of the one to be `spared` last.
pub(crate) fn spend(
    extensions: &mut Vec<Extension>,
    slot: DateTime<Utc>,
    amount: Credits,
    spared: Option<Uuid>,
) {
    let mut wanted = amount;
    while wanted.is_positive() {
        let order = |one: &&mut Extension| {
            let misses = !one.is_live_at(slot);
            (
                spared == Some(one.id),
                misses,
                one.until.is_none(),
                one.until,
            )
        };
        let Some(first) = extensions.iter_mut().min_by_key(order) else {
            return;
        };
        let taken = first.left.min(wanted);
        if let (Ok(left), Ok(rest)) = (first.left.minus(taken), wanted.minus(taken)) {
            (first.left, wanted) = (left, rest);
        }
        extensions.retain(|one| one.left.is_positive());
    }
}

fn is_zero(credits: &Credits) -> bool {
    *credits == Credits::ZERO
}

impl Lot {
    /// A lot without credits yet, and without a history.
    pub(crate) fn empty(
        number: LotNumber,
        service: ServiceId,
        source: Source,
        effective_at: DateTime<Utc>,
        expires_at: Option<DateTime<Utc>>,
    ) -> Lot {
        Lot {
            number,
            service,
            source,
            granted: Credits::ZERO,
            effective_at,
            expires_at,
            balance: Balance::default(),
            origin: None,
            brought: None,
            paid: None,
            recalled: Credits::ZERO,
            taken: Credits::ZERO,
            kept: Credits::ZERO,
            ended: false,
            extensions: Vec::new(),
            repaid: Vec::new(),
        }
    }

    /// The lot whose money these credits are: this one, unless they were transferred.
    #[must_use]
    pub fn root(&self) -> LotNumber {
        self.origin.unwrap_or(self.number)
    }

    /// How many credits a clawback of this lot may still take back.
    #[must_use]
    pub fn left(&self) -> Credits {
        let gone = self.recalled.plus(self.taken);
        let left = gone.and_then(|gone| self.granted.minus(gone));
        left.unwrap_or_default().max(Credits::ZERO)
    }

    /// Nothing of it is free, held or owed: it has no part in bookings, unless a credit returns to it.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let Balance {
            available,
            held,
            debt,
            ..
        } = self.balance;
        [available, held, debt] == [Credits::ZERO; 3]
    }

    /// All its credits were clawed back. Its period counts as not paid for.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.balance.clawed >= self.granted
    }

    /// How many credits a transfer for this reason may move: those that are available, and, if it
    /// [revives](TransferReason::revives), those that have expired.
    #[must_use]
    pub fn movable(&self, reason: TransferReason) -> Credits {
        let Balance {
            available, expired, ..
        } = self.balance;
        if reason.revives() {
            available.plus(expired).unwrap_or(available)
        } else {
            available
        }
    }

    /// Its end has come. What is held does not expire with it.
    #[must_use]
    pub fn is_over_at(&self, at: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|end| end <= at)
    }

    /// How many available credits its end ends: all but those that came free after it.
    pub(crate) fn ending(&self) -> Credits {
        let ending = self.balance.available.minus(self.kept);
        ending.unwrap_or_default()
    }

    /// Its end has come and there are credits to expire, or to move by an extension.
    pub(crate) fn is_due_at(&self, at: DateTime<Utc>) -> bool {
        self.is_over_at(at) && self.ending().is_positive()
    }

    /// Valid at an instant, which for a hold is the *slot's* start, not the time of booking. Some of
    /// its credits may be good for later slots too: see [`Account::good_until`](crate::Account::good_until).
    #[must_use]
    pub fn is_valid_at(&self, at: DateTime<Utc>) -> bool {
        self.effective_at <= at && self.expires_at.is_none_or(|end| at < end)
    }

    /// Its available credits by the slots they are good for, what ends first before the rest. `lasting`
    /// are its extensions with what no hold needs of them, the one that lasts longest first.
    pub(crate) fn good_until(
        &self,
        lasting: &[Extension],
    ) -> Vec<(Credits, Option<DateTime<Utc>>)> {
        let Some(end) = self.expires_at else {
            let all = Some((self.balance.available, None));
            return all
                .filter(|(all, _)| all.is_positive())
                .into_iter()
                .collect();
        };
        let mut rest = self.ending();
        let mut parts = vec![(self.kept, None)];
        for extension in lasting {
            let amount = extension.left.min(rest);
            parts.push((amount, extension.until));
            rest = rest.minus(amount).unwrap_or_default();
        }
        parts.push((rest, Some(end)));
        parts.retain(|(amount, _)| amount.is_positive());
        parts.reverse();
        parts
    }

    /// Until when the credit is good that a slot would take; `Some(None)`: without end. `lasting` as for
    /// [`Lot::good_until`]. `None` if none is good for the slot.
    pub(crate) fn covers(
        &self,
        slot: DateTime<Utc>,
        lasting: &[Extension],
    ) -> Option<Option<DateTime<Utc>>> {
        if self.effective_at > slot || !self.balance.available.is_positive() {
            return None;
        }
        let ends = self.good_until(lasting).into_iter().map(|(_, until)| until);
        ends.into_iter()
            .find(|until| until.is_none_or(|until| slot < until))
    }

    /// The order of consumption: what ends first goes first and what never does last, goodwill before
    /// paid, then the earlier start, then the lower number.
    pub(crate) fn order_by(&self, end: Option<DateTime<Utc>>) -> impl Ord + use<> {
        let never = end.is_none();
        (never, end, self.source, self.effective_at, self.number)
    }

    /// The order of consumption by its own end.
    pub(crate) fn order(&self) -> impl Ord + use<> {
        self.order_by(self.expires_at)
    }
}

/// Credits by the bucket they lie in: of a lot, of a service, of an account; and what is owed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Balance {
    /// Free to be held.
    pub available: Credits,
    /// Held for a booking.
    pub held: Credits,
    /// Used: the session took place.
    pub used: Credits,
    /// Forfeited: a late cancellation or a no-show.
    pub forfeited: Credits,
    /// Expired before they were used.
    pub expired: Credits,
    /// Taken back: by a clawback, to repay a debt, by a person.
    pub clawed: Credits,
    /// Transferred to another lot, where they count again.
    pub moved_out: Credits,
    /// Owed: clawed back, but neither available nor to be taken from a booking. Not in a bucket,
    /// and not in the [total](Balance::total).
    pub debt: Credits,
}

/// The name of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// [`Balance::available`]
    Available,
    /// [`Balance::held`]
    Held,
    /// [`Balance::used`]
    Used,
    /// [`Balance::forfeited`]
    Forfeited,
    /// [`Balance::expired`]
    Expired,
    /// [`Balance::clawed`]
    Clawed,
    /// [`Balance::moved_out`]
    MovedOut,
}

impl Bucket {
    /// All of them.
    pub const ALL: [Bucket; 7] = [
        Bucket::Available,
        Bucket::Held,
        Bucket::Used,
        Bucket::Forfeited,
        Bucket::Expired,
        Bucket::Clawed,
        Bucket::MovedOut,
    ];

    /// Its stored name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Bucket::Available => "available",
            Bucket::Held => "held",
            Bucket::Used => "used",
            Bucket::Forfeited => "forfeited",
            Bucket::Expired => "expired",
            Bucket::Clawed => "clawed",
            Bucket::MovedOut => "moved_out",
        }
    }
}

impl Balance {
    /// What lies in a bucket.
    #[must_use]
    pub fn of(mut self, bucket: Bucket) -> Credits {
        *self.bucket(bucket)
    }

    /// All buckets together: what was granted.
    ///
    /// # Errors
    /// [`Overflow`]; not for the balance of an account, whose grants are checked.
    pub fn total(self) -> Result<Credits, Overflow> {
        let add = |sum: Credits, bucket: Bucket| sum.plus(self.of(bucket));
        Bucket::ALL.into_iter().try_fold(Credits::ZERO, add)
    }

    /// No bucket holds less than nothing, and neither is the debt.
    pub(crate) fn is_sound(self) -> bool {
        let none_below = |bucket: Bucket| self.of(bucket) >= Credits::ZERO;
        Bucket::ALL.into_iter().all(none_below) && self.debt >= Credits::ZERO
    }

    /// Bucket by bucket.
    pub(crate) fn plus(self, other: Balance) -> Result<Balance, Overflow> {
        let mut sum = self;
        for bucket in Bucket::ALL {
            *sum.bucket(bucket) = self.of(bucket).plus(other.of(bucket))?;
        }
        sum.debt = self.debt.plus(other.debt)?;
        Ok(sum)
    }

    /// Moves credits between buckets, or in from outside; `None` if they are not there to be
    /// moved.
    pub(crate) fn shift(
        mut self,
        from: Option<Bucket>,
        to: Bucket,
        amount: Credits,
    ) -> Option<Balance> {
        if let Some(from) = from {
            let source = self.bucket(from);
            *source = source
                .minus(amount)
                .ok()
                .filter(|left| *left >= Credits::ZERO)?;
        }
        let target = self.bucket(to);
        *target = target.plus(amount).ok()?;
        amount.is_positive().then_some(self)
    }

    fn bucket(&mut self, bucket: Bucket) -> &mut Credits {
        match bucket {
            Bucket::Available => &mut self.available,
            Bucket::Held => &mut self.held,
            Bucket::Used => &mut self.used,
            Bucket::Forfeited => &mut self.forfeited,
            Bucket::Expired => &mut self.expired,
            Bucket::Clawed => &mut self.clawed,
            Bucket::MovedOut => &mut self.moved_out,
        }
    }
}
