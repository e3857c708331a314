//! How much of a clinic one client may take, and how dense any booking may be.
//!
//! A quota refuses whoever would exceed it. Therapists and staff have none; for everybody a booking has at
//! most [`DATES_A_WEEK_MAX`] dates a week, so that whatever is planned, listed or searched over a stretch of
//! time stays in proportion to it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, Utc};
use scheduler_core::intent::Intent;
use scheduler_core::{IntentId, RecurrenceSet, Rule};
use serde::{Deserialize, Serialize};

use crate::access::{Action, Principal, Resource, Role, allow};
use crate::funding::credits;
use crate::{Change, Commit, Decision, Idempotent, Journal, Refusal, Subject, View};

const DENSITY: &str = "dates a week of one booking";
/// The most dates that a booking may have in any week: one an hour.
pub const DATES_A_WEEK_MAX: u64 = 7 * 24;

/// What one client may have of a clinic. Data of the clinic; how dense a booking of a service may be is the
/// service's ([`SlotRules`](crate::SlotRules)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quotas {
    /// Standing bookings that are not over.
    pub standing_bookings: u32,
    /// Minutes of all bookings together, in their densest week.
    pub minutes_a_week: u32,
    /// Bookings that are not over, of a client who has no credit of the service.
    pub bookings_without_credit: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            standing_bookings: 12,
            minutes_a_week: 840,
            bookings_without_credit: 6,
        }
    }
}

/// Refuses rules that are too dense for anybody. Nothing of them is expanded.
///
/// # Errors
/// [`Refusal::Quota`].
pub fn check_rules(rules: &[Rule]) -> Result<(), Refusal> {
    refuse(DENSITY, of_rules(rules), DATES_A_WEEK_MAX)
}

/// Refuses a set that is too dense for anybody. Nothing of it is expanded.
///
/// # Errors
/// [`Refusal::Quota`].
pub fn check_density(set: &RecurrenceSet) -> Result<(), Refusal> {
    refuse(DENSITY, set.densest_week(), DATES_A_WEEK_MAX)
}

/// Sets the clinic's quotas.
///
/// # Errors
/// [`Refusal::NotFound`] if the principal is no administrator.
pub fn set(view: &View, quotas: Quotas, principal: Principal) -> Decision {
    if !allow(principal, Action::Administer, Resource::Clinic) {
        return Err(Refusal::NotFound { what: "page" });
    }
    if view.quotas == quotas {
        return Ok(Idempotent::AlreadyApplied);
    }
    let journal = Journal::new(Subject::Quotas, 1, "quotas_set");
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal.with_body(serde_json::json!(quotas))),
        changes: vec![Change::Quotas(quotas)],
    }))
}

/// Refuses a client's change that takes more than a quota leaves. `after` are the intents that it makes or
/// changes, as they are then. What exceeds a quota already may stay, and become less.
///
/// # Errors
/// [`Refusal::Quota`].
pub(crate) fn check(
    view: &View,
    after: &[Intent],
    principal: Principal,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    for intent in after {
        check_density(&intent.set)?;
    }
    let Role::Client(client) = principal.role else {
        return Ok(());
    };
    let is_changed = |one: &&Intent| after.iter().any(|after| after.id == one.id);
    let known = || {
        view.intents
            .iter()
            .chain(&view.segments)
            .chain(&view.intent)
    };
    let mut before: Vec<&Intent> = known().filter(|one| one.client == client).collect();
    before.sort_by_key(|one| one.id);
    before.dedup_by_key(|one| one.id);
    before.retain(|one| is_open(one, now));
    let stays = before.iter().copied().filter(|one| !is_changed(one));
    let then: Vec<&Intent> = stays
        .chain(after.iter().filter(|one| is_open(one, now)))
        .collect();
    let more = |what, measure: &dyn Fn(&[&Intent]) -> u64, most: u32| {
        let (had, has) = (measure(&before), measure(&then));
        if has > had {
            refuse(what, has, most.into())
        } else {
            Ok(())
        }
    };

    for intent in after {
        let service = view.service_of(intent.service)?;
        let had = known().find(|one| one.id == intent.id);
        let had = had.map_or(0, |one| one.set.densest_week());
        let dates = intent.set.densest_week();
        if dates > had {
            let most = service.slots.dates_a_week.into();
            refuse(DENSITY, dates, most)?;
        }
    }
    let quotas = view.quotas;
    more("standing bookings", &standing, quotas.standing_bookings)?;
    more("minutes a week", &minutes_a_week, quotas.minutes_a_week)?;
    let has_credit = |intent: &Intent| {
        let account = view.account.as_ref();
        account.is_some_and(|account| !credits(account, intent.service).is_empty())
    };
    if !after.iter().all(has_credit) {
        let most = quotas.bookings_without_credit;
        more("bookings without a credit", &bookings, most)?;
    }
    Ok(())
}

fn refuse(quota: &'static str, wanted: u64, most: u64) -> Result<(), Refusal> {
    if wanted <= most {
        return Ok(());
    }
    Err(Refusal::Quota {
        quota,
        wanted,
        most,
    })
}

fn is_open(intent: &Intent, now: DateTime<Utc>) -> bool {
    intent.set.over_at().is_none_or(|over| over > now)
}

/// How many bookings these are segments of.
fn bookings(intents: &[&Intent]) -> u64 {
    let series: BTreeSet<IntentId> = intents.iter().map(|one| one.series).collect();
    length(series.len())
}

/// How many of them recur.
fn standing(intents: &[&Intent]) -> u64 {
    let standing = intents.iter().filter(|one| one.set.rule().is_some());
    bookings(&standing.copied().collect::<Vec<_>>())
}

/// The minutes of bookings together, in their densest week: of the rules at their densest, those of one
/// segment of each, since one takes over from another; and of single dates where most of them are.
fn minutes_a_week(intents: &[&Intent]) -> u64 {
    let mut of_series: BTreeMap<IntentId, u64> = BTreeMap::new();
    for intent in intents {
        let dates = of_rules(intent.set.rules());
        let minutes = dates.saturating_mul(intent.set.minutes().into());
        let most = of_series.entry(intent.series).or_default();
        *most = minutes.max(*most);
    }
    let singles = intents.iter().flat_map(|one| one.set.single_dates());
    let mut singles: Vec<(NaiveDate, u64)> = singles
        .map(|(date, minutes)| (date, minutes.into()))
        .collect();
    singles.sort_unstable();
    let (mut first, mut sum, mut most) = (0, 0, 0);
    for (date, minutes) in &singles {
        sum += minutes;
        while singles[first].0 + Days::new(7) <= *date {
            sum -= singles[first].1;
            first += 1;
        }
        most = most.max(sum);
    }
    of_series.into_values().fold(most, u64::saturating_add)
}

fn of_rules(rules: &[Rule]) -> u64 {
    let dates = rules.iter().map(Rule::densest_week);
    dates.fold(0, u64::saturating_add)
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
