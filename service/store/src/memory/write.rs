//! Applying a commit to the tables.

use clinic::{
    BlindIndex, Change, ClinicId, Commit, Message, MessageState, Notification, PersonId, Role,
    SealedPerson,
};
use ledger_core::{Account, AccountId, Entry};
use scheduler_core::session::Session;
use uuid::Uuid;

use crate::{Request, StoreError};

use super::tables::{Line, Row, Table, Tables, missing, refused};

impl Tables {
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
            Change::Assigned(client, therapist) => {
                let key = (clinic.0, client.0);
                let row = self.clients.get_mut(&key);
                let row = row.ok_or_else(|| StoreError::corrupt("row", "no such client"))?;
                row.therapist = *therapist;
                Ok(1)
            }
            Change::ServiceTerms(service) => {
                replace(&mut self.services, clinic, service.id.0, service)
            }
            Change::Retired(plan, at) => {
                let row = self.plans.get_mut(&(clinic.0, plan.0));
                let row = row.ok_or_else(|| StoreError::corrupt("row", "no such plan"))?;
                row.retired_at = Some(*at);
                Ok(1)
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
            Change::Quotas(quotas) => {
                self.quotas.insert(clinic.0, *quotas);
                Ok(1)
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
