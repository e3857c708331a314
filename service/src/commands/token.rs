//! `standing token`: makes, lists and revokes what callers of the API show.

use std::io::{IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, bail};
use chrono::{DateTime, Days, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use clinic::{ClinicId, Role};
use scheduler_core::{ClientId, TherapistId};
use standing::clock::Clock;
use standing::random;
use standing::vault::Vault;
use store::{PAGE_MAX, Page, Store, Token};
use uuid::Uuid;

use super::{DatabaseArgs, KeysArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for an administrator, who may do everything in the clinic.
    Admin(MakeArgs),
    /// Make a token for an operator, who sees to the service: its messages, and no personal data.
    Operator(MakeArgs),
    /// Make a token for a therapist: their calendar, and the clients assigned to them.
    Therapist(MakeForArgs),
    /// Make a token for a client: their own bookings and credits.
    Client(MakeForArgs),
    /// List all tokens, without their secrets, which nobody has.
    List(DatabaseArgs),
    /// Revoke a token: its next request is refused.
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct MakeArgs {
    /// The clinic it is for. The first one, if not given.
    #[arg(long, env = "STANDING_CLINIC", value_name = "UUID")]
    clinic: Option<Uuid>,
    /// Begin another clinic in this database, and print its id.
    #[arg(long, conflicts_with = "clinic")]
    new_clinic: bool,
    #[command(flatten)]
    end: EndArgs,
    #[command(flatten)]
    keys: KeysArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MakeForArgs {
    /// Whose token it is: an id as `GET /api/v1/clients` and `/therapists` list them.
    id: Uuid,
    /// The clinic it is for. The first one, if not given.
    #[arg(long, env = "STANDING_CLINIC", value_name = "UUID")]
    clinic: Option<Uuid>,
    #[command(flatten)]
    end: EndArgs,
    #[command(flatten)]
    keys: KeysArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Clone, Copy, Args)]
struct EndArgs {
    /// The token ends after so many days.
    #[arg(long, default_value_t = 365, value_name = "DAYS",
        value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The token's id, as `standing token list` prints it.
    id: Uuid,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(crate) async fn run(command: TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Admin(args) => make_for_staff(args, Role::Admin).await,
        TokenCommand::Operator(args) => make_for_staff(args, Role::Operator).await,
        TokenCommand::Therapist(args) => {
            let role = Role::Therapist(TherapistId(args.id));
            make_for_person(args, role).await
        }
        TokenCommand::Client(args) => {
            let role = Role::Client(ClientId(args.id));
            make_for_person(args, role).await
        }
        TokenCommand::List(database) => list(database).await,
        TokenCommand::Revoke(args) => revoke(args).await,
    }
}

async fn make_for_staff(args: MakeArgs, role: Role) -> anyhow::Result<()> {
    let store = args.database.open().await?;
    let clinic = match args.clinic {
        None if args.new_clinic => {
            let clinic = ClinicId(random::id(Clock::system().now()));
            writeln!(std::io::stderr(), "The new clinic is {clinic}.")?;
            clinic
        }
        None => ClinicId::FIRST,
        Some(id) => known_clinic(&*store, ClinicId(id)).await?,
    };
    let keys = args.keys.path(&args.database)?;
    make(&*store, &keys, clinic, role, args.end).await?;
    store.close().await;
    Ok(())
}

async fn make_for_person(args: MakeForArgs, role: Role) -> anyhow::Result<()> {
    let store = args.database.open().await?;
    let clinic = args.clinic.map_or(ClinicId::FIRST, ClinicId);
    let is_there = match role {
        Role::Therapist(id) => {
            let known = store.therapist(clinic, id).await?;
            known.is_some_and(|known| known.person.is_some())
        }
        Role::Client(id) => {
            let known = store.client(clinic, id).await?;
            known.is_some_and(|known| known.person.is_some())
        }
        Role::Admin | Role::Operator => true,
    };
    if !is_there {
        let what = role_name(role);
        bail!("there is no {what} {} in clinic {clinic}", args.id);
    }
    let keys = args.keys.path(&args.database)?;
    make(&*store, &keys, clinic, role, args.end).await?;
    store.close().await;
    Ok(())
}

/// A clinic that has people or tokens, or the one that every database has.
async fn known_clinic(store: &dyn Store, clinic: ClinicId) -> anyhow::Result<ClinicId> {
    if clinic != ClinicId::FIRST && !store.clinics().await?.contains(&clinic) {
        bail!("there is no clinic {clinic} in this database: --new-clinic begins another");
    }
    Ok(clinic)
}

/// Stores a token, and prints its secret, the only time that anybody sees it.
async fn make(
    store: &dyn Store,
    keys: &Path,
    clinic: ClinicId,
    role: Role,
    end: EndArgs,
) -> anyhow::Result<()> {
    let vault = Vault::open(keys)?;
    vault.belong_to(store).await?;
    let secret = random::secret();
    let now = Clock::system().now();
    // The clock of a database that has its own may be ahead.
    let from = store
        .last_written()
        .await?
        .map_or(now, |last| last.max(now));
    let ends_at = from.checked_add_days(Days::new(end.days));
    let ends_at = ends_at.context("the token's end is out of range")?;
    let token = vault.token(clinic, role, &secret, now, Some(ends_at))?;
    store.add_token(&token).await?;
    let (id, ends_at) = (token.id, date(ends_at));
    let mut watcher = std::io::stderr();
    if watcher.is_terminal() {
        writeln!(
            watcher,
            "Token {id} is valid until {ends_at}. `standing token revoke {id}` ends it."
        )?;
    }
    writeln!(std::io::stdout(), "{secret}")?;
    Ok(())
}

async fn list(database: DatabaseArgs) -> anyhow::Result<()> {
    let store = database.open().await?;
    let now = Clock::system().now();
    let mut out = std::io::stdout().lock();
    let mut after = None;
    loop {
        let limit = PAGE_MAX;
        let tokens = store.tokens(Page { after, limit }).await?;
        let Some(last) = tokens.last() else { break };
        after = Some(last.id);
        for token in &tokens {
            writeln!(out, "{}", line(token, now))?;
        }
    }
    store.close().await;
    if after.is_none() {
        writeln!(out, "There are no tokens.")?;
    }
    Ok(())
}

/// A token as a line: id, bearer, clinic, since when, and until when.
fn line(token: &Token, now: DateTime<Utc>) -> String {
    let bearer = match token.role {
        Role::Admin | Role::Operator => role_name(token.role).to_owned(),
        Role::Therapist(TherapistId(id)) | Role::Client(ClientId(id)) => {
            format!("{} {id}", role_name(token.role))
        }
    };
    let until = match token.ends_at {
        None => "without an end".to_owned(),
        Some(end) if end <= now => format!("ended {}", date(end)),
        Some(end) => format!("until {}", date(end)),
    };
    let (id, clinic, since) = (token.id, token.clinic, date(token.created_at));
    format!("{id}  {bearer}  clinic {clinic}  made {since}  {until}")
}

async fn revoke(args: RevokeArgs) -> anyhow::Result<()> {
    let store = args.database.open().await?;
    let removed = store.remove_token(args.id).await?;
    store.close().await;
    if !removed {
        bail!(
            "there is no token {}: `standing token list` has those there are",
            args.id
        );
    }
    writeln!(std::io::stdout(), "{} is revoked", args.id)?;
    Ok(())
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Operator => "operator",
        Role::Therapist(_) => "therapist",
        Role::Client(_) => "client",
    }
}

fn date(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
