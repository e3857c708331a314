//! The clinic's constants and the lines it draws in time.

use chrono::{DateTime, TimeDelta, Utc};
use scheduler_core::session::Party;

use crate::people::Service;

/// How long before its start an occurrence becomes a session.
pub const HORIZON: TimeDelta = TimeDelta::days(7);
/// How far ahead a booking is checked against everything else: ten years.
pub const CHECKED: TimeDelta = TimeDelta::days(3653);
/// The most clashes that a refusal lists.
pub const CLASHES_LISTED_MAX: usize = 50;

/// Until when a client changes a session freely.
#[must_use]
pub fn free_until(starts_at: DateTime<Utc>, service: &Service) -> DateTime<Utc> {
    starts_at - TimeDelta::minutes(i64::from(service.cancellation.free_until_minutes))
}

/// Whether calling a session off now is late. Only a client is ever late.
#[must_use]
pub fn is_late(
    starts_at: DateTime<Utc>,
    service: &Service,
    party: Party,
    now: DateTime<Utc>,
) -> bool {
    party == Party::Client && now > free_until(starts_at, service)
}

/// When an unfunded session is left to a person.
#[must_use]
pub fn notice_at(starts_at: DateTime<Utc>, service: &Service) -> DateTime<Utc> {
    starts_at - TimeDelta::minutes(i64::from(service.notice_minutes))
}
