//! Edits of the journal, and of what is known of people.

use serde_json::json;

use super::kinds::{BACKUP, Kind, LOOK_UP, Use, get, grant, kind};
use super::sql::{id, put_back};
use super::week::{ANNA, DORA, Week};
use crate::database::Database;

pub(super) fn journal(week: &Week, db: &Database) -> Vec<Kind> {
    let dora = id(db, &week.dora.client);
    let again = grant(&week.dora);
    let line = |kind: &str, subject: &str, part: &str| {
        format!(
            "INSERT INTO journal (clinic_id, subject_kind, subject_id, subject_part, version, kind, actor, body, at,
             rows_written) SELECT clinic_id, '{subject}', {dora}, {part}, 99, '{kind}', actor, '{{}}', at, 1
             FROM journal WHERE kind = 'legal_hold_changed'"
        )
    };
    let month = format!("'v1/grant/{}:0/2026-05-02T08:00:00Z'", week.dora.client);
    let last = "seq = (SELECT max(seq) FROM journal)";
    vec![
        kind(
            "an anchored line of the journal is edited",
            ["UPDATE journal SET actor = 'tick' WHERE kind = 'client_registered'"],
            &again,
        ),
        kind(
            "an anchored line of the journal is deleted",
            ["DELETE FROM journal WHERE kind = 'session_completed'"],
            &again,
        ),
        kind(
            "a line that is not anchored yet is edited",
            [format!("UPDATE journal SET actor = 'tick' WHERE {last}")],
            &again,
        )
        .shown_by(BACKUP),
        kind(
            "a line is added: a session that nobody completed",
            [line(
                "session_completed",
                "occurrence",
                "'2026-03-10T18:00:00'",
            )],
            &again,
        )
        .shown_by(BACKUP),
        kind(
            "a line is added: `month_paid` without its entry",
            [line("month_paid", "entry", &month)],
            &again,
        ),
        kind("the journal is emptied", ["DELETE FROM journal"], &again),
    ]
}

pub(super) fn people(week: &Week, db: &Database) -> Vec<Kind> {
    let (anna, dora, eve) = (
        id(db, &week.anna.client),
        id(db, &week.dora.client),
        id(db, &week.eve.client),
    );
    let admin = &week.clinic.admin;
    let see = |client: &str| get(admin, &format!("/clients/{client}"));
    let (see_anna, see_dora, see_eve) = (
        see(&week.anna.client),
        see(&week.dora.client),
        see(&week.eve.client),
    );
    let look_up = |email: &str| Use::Post(LOOK_UP.to_owned(), json!({ "email": email }));
    let sealed = ["sealed", "sealed_version", "dek_generation"];
    let from = |table: &str, whose: &str, columns: &[&str]| {
        let set = columns.iter().map(|column| {
            format!("{column} = (SELECT p.{column} FROM {table} p WHERE p.id = {whose})")
        });
        set.collect::<Vec<_>>().join(", ")
    };
    let now = |whose: &str| from("anchored_client", whose, &sealed);
    let past = |whose: &str| from("past_client", whose, &sealed);
    let with_key = |whose: &str| {
        let [forget, key] = put_back("dek", "past", &format!("owner_id = {whose}"));
        [
            forget,
            key,
            format!("UPDATE client SET {} WHERE id = {whose}", past(whose)),
        ]
    };
    let index = |of: &str, from: &str| {
        format!(
            "UPDATE blind_index SET hash = (SELECT k.hash FROM anchored_blind_index k WHERE k.person_id = {from})
             WHERE person_id = {of}"
        )
    };
    let wrapped = format!(
        "UPDATE dek SET wrapped = (SELECT k.wrapped FROM anchored_dek k WHERE k.owner_id = {dora}) WHERE owner_id = {anna}"
    );
    let mut with_index = with_key(&anna).to_vec();
    with_index.extend(put_back(
        "blind_index",
        "past",
        &format!("person_id = {anna}"),
    ));
    let reason = "INSERT INTO reason (clinic_id, code, added_at) SELECT clinic_id, 'annas_mother_is_ill', added_at FROM reason";
    vec![
        kind(
            "the sealed values of two clients are exchanged",
            [
                format!("UPDATE client SET {} WHERE id = {anna}", now(&dora)),
                format!("UPDATE client SET {} WHERE id = {dora}", now(&anna)),
            ],
            &see_anna,
        ),
        kind(
            "a client's sealed value is put back from the past",
            [format!(
                "UPDATE client SET sealed = (SELECT p.sealed FROM past_client p WHERE p.id = {anna}) WHERE id = {anna}"
            )],
            &see_anna,
        ),
        kind(
            "a client's sealed value is put back, with key and index",
            with_index,
            &see_anna,
        ),
        kind(
            "an erased client's sealed value and key are put back",
            with_key(&eve),
            &see_eve,
        ),
        kind(
            "a key is deleted",
            [format!("DELETE FROM dek WHERE owner_id = {anna}")],
            &see_anna,
        ),
        kind("a key becomes another client's", [wrapped], &see_anna),
        kind(
            "the blind indexes of two clients are exchanged",
            [
                format!("UPDATE blind_index SET hash = NULL WHERE person_id IN ({anna}, {dora})"),
                index(&anna, &dora),
                index(&dora, &anna),
            ],
            &look_up(ANNA),
        ),
        kind(
            "a blind index is deleted",
            [format!("DELETE FROM blind_index WHERE person_id = {dora}")],
            &look_up(DORA),
        ),
        kind(
            "a legal hold is removed",
            [format!(
                "UPDATE client SET legal_hold = {} WHERE id = {dora}",
                falsehood(db)
            )],
            &see_dora,
        ),
        kind(
            "a client is given to another therapist",
            [format!(
                "UPDATE client SET therapist_id = {} WHERE id = {dora}",
                id(db, &week.other_therapist)
            )],
            &see_dora,
        )
        .shown_by(BACKUP),
        kind(
            "a code is added to the list of reasons",
            [reason],
            &get(admin, "/reasons"),
        ),
    ]
}

fn falsehood(db: &Database) -> &'static str {
    match db {
        Database::Sqlite(_) => "0",
        Database::Postgres(_) => "false",
    }
}
