//! Whoever can write to the database, and has no key file, gets no credential by it.

use axum::http::StatusCode;
use clinic::Role;
use standing::database::Database as Location;
use standing::random;

use crate::clinic::Clinic;
use crate::database::Database;
use crate::sealed::{open, register};

/// Bytes as a literal of a database's SQL.
pub(crate) fn literal(clinic: &Clinic, bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match clinic.database {
        Location::Sqlite(_) => format!("X'{hex}'"),
        Location::Postgres(_) => format!("'\\x{hex}'::bytea"),
    }
}

/// An id as a literal.
pub(crate) fn id(clinic: &Clinic, id: &str) -> String {
    match clinic.database {
        Location::Sqlite(_) => format!("X'{}'", id.replace('-', "")),
        Location::Postgres(_) => format!("'{id}'::uuid"),
    }
}

pub(crate) const OTHER: &str = "01890000-0000-7000-8000-0000000000aa";

#[tokio::test]
async fn a_forged_or_edited_token_is_unknown() {
    let clinic = open().await;
    let (mine, other) = (
        register(&clinic, "Mine", None).await,
        register(&clinic, "Other", None).await,
    );
    let token = clinic.client_token(&mine).await;
    let operator = clinic.token(Role::Operator).await;
    let mut database = Database::open(&clinic).await;
    let status = async |token: &str| clinic.get_as(token, "/clients").await.status;
    let own = format!("/clients/{mine}");
    assert_eq!(clinic.get_as(&token, &own).await.status, StatusCode::OK);
    let unknown = StatusCode::UNAUTHORIZED;

    // Rows of one's own: with a MAC that is nothing, and with another token's.
    let other_id = id(&clinic, OTHER);
    for mac in [literal(&clinic, &[7; 32]), "mac".to_owned()] {
        let secret = random::secret();
        let hash = literal(&clinic, &random::hash(&secret));
        let insert = format!(
            "INSERT INTO token (id, clinic_id, hash, mac, role, subject_id, created_at)
             SELECT {other_id}, clinic_id, {hash}, {mac}, 'admin', NULL, created_at FROM token
             WHERE role = 'admin'"
        );
        database.execute(&insert).await.unwrap();
        assert_eq!(status(&secret).await, unknown);
        let delete = format!("DELETE FROM token WHERE id = {other_id}");
        database.execute(&delete).await.unwrap();
    }
    // A row of the service's, with anything in it changed.
    let (mine, other) = (id(&clinic, &mine), id(&clinic, &other));
    let admin_mac = "mac = (SELECT a.mac FROM token a WHERE a.role = 'admin')";
    let keep = "CREATE TABLE kept AS SELECT * FROM token";
    database.execute(keep).await.unwrap();
    for change in [
        "role = 'admin', subject_id = NULL".to_owned(),
        "role = 'operator', subject_id = NULL".to_owned(),
        "role = 'therapist'".to_owned(),
        format!("subject_id = {other}"),
        format!("clinic_id = {other_id}"),
        format!("id = {other_id}"),
        format!("role = 'admin', subject_id = NULL, {admin_mac}"),
        admin_mac.to_owned(),
    ] {
        let edit = format!("UPDATE token SET {change} WHERE subject_id = {mine}");
        database.execute(&edit).await.unwrap();
        for path in ["/clients", own.as_str()] {
            let answer = clinic.get_as(&token, path).await;
            assert_eq!(answer.status, unknown, "{change}: {}", answer.body);
            assert_eq!(answer.body["detail"], "this token is not known");
        }
        database.execute("DELETE FROM token").await.unwrap();
        let back = "INSERT INTO token SELECT * FROM kept";
        database.execute(back).await.unwrap();
        assert_eq!(clinic.get_as(&token, &own).await.status, StatusCode::OK);
    }
    // Secrets exchanged between two rows that the service has made.
    let staff = "DELETE FROM token WHERE role IN ('admin', 'operator')";
    database.execute(staff).await.unwrap();
    let swapped = "INSERT INTO token (id, clinic_id, hash, mac, role, subject_id, created_at)
        SELECT k.id, k.clinic_id, o.hash, k.mac, k.role, k.subject_id, k.created_at
        FROM kept k JOIN kept o ON o.role <> k.role
        WHERE k.role IN ('admin', 'operator') AND o.role IN ('admin', 'operator')";
    database.execute(swapped).await.unwrap();
    assert_eq!(status(&operator).await, unknown);
    assert_eq!(status(&clinic.admin).await, unknown);
}

#[tokio::test]
async fn a_forged_or_edited_feed_is_unknown() {
    let clinic = open().await;
    let (mine, other) = (
        register(&clinic, "Mine", None).await,
        register(&clinic, "Other", None).await,
    );
    let opened = clinic
        .post(&format!("/clients/{mine}/feed"), serde_json::json!({}))
        .await;
    let path = opened["path"].as_str().unwrap();
    let status = async |path: &str| clinic.text(None, path).await.0;
    assert_eq!(status(path).await, StatusCode::OK);
    let mut database = Database::open(&clinic).await;
    let (mine, other) = (id(&clinic, &mine), id(&clinic, &other));
    let elsewhere = id(&clinic, OTHER);
    for (change, back) in [
        (
            format!("subject_id = {other}"),
            format!("subject_id = {mine}"),
        ),
        (
            "subject_role = 'therapist'".to_owned(),
            "subject_role = 'client'".to_owned(),
        ),
        (
            format!("clinic_id = {elsewhere}"),
            format!(
                "clinic_id = {}",
                id(&clinic, &clinic::ClinicId::FIRST.to_string())
            ),
        ),
    ] {
        database
            .execute(&format!("UPDATE feed SET {change}"))
            .await
            .unwrap();
        assert_eq!(status(path).await, StatusCode::NOT_FOUND, "{change}");
        database
            .execute(&format!("UPDATE feed SET {back}"))
            .await
            .unwrap();
        assert_eq!(status(path).await, StatusCode::OK, "{back}");
    }
    let secret = random::secret();
    let hash = literal(&clinic, &random::hash(&secret));
    let insert = format!(
        "INSERT INTO feed (clinic_id, subject_role, subject_id, hash, mac)
         SELECT clinic_id, subject_role, {other}, {hash}, mac FROM feed"
    );
    database.execute(&insert).await.unwrap();
    let forged = format!("/feeds/{secret}.ics");
    assert_eq!(status(&forged).await, StatusCode::NOT_FOUND);
}
