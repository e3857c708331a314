//! The binary `standing`.

mod commands;

use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use scheduler_core::zone::ZoneData;
use standing::admission::Admission;
use standing::anchors::AnchorFile;
use standing::clock::{Clock, JUMP_MIN};
use standing::database::Database;
use standing::vault::{self, Vault};
use standing::worker::sink::Mailbox;
use standing::{App, demo, doctor, serve, worker, zoneinfo};
use tracing_subscriber::EnvFilter;

use commands::backup::{BackupArgs, RestoreArgs};
use commands::keys::KeysCommand;
use commands::ledger::LedgerCommand;
use commands::token::TokenCommand;
use commands::zones::ZonesCommand;
use commands::{AnchorsArgs, DatabaseArgs, KeysArgs, instant};

/// Standing appointments: one row of intent, sessions just in time, credits on a ledger.
#[derive(Debug, Parser)]
#[command(name = "standing", version = version(), about, max_term_width = 100)]
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
    /// The zone data to compute with: a directory of TZif files, `compiled`, or `system`. If not given,
    /// the newer of the compiled and the system's release.
    #[arg(
        long,
        env = "STANDING_ZONEINFO",
        value_name = "DIR|compiled|system",
        global = true
    )]
    zoneinfo: Option<zoneinfo::Choice>,
    #[command(subcommand)]
    command: Command,
}

/// The version, with the zone data that is used without an option.
fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let (source, release) = zoneinfo::newest();
        let compiled = ZoneData::compiled();
        let compiled = compiled.release();
        let package = env!("CARGO_PKG_VERSION");
        match source {
            zoneinfo::Source::Compiled => format!("{package} (zone data: compiled {compiled})"),
            other => format!("{package} (zone data: {release} of {other}; compiled {compiled})"),
        }
    });
    &VERSION
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API and run the worker.
    Serve(ServeArgs),
    /// Run the worker alone, beside any number of `serve --no-worker` on the same server.
    Worker(WorkerArgs),
    /// Do everything that is due, once, and stop.
    Tick(TickArgs),
    /// Create the schema or bring it up to date. `serve` does it too for an SQLite file.
    Migrate(DatabaseArgs),
    /// Look for what is wrong with the database and what it holds, and say what to do.
    Doctor(DoctorArgs),
    /// Write a backup, while the service works: the data without people's keys, and the keys apart.
    Backup(BackupArgs),
    /// Make a database of a backup, erase again who was erased since, and verify all of it.
    Restore(RestoreArgs),
    /// Make, exchange and check the keys that what is known of people is sealed under, and erase
    /// people.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Verify the ledger, and keep what it will be verified against.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Say which zone data plans the database.
    #[command(subcommand)]
    Zones(ZonesCommand),
    /// Make, list and revoke the tokens that callers of the API show. A secret is shown once: only its
    /// hash is kept, bound to the key file.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Start a clinic with people and bookings in a temporary database, and look at it.
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
struct IntervalArgs {
    /// Seconds between ticks.
    #[arg(long, env = "STANDING_TICK_SECONDS", default_value_t = 10, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    tick_seconds: u64,
}

impl IntervalArgs {
    fn every(&self) -> Duration {
        Duration::from_secs(self.tick_seconds)
    }
}

#[derive(Debug, Args)]
struct MailboxArgs {
    /// Write messages as files into this folder, instead of lines into the log.
    #[arg(long, env = "STANDING_MAILBOX", value_name = "FOLDER")]
    mailbox: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct KeepAnchorsArgs {
    /// Keep the heads of accounts in this file, which no database writer should reach: every hour one
    /// line for each account that has changed. `standing doctor` checks against it.
    #[arg(long, env = "STANDING_ANCHORS", value_name = "FILE")]
    anchors: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct DoctorArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    anchors: AnchorsArgs,
}

#[derive(Debug, Args)]
struct ClockArgs {
    /// Start the clock at this instant instead of the machine's time (RFC 3339), to try things
    /// out. Like 2026-03-02T08:00:00Z.
    #[arg(long, env = "STANDING_CLOCK", value_name = "INSTANT", value_parser = instant)]
    clock: Option<DateTime<Utc>>,
}

/// An address and port, by number or by name.
#[derive(Debug, Clone, Copy)]
struct Listen(SocketAddr);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "an address and port like 127.0.0.1:8080 or localhost:8080";
        let found = text.to_socket_addrs().map(|mut found| found.next());
        match found {
            Ok(Some(address)) => Ok(Self(address)),
            Ok(None) => Err(expected.to_owned()),
            Err(error) => Err(format!("{error}: {expected}")),
        }
    }
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The address and port to serve on.
    #[arg(
        long,
        env = "STANDING_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    listen: Listen,
    /// An address of their own for health and metrics. Without it they are on the API's.
    #[arg(long, env = "STANDING_HEALTH", value_name = "ADDRESS")]
    health: Option<Listen>,
    /// Leave what is due to `standing worker`.
    #[arg(long, env = "STANDING_NO_WORKER", value_parser = BoolishValueParser::new())]
    no_worker: bool,
    #[command(flatten)]
    keys: KeysArgs,
    #[command(flatten)]
    interval: IntervalArgs,
    #[command(flatten)]
    mailbox: MailboxArgs,
    #[command(flatten)]
    anchors: KeepAnchorsArgs,
    #[command(flatten)]
    clock: ClockArgs,
}

