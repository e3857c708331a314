//! The tables, and what they refuse.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use clinic::conflict::{OPEN, SETTLED};
use clinic::zone_data::{Planned, ZoneMove};
use clinic::{
    Actor, BlindIndex, Client, ClinicId, Conflict, Happened, Journal, Message, MessageState,
    PersonId, Plan, Quotas, Reason, Recipient, SealedPerson, Service, StoredSecret, Subject,
    Subscription, Therapist, View, WrappedDek, journal_chain,
};
use ledger_core::{Account, Entry, ReasonCode};
use scheduler_core::intent::{Cause, Intent, Record};
use scheduler_core::session::Session;
use scheduler_core::{IntentId, LocalDateTime};
use uuid::Uuid;

use crate::account::believe;
use crate::history;
use crate::rows::{json, subject_columns};
use crate::{Idempotency, Metered, PAGE_MAX, Page, PersonLine, Request, StoreError, Token};

/// By clinic and id.
pub(super) type Table<T> = BTreeMap<(Uuid, Uuid), T>;

#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    pub(super) tokens: Vec<Token>,
    pub(super) key_fingerprint: Option<[u8; 32]>,
    /// By clinic, owner and generation.
    pub(super) deks: BTreeMap<(Uuid, Uuid, u32), WrappedDek>,
    /// By clinic and person.
    pub(super) indexes: BTreeMap<(Uuid, PersonId), Vec<BlindIndex>>,
    pub(super) therapists: Table<Therapist>,
    pub(super) clients: Table<Client>,
    pub(super) services: Table<Service>,
    pub(super) plans: Table<Plan>,
    /// By clinic and code. Nothing here takes one out.
    pub(super) quotas: BTreeMap<Uuid, Quotas>,
    pub(super) reasons: BTreeMap<(Uuid, ReasonCode), Reason>,
    pub(super) subscriptions: Table<Subscription>,
    /// By clinic, role and id.
    pub(super) feeds: BTreeMap<(Uuid, &'static str, Uuid), StoredSecret>,
    pub(super) intents: Table<Intent>,
    pub(super) sessions: Table<Session>,
    pub(super) accounts: Table<Account>,
    /// Nothing here takes an entry out or changes one.
    pub(super) entries: Vec<(ClinicId, Entry)>,
    /// Nor a line of the journal.
    pub(super) journal: Vec<Line>,
    pub(super) outbox: Vec<Row>,
    /// In the order of their generations, from 1 on.
    pub(super) zone_data: Vec<Planned>,
    pub(super) zone_moves: BTreeMap<(Uuid, u64, Uuid), ZoneMove>,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) clinic: ClinicId,
    pub(super) at: DateTime<Utc>,
    pub(super) actor: Actor,
    pub(super) idempotency: Option<Idempotency>,
    pub(super) journal: Journal,
    pub(super) rows: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) clinic: ClinicId,
    pub(super) message: Message,
    pub(super) rows: u64,
}

pub(super) fn refused(constraint: &str) -> StoreError {
    StoreError::Constraint {
        constraint: constraint.to_owned(),
    }
}

pub(super) fn missing() -> StoreError {
    StoreError::corrupt("row", "0 rows changed instead of one")
}

/// A page of a table.
pub(super) fn page<T: Clone>(
    table: &Table<T>,
    clinic: ClinicId,
    page: Page,
    of: impl Fn(&T) -> bool,
) -> Vec<T> {
    let after = (clinic.0, page.after.unwrap_or(Uuid::nil()));
    let rows = table
        .iter()
        .filter(|(key, row)| key.0 == clinic.0 && **key > after && of(row));
    let limit = usize::try_from(page.limit.min(PAGE_MAX)).unwrap_or(usize::MAX);
    rows.take(limit).map(|(_, row)| row.clone()).collect()
}

impl Tables {
    pub(super) fn intents_of(&self, clinic: ClinicId) -> impl Iterator<Item = &Intent> {
        let rows = self
            .intents
            .iter()
            .filter(move |(key, _)| key.0 == clinic.0);
        rows.map(|(_, intent)| intent)
    }

    pub(super) fn sessions_of(&self, clinic: ClinicId) -> impl Iterator<Item = &Session> {
        let rows = self
            .sessions
            .iter()
            .filter(move |(key, _)| key.0 == clinic.0);
        rows.map(|(_, session)| session)
    }

