//! The net under the rules: what the database refuses whoever asks.

use chrono::TimeDelta;
use clinic::Change;
use scheduler_core::session::SessionState;
use sqlx::postgres::PgPool;
use store::{Store, StoreError};

use crate::practice::*;

async fn refused(plain: &PgPool, sql: &'static str) -> String {
    let error = sqlx::query(sql).execute(plain).await.unwrap_err();
    error.to_string()
}

#[tokio::test]
async fn live_sessions_of_one_person_do_not_overlap() {
    let (store, plain) = open(2).await;
    people(&store, 2, 2).await;
    let first = intent(1, therapist_id(0), client_id(0), now());
    let first_session = session(&first, SessionState::Scheduled);
    let half_way = now() + TimeDelta::minutes(25);
    put(
        &store,
        vec![
            Change::NewIntent(first),
            Change::NewSession(first_session.clone()),
        ],
    )
    .await
    .unwrap();
    for (n, therapist, client, net) in [
        (2, 0, 1, "session_overlap_of_therapist"),
        (3, 1, 0, "session_overlap_of_client"),
    ] {
        let other = intent(n, therapist_id(therapist), client_id(client), half_way);
        let mut overlapping = session(&other, SessionState::Unfunded);
        let changes = vec![
            Change::NewIntent(other),
            Change::NewSession(overlapping.clone()),
        ];
        match put(&store, changes.clone()).await {
            Err(StoreError::Constraint { constraint }) => assert_eq!(constraint, net),
            other => panic!("{other:?}"),
        }
        // Nothing of the refused write is there. One that is over takes no time.
        assert_eq!(store.intent(CLINIC, intent_id(n)).await.unwrap(), None);
        overlapping.state = SessionState::Completed;
        let changes = vec![changes[0].clone(), Change::NewSession(overlapping)];
        put(&store, changes).await.unwrap();
    }
    // Right after it is no overlap.
    let next = intent(4, therapist_id(0), client_id(0), first_session.ends_at);
    let after = session(&next, SessionState::Scheduled);
    put(
        &store,
        vec![Change::NewIntent(next), Change::NewSession(after)],
    )
    .await
    .unwrap();
    // Plain SQL does not get past it either.
    let said = refused(&plain, "UPDATE session SET state = 'scheduled'").await;
    assert!(said.contains("session_overlap_of"), "{said}");
}

#[tokio::test]
async fn journal_and_ledger_are_append_only() {
    let (store, plain) = open(2).await;
    people(&store, 1, 1).await;
    for table in ["journal", "ledger_entry"] {
        for sql in [
            format!("UPDATE {table} SET body = '{{}}'"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
        ] {
            let outcome = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone()))
                .execute(&plain)
                .await;
            let said = outcome.unwrap_err().to_string();
            assert!(
                said.contains(&format!("{table}_is_append_only")),
                "{sql}: {said}"
            );
        }
    }
}

#[tokio::test]
async fn a_hash_is_32_bytes_and_what_is_referred_to_exists() {
    let (store, plain) = open(2).await;
    let short = "INSERT INTO token (id, clinic_id, hash, mac, role, created_at) VALUES
                 (gen_random_uuid(), gen_random_uuid(), '\\x00', sha256(''), 'admin', now())";
    assert!(refused(&plain, short).await.contains("token_hash_check"));
    let short = "INSERT INTO token (id, clinic_id, hash, mac, role, created_at) VALUES
                 (gen_random_uuid(), gen_random_uuid(), sha256(''), '\\x00', 'admin', now())";
    assert!(refused(&plain, short).await.contains("token_mac_check"));
    let orphan = intent(1, therapist_id(0), client_id(0), now());
    let outcome = put(&store, vec![Change::NewIntent(orphan)]).await;
    assert!(
        matches!(&outcome, Err(StoreError::Constraint { constraint }) if constraint.contains("_fkey")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn text_that_the_database_cannot_hold_is_refused() {
    let (store, _) = open(1).await;
    let mut named = service();
    named.name = "a\0b".to_owned();
    let outcome = put(&store, vec![Change::Service(named)]).await;
    assert!(
        matches!(&outcome, Err(StoreError::Constraint { .. })),
        "{outcome:?}"
    );
}
