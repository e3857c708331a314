//! The tables, and what they refuse.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use clinic::zone_data::{Planned, ZoneMove};
use clinic::{
    Actor, BlindIndex, Change, Client, ClinicId, Commit, Happened, Journal, Message, MessageState,
    Notification, PersonId, Plan, Reason, Recipient, Role, SealedPerson, Service, StoredSecret,
    Subject, Subscription, Therapist, View, WrappedDek, journal_chain,
};
use ledger_core::{Account, AccountId, Entry, ReasonCode};
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
    /// By clinic, owner and generation.
    pub(super) deks: BTreeMap<(Uuid, Uuid, u32), WrappedDek>,
    /// By clinic and person.
    pub(super) indexes: BTreeMap<(Uuid, PersonId), Vec<BlindIndex>>,
    pub(super) therapists: Table<Therapist>,
    pub(super) clients: Table<Client>,
    pub(super) services: Table<Service>,
    pub(super) plans: Table<Plan>,
    /// By clinic and code. Nothing here takes one out.
    reasons: BTreeMap<(Uuid, ReasonCode), Reason>,
    pub(super) subscriptions: Table<Subscription>,
    /// By clinic, role and id.
    pub(super) feeds: BTreeMap<(Uuid, &'static str, Uuid), StoredSecret>,
    pub(super) intents: Table<Intent>,
    pub(super) sessions: Table<Session>,
    pub(super) accounts: Table<Account>,
    /// Nothing here takes an entry out or changes one.
    entries: Vec<(ClinicId, Entry)>,
    /// Nor a line of the journal.
    journal: Vec<Line>,
    pub(super) outbox: Vec<Row>,
    /// In the order of their generations, from 1 on.
    pub(super) zone_data: Vec<Planned>,
    pub(super) zone_moves: BTreeMap<(Uuid, u64, Uuid), ZoneMove>,
}

#[derive(Debug, Clone)]
struct Line {
    clinic: ClinicId,
    at: DateTime<Utc>,
    actor: Actor,
    idempotency: Option<Idempotency>,
    journal: Journal,
    rows: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) clinic: ClinicId,
    pub(super) message: Message,
    rows: u64,
}

fn refused(constraint: &str) -> StoreError {
    StoreError::Constraint {
        constraint: constraint.to_owned(),
    }
}

