//! Plans of so many sessions a month, and who is subscribed to which.

use std::fmt;

use chrono::{DateTime, Datelike, Months, TimeDelta, Utc};
use ledger_core::{AmountPolicy, CarryOver, Credits, Expiry, Key, Money, Period, VendorId};
use scheduler_core::{ClientId, LocalDateTime, ServiceId, Zone};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How often a month can be paid for again after it was taken back.
const AGAIN_MAX: u32 = 8;

/// Which plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(pub Uuid);

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a client can subscribe to: so many sessions of a service in every month, for a price. Data
/// of the clinic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Which.
    pub id: PlanId,
    /// How it is called.
    pub name: String,
    /// What its credits pay for.
    pub service: ServiceId,
    /// How many a month brings.
    pub credits: Credits,
    /// What a month costs.
    pub price: Money,
    /// What becomes of credits that are left.
    pub left_over: LeftOver,
    /// Since when nobody can subscribe to it any more. Who is subscribed stays so.
    pub retired_at: Option<DateTime<Utc>>,
}

/// What becomes of the credits that a client has not used by the end of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOver {
    /// When the credits of a month expire.
    pub expiry: Expiry,
    /// How many go over into the next month, once that is paid for. Each goes over once.
    pub rollover: CarryOver,
    /// How many go over into the first month of this plan, once that is paid for, when a client
    /// changes to it from another.
    pub carry_over: CarryOver,
    /// The credits of a month that is paid late can be used for so many days at least from the day on
    /// which that is entered.
    #[serde(default = "late_days")]
    pub late_days: u32,
}

/// A week, for a plan that says nothing of it.
pub const LATE_DAYS: u32 = 7;

fn late_days() -> u32 {
    LATE_DAYS
}

/// What a client is subscribed to, and was: one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Whose.
    pub client: ClientId,
    /// By their start, one after the other. Never empty.
    pub terms: Vec<Term>,
    /// Raised by every change.
    pub version: u64,
}

/// From when on which plan holds, until the next term begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// Its first instant. The wall time that it has in the zone is the anchor of its months.
    pub from: DateTime<Utc>,
    /// The zone whose calendar its months are counted in.
    #[serde(default = "utc")]
    pub zone: Zone,
    /// The plan; none: the subscription has ended.
    pub plan: Option<PlanId>,
}

/// Terms from before they had a zone were counted in UTC, and stay so: their invoices say it.
fn utc() -> Zone {
    Zone::UTC
}

/// A month of a subscription: what it is of, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month {
    /// Of which term, from 0.
    pub term: usize,
    /// By which plan.
    pub plan: PlanId,
    /// Its instants.
    pub period: Period,
}

impl Subscription {
    /// The month that an instant is in; none before the first term, and after the end.
    #[must_use]
    pub fn month_at(&self, at: DateTime<Utc>) -> Option<Month> {
        let begun = self.terms.iter().rposition(|term| term.from <= at)?;
        let term = self.terms.get(begun)?;
        Some(Month {
            term: begun,
            plan: term.plan?,
            period: term.month_at(at)?,
        })
    }

    /// The month that begins at an instant.
    #[must_use]
    pub fn month_starting(&self, at: DateTime<Utc>) -> Option<Month> {
        let month = self.month_at(at);
        month.filter(|month| month.period.start() == at)
    }

    /// The key of a month's grant.
    #[must_use]
    pub fn key(&self, month: &Month) -> Key {
        Key::period_grant(&self.item(month.term), month.period)
    }

    /// The keys of the entries that paying a month may write or has to see: of its grant, and of the
    /// grants after it was taken back.
    #[must_use]
    pub fn keys(&self, month: &Month) -> Vec<Key> {
        let key = self.key(month);
        let again = (2..=AGAIN_MAX).map(|times| key.again(times));
        [key.clone()].into_iter().chain(again).collect()
    }

    /// What the ledger knows a term by: paid months of one item never overlap. A change of plan
    /// midway begins a new one.
    #[must_use]
    pub fn item(&self, term: usize) -> VendorId {
        vendor_id(format!("{}:{term}", self.client))
    }

    /// The plan as the ledger has it, for one month of this subscription. Who pays, and for what, is
    /// told in the clinic's own ids.
    #[must_use]
    pub fn in_ledger(&self, month: &Month, plan: &Plan) -> ledger_core::Plan {
        ledger_core::Plan {
            customer: customer(self.client),
            livemode: true,
            subscription: vendor_id(self.client.to_string()),
            item: self.item(month.term),
            price: vendor_id(plan.id.to_string()),
            service: ledger_core::ServiceId(plan.service.0),
            credits: plan.credits,
            amount: AmountPolicy::Exactly(plan.price),
            expiry: plan.left_over.expiry,
        }
    }
}

impl Term {
    /// The month of the term that an instant is in; `None` before the term, and past the calendar.
    ///
    /// Month `n` begins at the term's first wall time, `n` months later by the calendar of its zone:
    /// its day clamped to the month's length, always counted from the first one, so that after 31
    /// January come 28 February and 31 March.
    #[must_use]
    pub fn month_at(&self, at: DateTime<Utc>) -> Option<Period> {
        if at < self.from {
            return None;
        }
        let count = |local: LocalDateTime| {
            let date = local.date();
            i64::from(date.year()) * 12 + i64::from(date.month0())
        };
        let passed = count(self.zone.local(at)) - count(self.zone.local(self.from));
        // The month begins at a time of its own, which may be later than the instant's.
        let near = u32::try_from(passed).ok()?;
        let begun = [near + 1, near, near.saturating_sub(1)];
        let begun = begun
            .into_iter()
            .find(|&month| self.begins(month).is_some_and(|start| start <= at))?;
        Period::new(self.begins(begun)?, self.begins(begun + 1)?).ok()
    }

