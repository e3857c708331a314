//! The hostile writer's test: kinds of edits to a live database by plain SQL, and what notices each.
//!
//! The table in ARCHITECTURE.md, "What a database writer can do, and what notices it", is what is
//! asserted: for each kind the exact set of detectors. A detector that becomes weaker, or better, fails
//! the test, which then shows the table as it is.

mod kinds;
mod money;
mod records;
mod schedule;
mod sql;
mod week;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use standing::anchors::{Anchor, AnchorFile, anchor};
use standing::doctor::examine;
use standing::vault;

use self::kinds::{Kind, Use, Way, kinds};
use self::sql::{is_refused, unguarded};
use self::week::{ANCHORS, Week};
use crate::audit::ledger;
use crate::backend::{Backend, removed};
use crate::clinic::{Answer, Clinic};
use crate::database::Database;

const SECTION: &str = "## What a database writer can do, and what notices it";
const HEAD: &str = "| edit | the database | the next use | `doctor` | anchors add | anchoring | `keys verify` | noticed |";

/// The kinds whose next use is refused in a clinic that nobody edited: the edit would have it allowed.
const REFUSED_UNEDITED: [&str; 7] = [
    "a token is forged: an admin's, with another token's MAC",
    "a client's token becomes an admin's",
    "a client's token is pointed at another client",
    "an erased client's token is put back",
    "an erased client's feed is put back",
    "an invoice is freed: the proof column of its grant is emptied",
    "an invoice is freed: its grant's proof column names another",
];

/// What noticed an edit.
#[derive(Debug, Default)]
struct Noticed {
    /// The database refuses the statement, until its guards are taken away.
    refused: bool,
    /// How the next use fails.
    next: Option<String>,
    /// The checks of `doctor` that fail without anchors.
    alone: BTreeSet<&'static str>,
    /// Those that fail with anchors only.
    anchored: BTreeSet<&'static str>,
    /// Whether the worker finds it as it keeps anchors.
    anchoring: bool,
    /// Whether `keys verify` does.
    keys: bool,
}

impl Noticed {
    fn row(&self, kind: &Kind) -> String {
        let list = |checks: &BTreeSet<&'static str>| match checks.len() {
            0 => "–".to_owned(),
            _ => checks.iter().copied().collect::<Vec<_>>().join(", "),
        };
        let yes = |noticed: bool, what: &str| {
            if noticed {
                what.to_owned()
            } else {
                "–".to_owned()
            }
        };
        let when = if self.next.is_some() {
            "at the next use"
        } else if self.anchoring {
            "within the hour"
        } else if !self.alone.is_empty() {
            "when `doctor` runs"
        } else if self.keys {
            "when `keys verify` runs"
        } else if !self.anchored.is_empty() {
            "when `doctor` runs with anchors"
        } else {
            match kind.otherwise {
                "" => "NOTHING NOTICES IT",
                shown_by => shown_by,
            }
        };
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {when} |",
            kind.name,
            yes(self.refused, "refuses"),
            self.next.as_deref().unwrap_or("–"),
            list(&self.alone),
            list(&self.anchored),
            yes(self.anchoring, "logs it"),
            yes(self.keys, "finds it"),
        )
    }
}

#[tokio::test]
async fn each_kind_of_edit_is_noticed_by_what_the_table_says() {
    let week = Week::open().await;
    let kinds = kinds(&week).await;
    week.close().await;
    assert!(kinds.len() >= 30);
    let nothing = noticed(&week, &Kind::nothing()).await;
    assert!(
        nothing.next.is_none()
            && nothing.alone.is_empty()
            && nothing.anchored.is_empty()
            && !nothing.anchoring
            && !nothing.keys
            && !nothing.refused,
        "a clinic that nobody edited: {nothing:?}"
    );
    let mut refused = Vec::new();
    let untouched = week.copy(false).await;
    for kind in &kinds {
        if fails(&untouched, &kind.next.tried()).await.is_some() {
            refused.push(kind.name);
        }
    }
    assert_eq!(refused, REFUSED_UNEDITED);
    let mut rows = Vec::new();
    for kind in &kinds {
        rows.push(noticed(&week, kind).await.row(kind));
    }
    week.remove().await;
    let said: Vec<String> = documented();
    assert!(
        said == rows,
        "the table in ARCHITECTURE.md is not what was found, which is:\n\n{HEAD}\n|---|---|---|---|---|---|---|---|\n{}\n",
        rows.join("\n")
    );
}

