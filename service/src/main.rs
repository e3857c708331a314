//! The binary `standing`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clinic::{ClinicId, Role};
use scheduler_core::{ClientId, TherapistId};
use standing::clock::Clock;
use standing::{App, demo, random, serve, worker};
use store::{Store, Token};
use store_sqlite::SqliteStore;
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

/// Standing appointments: one row of intent, sessions just in time, credits on a ledger.
#[derive(Debug, Parser)]
#[command(name = "standing", version, about, max_term_width = 100)]
struct Cli {
    /// What is logged to standard error: a level, or a tracing filter like `standing=debug`.
    #[arg(long, env = "STANDING_LOG", default_value = "info", global = true)]
    log: String,
    /// How it is logged.
    #[arg(
        long,
        env = "STANDING_LOG_FORMAT",
        value_enum,
        default_value = "text",
        global = true
    )]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API and run the tick loop.
    Serve(ServeArgs),
    /// Do everything that is due, once, and stop.
    Tick(TickArgs),
    /// Create the database or bring its schema up to date. `serve` does it too.
    Migrate(DatabaseArgs),
    /// Make a token, which is shown once. Only its hash is kept.
    Token(TokenArgs),
    /// Start a clinic with people and bookings in a temporary database, and look at it.
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
struct DatabaseArgs {
    /// The SQLite file. It is created if it is not there.
    #[arg(
        long,
        env = "STANDING_DATABASE",
        default_value = "standing.db",
        value_name = "FILE"
    )]
    database: PathBuf,
}

#[derive(Debug, Args)]
struct ListenArgs {
    /// The address and port to serve on.
    #[arg(
        long,
        env = "STANDING_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    listen: SocketAddr,
    /// Seconds between ticks.
    #[arg(long, env = "STANDING_TICK_SECONDS", default_value_t = 10, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    tick_seconds: u64,
}

#[derive(Debug, Args)]
struct ClockArgs {
    /// Start the clock at this instant instead of the machine's time (RFC 3339), to try things
    /// out. Like 2026-03-02T08:00:00Z.
    #[arg(long, env = "STANDING_CLOCK", value_name = "INSTANT", value_parser = instant)]
    clock: Option<DateTime<Utc>>,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    clock: ClockArgs,
}

#[derive(Debug, Args)]
struct TickArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    clock: ClockArgs,
}

#[derive(Debug, Args)]
struct DemoArgs {
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    clock: ClockArgs,
}

#[derive(Debug, Args)]
struct TokenArgs {
    /// What the token makes its bearer.
    #[arg(value_enum)]
    role: RoleName,
    /// The therapist or client it stands for. None for an admin.
    subject: Option<Uuid>,
    /// The clinic it is for. The first one, if not given.
    #[arg(long, env = "STANDING_CLINIC", value_name = "UUID")]
    clinic: Option<Uuid>,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Admin,
    Therapist,
    Client,
}

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|error| format!("{error}; an instant like 2026-03-02T08:00:00Z is expected"))
}

impl ClockArgs {
    fn clock(&self) -> Clock {
        match self.clock {
            Some(at) => Clock::starting_at(at),
            None => Clock::system(),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    start_log(&cli)?;
    match cli.command {
        Command::Serve(args) => run_serve(args).await,
        Command::Tick(args) => run_tick(args).await,
        Command::Migrate(args) => run_migrate(args).await,
        Command::Token(args) => run_token(args).await,
        Command::Demo(args) => {
            let every = Duration::from_secs(args.listen.tick_seconds);
            demo::run(args.listen.listen, every, args.clock.clock()).await
        }
    }
}

fn start_log(cli: &Cli) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&cli.log)
        .with_context(|| format!("--log {:?} is not a level or filter", cli.log))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match cli.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

async fn run_serve(args: ServeArgs) -> anyhow::Result<()> {
    let store = SqliteStore::open(&args.database.database).await?;
    let app = App {
        store: std::sync::Arc::new(store.clone()),
        clock: args.clock.clock(),
        demo: None,
    };
    let listener = serve::bind(args.listen.listen).await?;
    let url = serve::url(&listener)?;
    println!(
        "Serving {} on {url}/api/v1",
        args.database.database.display()
    );
    println!("Description: {url}/api/v1/openapi.json    Tokens: standing token --help");
    let every = Duration::from_secs(args.listen.tick_seconds);
    serve::run(app, listener, every).await?;
    store.close().await;
    Ok(())
}

/// A mistyped name must not become an empty database.
async fn open_existing(args: &DatabaseArgs) -> anyhow::Result<SqliteStore> {
    SqliteStore::open_existing(&args.database)
        .await
        .context("is it there? `standing migrate` creates it")
}

async fn run_tick(args: TickArgs) -> anyhow::Result<()> {
    let store = open_existing(&args.database).await?;
    let now = args.clock.clock.unwrap_or_else(|| Clock::system().now());
    let report = worker::tick(&store, now).await?;
    store.close().await;
    let at = now.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    writeln!(
        std::io::stdout(),
        "{at}: {} done, {} failed",
        report.done,
        report.failed
    )?;
    if report.failed > 0 {
        bail!(
            "{} rows failed and will be tried again; the log says why",
            report.failed
        );
    }
    Ok(())
}

async fn run_migrate(args: DatabaseArgs) -> anyhow::Result<()> {
    let store = SqliteStore::open(&args.database).await?;
    store.close().await;
    let version = SqliteStore::schema_version();
    writeln!(
        std::io::stdout(),
        "{} has schema version {version}",
        args.database.display()
    )?;
    Ok(())
}

async fn run_token(args: TokenArgs) -> anyhow::Result<()> {
    let store = open_existing(&args.database).await?;
    let clinic = args.clinic.map_or(ClinicId::FIRST, ClinicId);
    let role = match (args.role, args.subject) {
        (RoleName::Admin, None) => Role::Admin,
        (RoleName::Admin, Some(_)) => bail!("an admin token stands for nobody: leave the id out"),
        (RoleName::Therapist, Some(id)) => {
            let known = store.therapist(clinic, TherapistId(id)).await?;
            known.with_context(|| format!("there is no therapist {id} in clinic {clinic}"))?;
            Role::Therapist(TherapistId(id))
        }
        (RoleName::Client, Some(id)) => {
            let known = store.client(clinic, ClientId(id)).await?;
            known.with_context(|| format!("there is no client {id} in clinic {clinic}"))?;
            Role::Client(ClientId(id))
        }
        (_, None) => bail!("say for whom: standing token therapist|client ID"),
    };
    let now = Clock::system().now();
    let secret = random::secret();
    let token = Token {
        id: random::id(now),
        hash: random::hash(&secret),
        clinic,
        role,
        created_at: now,
    };
    store.add_token(&token).await?;
    store.close().await;
    writeln!(std::io::stdout(), "{secret}")?;
    Ok(())
}
