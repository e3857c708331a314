//! Lots, and the buckets their credits lie in.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::amount::{Credits, Overflow};
use crate::evidence::Source;
use crate::id::{LotNumber, ServiceId};
use crate::instant::{micros, micros_option};

/// What one grant brought, and where its credits are now.
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
}

impl Lot {
    /// Valid at an instant, which for a hold is the *slot's* start, not the time of booking.
    #[must_use]
    pub fn is_valid_at(&self, at: DateTime<Utc>) -> bool {
        self.effective_at <= at && self.expires_at.is_none_or(|end| at < end)
    }

    /// The order of consumption: what expires first goes first and what never does last, goodwill
    /// before paid, then the earlier start, then the lower number.
    pub(crate) fn order(&self) -> impl Ord + use<> {
        let never = self.expires_at.is_none();
        (
            never,
            self.expires_at,
            self.source,
            self.effective_at,
            self.number,
        )
    }
}

/// Credits by the bucket they lie in: of a lot, of a service, of an account.
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
}

/// The name of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bucket {
    Available,
    Held,
    Used,
    Forfeited,
}

impl Balance {
    /// The balance of a fresh lot.
    pub(crate) fn available(amount: Credits) -> Balance {
        Balance {
            available: amount,
            ..Balance::default()
        }
    }

    /// All buckets together: what was granted.
    ///
    /// # Errors
    /// [`Overflow`]; not for the balance of an account, whose grants are checked.
    pub fn total(self) -> Result<Credits, Overflow> {
        self.available
            .plus(self.held)?
            .plus(self.used)?
            .plus(self.forfeited)
    }

    /// No bucket holds less than nothing.
    pub(crate) fn is_sound(self) -> bool {
        [self.available, self.held, self.used, self.forfeited]
            .iter()
            .all(|&b| b >= Credits::ZERO)
    }

    /// Bucket by bucket.
    pub(crate) fn plus(self, other: Balance) -> Result<Balance, Overflow> {
        Ok(Balance {
            available: self.available.plus(other.available)?,
            held: self.held.plus(other.held)?,
            used: self.used.plus(other.used)?,
            forfeited: self.forfeited.plus(other.forfeited)?,
        })
    }

    /// Moves credits from one bucket to another; `None` if they are not there to be moved.
    pub(crate) fn shift(self, from: Bucket, to: Bucket, amount: Credits) -> Option<Balance> {
        let mut after = self;
        let source = after.bucket(from);
        *source = source.minus(amount).ok()?;
        let enough = amount.is_positive() && *source >= Credits::ZERO;
        let target = after.bucket(to);
        *target = target.plus(amount).ok()?;
        enough.then_some(after)
    }

    fn bucket(&mut self, bucket: Bucket) -> &mut Credits {
        match bucket {
            Bucket::Available => &mut self.available,
            Bucket::Held => &mut self.held,
            Bucket::Used => &mut self.used,
            Bucket::Forfeited => &mut self.forfeited,
        }
    }
}
