//! Rows of intents and sessions.

use clinic::Moved;
use clinic::zone_data::{Edition, MoveOutcome, Outcome, Planned, ZoneMove};
use scheduler_core::intent::{Intent, IntentState};
use scheduler_core::session::{Session, SessionState, wall_time_of};
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
    let recurrence_id = local(row, "recurrence_id")?;
    let (zone, tzdb): (Zone, &str) = (parsed(row, "zone")?, text(row, "tzdb")?);
    let starts_at = instant(row, "starts_at")?;
    let starts_local = row.local("starts_local")?;
    let state: SessionState = row.json("state_detail")?;
    // Indexes, constraints and due rows go by the name, decisions by the detail.
    let name = text(row, "state")?;
    if name != state.name() {
        let odd = format!("the state is {name}, its detail that of {}", state.name());
        return Err(StoreError::corrupt("session", odd));
    }
    Ok(Session {
        id: SessionId(id(row, "id")?),
        intent: IntentId(id(row, "intent_id")?),
        recurrence_id,
        therapist: TherapistId(id(row, "therapist_id")?),
        client: ClientId(id(row, "client_id")?),
        service: ServiceId(id(row, "service_id")?),
        starts_local: starts_local
            .unwrap_or_else(|| wall_time_of(zone, recurrence_id, starts_at, tzdb)),
        starts_at,
        ends_at: instant(row, "ends_at")?,
        zone,
        tzdb: tzdb.to_owned(),
        state,
        slot_version: number(row, "slot_version")?,
        hold_generation: number(row, "hold_generation")?,
        next_due_at: row.instant("next_due_at")?,
        version: number(row, "version")?,
    })
}

/// A row of `zone_data`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn zone_data(row: &impl Columns) -> Result<Planned, StoreError> {
    let settled_at = row.instant("settled_at")?;
    let outcome = |at| Ok::<_, StoreError>((at, versioned(row, "outcome")?));
    Ok(Planned {
        generation: number(row, "generation")?,
        edition: Edition {
            release: text(row, "release")?.to_owned(),
            fingerprint: id(row, "fingerprint")?,
            zones: versioned(row, "zones")?,
        },
        since: instant(row, "since")?,
        settled: settled_at.map(outcome).transpose()?,
    })
}

/// The stored form of what the zones of an edition do.
///
/// # Errors
/// [`StoreError::Corrupt`] if they have no JSON form, which they have.
pub fn zones_json(edition: &Edition) -> Result<String, StoreError> {
    let data = &edition.zones;
    json("zones", &Versioned { v: 1, data })
}

/// The stored form of an outcome.
///
/// # Errors
/// [`StoreError::Corrupt`] if it has no JSON form, which it has.
pub fn outcome_json(outcome: &Outcome) -> Result<String, StoreError> {
    let data = outcome;
    json("outcome", &Versioned { v: 1, data })
}

/// A row of `zone_move`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn zone_move(row: &impl Columns) -> Result<ZoneMove, StoreError> {
    let outcome = text(row, "outcome")?;
    Ok(ZoneMove {
        generation: number(row, "generation")?,
        session: SessionId(id(row, "session_id")?),
        intent: IntentId(id(row, "intent_id")?),
        therapist: TherapistId(id(row, "therapist_id")?),
        client: ClientId(id(row, "client_id")?),
        zone: parsed(row, "zone")?,
        starts_local: local(row, "starts_local")?,
        was: instant(row, "was")?,
        starts_at: instant(row, "starts_at")?,
        outcome: MoveOutcome::of_name(outcome)
            .ok_or_else(|| StoreError::corrupt("outcome", outcome.to_owned()))?,
    })
}

/// The stored form of what a message says of several sessions; none of a message about one.
///
/// # Errors
/// [`StoreError::Corrupt`] if it has no JSON form, which it has.
pub fn moves_json(moves: &[Moved]) -> Result<Option<String>, StoreError> {
    let data = moves;
    let stored = (!moves.is_empty()).then(|| json("moves", &Versioned { v: 1, data }));
    stored.transpose()
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