    pub(super) fn session_of(
        &self,
        clinic: ClinicId,
        intent: IntentId,
        recurrence_id: LocalDateTime,
    ) -> Option<&Session> {
        let mut sessions = self.sessions_of(clinic);
        sessions.find(|session| session.intent == intent && session.recurrence_id == recurrence_id)
    }

    pub(super) fn entries_of(&self, clinic: ClinicId) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.iter().filter(move |(of, _)| *of == clinic);
        entries.map(|(_, entry)| entry)
    }

    /// What one client may have of a clinic.
    pub(super) fn quotas(&self, clinic: ClinicId) -> Quotas {
        self.quotas.get(&clinic.0).copied().unwrap_or_default()
    }

    /// What the lines of the journal about refused evidence come to, in order.
    pub(super) fn conflicts(&self, clinic: ClinicId) -> Vec<Conflict> {
        let lines = (1_u64..).zip(&self.journal);
        let lines: Vec<_> = lines.filter(|(_, line)| line.clinic == clinic).collect();
        let kept = lines.iter().filter_map(|(seq, kept)| {
            let Subject::Conflict(id) = kept.journal.subject else {
                return None;
            };
            let settled = lines.iter().find(|(_, line)| {
                line.journal.subject == kept.journal.subject && line.journal.version == SETTLED
            });
            let between = serde_json::from_value(kept.journal.body.clone()).ok()?;
            (kept.journal.version == OPEN).then_some(Conflict {
                id,
                seq: *seq,
                between,
                kept_at: kept.at,
                settled_at: settled.map(|(_, line)| line.at),
            })
        });
        kept.collect()
    }

    /// A clinic's own codes of reasons, by code.
    pub(super) fn reasons(&self, clinic: ClinicId) -> Vec<Reason> {
        let own = self.reasons.iter().filter(|(key, _)| key.0 == clinic.0);
        own.map(|(_, reason)| reason.clone()).collect()
    }

    pub(super) fn message(&self, clinic: ClinicId, seq: u64) -> Option<&Message> {
        let mut rows = self.outbox.iter();
        let row = rows.find(|row| row.clinic == clinic && row.message.seq == seq);
        row.map(|row| &row.message)
    }

    /// When the last line of the journal was written.
    pub(super) fn last_written(&self) -> Option<DateTime<Utc>> {
        self.journal.last().map(|line| line.at)
    }

    /// The lines of the journal about what is known of people, in order.
    pub(super) fn person_lines(&self, clinic: ClinicId, after: u64, limit: u32) -> Vec<PersonLine> {
        let lines = (1_u64..).zip(&self.journal).filter_map(|(seq, line)| {
            let of = match line.journal.subject {
                Subject::Client(id) => id.0,
                Subject::Therapist(id) => id.0,
                _ => return None,
            };
            let is_one = PersonLine::KINDS.contains(&line.journal.kind);
            (is_one && line.clinic == clinic && seq > after).then(|| PersonLine {
                seq,
                of,
                kind: line.journal.kind.to_owned(),
                version: line.journal.version,
                held: line.journal.body["held"].as_bool(),
            })
        });
        lines
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect()
    }

    /// What happened to a series, in order.
    /// A clinic's lines of the journal, as the other stores keep them.
    pub(super) fn journal_lines(
        &self,
        clinic: ClinicId,
    ) -> Result<Vec<journal_chain::Line>, StoreError> {
        let lines = (1_u64..).zip(&self.journal);
        let lines = lines.filter(|(_, line)| line.clinic == clinic);
        let stored = lines.map(|(seq, line)| {
            let journal = &line.journal;
            let (kind, id, part) = subject_columns(&journal.subject);
            let given = line.idempotency.as_ref();
            let history = journal.history.as_ref();
            Ok(journal_chain::Line {
                seq,
                subject_kind: kind.to_owned(),
                subject_id: id,
                subject_part: part,
                version: journal.version,
                kind: journal.kind.to_owned(),
                actor: line.actor.to_string(),
                body: json("journal body", &journal.body)?,
                series_id: history.map(|history| history.series.0),
                history: history.map(history::stored).transpose()?,
                at: line.at,
                idempotency_key: given.map(|given| given.key.clone()),
                request_hash: given.map(|given| given.request_hash.to_vec()),
                rows_written: line.rows,
            })
        });
        stored.collect()
    }

    pub(super) fn history(&self, clinic: ClinicId, series: IntentId) -> Vec<Record> {
        let lines = self.journal.iter().filter(|line| line.clinic == clinic);
        let records = lines.filter_map(|line| {
            let history = line.journal.history.as_ref();
            let history = history.filter(|history| history.series == series)?;
            let cause = Cause {
                actor: line.actor.to_string(),
                reason: history.reason.as_ref().map(ToString::to_string),
            };
            let record = |happened: &Happened| Record {
                intent: happened.intent,
                at: line.at,
                cause: cause.clone(),
                event: happened.event.clone(),
            };
            Some(history.events.iter().map(record).collect::<Vec<_>>())
        });
        records.flatten().collect()
    }

    pub(super) fn pending_to(&self, clinic: ClinicId, recipient: Recipient) -> Vec<Message> {
        let rows = self.outbox.iter().filter(|row| row.clinic == clinic);
        let messages = rows.map(|row| &row.message).filter(|message| {
            message.notification.recipient == recipient && message.state == MessageState::Pending
        });
        messages.cloned().collect()
    }

    /// What the same request was about, if it was stored before.
    pub(super) fn replayed(&self, request: &Request) -> Result<Option<Subject>, StoreError> {
        let Some(given) = &request.idempotency else {
            return Ok(None);
        };
        let line = self.journal.iter().find(|line| {
            let key = line.idempotency.as_ref().map(|stored| &stored.key);
            (line.clinic, line.actor.to_string()) == (request.clinic, request.actor.to_string())
                && key == Some(&given.key)
        });
        match line {
            None => Ok(None),
            Some(line) if line.idempotency.as_ref() == Some(given) => {
                Ok(Some(line.journal.subject.clone()))
            }
            Some(_) => Err(StoreError::KeyReused {
                key: given.key.clone(),
            }),
        }
    }

    pub(super) fn client_by_email(
        &self,
        clinic: ClinicId,
        indexes: &[[u8; 32]],
    ) -> Option<&Client> {
        let mut found = self.indexes.iter().filter_map(|((of, id), all)| {
            let is_found = all
                .iter()
                .filter_map(|one| one.hash)
                .any(|hash| indexes.contains(&hash));
            match id {
                PersonId::Client(id) if *of == clinic.0 && is_found => Some(id.0),
                _ => None,
            }
        });
        self.clients.get(&(clinic.0, found.next()?))
    }

    pub(super) fn add_dek(&mut self, clinic: ClinicId, dek: &WrappedDek) -> Result<(), StoreError> {
        let key = (clinic.0, dek.owner, dek.generation);
        if self.deks.contains_key(&key) {
            return Err(refused("dek"));
        }
        self.deks.insert(key, dek.clone());
        Ok(())
    }

    pub(super) fn person(
        &mut self,
        clinic: ClinicId,
        id: PersonId,
    ) -> Option<&mut Option<SealedPerson>> {
        let key = (clinic.0, id.uuid());
        match id {
            PersonId::Therapist(_) => self.therapists.get_mut(&key).map(|row| &mut row.person),
            PersonId::Client(_) => self.clients.get_mut(&key).map(|row| &mut row.person),
        }
    }

    /// The generation that somebody is sealed under.
    pub(super) fn generation_in_use(&self, clinic: ClinicId, owner: Uuid) -> Option<u32> {
        let key = (clinic.0, owner);
        let client = self.clients.get(&key).map(|row| &row.person);
        let person = client.or_else(|| self.therapists.get(&key).map(|row| &row.person))?;
        person.as_ref().map(|person| person.generation)
    }

    /// The account in view agrees with its entries.
    pub(super) fn believe(&self, clinic: ClinicId, view: &View) -> Result<(), StoreError> {
        let Some(account) = &view.account else {
            return Ok(());
        };
        let mut entries: Vec<Entry> = self
            .entries_of(clinic)
            .filter(|entry| entry.account == account.id())
            .cloned()
            .collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
        believe(account.clone(), entries).map(|_| ())
    }

    pub(super) fn meter(&self, clinic: ClinicId) -> Vec<Metered> {
        let mut kinds: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let lines = self.journal.iter().filter(|line| line.clinic == clinic);
        let lines = lines.map(|line| (line.journal.kind.to_owned(), line.rows));
        let messages = self.outbox.iter().filter(|row| row.clinic == clinic);
        let messages = messages.map(|row| (row.message.notification.kind.to_string(), row.rows));
        for (kind, rows) in lines.chain(messages) {
            let sums = kinds.entry(kind).or_default();
            *sums = (sums.0 + 1, sums.1 + rows);
        }
        let metered = kinds.into_iter().map(|(kind, (commands, rows))| Metered {
            kind,
            commands,
            rows,
        });
        metered.collect()
    }
}