    /// When a month begins, counted from 0.
    fn begins(&self, month: u32) -> Option<DateTime<Utc>> {
        if month == 0 {
            return Some(self.from);
        }
        let first = self.zone.local(self.from);
        let date = first.naive().checked_add_months(Months::new(month))?;
        let local = LocalDateTime::try_from(date).ok()?;
        let fraction = TimeDelta::microseconds(i64::from(self.from.timestamp_subsec_micros()));
        Some(self.zone.resolve(local).0 + fraction)
    }
}

/// Who pays for a client: the client.
#[must_use]
pub fn customer(client: ClientId) -> VendorId {
    vendor_id(client.to_string())
}

fn vendor_id(text: String) -> VendorId {
    VendorId::try_from(text).expect("a UUID, a colon and digits are an id")
}

#[cfg(test)]
mod tests {
    use chrono::{Offset as _, TimeZone as _};

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn months_are_counted_from_their_term_and_end_with_the_subscription() {
        let plan = |number| Some(PlanId(Uuid::from_u128(number)));
        let term = |from, plan| Term {
            from: at(from),
            zone: Zone::UTC,
            plan,
        };
        let subscription = Subscription {
            client: ClientId(Uuid::from_u128(9)),
            terms: vec![
                term("2026-01-31T08:00:00Z", plan(1)),
                term("2026-03-10T12:00:00Z", plan(2)),
                term("2026-06-01T00:00:00Z", None),
            ],
            version: 3,
        };
        let month = |text| {
            let month = subscription.month_at(at(text))?;
            Some((month.term, month.period.to_string()))
        };
        assert_eq!(month("2026-01-31T07:59:59Z"), None);
        let first = "2026-01-31T08:00:00Z to 2026-02-28T08:00:00Z".to_owned();
        assert_eq!(month("2026-02-28T07:59:59Z"), Some((0, first)));
        // Paid for to its own end, though another plan begins within it.
        let second = "2026-02-28T08:00:00Z to 2026-03-31T08:00:00Z".to_owned();
        assert_eq!(month("2026-03-10T11:59:59Z"), Some((0, second)));
        let changed = "2026-03-10T12:00:00Z to 2026-04-10T12:00:00Z".to_owned();
        assert_eq!(month("2026-03-10T12:00:00Z"), Some((1, changed)));
        assert_eq!(month("2026-06-01T00:00:00Z"), None);
        assert_ne!(subscription.item(0), subscription.item(1));
    }

    /// When a wall time is, by another reader of zones: what is skipped is as much later as the clock is
    /// set forward (RFC 5545 §3.3.5), and of two the first counts.
    fn instant(zone: chrono_tz::Tz, local: chrono::NaiveDateTime) -> DateTime<Utc> {
        let found = zone.from_local_datetime(&local);
        let found = found.earliest().map(|at| at.to_utc());
        found.unwrap_or_else(|| {
            let before = zone.offset_from_utc_datetime(&(local - TimeDelta::days(2)));
            (local - TimeDelta::seconds(before.fix().local_minus_utc().into())).and_utc()
        })
    }

    /// Ten years of months from every kind of first day, in zones that change their clocks at other
    /// times, or skipped a day: they begin at the same wall time, on the day or the month's last.
    #[test]
    fn months_are_those_of_the_zone_s_calendar() {
        let zones = [
            chrono_tz::Europe::Berlin,
            chrono_tz::Pacific::Auckland,
            chrono_tz::America::New_York,
            chrono_tz::Pacific::Apia,
        ];
        let mut seen = 0;
        for zone in zones {
            for (year, month) in [(2010, 10), (2011, 11), (2024, 1), (2024, 12)] {
                for day in [1, 15, 28, 29, 30, 31] {
                    for (hour, minute) in [(0, 0), (2, 30), (23, 59)] {
                        let date = chrono::NaiveDate::from_ymd_opt(year, month, day);
                        let Some(date) = date else { continue };
                        let first = date.and_hms_opt(hour, minute, 0).unwrap();
                        let ours: Zone = zone.name().parse().unwrap();
                        let term = Term {
                            from: instant(zone, first),
                            zone: ours,
                            plan: None,
                        };
                        // The anchor is the wall time that the first instant has.
                        let first = term.from.with_timezone(&zone).naive_local();
                        let mut start = term.from;
                        for number in 1..=120_i32 {
                            let index =
                                first.year() * 12 + i32::try_from(first.month0()).unwrap() + number;
                            let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
                            let month = u32::try_from(month).unwrap();
                            let date = (1..=first.day())
                                .rev()
                                .find_map(|day| chrono::NaiveDate::from_ymd_opt(year, month, day));
                            let end = instant(zone, date.unwrap().and_time(first.time()));
                            let found = term.month_at(start).unwrap();
                            assert_eq!(
                                (found.start(), found.end()),
                                (start, end),
                                "{zone} {first}"
                            );
                            let last = end - TimeDelta::microseconds(1);
                            assert_eq!(term.month_at(last), Some(found), "{zone} {first}");
                            start = end;
                            seen += 1;
                        }
                        let before = term.from - TimeDelta::microseconds(1);
                        assert_eq!(term.month_at(before), None);
                    }
                }
            }
        }
        assert!(seen > 30_000, "{seen} months");
    }
}
