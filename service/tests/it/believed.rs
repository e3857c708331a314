//! An account whose row or last entry was edited in the database: commands are refused, the worker
//! passes the account over, and nothing is written.

use axum::http::StatusCode;
use serde_json::json;

use crate::audit::let_entries_change;
use crate::clinic::{Answer, Clinic, Parties};
use crate::database::Database;

/// Replaces text in a column of JSON.
pub(crate) fn replaced(database: &Database, column: &str, from: &str, to: &str) -> String {
    match database {
        Database::Sqlite(_) => format!("{column} = replace({column}, '{from}', '{to}')"),
        Database::Postgres(_) => {
            format!("{column} = replace({column}::text, '{from}', '{to}')::json")
        }
    }
}

/// An id as a literal.
fn id(database: &Database, id: &str) -> String {
    match database {
        Database::Sqlite(_) => format!("X'{}'", id.replace('-', "")),
        Database::Postgres(_) => format!("'{id}'::uuid"),
    }
}

async fn try_to_grant(clinic: &Clinic, parties: &Parties) -> Answer {
    let grant = json!({
        "service_id": parties.service, "amount": 1, "source": "paid", "reason": "bank_transfer",
    });
    let path = format!("/clients/{}/credits", parties.client);
    clinic.post_as(&clinic.admin, &path, &grant).await
}

/// Everybody's commands and the worker's are refused with this status and code, and write nothing.
async fn is_refused(clinic: &Clinic, database: &mut Database, parties: &Parties, code: &str) {
    let before = database.dump().await;
    let answer = try_to_grant(clinic, parties).await;
    let status = match code {
        "newer_entry" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.body["code"], code, "{}", answer.body);
    assert_eq!(answer.body["account"], parties.client.as_str());
    assert!(clinic.tick().await.failed > 0, "the tick funds no session");
    assert!(database.dump().await == before, "something was written");
}

#[tokio::test]
async fn an_edited_exchanged_or_restored_snapshot_is_refused() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let (anna, dora) = (clinic.parties().await, clinic.parties().await);
    clinic.grant(&anna, 4).await;
    clinic.grant(&dora, 1).await;
    let mut database = Database::open(&clinic).await;
    let keep = "CREATE TABLE kept AS SELECT client_id, version, snapshot FROM account";
    database.execute(keep).await.unwrap();
    clinic.grant(&anna, 4).await;
    let keep = "CREATE TABLE good AS SELECT client_id, version, snapshot FROM account";
    database.execute(keep).await.unwrap();
    // Her session is due, so the worker looks at her account.
    clinic.book(&anna, "2026-03-03T18:00:00", None).await;
    let back = |from: &str| {
        format!(
            "UPDATE account SET version = (SELECT version FROM {from} WHERE {from}.client_id = account.client_id),
             snapshot = (SELECT snapshot FROM {from} WHERE {from}.client_id = account.client_id)"
        )
    };
    let exchanged = "UPDATE account SET version = (SELECT version FROM good WHERE good.client_id <> account.client_id),
         snapshot = (SELECT snapshot FROM good WHERE good.client_id <> account.client_id)";
    let richer = replaced(&database, "snapshot", ":4,", ":50,");
    let of_anna = format!("WHERE client_id = {}", id(&database, &anna.client));
    let hash = match database {
        Database::Sqlite(_) => "SELECT lower(hex(hash)) FROM ledger_entry WHERE seq = 2",
        Database::Postgres(_) => "SELECT encode(hash, 'hex') FROM ledger_entry WHERE seq = 2",
    };
    let hash = database.texts(hash).await.remove(0);
    let other_hash = replaced(&database, "snapshot", &hash, &"00".repeat(32));
    for edit in [
        format!("UPDATE account SET {richer} {of_anna}"),
        format!("UPDATE account SET {other_hash} {of_anna}"),
        format!("{} {of_anna}", back("kept")),
        exchanged.to_owned(),
    ] {
        database.execute(&edit).await.unwrap();
        is_refused(&clinic, &mut database, &anna, "account_not_as_written").await;
        database.execute(&back("good")).await.unwrap();
    }
    // As it was, it is believed.
    assert_eq!(
        try_to_grant(&clinic, &anna).await.status,
        StatusCode::CREATED
    );
    assert_eq!(clinic.tick().await.failed, 0);
}

#[tokio::test]
async fn nothing_is_appended_to_an_entry_of_a_newer_version() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 4).await;
    clinic.book(&parties, "2026-03-03T18:00:00", None).await;
    let mut database = Database::open(&clinic).await;
    let_entries_change(&mut database).await;
    let newer = replaced(&database, "body", r#""kind":"grant""#, r#""kind":"gift""#);
    database
        .execute(&format!("UPDATE ledger_entry SET {newer}"))
        .await
        .unwrap();
    is_refused(&clinic, &mut database, &parties, "newer_entry").await;
}
