//! The journal, read line by line.

use std::sync::Arc;

use clinic::journal_chain::Line;
use clinic::{ClinicId, Commit, Idempotent, Journal, Scope, Subject, View};
use ledger_core::Key;
use scheduler_core::intent::Event;
use uuid::Uuid;

use super::fixture::{Fixture, id, now};
use crate::rows::subject_columns;
use crate::{Idempotency, PAGE_MAX, Request, Store, history};

/// A clinic's journal is read as it was written, line by line, and its end is its last line.
pub async fn the_journal_is_read_as_it_was_written(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store.clone()).await;
    let other = Fixture::open_as(store.clone(), ClinicId(Uuid::from_u128(77)), 700).await;
    let intent = clinic.intent(20);
    let journal = Journal::new(
        Subject::Entry(clinic.clients[0], Key::manual_grant(id(1))),
        9,
        "it",
    )
    .with_body(serde_json::json!({ "b": 1, "a": [2] }))
    .of(&intent, Event::Withdrawn);
    let request = Request {
        idempotency: Some(Idempotency {
            key: "k".to_owned(),
            request_hash: [3; 32],
        }),
        ..clinic.request()
    };
    let line = journal.clone();
    let decide = Box::new(move |_: &View| {
        Ok(Idempotent::Applied(Commit {
            journal: Some(line),
            changes: Vec::new(),
        }))
    });
    let scope = Scope::New { therapist: None };
    store.write(&request, scope, decide).await.unwrap();
    let of = async |clinic: &Fixture, after, limit| {
        let clinic = clinic.principal.clinic;
        store.journal_lines(clinic, after, limit).await.unwrap()
    };
    let lines = of(&clinic, 0, PAGE_MAX).await;
    let end = store.journal_end(clinic.principal.clinic).await.unwrap();
    let [first, .., last] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert_eq!((lines.len(), last.seq), (2, end));
    assert_eq!(of(&clinic, first.seq, 9).await, std::slice::from_ref(last));
    assert_eq!(of(&clinic, 0, 1).await, std::slice::from_ref(first));
    assert_eq!(of(&other, 0, 9).await.len(), 1);
    let (kind, subject, part) = subject_columns(&journal.subject);
    let expected = Line {
        seq: end,
        subject_kind: kind.to_owned(),
        subject_id: subject,
        subject_part: part,
        version: 9,
        kind: "it".to_owned(),
        actor: request.actor.to_string(),
        body: r#"{"a":[2],"b":1}"#.to_owned(),
        series_id: Some(intent.series.0),
        history: Some(history::stored(journal.history.as_ref().unwrap()).unwrap()),
        at: now(),
        idempotency_key: Some("k".to_owned()),
        request_hash: Some(vec![3; 32]),
        rows_written: 1,
    };
    assert_eq!(*last, expected);
    let nobody = ClinicId(Uuid::from_u128(78));
    assert_eq!(store.journal_end(nobody).await.unwrap(), 0);
}
