//! `standing doctor`: looks for what is wrong with the database and what it holds, by another path
//! than the one that wrote it, and says what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use clinic::credit::hold_of;
use clinic::scope::Job;
use clinic::{ClinicId, Message, MessageState};
use ledger_core::{Account, AccountId, HoldId, fold, verify};
use scheduler_core::ClientId;
use scheduler_core::session::{Session, SessionState};
use store::{PAGE_MAX, Page, Store, StoreError, Which, Whose};
use uuid::Uuid;

/// How far the database's clock may be from this machine's.
const SKEW_MAX: TimeDelta = TimeDelta::seconds(2);
/// How long work may be due before somebody should look.
const LAG_MAX: TimeDelta = TimeDelta::minutes(10);

/// What one check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// What was seen.
    pub seen: String,
    /// What to do about it; `None` if it is as it should be.
    pub to_do: Option<&'static str>,
}

impl Finding {
    /// Whether it is as it should be.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.to_do.is_none()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, seen, to_do } = self;
        match to_do {
            None => write!(f, "ok     {check}: {seen}"),
            Some(to_do) => write!(f, "WRONG  {check}: {seen}\n       {to_do}"),
        }
    }
}

/// Looks at everything. `now` is this machine's time.
///
/// # Errors
/// If the database cannot be read.
pub async fn examine(store: &dyn Store, now: DateTime<Utc>) -> Result<Vec<Finding>, StoreError> {
    let schema = "it is the one this program knows".to_owned(); // else it does not open
    let mut findings = vec![
        finding("schema", schema, false, ""),
        skew(store, now).await?,
    ];
    for job in Job::ALL {
        findings.push(backlog(store, job, now).await?);
    }
    for clinic in store.clinics().await? {
        let live = live_sessions(store, clinic).await?;
        findings.push(overlaps(&live));
        findings.push(ledger(store, clinic, &live).await?);
        findings.extend(messages(store, clinic, now).await?);
    }
    Ok(findings)
}

fn finding(check: &'static str, seen: String, wrong: bool, to_do: &'static str) -> Finding {
    Finding {
        check,
        seen,
        to_do: wrong.then_some(to_do),
    }
}

async fn skew(store: &dyn Store, now: DateTime<Utc>) -> Result<Finding, StoreError> {
    let ahead = store.now().await? - now;
    let seen = format!("the database is {} ms ahead", ahead.num_milliseconds());
    let to_do = "Set the clocks of both machines by NTP: leases and reminders go by this one's.";
    Ok(finding("clock", seen, ahead.abs() > SKEW_MAX, to_do))
}

async fn backlog(store: &dyn Store, job: Job, now: DateTime<Utc>) -> Result<Finding, StoreError> {
    let backlog = store.backlog(job, now).await?;
    let lag = backlog
        .oldest
        .map_or(TimeDelta::zero(), |oldest| now - oldest);
    let seen = format!("{} due, for {} s", backlog.due, lag.num_seconds());
    let to_do = "Is a worker running (`standing serve` or `standing worker`)? Its log names the \
                 rows that fail; /metrics counts them.";
    Ok(finding(job.name(), seen, lag > LAG_MAX, to_do))
}

/// All live sessions of a clinic.
async fn live_sessions(store: &dyn Store, clinic: ClinicId) -> Result<Vec<Session>, StoreError> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: PAGE_MAX,
        };
        let sessions = store
            .sessions(clinic, Whose::Clinic, Which::Live, page)
            .await?;
        let Some(last) = sessions.last() else {
            return Ok(all);
        };
        after = Some(last.id.0);
        all.extend(sessions);
    }
}

/// Live sessions of one person must not overlap.
fn overlaps(live: &[Session]) -> Finding {
    let mut by_person: BTreeMap<Uuid, Vec<&Session>> = BTreeMap::new();
    for session in live {
        for person in [session.therapist.0, session.client.0] {
            by_person.entry(person).or_default().push(session);
        }
    }
    let mut found = Vec::new();
    for sessions in by_person.values_mut() {
        sessions.sort_by_key(|session| session.starts_at);
        let pairs = sessions.windows(2);
        let overlapping = pairs.filter(|pair| pair[1].starts_at < pair[0].ends_at);
        found.extend(overlapping.map(|pair| format!("{} and {}", pair[0].id, pair[1].id)));
    }
    let seen = match found.first() {
        None => format!("none among {} live sessions", live.len()),
        Some(first) => format!("{} pairs, the first {first}", found.len()),
    };
    let to_do = "Reschedule or cancel one of each pair. The database's constraints should have \
                 refused them: were they dropped?";
    finding("overlaps", seen, !found.is_empty(), to_do)
}

