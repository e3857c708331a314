//! Rows of intents and sessions.

use scheduler_core::intent::{Intent, IntentState};
use scheduler_core::session::Session;
use scheduler_core::set::Deviations;
use scheduler_core::{
    ClientId, GapPolicy, IntentId, PausedSlot, RecurrenceSet, ServiceId, SessionId, TherapistId,
    Zone,
};
use uuid::Uuid;

use super::{Columns, Versioned, id, instant, json, local, number, parsed, text, versioned};
use crate::StoreError;

/// A row of `intent`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn intent(row: &impl Columns) -> Result<Intent, StoreError> {
    let corrupt = |source| StoreError::corrupt("set", source);
    let mut set = RecurrenceSet::new(
        local(row, "starts_local")?,
        parsed::<Zone>(row, "zone")?,
        number(row, "minutes")?,
    )
    .map_err(corrupt)?
    .with_gap_policy(match text(row, "gap")? {
        "omit" => GapPolicy::Omit,
        _ => GapPolicy::Shift,
    })
    .with_deviations(versioned(row, "deviations")?)
    .map_err(corrupt)?;
    if row.text("rule")?.is_some() {
        set = set.with_rule(parsed(row, "rule")?);
    }
    Ok(Intent {
        id: IntentId(id(row, "id")?),
        series: IntentId(id(row, "series_id")?),
        continues: row.id("continues_id")?.map(IntentId),
        state: match (text(row, "state")?, row.id("continued_by")?) {
            ("active", None) => IntentState::Active,
            ("ended", None) => IntentState::Ended,
            ("continued", Some(by)) => IntentState::Continued { by: IntentId(by) },
            ("withdrawn", None) => IntentState::Withdrawn,
            (state, _) => return Err(StoreError::corrupt("state", state.to_owned())),
        },
        therapist: TherapistId(id(row, "therapist_id")?),
        client: ClientId(id(row, "client_id")?),
        service: ServiceId(id(row, "service_id")?),
        set,
        done_through: instant(row, "done_through")?,
        next_due_at: row.instant("next_due_at")?,
        version: number(row, "version")?,
    })
}

/// A row of `session`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn session(row: &impl Columns) -> Result<Session, StoreError> {
    Ok(Session {
        id: SessionId(id(row, "id")?),
        intent: IntentId(id(row, "intent_id")?),
        recurrence_id: local(row, "recurrence_id")?,
        therapist: TherapistId(id(row, "therapist_id")?),
        client: ClientId(id(row, "client_id")?),
        service: ServiceId(id(row, "service_id")?),
        starts_at: instant(row, "starts_at")?,
        ends_at: instant(row, "ends_at")?,
        zone: parsed(row, "zone")?,
        tzdb: text(row, "tzdb")?.to_owned(),
        state: row.json("state_detail")?,
        slot_version: number(row, "slot_version")?,
        hold_generation: number(row, "hold_generation")?,
        next_due_at: row.instant("next_due_at")?,
        version: number(row, "version")?,
    })
}

/// The stored form of additions, exclusions, overrides, pauses and the end.
///
/// # Errors
/// [`StoreError::Corrupt`] if they have no JSON form, which they have.
pub fn deviations_json(deviations: &Deviations) -> Result<String, StoreError> {
    let data = deviations;
    json("deviations", &Versioned { v: 1, data })
}

/// The stored name of a gap policy.
#[must_use]
pub fn gap_name(policy: GapPolicy) -> &'static str {
    match policy {
        GapPolicy::Shift => "shift",
        GapPolicy::Omit => "omit",
    }
}

/// The segment that an intent is continued by.
#[must_use]
pub fn continued_by(intent: &Intent) -> Option<Uuid> {
    match intent.state {
        IntentState::Continued { by } => Some(by.0),
        _ => None,
    }
}

/// Whether a set rests until further notice and keeps its time.
#[must_use]
pub fn is_kept(set: &RecurrenceSet) -> bool {
    let last = set.deviations().pauses.last();
    last.is_some_and(|pause| pause.until.is_none() && pause.slot == PausedSlot::Kept)
}
