//! A backup of a database, by PostgreSQL's own programs: what it holds without the keys of people, and
//! the keys apart, both of one snapshot.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use percent_encoding::percent_decode_str;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use store::backup::{BackupError, DEKS, NOT_BACKED_UP, new_file};

use crate::{PostgresStore, check_schema, connect, options};

impl PostgresStore {
    /// What a backup of a server's database calls its data: statements for `psql`.
    pub const BACKUP: &str = "data.sql";

    /// Writes a backup into an empty folder, with `pg_dump`. Readers and writers go on meanwhile.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn backup(url: &str, folder: &Path) -> Result<(), BackupError> {
        let (options, shown) = options(url)?;
        let mut holder = connect(&options, &shown).await?;
        check_schema(&mut holder, &shown).await?;
        // The snapshot is there for as long as the transaction that has exported it.
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let begun = sqlx::raw_sql(begin).execute(&mut holder).await;
        begun.map_err(refused)?;
        let snapshot = sqlx::query_scalar("SELECT pg_export_snapshot()");
        let snapshot: String = snapshot.fetch_one(&mut holder).await.map_err(refused)?;
        let without = NOT_BACKED_UP.map(|table| format!("--exclude-table-data={table}"));
        let snapshot = format!("--snapshot={snapshot}");
        let common = ["--no-owner", "--no-privileges", &snapshot];
        let without: Vec<&str> = without.iter().map(String::as_str).collect();
        dump(
            &options,
            &[&common[..], &without].concat(),
            &folder.join(Self::BACKUP),
        )
        .await?;
        let keys = ["--data-only", "--table=dek"];
        dump(&options, &[&common[..], &keys].concat(), &folder.join(DEKS)).await?;
        holder.close().await.map_err(refused)?;
        Ok(())
    }

    /// Fills an empty database with a backup, with `psql`: all of it or nothing.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn restore(folder: &Path, url: &str) -> Result<(), BackupError> {
        let (options, shown) = options(url)?;
        let mut connection = connect(&options, &shown).await?;
        let empty = is_empty(&mut connection).await?;
        connection.close().await.map_err(refused)?;
        if !empty {
            return Err(BackupError::NotEmpty(shown));
        }
        let mut psql = program(&options, "psql");
        psql.args(["--no-psqlrc", "--quiet", "--single-transaction"])
            .args(["--set", "ON_ERROR_STOP=1", "--file"])
            .arg(folder.join(Self::BACKUP))
            .arg("--file")
            .arg(folder.join(DEKS))
            .stdout(Stdio::null());
        run("psql", psql).await
    }
}

async fn is_empty(db: &mut PgConnection) -> Result<bool, BackupError> {
    let tables = "SELECT NOT EXISTS (SELECT FROM information_schema.tables
         WHERE table_schema = current_schema())";
    let empty = sqlx::query_scalar(tables).fetch_one(db).await;
    empty.map_err(refused)
}

fn refused(error: sqlx::Error) -> BackupError {
    BackupError::Database(Box::new(error))
}

async fn dump(
    options: &PgConnectOptions,
    arguments: &[&str],
    file: &Path,
) -> Result<(), BackupError> {
    let file = new_file(file)?;
    let mut dump = program(options, "pg_dump");
    dump.args(arguments).stdout(file.try_clone()?);
    run("pg_dump", dump).await?;
    file.sync_all()?;
    Ok(())
}

/// One of PostgreSQL's programs on the database. The environment says where to connect: other users of the
/// machine see a process's arguments, and the password would be among them.
fn program(options: &PgConnectOptions, name: &'static str) -> Command {
    let mut command = Command::new(name);
    let url = options.to_url_lossy();
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut set = |variable, value: &dyn AsRef<OsStr>| {
        command.env(variable, value);
    };
    match options.get_socket() {
        Some(socket) => set("PGHOST", socket),
        None => set("PGHOST", &options.get_host()),
    }
    set("PGPORT", &options.get_port().to_string());
    set("PGUSER", &options.get_username());
    let database = options.get_database().unwrap_or(options.get_username());
    set("PGDATABASE", &database);
    if let Some(password) = url.password() {
        set("PGPASSWORD", &decoded(password));
    }
    for (name, value) in url.query_pairs() {
        let variable = match &*name {
            "sslmode" => "PGSSLMODE",
            "sslrootcert" => "PGSSLROOTCERT",
            "sslcert" => "PGSSLCERT",
            "sslkey" => "PGSSLKEY",
            _ => continue,
        };
        set(variable, &value.into_owned());
    }
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

async fn run(program: &'static str, mut command: Command) -> Result<(), BackupError> {
    let failed = |said: String| BackupError::Program { program, said };
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    let ran = ran.map_err(std::io::Error::other).and_then(|ran| ran);
    let ran = ran.map_err(|error| failed(format!("{error}; is it installed, and in PATH?")))?;
    match ran.status.success() {
        true => Ok(()),
        false => Err(failed(
            String::from_utf8_lossy(&ran.stderr).trim().to_owned(),
        )),
    }
}