/// Every chain verifies, every snapshot is the fold of its entries, and scheduled sessions and open
/// holds are the same.
async fn ledger(
    store: &dyn Store,
    clinic: ClinicId,
    live: &[Session],
) -> Result<Finding, StoreError> {
    let scheduled = live
        .iter()
        .filter(|session| session.state == SessionState::Scheduled);
    let mut unheld: BTreeSet<HoldId> = scheduled.map(hold_of).collect();
    let (mut accounts, mut entries, mut wrong) = (0, 0, Vec::new());
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: PAGE_MAX,
        };
        let clients = store.clients(clinic, page).await?;
        let Some(last) = clients.last() else { break };
        after = Some(last.id.0);
        for client in &clients {
            accounts += 1;
            match account(store, clinic, client.id).await? {
                Ok((account, count)) => {
                    entries += count;
                    for open in account.holds() {
                        if !unheld.remove(&open.id) {
                            wrong.push(format!("hold {:?} is of no scheduled session", open.id));
                        }
                    }
                }
                Err(broken) => wrong.push(format!("account {}: {broken}", client.id)),
            }
        }
    }
    wrong.extend(unheld.iter().map(|hold| format!("no hold {hold:?}")));
    let seen = match wrong.first() {
        None => format!("{accounts} accounts, {entries} entries: chains and folds hold"),
        Some(first) => format!("{} defects, the first: {first}", wrong.len()),
    };
    let to_do = "Do not write to it. Keep a copy, find who changed the entry that is named, and \
                 restore from the last good backup.";
    Ok(finding("ledger", seen, !wrong.is_empty(), to_do))
}

/// The account of a client, if it is what its entries say, and how many those are.
async fn account(
    store: &dyn Store,
    clinic: ClinicId,
    client: ClientId,
) -> Result<Result<(Account, usize), String>, StoreError> {
    let mut entries = Vec::new();
    loop {
        let seen = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        let more = store.entries(clinic, client, seen, PAGE_MAX).await?;
        if more.is_empty() {
            break;
        }
        entries.extend(more);
    }
    let Some(snapshot) = store.account(clinic, client).await? else {
        return Ok(Err("it is missing".to_owned()));
    };
    let id = AccountId(client.0);
    if let Err(broken) = verify(id, &entries) {
        return Ok(Err(broken.to_string()));
    }
    Ok(match fold(id, &entries) {
        Ok(folded) if folded == snapshot => Ok((snapshot, entries.len())),
        Ok(_) => Err("the snapshot is not the fold of its entries".to_owned()),
        Err(corrupt) => Err(corrupt.to_string()),
    })
}

/// Leases that nobody took over, and messages that were given up.
async fn messages(
    store: &dyn Store,
    clinic: ClinicId,
    now: DateTime<Utc>,
) -> Result<[Finding; 2], StoreError> {
    let is_stuck = |message: &Message| {
        let run_out = message
            .next_due_at
            .is_some_and(|until| now - until > LAG_MAX);
        message.attempts > 0 && run_out
    };
    let pending = of_state(store, clinic, MessageState::Pending).await?;
    let stuck = pending.iter().filter(|message| is_stuck(message)).count();
    let dead = of_state(store, clinic, MessageState::Dead).await?;
    let seen = match dead.first() {
        None => "none".to_owned(),
        Some(first) => format!(
            "{}, the first is {}, last error {:?}",
            dead.len(),
            first.seq,
            first.last_error.as_deref().unwrap_or("none")
        ),
    };
    Ok([
        finding(
            "claims",
            format!("{stuck} of {} unsent messages are stuck", pending.len()),
            stuck > 0,
            "Their leases have run out and nobody took over: is a worker running?",
        ),
        finding(
            "dead letters",
            seen,
            !dead.is_empty(),
            "See to the cause, then replay: GET /api/v1/messages, POST /api/v1/messages/SEQ/replay.",
        ),
    ])
}

async fn of_state(
    store: &dyn Store,
    clinic: ClinicId,
    state: MessageState,
) -> Result<Vec<Message>, StoreError> {
    let mut all: Vec<Message> = Vec::new();
    loop {
        let after = all.last().map_or(0, |message| message.seq);
        let more = store.messages(clinic, state, after, PAGE_MAX).await?;
        if more.is_empty() {
            return Ok(all);
        }
        all.extend(more);
    }
}
