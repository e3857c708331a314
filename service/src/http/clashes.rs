//! What is in the way of a time, as problems and explanations say it.

use axum::http::StatusCode;
use clinic::access::Disclosed;
use scheduler_core::LocalDateTime;
use scheduler_core::proof::{Found, Obstacle, RemedyError, Unproven};
use scheduler_core::slots::Alternatives;
use serde_json::{Value, json};

use super::problem::{Problem, instant, set};

/// A clash; what it is with, only to those who may know.
pub(super) fn clash(found: &Found, disclosed: &Disclosed) -> Value {
    let mut shown = obstacle(&found.obstacle, disclosed);
    shown["recurrence_id"] = json!(found.recurrence_id);
    shown["starts_at"] = json!(instant(found.start));
    shown["ends_at"] = json!(instant(found.end));
    shown
}

/// What is in the way; with whom, only to those who may know.
pub(super) fn obstacle(obstacle: &Obstacle, disclosed: &Disclosed) -> Value {
    match *obstacle {
        Obstacle::Busy { with, start, end } if disclosed.bookings.contains(&with.0) => json!({
            "reason": "busy",
            "with": { "intent_id": with.0, "recurrence_id": with.1 },
            "busy_from": instant(start),
            "busy_until": instant(end),
        }),
        Obstacle::Busy { .. } => json!({ "reason": "busy" }),
        Obstacle::Itself { recurrence_id } => {
            json!({ "reason": "overlaps_itself", "with": recurrence_id })
        }
        Obstacle::OutsideHours => json!({ "reason": "outside_hours" }),
        Obstacle::Blackout { start, end } if disclosed.time_off => json!({
            "reason": "blackout", "away_from": instant(start), "away_until": instant(end),
        }),
        Obstacle::Blackout { .. } => json!({ "reason": "blackout" }),
        Obstacle::Notice { earliest } => {
            json!({ "reason": "notice", "earliest": instant(earliest) })
        }
        Obstacle::BookingWindow { until } => {
            json!({ "reason": "booking_window", "until": instant(until) })
        }
        Obstacle::Repeated { first } => {
            json!({ "reason": "repeated", "first": instant(first) })
        }
        Obstacle::OffStep { step } => json!({ "reason": "off_step", "step_minutes": step }),
    }
}

/// What can be done about the dates that are not free: each can be left out, or moved.
pub(super) fn proposals(found: &Alternatives, disclosed: &Disclosed) -> Vec<Value> {
    let dates = found.dates.iter().map(|date| {
        let obstacles = date.obstacles.iter().map(|one| obstacle(one, disclosed));
        json!({
            "recurrence_id": date.recurrence_id,
            "starts_at": instant(date.start),
            "obstacles": obstacles.collect::<Vec<_>>(),
            "instead": date.instead,
        })
    });
    dates.collect()
}

/// Why resolutions cannot be applied.
pub(super) fn remedy(error: RemedyError, detail: String) -> Problem {
    let at_fault = |recurrence_id: LocalDateTime| {
        Problem::unprocessable("invalid_resolution", "resolutions", &*detail)
            .with("recurrence_id", recurrence_id.to_string())
    };
    match error {
        RemedyError::NotGenerated { recurrence_id }
        | RemedyError::Gone { recurrence_id }
        | RemedyError::Twice { recurrence_id } => at_fault(recurrence_id),
        RemedyError::BeyondZoneData { to } => at_fault(to),
        RemedyError::Set(error) | RemedyError::Unproven(Unproven::Set(error)) => {
            set(&error, detail)
        }
        RemedyError::Unproven(Unproven::Clashes(_)) => {
            Problem::new(StatusCode::CONFLICT, "clash", detail)
        }
    }
}