#[derive(Debug, Args)]
struct WorkerArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The address and port of its health and metrics.
    #[arg(
        long,
        env = "STANDING_LISTEN",
        default_value = "127.0.0.1:8081",
        value_name = "ADDRESS"
    )]
    listen: Listen,
    #[command(flatten)]
    interval: IntervalArgs,
    #[command(flatten)]
    mailbox: MailboxArgs,
    #[command(flatten)]
    anchors: KeepAnchorsArgs,
    #[command(flatten)]
    clock: ClockArgs,
}

#[derive(Debug, Args)]
struct TickArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    mailbox: MailboxArgs,
    #[command(flatten)]
    clock: ClockArgs,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// The address and port to serve on.
    #[arg(
        long,
        env = "STANDING_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    listen: Listen,
    #[command(flatten)]
    interval: IntervalArgs,
    #[command(flatten)]
    clock: ClockArgs,
}

impl ClockArgs {
    fn clock(&self) -> Clock {
        match self.clock {
            Some(at) => Clock::starting_at(at),
            None => Clock::system(),
        }
    }
}

/// How long what cannot be cut off, like a write to a file, may hold up the end.
const LAST_GRACE: Duration = Duration::from_secs(1);

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    start_log(&cli)?;
    if let Err(error) = forbid_core_dumps() {
        tracing::warn!(%error, "a crash may leave a core dump, with keys in it");
    }
    if let Err(error) = raise_open_files() {
        tracing::warn!(%error, "few connections can be open at once");
    }
    // Before the first zone is used, which any row may name.
    zoneinfo::install(cli.zoneinfo.as_ref()).context("--zoneinfo names no usable zone data")?;
    let runtime = tokio::runtime::Runtime::new().context("no threads to work with")?;
    let outcome = runtime.block_on(run(cli));
    runtime.shutdown_timeout(LAST_GRACE);
    outcome
}

/// Keys and names are in memory: no crash writes it to a disk, and no other process of the user reads it.
fn forbid_core_dumps() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let none = rustix::process::Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        rustix::process::setrlimit(rustix::process::Resource::Core, none)?;
    }
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Each connection is an open file: the process may have as many as the system lets it.
fn raise_open_files() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        setrlimit(Resource::Nofile, raised)?;
    }
    Ok(())
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(args) => run_serve(args).await,
        Command::Worker(args) => run_worker(args).await,
        Command::Tick(args) => run_tick(args).await,
        Command::Migrate(args) => run_migrate(args).await,
        Command::Doctor(args) => run_doctor(args).await,
        Command::Backup(args) => commands::backup::backup(args).await,
        Command::Restore(args) => commands::backup::restore(args).await,
        Command::Keys(command) => commands::keys::run(command).await,
        Command::Ledger(command) => commands::ledger::run(command).await,
        Command::Zones(command) => commands::zones::run(command).await,
        Command::Token(command) => commands::token::run(command).await,
        Command::Demo(args) => {
            demo::run(args.listen.0, args.interval.every(), args.clock.clock()).await
        }
    }
}

fn start_log(cli: &Cli) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&cli.log)
        .with_context(|| format!("--log {:?} is not a level or filter", cli.log))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match cli.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// The service on a database, with its messages where they were asked to go.
async fn app(
    database: &DatabaseArgs,
    mailbox: &MailboxArgs,
    clock: &ClockArgs,
) -> anyhow::Result<App> {
    let store = database.open().await?;
    if clock.clock.is_some() && !store.take_own_clock().await? {
        bail!(
            "--clock works only on a database that began under a clock of its own; this one keeps the \
             machine's time"
        );
    }
    let mut app = App::new(store, clock.clock());
    let places = database.database()?.places(database.connections);
    app.admission = Arc::new(Admission::new(places));
    say_if_behind(&app).await;
    // If the database does not answer in time, the first write or tick asks again.
    if let Err(error) = app.zones.join(&*app.store, app.clock.now()).await {
        tracing::warn!(%error, "the zone data that plans the database cannot be read yet");
    }
    if let Some(folder) = &mailbox.mailbox {
        let mailbox = Mailbox::open(folder);
        app.sink = Arc::new(mailbox.with_context(|| format!("no mailbox in {folder:?}"))?);
    }
    Ok(app)
}

/// Logs a clock that is behind the last commit: the machine's clock was set back while nothing ran.
async fn say_if_behind(app: &App) {
    if let Ok(Some(last)) = app.store.last_written().await {
        let behind = last - app.clock.now();
        if behind >= JUMP_MIN {
            let seconds = behind.num_seconds();
            tracing::error!(seconds, "the clock is behind the last commit");
        }
    }
}

