//! Edits of bookings, sessions and messages, and of what the database refuses by itself.

use scheduler_core::session::SessionState;
use serde_json::json;

use super::kinds::{BACKUP, Kind, Use, Way, append_only, get, kind};
use super::sql::{id, json as literal, later};
use super::week::{Week, session};
use crate::database::Database;

pub(super) async fn schedule(week: &Week, db: &mut Database) -> Vec<Kind> {
    let clinic = &week.clinic;
    let at = async |of, starts_at| session(clinic, of, starts_at).await;
    let attended = at(&week.anna, "2026-03-03T10:00:00Z").await;
    let to_come = at(&week.anna, "2026-03-10T19:00:00Z").await;
    let of_dora = at(&week.dora, "2026-03-11T18:00:00Z").await;
    let (attended_id, to_come_id, dora_s) = (id(db, &attended), id(db, &to_come), id(db, &of_dora));
    let other = id(db, &week.other_therapist);
    let (cancel, see) = (
        Use::Post(format!("/sessions/{to_come}/cancel"), json!({})),
        get(&clinic.admin, &format!("/sessions/{attended}")),
    );
    let state = |of: &str, state: SessionState| {
        let (name, detail) = (state.name(), literal(&state));
        format!("UPDATE session SET state = '{name}', state_detail = {detail} WHERE id = {of}")
    };
    let name_alone = format!("UPDATE session SET state = 'no_show' WHERE id = {attended_id}");
    let over = format!(
        "UPDATE session SET (starts_at, ends_at, starts_local) =
         (SELECT o.starts_at, o.ends_at, o.starts_local FROM session o WHERE o.id = {dora_s})
         WHERE id = {to_come_id}"
    );
    let over = Kind {
        // A trigger is made again; a constraint is not, over rows that it would have refused.
        opens: match db {
            Database::Sqlite(_) => None,
            Database::Postgres(_) => {
                Some("ALTER TABLE session DROP CONSTRAINT session_overlap_of_therapist")
            }
        },
        ..kind("a session is moved over another one", [over], &cancel)
    };
    let moved = format!(
        "UPDATE session SET {}, {} WHERE id = {to_come_id}",
        later(db, "starts_at", 60),
        later(db, "ends_at", 60)
    );
    let anna = id(db, &week.anna.client);
    let deleted = [
        format!("DELETE FROM outbox WHERE session_id = {to_come_id}"),
        format!("DELETE FROM session WHERE id = {to_come_id}"),
    ];
    let pending = "WHERE state = 'pending'";
    let zones = match db {
        Database::Sqlite(_) => "X'00000000000000000000000000000000'",
        Database::Postgres(_) => "'00000000-0000-0000-0000-000000000000'::uuid",
    };
    let zones = format!(
        "INSERT INTO zone_data (generation, release, fingerprint, zones, since)
         SELECT generation + 1, '2999z', {zones}, zones, since FROM zone_data"
    );
    let series = format!("client_id = {anna} AND rule IS NOT NULL");
    let mut again = crate::clinic::booking(&week.anna, "2026-05-05T07:00:00", None);
    again["zone"] = json!("UTC");
    let book = Use::Post("/intents".to_owned(), again);
    vec![
        kind(
            "a completed session is scheduled again",
            [state(&attended_id, SessionState::Scheduled)],
            &see,
        ),
        kind(
            "a scheduled session is completed",
            [state(&to_come_id, SessionState::Completed)],
            &cancel,
        ),
        kind(
            "a completed session becomes a no-show",
            [state(&attended_id, SessionState::NoShow)],
            &see,
        )
        .shown_by("the client's statement: the credit was used"),
        kind(
            "a session's state is edited, and not what it says of it",
            [name_alone],
            &see,
        ),
        over,
        kind("a session is moved to a free hour", [moved], &cancel),
        kind("a session is deleted, with its messages", deleted, &cancel),
        kind(
            "a booking is given to another therapist",
            [format!(
                "UPDATE intent SET therapist_id = {other} WHERE {series}"
            )],
            &book,
        ),
        kind(
            "a booking's rule is edited",
            [format!(
                "UPDATE intent SET rule = 'FREQ=DAILY' WHERE {series}"
            )],
            &book,
        ),
        kind(
            "a booking is ended",
            [format!(
                "UPDATE intent SET state = 'ended', next_due_at = NULL WHERE {series}"
            )],
            &book,
        ),
        kind(
            "a booking is filed as over, so that no calendar has it",
            [format!(
                "UPDATE intent SET over_at = begins_at WHERE {series}"
            )],
            &book,
        ),
        kind(
            "a message is addressed to another client",
            [format!(
                "UPDATE outbox SET recipient_id = {} {pending} AND recipient_role = 'client'",
                id(db, &week.dora.client)
            )],
            &Use::Worker,
        ),
        kind(
            "a message is deleted",
            [format!("DELETE FROM outbox {pending}")],
            &Use::Worker,
        )
        .shown_by(BACKUP),
        kind(
            "a message is marked as sent",
            [format!(
                "UPDATE outbox SET state = 'sent', next_due_at = NULL {pending}"
            )],
            &Use::Worker,
        )
        .shown_by("a comparison with the sink: nothing arrived"),
        kind(
            "a plan gives more credits",
            ["UPDATE plan SET credits = 40".to_owned()],
            &get(&clinic.admin, "/plans"),
        )
        .shown_by("the admin, who reads `GET /plans`"),
        kind(
            "a client may have more bookings",
            [format!(
                "INSERT INTO quotas (clinic_id, quotas) SELECT clinic_id, '{}' FROM client LIMIT 1",
                r#"{"v":1,"data":{"standing_bookings":99,"minutes_a_week":9999,"bookings_without_credit":99}}"#
            )],
            &get(&clinic.admin, "/quotas"),
        )
        .shown_by("the admin, who reads `GET /quotas`"),
        kind("a newer generation of zone data is added", [zones], &book),
    ]
}

pub(super) fn guards(week: &Week, db: &Database) -> Vec<Kind> {
    let (sqlite, admin) = (matches!(db, Database::Sqlite(_)), &week.clinic.admin);
    let unaware = get(admin, "/clients");
    let pick = |lite: &'static str, postgres: &'static str| if sqlite { lite } else { postgres };
    let check = pick(
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (credits > 0)', '')
         WHERE name = 'plan'; PRAGMA writable_schema = RESET",
        "ALTER TABLE plan DROP CONSTRAINT plan_credits_check",
    );
    let overlap = pick(
        "DROP TRIGGER session_update_overlap",
        "ALTER TABLE session DROP CONSTRAINT session_overlap_of_client",
    );
    let replaced = Kind {
        way: Way::Replaced,
        ..kind(
            "the whole database is replaced by an older copy",
            [""; 0],
            &unaware,
        )
    };
    vec![
        kind(
            "a trigger that keeps the ledger append-only is dropped",
            [append_only(db)],
            &unaware,
        ),
        kind("the guard against overlaps is dropped", [overlap], &unaware),
        kind(
            "a unique index is dropped",
            ["DROP INDEX ledger_entry_of_proof"],
            &unaware,
        ),
        kind("a constraint is dropped", [check], &unaware),
        replaced,
    ]
}
