//! Servers and databases that live as long as a test: for tests and benches of the workspace.
//!
//! A [`Cluster`] is a PostgreSQL server on a unix socket in a folder of its own, without TCP. A
//! shell script watches over it until its standard input closes, so nothing is left of it however
//! the process that started it ends: no server, no folder. It does not sync to disk; what is
//! committed outlives the server, not the machine.
//!
//! With [`SERVER_VARIABLE`] in the environment that server is used instead of one of our own. Its
//! databases are called `standing_test_...` and stay there.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use store::Store as _;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::sync::OnceCell;

use crate::PostgresStore;

/// The environment variable that names a server to use instead: a URL of a user who may create
/// databases.
pub const SERVER_VARIABLE: &str = "STANDING_TEST_POSTGRES";

/// Finds, makes, starts and watches over a server; restarts it when told to; and removes it.
const SCRIPT: &str = include_str!("throwaway.sh");

/// Why there is no server, no database, or not what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum ThrowawayError {
    /// The script or the server says no.
    #[error("no throwaway PostgreSQL server: {0}")]
    Server(String),
    /// The script cannot be run or talked to.
    #[error("the script of the throwaway PostgreSQL server cannot be run")]
    Script(#[from] std::io::Error),
    /// The database refuses.
    #[error("no throwaway database")]
    Database(#[from] sqlx::Error),
    /// The template's schema cannot be made.
    #[error("the throwaway database has no schema")]
    Schema(#[from] store::OpenError),
    /// It is not our server.
    #[error("{SERVER_VARIABLE} names the server, so this process cannot {0}")]
    NotOurs(&'static str),
}

/// A server with a template of a migrated database.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    template: OnceCell<String>,
}

#[derive(Debug)]
enum Server {
    Ours(Watched),
    Given(Box<PgConnectOptions>),
}

/// The script that watches over a server of ours, and the folder of both.
#[derive(Debug)]
struct Watched {
    folder: PathBuf,
    script: Mutex<Script>,
}

#[derive(Debug)]
struct Script {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Cluster {
    /// Starts a server, or uses the one that [`SERVER_VARIABLE`] names. Blocks for about a second.
    ///
    /// # Errors
    /// [`ThrowawayError`] if PostgreSQL is not installed or does not start.
    pub fn start() -> Result<Self, ThrowawayError> {
        let server = match std::env::var(SERVER_VARIABLE) {
            Ok(url) => Server::Given(Box::new(url.parse()?)),
            Err(_) => Server::Ours(Watched::start()?),
        };
        Ok(Self {
            server,
            template: OnceCell::new(),
        })
    }

    /// The URL of a database of this server, whether it is there or not.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        match &self.server {
            Server::Ours(watched) => {
                let folder = watched.folder.display();
                format!("postgres://standing@localhost:5432/{database}?host={folder}")
            }
            Server::Given(options) => {
                let options = options.as_ref().clone().database(database);
                options.to_url_lossy().to_string()
            }
        }
    }

    /// The URL of a new, migrated, empty database.
    ///
    /// # Errors
    /// [`ThrowawayError`] if the server does not make one.
    pub async fn database(&self) -> Result<String, ThrowawayError> {
        let template = self.template.get_or_try_init(async || {
            let name = self.create("template0").await?;
            PostgresStore::migrate(&self.url(&name)).await?;
            // Whoever uses it says what time it is.
            let store = PostgresStore::open(&self.url(&name), 1).await?;
            let _own = store.take_own_clock().await;
            store.close().await;
            Ok::<_, ThrowawayError>(name)
        });
        let name = self.create(template.await?).await?;
        Ok(self.url(&name))
    }

    /// The URL of a new database without a schema.
    ///
    /// # Errors
    /// [`ThrowawayError`] if the server does not make one.
    pub async fn empty(&self) -> Result<String, ThrowawayError> {
        Ok(self.url(&self.create("template0").await?))
    }

    async fn create(&self, template: &str) -> Result<String, ThrowawayError> {
        let options: PgConnectOptions = self.url("postgres").parse()?;
        let mut connection = options.connect().await?;
        let name = "SELECT 'standing_test_' || replace(gen_random_uuid()::text, '-', '')";
        let name: String = sqlx::query_scalar(name).fetch_one(&mut connection).await?;
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        sqlx::raw_sql(AssertSqlSafe(create))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(name)
    }

    /// Ends the server as a crash would, and starts it again. Blocks until it accepts connections.
    ///
    /// # Errors
    /// [`ThrowawayError`] if it does not come back, or is not ours.
    pub fn restart_immediate(&self) -> Result<(), ThrowawayError> {
        let watched = self.ours("restart it")?;
        let mut script = watched
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(commands) = &mut script.commands {
            commands.write_all(b"restart\n")?;
        }
        script.answer().map(|_| ())
    }

    /// The server's log.
    ///
    /// # Errors
    /// [`ThrowawayError`] if the server is not ours.
    pub fn log(&self) -> Result<PathBuf, ThrowawayError> {
        Ok(self.ours("read its log")?.folder.join("log"))
    }

    /// The folder of the server's files, its log of writes among them.
    ///
    /// # Errors
    /// [`ThrowawayError`] if the server is not ours.
    pub fn files(&self) -> Result<PathBuf, ThrowawayError> {
        Ok(self.ours("read its files")?.folder.join("data"))
    }

    fn ours(&self, what: &'static str) -> Result<&Watched, ThrowawayError> {
        match &self.server {
            Server::Ours(watched) => Ok(watched),
            Server::Given(_) => Err(ThrowawayError::NotOurs(what)),
        }
    }
}

impl Watched {
    fn start() -> Result<Self, ThrowawayError> {
        // A server refuses to run as root; the script itself says when it must be another user's.
        let mut process = Command::new("sh")
            .args(["-c", SCRIPT, "throwaway", SCRIPT])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = process.stdin.take();
        let answers = process.stdout.take();
        let answers = answers.ok_or_else(|| ThrowawayError::Server("no output".to_owned()))?;
        let mut script = Script {
            process,
            commands,
            answers: BufReader::new(answers),
        };
        let folder = PathBuf::from(script.answer()?);
        Ok(Self {
            folder,
            script: Mutex::new(script),
        })
    }
}

impl Script {
    /// `ready FOLDER`, or why not.
    fn answer(&mut self) -> Result<String, ThrowawayError> {
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        match answer.trim_end().split_once(' ') {
            Some(("ready", folder)) => Ok(folder.to_owned()),
            _ => {
                while self.answers.read_line(&mut answer)? > 0 {}
                Err(ThrowawayError::Server(answer.trim_end().to_owned()))
            }
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.process.wait();
    }
}
