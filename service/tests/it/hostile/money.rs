//! Edits of accounts and of the ledger.

use ledger_core::{Account, AccountId, Body, Credits, Entry, fold};
use serde_json::Value;

use super::kinds::{BACKUP, Kind, Use, append_only, grant, kind};
use super::sql::{append, id, json, overwrite, put_back, rechained, snapshot};
use super::week::{Week, paid_month};
use crate::believed::replaced;
use crate::database::Database;
use crate::forged::OTHER;

/// A lot that was granted more, all of it in one bucket: it still adds up.
fn more_of(lot: &mut Value, bucket: &str) {
    for number in ["granted", bucket] {
        let place = match number {
            "granted" => &mut lot["granted"],
            bucket => &mut lot["balance"][bucket],
        };
        *place = (place.as_i64().unwrap() + 46).into();
    }
}

pub(super) async fn accounts(week: &Week, db: &mut Database) -> Vec<Kind> {
    let of = |whose: &str| format!("WHERE client_id = {}", id(db, whose));
    let (of_anna, of_dora) = (of(&week.anna.client), of(&week.dora.client));
    let finished_of = |whose: &str| format!("WHERE account_id = {}", id(db, whose));
    let (anna_s, dora_s) = (
        finished_of(&week.anna.client),
        finished_of(&week.dora.client),
    );
    let (anna, dora) = (id(db, &week.anna.client), id(db, &week.dora.client));
    let exchange = |table: &str, key: &str, columns: &[&str]| {
        let from = |column: &&str| {
            format!(
                "{column} = (SELECT o.{column} FROM anchored_{table} o WHERE o.{key} IN ({anna}, {dora})
                 AND o.{key} <> {table}.{key})"
            )
        };
        let set: Vec<String> = columns.iter().map(from).collect();
        [format!(
            "UPDATE {table} SET {} WHERE {key} IN ({anna}, {dora})",
            set.join(", ")
        )]
    };
    let account = week.account(&week.anna).await;
    let mut richer = serde_json::to_value(account.unfinished()).unwrap();
    for lot in richer["lots"].as_array_mut().unwrap() {
        more_of(lot, "available");
    }
    let richer = format!("snapshot = {}", json(&richer));
    let mut used = serde_json::to_value(account.finished().collect::<Vec<_>>()).unwrap();
    more_of(&mut used[0], "used");
    let used = format!("lots = {}", json(&used));
    let whole = ["version", "snapshot", "next_due_at"];
    let earlier: Vec<String> = put_back("account", "past", &format!("client_id = {dora}"))
        .into_iter()
        .chain(put_back(
            "finished_lots",
            "past",
            &format!("account_id = {dora}"),
        ))
        .collect();
    let (grant_anna, grant_dora) = (grant(&week.anna), grant(&week.dora));
    vec![
        kind(
            "a balance is edited in the snapshot",
            [format!("UPDATE account SET {richer} {of_anna}")],
            &grant_anna,
        ),
        kind(
            "the snapshots of two accounts are exchanged",
            exchange("account", "client_id", &whole),
            &grant_anna,
        ),
        kind(
            "a snapshot is put back to an earlier day",
            earlier,
            &grant_dora,
        ),
        kind(
            "an account's finished lots are edited",
            [format!("UPDATE finished_lots SET {used} {anna_s}")],
            &grant_anna,
        ),
        kind(
            "the finished lots of two clients are exchanged",
            exchange("finished_lots", "account_id", &["lots"]),
            &grant_anna,
        ),
        kind(
            "an account's finished lots are deleted",
            [format!("DELETE FROM finished_lots {dora_s}")],
            &grant_dora,
        ),
        kind(
            "an account is never due: its credits do not expire",
            [format!("UPDATE account SET next_due_at = NULL {of_dora}")],
            &grant_dora,
        ),
    ]
}

/// The entries with the first grant made larger.
fn enlarged(mut entries: Vec<Entry>) -> Vec<Entry> {
    let granted = entries.iter_mut().find_map(|entry| match &mut entry.body {
        Body::Grant { amount, .. } if amount.0 == 2 => Some(amount),
        _ => None,
    });
    *granted.unwrap() = Credits(20);
    entries
}

fn folded(entries: &[Entry]) -> Account {
    let account: AccountId = entries[0].account;
    fold(account, entries).unwrap()
}