async fn run_serve(args: ServeArgs) -> anyhow::Result<()> {
    let database = args.database.database()?;
    // Before a file is made that nobody could use without them.
    let vault = Vault::open(&args.keys.path(&args.database)?)?;
    if let Database::Sqlite(path) = &database {
        let is_new = !path.exists();
        database.migrate().await?;
        if is_new {
            tracing::warn!(%database, "there was no such file: it is a new, empty database");
        }
    }
    let app = App {
        stop: serve::stop_on_signal(),
        vault: Arc::new(vault),
        anchors: anchor_file(&args.anchors)?,
        ..app(&args.database, &args.mailbox, &args.clock).await?
    };
    app.vault.belong_to(&*app.store).await?;
    index_whoever_is_not(&app).await?;
    let listener = serve::bind(args.listen.0).await?;
    let url = serve::url(&listener)?;
    let mut said = format!(
        "Serving {database} on {url}/api/v1\n\
         Description: {url}/api/v1/openapi.json    Tokens: standing token --help"
    );
    let served = match args.health {
        None => vec![(listener, serve::routes(app.clone()))],
        Some(address) => {
            let health = serve::bind(address.0).await?;
            let url = serve::url(&health)?;
            said.push_str(&format!(
                "\nHealth: {url}/health/ready    Metrics: {url}/metrics"
            ));
            vec![
                (listener, serve::api_routes(app.clone())),
                (health, serve::health_routes(app.clone())),
            ]
        }
    };
    serve::say(&said);
    let every = args.interval.every();
    serve::run(app, served, (!args.no_worker).then_some(every)).await;
    Ok(())
}

/// Where the worker keeps the heads of accounts.
fn anchor_file(args: &KeepAnchorsArgs) -> anyhow::Result<Option<Arc<Mutex<AnchorFile>>>> {
    let Some(path) = &args.anchors else {
        return Ok(None);
    };
    let file = AnchorFile::open(path);
    let file = file.with_context(|| format!("--anchors {} is of no use", path.display()))?;
    Ok(Some(Arc::new(Mutex::new(file))))
}

/// Makes sure that everybody is found by their address before it is asked whether an address is taken:
/// after a restore nobody is, and after an upgrade from a version with other indexes.
async fn index_whoever_is_not(app: &App) -> anyhow::Result<()> {
    if !app.vault.lacks_indexes(&*app.store).await? {
        return Ok(());
    }
    let (store, now) = (&*app.store, app.clock.now());
    let done = vault::reindex(&app.vault, store, now, &mut |_| ()).await?;
    tracing::info!(
        people = done.people,
        indexed = done.changed,
        "people are indexed again"
    );
    for (clinic, person, why) in &done.failed {
        tracing::error!(%clinic, %person, why, "a person cannot be found by their address");
    }
    Ok(())
}

async fn run_worker(args: WorkerArgs) -> anyhow::Result<()> {
    let app = App {
        stop: serve::stop_on_signal(),
        anchors: anchor_file(&args.anchors)?,
        ..app(&args.database, &args.mailbox, &args.clock).await?
    };
    let listener = serve::bind(args.listen.0).await?;
    let url = serve::url(&listener)?;
    serve::say(&format!(
        "Working on {}\nHealth: {url}/health/ready    Metrics: {url}/metrics",
        args.database.database()?
    ));
    let every = args.interval.every();
    let health = serve::health_routes(app.clone());
    serve::run(app, vec![(listener, health)], Some(every)).await;
    Ok(())
}

async fn run_tick(args: TickArgs) -> anyhow::Result<()> {
    let app = app(&args.database, &args.mailbox, &args.clock).await?;
    let at = app.clock.now().to_rfc3339_opts(SecondsFormat::Secs, true);
    app.senders.attend(true);
    let report = worker::tick(&app).await;
    app.store.close().await;
    let (done, failed) = (report.done, report.failed);
    let plans = app.zones.state().ours;
    writeln!(std::io::stdout(), "{at}: {done} done, {failed} failed")?;
    if failed > 0 {
        bail!("{failed} rows failed and will be tried again; the log says why");
    }
    if !plans {
        bail!(
            "no sessions were made: other zone data than this program's {} plans the database; see \
             `standing doctor`",
            ZoneData::installed().release()
        );
    }
    Ok(())
}

async fn run_migrate(args: DatabaseArgs) -> anyhow::Result<()> {
    let database = args.database()?;
    let version = database.migrate().await?;
    writeln!(std::io::stdout(), "{database} has schema version {version}")?;
    Ok(())
}

async fn run_doctor(args: DoctorArgs) -> anyhow::Result<()> {
    let anchors = args.anchors.read()?;
    let store = args.database.open().await?;
    let findings = doctor::examine(store.as_ref(), Clock::system().now(), &anchors).await;
    store.close().await;
    let mut out = std::io::stdout().lock();
    writeln!(out, "ok     schema: it is this program's")?; // else it would not have opened
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    let wrong = findings.iter().filter(|finding| !finding.is_fine()).count();
    if wrong > 0 {
        bail!("{wrong} of {} checks found something", findings.len());
    }
    Ok(())
}
