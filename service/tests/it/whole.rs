//! Whether what is stored is whole, read with SQL that shares nothing with the worker.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::database::Database;

/// Every occurrence has one session, every scheduled session one hold, every fact one message, and
/// every message that was sent is in the mailbox.
pub(crate) async fn assert_whole(database: &mut Database, mailbox: &Path) {
    let id = |column: &str| match database {
        Database::Sqlite(_) => format!("lower(hex({column}))"),
        Database::Postgres(_) => format!("replace({column}::text, '-', '')"),
    };
    let (session, intent, about) = (id("id"), id("intent_id"), id("session_id"));
    let texts =
        format!("SELECT {intent} || ' ' || CAST(recurrence_id AS TEXT) FROM session ORDER BY 1");
    let occurrences = database.texts(&texts).await;
    let once: BTreeSet<&String> = occurrences.iter().collect();
    assert_eq!(
        once.len(),
        occurrences.len(),
        "an occurrence has two sessions"
    );

    let scheduled = format!("SELECT {session} FROM session WHERE state = 'scheduled' ORDER BY 1");
    let scheduled = database.texts(&scheduled).await;
    let holds = "SELECT key FROM ledger_entry WHERE key LIKE 'v1/booking/%/hold/_' ORDER BY 1";
    let holds = database.texts(holds).await;
    let mut held: Vec<String> = holds
        .iter()
        .map(|key| key.split('/').nth(2).unwrap().replace('-', ""))
        .collect();
    held.sort();
    assert_eq!(held, scheduled, "sessions and holds are not the same");

    let told = format!("SELECT {about} FROM outbox WHERE kind = 'session_scheduled' ORDER BY 1");
    assert_eq!(
        database.texts(&told).await,
        scheduled,
        "not every session was told once"
    );
    let unsent = "SELECT dedupe_key FROM outbox WHERE state NOT IN ('sent', 'void')";
    assert_eq!(
        database.texts(unsent).await,
        [""; 0],
        "a message was not settled"
    );
    let keys = database
        .texts("SELECT dedupe_key FROM outbox ORDER BY 1")
        .await;
    let mut counted: BTreeMap<&String, usize> = BTreeMap::new();
    for key in &keys {
        *counted.entry(key).or_default() += 1;
    }
    assert!(counted.values().all(|times| *times == 1), "told twice");

    let files = std::fs::read_dir(mailbox).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = names.filter(|name| !name.starts_with('.')).collect();
    let sent = database
        .texts("SELECT dedupe_key FROM outbox WHERE state = 'sent'")
        .await;
    let name = |key: &String| format!("{}.json", key.replace('/', "."));
    for key in &sent {
        assert!(files.contains(&name(key)), "{key} was sent and is nowhere");
    }
    let known: BTreeSet<String> = keys.iter().map(name).collect();
    assert!(
        files.is_subset(&known),
        "something was sent that nobody wrote"
    );
}