/// The rows of the table in ARCHITECTURE.md, of which a cell may say on which database it holds.
fn documented() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split(SECTION).nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap();
    let mut rows = section.lines().filter(|line| line.starts_with('|'));
    assert_eq!(rows.next().unwrap_or(HEAD), HEAD);
    rows.skip(1).map(of_this_database).collect()
}

fn of_this_database(row: &str) -> String {
    let (this, other) = match Backend::of_environment() {
        Backend::Sqlite => (" (SQLite)", " (PostgreSQL)"),
        Backend::Postgres => (" (PostgreSQL)", " (SQLite)"),
    };
    let row = row.strip_suffix(" |").unwrap_or(row);
    let cells = row.split(" | ").map(|cell| {
        let parts = cell.split(", ").filter(|part| !part.contains(other));
        parts
            .map(|part| part.replace(this, ""))
            .collect::<Vec<_>>()
            .join(", ")
    });
    cells.collect::<Vec<_>>().join(" | ") + " |"
}

/// Makes the edit in a copy of the clinic's database while a process serves it, and asks all detectors.
async fn noticed(week: &Week, kind: &Kind) -> Noticed {
    let clinic = week.copy(kind.way == Way::Replaced).await;
    let mut database = Database::open(&clinic).await;
    let refused = is_refused(&mut database, &kind.sql).await;
    if refused {
        if let Some(opens) = kind.opens {
            database.execute(opens).await.unwrap();
        }
        unguarded(&mut database, &kind.sql).await;
    }
    database.close().await;

    let path = clinic.folder.path().join(ANCHORS);
    let text = std::fs::read_to_string(&path).unwrap();
    let anchors: Vec<Anchor> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let alone = wrong(&clinic, &[]).await;
    let with_anchors = wrong(&clinic, &anchors).await;
    let (said, complaint, content) = ledger(&clinic, "verify", Some(&path));
    let broken = with_anchors.contains("ledger") || with_anchors.contains("journal");
    assert_eq!(
        content, !broken,
        "{}: {with_anchors:?}: {said}{complaint}",
        kind.name
    );
    let (store, now) = (clinic.app.store.as_ref(), clinic.app.clock.now());
    let checked = vault::verify(&clinic.app.vault, store, &mut |_| ()).await;
    let keys = !checked.unwrap().defects.is_empty();
    let file = Arc::new(Mutex::new(AnchorFile::open(&path).unwrap()));
    let anchoring = match anchor(store, &file, now).await {
        Ok(anchored) => !anchored.defects.is_empty(),
        Err(_) => true,
    };
    let next = fails(&clinic, &kind.next).await;
    clinic.app.store.close().await;
    removed(&clinic.database).await;
    Noticed {
        refused,
        next,
        anchored: with_anchors.difference(&alone).copied().collect(),
        alone,
        anchoring,
        keys,
    }
}

/// The checks of `doctor` that find something wrong, but for the clock, which is the test's.
async fn wrong(clinic: &Clinic, anchors: &[Anchor]) -> BTreeSet<&'static str> {
    let (store, now) = (clinic.app.store.as_ref(), clinic.app.clock.now());
    let findings = examine(store, now, anchors).await;
    let wrong = findings.iter().filter(|finding| !finding.is_fine());
    wrong
        .map(|finding| finding.check)
        .filter(|check| *check != "clock")
        .collect()
}

/// How the next use fails, if it does.
async fn fails(clinic: &Clinic, next: &Use) -> Option<String> {
    let said = |answer: Answer| {
        let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
        (!answer.status.is_success()).then(|| format!("{} `{code}`", answer.status.as_u16()))
    };
    match next {
        Use::Get(token, path) => said(clinic.get_as(token, path).await),
        Use::Post(path, body) => said(clinic.post_as(&clinic.admin, path, body).await),
        Use::Feed(path) => {
            let status = clinic.text(None, path).await.0;
            (!status.is_success()).then(|| status.as_u16().to_string())
        }
        Use::Worker => {
            let failed = clinic.tick().await.failed;
            (failed > 0).then(|| "the worker fails".to_owned())
        }
    }
}
