//! `standing doctor`: looks for what is wrong with the database and what it holds, by another path
//! than the one that wrote it, and says what to do.

mod bookings;

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clinic::scope::Job;
use clinic::zone_data::{Verdict, is_newer, judge};
use clinic::{ClinicId, Message, MessageState, Recipient};
use scheduler_core::zone::ZoneData;
use store::{PAGE_MAX, Store, StoreError};

use crate::anchors::Anchor;
use crate::ledger::Audit;
use crate::{journal, ledger, zoneinfo, zones};

/// How far the database's clock may be from this machine's.
const SKEW_MAX: TimeDelta = TimeDelta::seconds(2);
/// How long work may be due before somebody should look.
const LAG_MAX: TimeDelta = TimeDelta::minutes(10);

/// What one check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// Where, if the database has several clinics.
    pub clinic: Option<ClinicId>,
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
        let Self { check, seen, .. } = self;
        let verdict = if self.is_fine() { "ok     " } else { "WRONG  " };
        write!(f, "{verdict}{check}")?;
        if let Some(clinic) = self.clinic {
            write!(f, " of clinic {clinic}")?;
        }
        write!(f, ": {seen}")?;
        match self.to_do {
            Some(to_do) => write!(f, "\n       {to_do}"),
            None => Ok(()),
        }
    }
}

/// How old the newest anchor may be before somebody should look.
const ANCHOR_AGE_MAX: TimeDelta = TimeDelta::days(1);

/// Looks at everything. `machine` is this machine's time, `anchors` are the heads that were kept. A database that
/// goes by a clock of its own is looked at as of its last commit. What cannot be read is a finding too.
pub async fn examine(
    store: &dyn Store,
    machine: DateTime<Utc>,
    anchors: &[Anchor],
) -> Vec<Finding> {
    let now = match own_time(store).await {
        Ok(own) => own.unwrap_or(machine),
        Err(error) => return vec![read("clock", Err(error))],
    };
    let mut findings = vec![
        read("clock", skew(store, machine).await),
        read("guards", guards(store).await),
        newest(),
        read("zone data", planned(store, now).await),
    ];
    for job in Job::ALL {
        findings.push(read(job.name(), backlog(store, job, now).await));
    }
    match ledger::audit(store, anchors, |_| ()).await {
        Ok(audit) => {
            findings.push(ledger(&audit, anchors.len()));
            findings.extend(kept(&audit, anchors, now));
        }
        Err(error) => findings.push(read("ledger", Err(error))),
    }
    findings.push(read("journal", journal(store, anchors).await));
    let clinics = match store.clinics().await {
        Ok(clinics) => clinics,
        Err(error) => {
            findings.push(read("clinics", Err(error)));
            return findings;
        }
    };
    for &clinic in &clinics {
        let of_clinic = [
            read("overlaps", bookings::overlaps(store, clinic).await),
            read("holds", bookings::holds(store, clinic).await),
            read("series", bookings::series(store, clinic).await),
            read("calendars", bookings::filed(store, clinic).await),
            read("claims", claims(store, clinic, now).await),
            read("recipients", recipients(store, clinic).await),
            read("dead letters", dead_letters(store, clinic).await),
        ];
        let named = (clinics.len() > 1).then_some(clinic);
        findings.extend(of_clinic.map(|finding| Finding {
            clinic: named,
            ..finding
        }));
    }
    findings
}

/// What a check found, or that it could not look.
fn read(check: &'static str, outcome: Result<Finding, StoreError>) -> Finding {
    outcome.unwrap_or_else(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let seen = format!("{error}: {}", cause.unwrap_or_default());
        let to_do = "Look at the database and its log: this could not be read.";
        finding(check, seen, true, to_do)
    })
}

fn finding(check: &'static str, seen: String, wrong: bool, to_do: &'static str) -> Finding {
    Finding {
        check,
        clinic: None,
        seen,
        to_do: wrong.then_some(to_do),
    }
}

/// What time it is for a database that goes by a clock of its own, which only the process that serves it knows:
/// that of its last commit. `None` for one that goes by the machines' time.
async fn own_time(store: &dyn Store) -> Result<Option<DateTime<Utc>>, StoreError> {
    if store.has_own_clock().await? {
        store.last_written().await
    } else {
        Ok(None)
    }
}