fn missing() -> StoreError {
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

    /// Writes a commit, and tells how many rows that took, and which messages were leased.
    pub(super) fn apply(
        &mut self,
        request: &Request,
        commit: &Commit,
    ) -> Result<(u64, Vec<Message>), StoreError> {
        let uncounted = commit.journal.is_none();
        let (mut rows, mut leased) = (0, Vec::new());
        for change in &commit.changes {
            let counted = if uncounted { rows + 1 } else { 0 };
            rows += self.change(request, change, counted, &mut leased)?;
        }
        if let Some(journal) = &commit.journal {
            rows += 1;
            self.journal.push(Line {
                clinic: request.clinic,
                at: request.at,
                actor: request.actor,
                idempotency: request.idempotency.clone(),
                journal: journal.clone(),
                rows,
            });
        }
        Ok((rows, leased))
    }

    fn change(
        &mut self,
        request: &Request,
        change: &Change,
        counted: u64,
        leased: &mut Vec<Message>,
    ) -> Result<u64, StoreError> {
        let clinic = request.clinic;
        match change {
            Change::NewDek(dek) => self.add_dek(clinic, dek).map(|()| 1),
            Change::Person { id, person } => self.set_person(clinic, *id, person).map(|()| 1),
            Change::Indexes(id, indexes) => self.set_indexes(clinic, *id, indexes),
            Change::LegalHold(client, held) => {
                let row = self.clients.get_mut(&(clinic.0, client.0));
                row.ok_or_else(missing)?.legal_hold = *held;
                Ok(1)
            }
            Change::Revoke(id) => {
                let before = self.tokens.len();
                self.tokens.retain(|token| {
                    let whose = match token.role {
                        Role::Therapist(id) => Some(PersonId::Therapist(id)),
                        Role::Client(id) => Some(PersonId::Client(id)),
                        Role::Admin | Role::Operator => None,
                    };
                    token.clinic != clinic || whose != Some(*id)
                });
                Ok(u64::try_from(before - self.tokens.len()).unwrap_or(u64::MAX))
            }
            Change::Line(journal) => {
                self.journal.push(Line {
                    clinic,
                    at: request.at,
                    actor: request.actor,
                    idempotency: None,
                    journal: journal.clone(),
                    rows: 1,
                });
                Ok(0)
            }
            Change::Erase(id) => {
                if let PersonId::Client(id) = id
                    && let Some(client) = self.clients.get_mut(&(clinic.0, id.0))
                {
                    (client.clear_zone, client.therapist) = (None, None);
                }
                *self.person(clinic, *id).ok_or_else(missing)? = None;
                let indexes = self.indexes.remove(&(clinic.0, *id)).unwrap_or_default();
                let before = self.deks.len() + indexes.len();
                self.deks
                    .retain(|key, _| (key.0, key.1) != (clinic.0, id.uuid()));
                Ok(1 + u64::try_from(before - self.deks.len()).unwrap_or(u64::MAX))
            }
            Change::Therapist(therapist) => {
                let id = PersonId::Therapist(therapist.id);
                self.check_person(clinic, id, therapist.person.as_ref())?;
                insert(&mut self.therapists, clinic, therapist.id.0, therapist)
            }
            Change::WorkingTimes(therapist) => {
                replace(&mut self.therapists, clinic, therapist.id.0, therapist)
            }
            Change::Feed(whose, secret) => {
                let key = (clinic.0, whose.role(), whose.id());
                match secret {
                    Some(secret) => {
                        let mut others = self.feeds.iter().filter(|(other, _)| **other != key);
                        if others.any(|(_, taken)| taken.hash == secret.hash) {
                            return Err(refused("feed_hash"));
                        }
                        self.feeds.insert(key, *secret);
                        Ok(1)
                    }
                    None => Ok(u64::from(self.feeds.remove(&key).is_some())),
                }
            }
            Change::Client(client) => {
                let id = PersonId::Client(client.id);
                self.check_person(clinic, id, client.person.as_ref())?;
                let account = Account::open(AccountId(client.id.0));
                Ok(insert(&mut self.clients, clinic, client.id.0, client)?
                    + insert(&mut self.accounts, clinic, client.id.0, &account)?)
            }
            Change::Service(service) => insert(&mut self.services, clinic, service.id.0, service),
            Change::Plan(plan) => insert(&mut self.plans, clinic, plan.id.0, plan),
            Change::Reason(reason) => {
                let key = (clinic.0, reason.code.clone());
                match self.reasons.insert(key, reason.clone()) {
                    None => Ok(1),
                    Some(_) => Err(refused("primary_key")),
                }
            }
            Change::NewSubscription(new) => {
                insert(&mut self.subscriptions, clinic, new.client.0, new)
            }
            Change::Subscription(changed) => {
                replace(&mut self.subscriptions, clinic, changed.client.0, changed)
            }
            Change::NewIntent(intent) => insert(&mut self.intents, clinic, intent.id.0, intent),
            Change::Intent(intent) => replace(&mut self.intents, clinic, intent.id.0, intent),
            Change::NewSession(session) => {
                self.check_session(clinic, session)?;
                insert(&mut self.sessions, clinic, session.id.0, session)
            }
            Change::Session(session) | Change::Rebound(session) => {
                self.check_session(clinic, session)?;
                replace(&mut self.sessions, clinic, session.id.0, session)
            }
            Change::Ledger { account, entries } => self.append(clinic, account, entries),
            Change::Notify(told) => Ok(self.notify(request, told, counted, leased)),
            Change::ZoneMove(moved) => {
                let key = (clinic.0, moved.generation, moved.session.0);
                match self.zone_moves.insert(key, moved.clone()) {
                    None => Ok(1),
                    Some(_) => Err(refused("primary_key")),
                }
            }
            Change::Message(message) => {
                let mut rows = self.outbox.iter_mut();
                let row = rows.find(|row| row.clinic == clinic && row.message.seq == message.seq);
                let row = row.ok_or_else(|| StoreError::corrupt("row", "no such message"))?;
                row.message = message.clone();
                row.rows += counted;
                Ok(1)
            }
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

    fn person(&mut self, clinic: ClinicId, id: PersonId) -> Option<&mut Option<SealedPerson>> {
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

    /// Replaces the version before.
    pub(super) fn set_person(
        &mut self,
        clinic: ClinicId,
        id: PersonId,
        new: &SealedPerson,
    ) -> Result<(), StoreError> {
        self.check_person(clinic, id, Some(new))?;
        let stored = self.person(clinic, id);
        let stored = stored.filter(|stored| {
            let version = stored.as_ref().map(|person| person.version + 1);
            version == Some(new.version)
        });
        *stored.ok_or_else(|| refused("person_version"))? = Some(new.clone());
        if let PersonId::Client(id) = id
            && let Some(client) = self.clients.get_mut(&(clinic.0, id.0))
        {
            client.clear_zone = None;
        }
        Ok(())
    }

    /// A person is sealed under a key that is there.
    fn check_person(
        &self,
        clinic: ClinicId,
        id: PersonId,
        person: Option<&SealedPerson>,
    ) -> Result<(), StoreError> {
        let Some(person) = person else { return Ok(()) };
        let key = (clinic.0, id.uuid(), person.generation);
        if !self.deks.contains_key(&key) {
            return Err(refused("person_dek"));
        }
        Ok(())
    }

    /// An address is one client's, and one therapist's.
    fn set_indexes(
        &mut self,
        clinic: ClinicId,
        id: PersonId,
        indexes: &[BlindIndex],
    ) -> Result<u64, StoreError> {
        let of = |id: &PersonId| id.role();
        let mut others = self.indexes.iter().filter(|((other, whose), _)| {
            *other == clinic.0 && *whose != id && of(whose) == of(&id)
        });
        let hashes: Vec<_> = indexes.iter().filter_map(|one| one.hash).collect();
        if others.any(|(_, all)| {
            all.iter()
                .filter_map(|one| one.hash)
                .any(|hash| hashes.contains(&hash))
        }) {
            return Err(refused("blind_index_of_address"));
        }
        let before = self
            .indexes
            .insert((clinic.0, id), indexes.to_vec())
            .unwrap_or_default();
        let stays = |one: &&BlindIndex| indexes.iter().any(|new| new.generation == one.generation);
        let gone = before.len() - before.iter().filter(stays).count();
        Ok(u64::try_from(indexes.len() + gone).unwrap_or(u64::MAX))
    }

    /// An occurrence has one session, and live sessions of one person do not overlap.
    fn check_session(&self, clinic: ClinicId, new: &Session) -> Result<(), StoreError> {
        let others = || self.sessions_of(clinic).filter(|other| other.id != new.id);
        if others()
            .any(|other| (other.intent, other.recurrence_id) == (new.intent, new.recurrence_id))
        {
            return Err(refused("session_of_occurrence"));
        }
        let overlaps = |other: &Session| {
            other.state.is_live()
                && (other.therapist == new.therapist || other.client == new.client)
                && other.starts_at < new.ends_at
                && new.starts_at < other.ends_at
        };
        if new.state.is_live() && others().any(overlaps) {
            return Err(refused("session_overlap"));
        }
        Ok(())
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

    fn append(
        &mut self,
        clinic: ClinicId,
        account: &Account,
        entries: &[Entry],
    ) -> Result<u64, StoreError> {
        for entry in entries {
            let taken = self.entries_of(clinic).any(|other| {
                other.key == entry.key
                    || (other.account, other.seq) == (entry.account, entry.seq)
                    || entry
                        .proof()
                        .is_some_and(|proof| other.proof() == Some(proof))
            });
            if taken {
                return Err(refused("ledger_entry"));
            }
            self.entries.push((clinic, entry.clone()));
        }
        let before = self.accounts.get(&(clinic.0, account.id().0));
        let finished = crate::account::finished(before, account)?.is_some();
        let rows = u64::try_from(entries.len()).unwrap_or(u64::MAX) + u64::from(finished);
        Ok(rows + replace(&mut self.accounts, clinic, account.id().0, account)?)
    }

    /// The same thing is told once: a second message with its dedupe key is left out.
    fn notify(
        &mut self,
        request: &Request,
        told: &Notification,
        counted: u64,
        leased: &mut Vec<Message>,
    ) -> u64 {
        let (clinic, key) = (request.clinic, told.dedupe_key());
        let mut rows = self.outbox.iter().filter(|row| row.clinic == clinic);
        if rows.any(|row| row.message.notification.dedupe_key() == key) {
            return 0;
        }
        let may_go = told.due_at <= request.at && !self.is_behind(told, u64::MAX);
        let lease_until = request.lease_until.filter(|_| may_go);
        let message = Message {
            seq: u64::try_from(self.outbox.len()).unwrap_or(u64::MAX) + 1,
            notification: told.clone(),
            state: MessageState::Pending,
            attempts: u32::from(lease_until.is_some()),
            next_due_at: Some(lease_until.unwrap_or(told.due_at)),
            last_error: None,
        };
        if lease_until.is_some() {
            leased.push(message.clone());
        }
        self.outbox.push(Row {
            clinic,
            message,
            rows: counted,
        });
        1
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

fn insert<T: Clone>(
    table: &mut Table<T>,
    clinic: ClinicId,
    id: Uuid,
    row: &T,
) -> Result<u64, StoreError> {
    match table.insert((clinic.0, id), row.clone()) {
        None => Ok(1),
        Some(_) => Err(refused("primary_key")),
    }
}

fn replace<T: Clone>(
    table: &mut Table<T>,
    clinic: ClinicId,
    id: Uuid,
    row: &T,
) -> Result<u64, StoreError> {
    match table.insert((clinic.0, id), row.clone()) {
        Some(_) => Ok(1),
        None => Err(missing()),
    }
}