pub(super) async fn entries(week: &Week, db: &Database) -> Vec<Kind> {
    let dora = id(db, &week.dora.client);
    let written = week.entries(&week.dora).await;
    let last = written.last().unwrap().seq;
    let (of_dora, grant_dora) = (format!("account_id = {dora}"), grant(&week.dora));
    let larger = enlarged(written.clone());
    let at = (0..)
        .zip(&larger)
        .find(|(index, entry)| **entry != written[*index])
        .unwrap();
    let (place, edited): (usize, &Entry) = at;
    let hashed = &rechained(larger.clone())[place];
    let whole = rechained(larger.clone());
    let mut everything: Vec<String> = whole.iter().map(|entry| overwrite(db, entry)).collect();
    everything.extend(snapshot(db, &folded(&whole)));
    // The account as it was on the last day, and as it was when it was anchored.
    let cut = |from: &str, with_lines: bool| {
        let mut sql = vec![format!(
            "DELETE FROM ledger_entry WHERE {of_dora} AND seq >
             (SELECT version FROM {from}_account WHERE client_id = {dora})"
        )];
        sql.extend(put_back("account", from, &format!("client_id = {dora}")));
        sql.extend(put_back("finished_lots", from, &of_dora));
        if with_lines {
            let lines = "DELETE FROM journal WHERE subject_kind = 'entry' AND subject_part NOT IN
                 (SELECT key FROM ledger_entry)";
            sql.push(lines.to_owned());
        }
        sql
    };
    let mut more = written.clone();
    let mut gift = written
        .iter()
        .rfind(|entry| entry.body.kind() == "grant")
        .unwrap()
        .clone();
    gift.seq = last + 1;
    gift.key = format!("v1/grant/manual/{OTHER}").parse().unwrap();
    if let Body::Grant { lot, amount, .. } = &mut gift.body {
        let lots = folded(&written).lots().len();
        lot.0 = u32::try_from(lots).unwrap() + 1;
        *amount = Credits(40);
    }
    more.push(gift);
    let more = rechained(more);
    let gift = append(db, more.last().unwrap());
    let with_snapshot: Vec<String> = [gift.clone()]
        .into_iter()
        .chain(snapshot(db, &folded(&more)))
        .collect();
    let line = format!(
        "INSERT INTO journal (clinic_id, subject_kind, subject_id, subject_part, version, kind, actor, body, at,
         rows_written) SELECT clinic_id, subject_kind, subject_id, '{}', {}, kind, actor, body, at, rows_written
         FROM journal WHERE seq = (SELECT max(seq) FROM journal)",
        more[written.len()].key,
        last + 1
    );
    let with_line: Vec<String> = with_snapshot.iter().cloned().chain([line]).collect();
    let newer = replaced(db, "body", "\"kind\":\"grant\"", "\"kind\":\"gift\"");
    let of_anna = format!("account_id = {}", id(db, &week.anna.client));
    let paid_again = Use::Post(
        format!("/clients/{}/subscription/months", week.dora.client),
        paid_month("in-1", &week.next_month()),
    );
    vec![
        kind("an entry is edited", [overwrite(db, edited)], &grant_dora),
        kind(
            "the same, and the trigger is left dropped",
            [append_only(db).to_owned(), overwrite(db, edited)],
            &grant_dora,
        ),
        kind(
            "an entry is edited, and hashed anew",
            [overwrite(db, hashed)],
            &grant_dora,
        ),
        kind(
            "an entry is edited, with all later hashes and the snapshot",
            everything,
            &grant_dora,
        ),
        kind(
            "an entry in the middle is deleted",
            [format!(
                "DELETE FROM ledger_entry WHERE {of_dora} AND seq = 2"
            )],
            &grant_dora,
        ),
        kind(
            "anchored entries are deleted at the end, and the snapshot put back",
            cut("past", false),
            &grant_dora,
        ),
        kind(
            "the same, with the journal's lines about them",
            cut("past", true),
            &grant_dora,
        ),
        kind(
            "an entry that is not anchored yet is deleted, with snapshot and line",
            cut("anchored", true),
            &grant_dora,
        )
        .shown_by(BACKUP),
        kind(
            "an entry is appended, with a right hash",
            [gift],
            &grant_dora,
        ),
        kind(
            "an entry is appended, with a right hash and snapshot",
            with_snapshot,
            &grant_dora,
        ),
        kind(
            "the same, with a line of the journal",
            with_line,
            &grant_dora,
        )
        .shown_by("the bookkeeping: no payment is behind the credits"),
        kind(
            "an entry's kind becomes one that nobody knows",
            [format!(
                "UPDATE ledger_entry SET {newer} WHERE {of_dora} AND seq = {last}"
            )],
            &grant_dora,
        ),
        kind(
            "an invoice is freed: the proof column of its grant is emptied",
            [format!(
                "UPDATE ledger_entry SET proof = NULL, proof_line = NULL WHERE {of_anna}"
            )],
            &paid_again,
        ),
        kind(
            "an invoice is freed: its grant's proof column names another",
            [format!(
                "UPDATE ledger_entry SET proof = 'invoice/in-9' WHERE proof IS NOT NULL AND {of_anna}"
            )],
            &paid_again,
        ),
    ]
}