async fn skew(store: &dyn Store, now: DateTime<Utc>) -> Result<Finding, StoreError> {
    if store.has_own_clock().await? {
        let last = store.last_written().await?;
        let last = last.map(|last| last.to_rfc3339_opts(SecondsFormat::Secs, true));
        let last = last.unwrap_or_else(|| "none yet".to_owned());
        let seen = format!("the database goes by a clock of its own; its last commit: {last}");
        return Ok(finding("clock", seen, false, ""));
    }
    let ahead = store.now().await? - now;
    let mut seen = format!("the database is {} ms ahead", ahead.num_milliseconds());
    let mut wrong = ahead.abs() > SKEW_MAX;
    if let Some(last) = store.last_written().await?
        && last - now > SKEW_MAX
    {
        wrong = true;
        seen.push_str(&format!(
            ", and its last commit is of {last}, which is to come"
        ));
    }
    let to_do =
        "Set the clocks of both machines by NTP: credits, leases and reminders go by this one's.";
    Ok(finding("clock", seen, wrong, to_do))
}

/// Whether what the database refuses by itself is still refused.
async fn guards(store: &dyn Store) -> Result<Finding, StoreError> {
    let missing = store.missing_guards().await?;
    let seen = match missing.as_slice() {
        [] => "triggers, constraints and unique indexes are as the migrations made them".to_owned(),
        [..] => format!("missing or changed: {}", missing.join("; ")),
    };
    let to_do = "Find who dropped them and what was changed meanwhile (`standing ledger verify`, \
                 `standing keys verify`), then make them again as the migrations do.";
    Ok(finding("guards", seen, !missing.is_empty(), to_do))
}

/// Whether this program computes with the newest release at hand.
fn newest() -> Finding {
    let (ours, source) = (&zones::edition().release, zoneinfo::source());
    let (place, release) = zoneinfo::newest();
    let compiled = ZoneData::compiled();
    let newer = [release.as_str(), compiled.release()];
    let newer = newer.into_iter().find(|release| is_newer(release, ours));
    let seen = match newer {
        None => format!("{ours}, {source}"),
        Some(newer) => format!("{ours}, {source}; {newer} is at hand ({place})"),
    };
    let to_do =
        "Start without --zoneinfo, which takes the newest: the law of some zone has changed.";
    finding("tz release", seen, newer.is_some(), to_do)
}

