//! The kinds of edits: what a hostile writer changes, and which use of the service meets it next.

use serde_json::{Value, json};
use standing::random;

use super::sql::id;
use super::week::Week;
use super::{money, records, schedule};
use crate::clinic::Parties;
use crate::database::Database;
use crate::forged::{OTHER, literal};

/// The next use of what was edited.
#[derive(Clone)]
pub(super) enum Use {
    /// A GET of the API with this token.
    Get(String, String),
    /// A POST of the API as admin.
    Post(String, Value),
    /// A feed's address.
    Feed(String),
    /// A tick of the worker.
    Worker,
}

/// How an edit is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By these statements: past the guards, if those refuse, which are in force again afterwards.
    Sql,
    /// The database is replaced by a copy of the last day.
    Replaced,
}

impl Use {
    /// The same, of which nothing stays.
    pub(super) fn tried(&self) -> Self {
        match self {
            Self::Post(path, body) if path != LOOK_UP => {
                Self::Post(format!("{path}?dry_run=true"), body.clone())
            }
            other => other.clone(),
        }
    }
}

/// Finds a client by an address.
pub(super) const LOOK_UP: &str = "/clients/lookup";

/// A kind of edit.
pub(super) struct Kind {
    /// What the table calls it.
    pub(super) name: &'static str,
    pub(super) way: Way,
    pub(super) sql: Vec<String>,
    /// What has to go first, if the database refuses, and cannot be put back.
    pub(super) opens: Option<&'static str>,
    pub(super) next: Use,
    /// What shows it, if no detector does.
    pub(super) otherwise: &'static str,
}

pub(super) fn kind<S: Into<String>>(
    name: &'static str,
    sql: impl IntoIterator<Item = S>,
    next: &Use,
) -> Kind {
    Kind {
        name,
        way: Way::Sql,
        sql: sql.into_iter().map(Into::into).collect(),
        opens: None,
        next: next.clone(),
        otherwise: "",
    }
}

impl Kind {
    /// No edit at all.
    pub(super) fn nothing() -> Self {
        kind("nothing is edited", [""; 0], &Use::Worker)
    }

    /// Nothing notices it but this.
    pub(super) fn shown_by(mut self, otherwise: &'static str) -> Self {
        self.otherwise = otherwise;
        self
    }
}

/// Lets entries be changed: the trigger is gone for good.
pub(super) fn append_only(db: &Database) -> &'static str {
    match db {
        Database::Sqlite(_) => "DROP TRIGGER ledger_entry_no_update",
        Database::Postgres(_) => "DROP TRIGGER ledger_entry_append_only ON ledger_entry",
    }
}

/// All kinds, in the order of the table.
pub(super) async fn kinds(week: &Week) -> Vec<Kind> {
    let mut database = Database::open(&week.clinic).await;
    let mut all = credentials(week, &database);
    all.extend(money::accounts(week, &mut database).await);
    all.extend(money::entries(week, &database).await);
    all.extend(records::journal(week, &database));
    all.extend(records::people(week, &database));
    all.extend(schedule::schedule(week, &mut database).await);
    all.extend(schedule::guards(week, &database));
    database.close().await;
    all
}

pub(super) fn get(token: &str, path: &str) -> Use {
    Use::Get(token.to_owned(), path.to_owned())
}

pub(super) fn grant(of: &Parties) -> Use {
    let path = format!("/clients/{}/credits", of.client);
    let body = json!({
        "service_id": of.service, "amount": 1, "source": "paid", "reason": "bank_transfer",
    });
    Use::Post(path, body)
}

const ERASED_LIST: &str =
    "`keys erase-client --replay` with the list of the erased erases them again";
pub(super) const BACKUP: &str = "a comparison with a backup";

fn credentials(week: &Week, db: &Database) -> Vec<Kind> {
    let (anna, dora) = (id(db, &week.anna.client), id(db, &week.dora.client));
    let (eve, other) = (id(db, &week.eve.client), id(db, OTHER));
    let secret = random::secret();
    let hash = literal(&week.clinic, &random::hash(&secret));
    let forged = format!(
        "INSERT INTO token (id, clinic_id, hash, mac, role, subject_id, created_at)
         SELECT {other}, clinic_id, {hash}, mac, 'admin', NULL, created_at FROM token
         WHERE role = 'operator'"
    );
    let put_back_of_eve = |table: &str, column: &str| {
        let whose = format!("{column} = {eve}");
        [format!(
            "INSERT INTO {table} SELECT * FROM past_{table} WHERE {whose}"
        )]
    };
    let mine = format!("WHERE subject_id = {anna}");
    let as_anna = |path: &str| get(&week.anna_token, path);
    let of_dora = format!("/clients/{}", week.dora.client);
    let of_anna = format!("/clients/{}", week.anna.client);
    let of_eve = format!("/clients/{}", week.eve.client);
    vec![
        kind(
            "a token is forged: an admin's, with another token's MAC",
            [forged],
            &get(&secret, "/clients"),
        ),
        kind(
            "a client's token becomes an admin's",
            [format!(
                "UPDATE token SET role = 'admin', subject_id = NULL {mine}"
            )],
            &as_anna("/clients"),
        ),
        kind(
            "a client's token is pointed at another client",
            [format!("UPDATE token SET subject_id = {dora} {mine}")],
            &as_anna(&of_dora),
        ),
        kind(
            "a token is deleted",
            [format!("DELETE FROM token {mine}")],
            &as_anna(&of_anna),
        ),
        kind(
            "an erased client's token is put back",
            put_back_of_eve("token", "subject_id"),
            &get(&week.eve_token, &of_eve),
        )
        .shown_by(ERASED_LIST),
        kind(
            "a feed is pointed at another client",
            [format!("UPDATE feed SET subject_id = {dora} {mine}")],
            &Use::Feed(week.anna_feed.clone()),
        ),
        kind(
            "an erased client's feed is put back",
            put_back_of_eve("feed", "subject_id"),
            &Use::Feed(week.eve_feed.clone()),
        )
        .shown_by(ERASED_LIST),
    ]
}