/// Which zone data plans the database, and whether everything agrees with it.
async fn planned(store: &dyn Store, now: DateTime<Utc>) -> Result<Finding, StoreError> {
    let ours = zones::edition();
    let Some(last) = store.zone_data(None).await? else {
        let seen = format!("none has planned the database yet; {} will", ours.release);
        return Ok(finding("zone data", seen, false, ""));
    };
    let release = &last.edition.release;
    let since = last.since.to_rfc3339_opts(SecondsFormat::Secs, true);
    let seen = format!("{release} plans the database since {since}");
    let verdict = judge(Some(&last.edition), ours);
    let stuck = last.settled.is_none() && now - last.since > LAG_MAX;
    let (seen, wrong, to_do) = match verdict {
        Verdict::Refuses => (
            format!(
                "{seen}; this program has {} and refuses to plan",
                ours.release
            ),
            true,
            "Give all processes the same zone data: update the older ones, or stop the others and run \
             `standing zones adopt` with the data that is to plan.",
        ),
        Verdict::TakesOver => (
            format!(
                "{seen}; this program has {} and takes over when it starts",
                ours.release
            ),
            false,
            "",
        ),
        Verdict::Plans => (
            match last.settled {
                None => {
                    format!("{seen}; not everything agrees with it yet, and nothing is planned")
                }
                Some((_, outcome)) => format!(
                    "{seen}; {} sessions moved, {} of them cases, {} people told",
                    outcome.moved, outcome.cases, outcome.messages
                ),
            },
            stuck,
            "Is a worker running (`standing serve` or `standing worker`)? Its log names the sessions that \
             cannot be moved.",
        ),
    };
    Ok(finding("zone data", seen, wrong, to_do))
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

/// Every chain verifies, and every snapshot is the fold of its entries.
fn ledger(audit: &Audit, anchors: usize) -> Finding {
    let seen = match audit.defects.first() {
        None => format!(
            "{} accounts, {} entries, {anchors} anchors: chains and folds hold",
            audit.accounts, audit.entries
        ),
        Some((_, account, defect)) => format!(
            "{} defects, the first: account {account}: {defect}",
            audit.defects.len()
        ),
    };
    let to_do = "Do not write to it. Keep a copy, find who changed what is named, and restore from \
                 the last good backup.";
    finding("ledger", seen, !audit.defects.is_empty(), to_do)
}

/// Every journal is as it was when it was anchored, and names entries that there are.
async fn journal(store: &dyn Store, anchors: &[Anchor]) -> Result<Finding, StoreError> {
    let audit = journal::audit(store, anchors).await?;
    let seen = match audit.defects.first() {
        None if audit.gaps > 0 => format!("{} lines are missing", audit.gaps),
        None => format!("{} lines", audit.lines),
        Some((clinic, defect)) => format!(
            "{} defects, the first: clinic {clinic}: {defect}",
            audit.defects.len()
        ),
    };
    let to_do = "Keep a copy, find who changed it, and compare with a backup: what people did, undo \
                 and idempotent answers rest on the journal.";
    let wrong = !audit.defects.is_empty() || audit.gaps > 0;
    Ok(finding("journal", seen, wrong, to_do))
}

/// Whether anchors are still being kept, if any were given.
fn kept(audit: &Audit, anchors: &[Anchor], now: DateTime<Utc>) -> Option<Finding> {
    let last = anchors.iter().map(|anchor| anchor.at).max()?;
    let kept = anchors.iter().filter_map(|anchor| {
        let head = anchor.head?;
        Some((anchor.clinic.0, head.account, head.seq))
    });
    let kept: BTreeSet<_> = kept.collect();
    let heads = audit.heads.iter().filter(|(_, head)| head.seq > 0);
    let changed = heads
        .filter(|(clinic, head)| !kept.contains(&(clinic.0, head.account, head.seq)))
        .count();
    let at = last.to_rfc3339_opts(SecondsFormat::Secs, true);
    let seen = format!("the newest is of {at}; {changed} accounts have changed since their last");
    let to_do = "Is a worker running with --anchors and this file? Its log says why it keeps none.";
    let wrong = changed > 0 && now - last > ANCHOR_AGE_MAX;
    Some(finding("anchors", seen, wrong, to_do))
}

/// Leases that have run out and that nobody took over.
async fn claims(
    store: &dyn Store,
    clinic: ClinicId,
    now: DateTime<Utc>,
) -> Result<Finding, StoreError> {
    let is_stuck = |message: &Message| {
        let run_out = message
            .next_due_at
            .is_some_and(|until| now - until > LAG_MAX);
        message.attempts > 0 && run_out
    };
    let pending = of_state(store, clinic, MessageState::Pending).await?;
    let stuck = pending.iter().filter(|message| is_stuck(message)).count();
    let seen = format!("{stuck} of {} unsent messages are stuck", pending.len());
    let to_do = "Their leases have run out and nobody took over: is a worker running?";
    Ok(finding("claims", seen, stuck > 0, to_do))
}

/// Whoever an unsent message goes to is a party of its session.
async fn recipients(store: &dyn Store, clinic: ClinicId) -> Result<Finding, StoreError> {
    let pending = of_state(store, clinic, MessageState::Pending).await?;
    let mut wrong = Vec::new();
    for message in &pending {
        let told = &message.notification;
        let session = store.session(clinic, told.session).await?;
        let is_party = session.is_some_and(|session| match told.recipient {
            Recipient::Client(id) => session.client == id,
            Recipient::Therapist(id) => session.therapist == id,
        });
        if !is_party {
            wrong.push(message.seq);
        }
    }
    let seen = match wrong.first() {
        None => format!(
            "{} unsent messages go to a party of their session",
            pending.len()
        ),
        Some(first) => format!("{} go to somebody else, the first is {first}", wrong.len()),
    };
    let to_do = "Stop the worker before it sends them, and find who addressed them.";
    Ok(finding("recipients", seen, !wrong.is_empty(), to_do))
}

/// Messages that were given up.
async fn dead_letters(store: &dyn Store, clinic: ClinicId) -> Result<Finding, StoreError> {
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
    let to_do =
        "See to the cause, then replay: GET /api/v1/messages, POST /api/v1/messages/SEQ/replay.";
    Ok(finding("dead letters", seen, !dead.is_empty(), to_do))
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
