//! The plainest store: maps in memory, one writer at a time.
//!
//! It says what the contract means where SQL would hide it. A write works on a copy of everything,
//! which replaces the original at the end or is dropped; a claim looks through all rows. It is for
//! tests and for reading, not for clinics.

mod due;
mod scope;
mod tables;
mod write;
mod zone_data;

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use clinic::scope::{Claim, Job, Position};
use clinic::zone_data::{Outcome, Planned, ZoneMove};
use clinic::{
    BlindIndex, Client, ClinicId, Commit, Conflict, Decision, Idempotent, Message, MessageState,
    PersonId, Plan, PlanId, Quotas, Reason, Recipient, Scope, SealedPerson, Service, Subscription,
    Therapist, WrappedDek, journal_chain,
};
use ledger_core::{Account, Entry, Key, Proof};
use scheduler_core::calendar::near;
use scheduler_core::intent::{Intent, Record};
use scheduler_core::session::{Session, SessionState};
use scheduler_core::{
    ClientId, IntentId, LocalDateTime, ServiceId, SessionId, TherapistId, Window,
};
use uuid::Uuid;

use self::tables::Tables;
use crate::rows::OVER_BEFORE;
use crate::{
    Backlog, Calendar, Claimed, Decide, Feed, Looked, Metered, PAGE_MAX, Page, PersonLine, Request,
    Store, StoreError, Token, Which, Whose, Written,
};

/// A clinic in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
    clock: Option<DateTime<Utc>>,
}

impl MemoryStore {
    /// An empty one, whose own clock always shows `now`: memory has none.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            tables: Mutex::default(),
            clock: Some(now),
        }
    }

    /// A decision that panicked has changed a copy only, so what is behind the lock is whole.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Applies what was decided to a copy, and puts the copy in place.
fn finish(
    tables: &mut Tables,
    request: &Request,
    decided: Decision,
) -> Result<Written, StoreError> {
    let Idempotent::Applied(commit) = decided? else {
        return Ok(Written::Unchanged);
    };
    let mut copy = tables.clone();
    let (rows, leased) = copy.apply(request, &commit)?;
    if request.dry_run {
        return Ok(Written::DryRun(Box::new(commit)));
    }
    *tables = copy;
    let Commit { journal, .. } = commit;
    let subject = journal.map(|line| line.subject);
    Ok(Written::Committed {
        subject,
        rows,
        leased,
    })
}

#[async_trait]
impl Store for MemoryStore {
    async fn write(
        &self,
        request: &Request,
        scope: Scope,
        decide: Decide<'_>,
    ) -> Result<Written, StoreError> {
        let mut tables = self.tables();
        if let Some(subject) = tables.replayed(request)? {
            return Ok(Written::Replayed(subject));
        }
        tables.check_zone_data(request.zone_data, false)?;
        let view = scope::load(&tables, request.clinic, &scope);
        tables.believe(request.clinic, &view)?;
        finish(&mut tables, request, decide(&view))
    }

    async fn look(&self, request: &Request, scope: &Scope) -> Result<Looked, StoreError> {
        let tables = self.tables();
        if let Some(subject) = tables.replayed(request)? {
            return Ok(Looked::Before(subject));
        }
        let view = scope::load(&tables, request.clinic, scope);
        tables.believe(request.clinic, &view)?;
        Ok(Looked::Now(Box::new(view)))
    }

    async fn claim(
        &self,
        claim: &Claim,
        decide: Decide<'_>,
    ) -> Result<Option<Claimed>, StoreError> {
        let mut tables = self.tables();
        tables.check_zone_data(claim.zone_data, true)?;
        let due = tables.due(claim.job, claim.now).into_iter();
        let next = due
            .filter(|(_, position)| Some(*position) > claim.after)
            .min_by_key(|due| due.1);
        let Some((clinic, position)) = next else {
            return Ok(None);
        };
        let view = scope::claimed(&tables, clinic, claim.job, position.id);
        let request = Request::of_claim(clinic, claim);
        let believed = tables.believe(clinic, &view);
        let outcome = believed.and_then(|()| finish(&mut tables, &request, decide(&view)));
        Ok(Some(Claimed {
            clinic,
            position,
            outcome,
        }))
    }

    async fn backlog(&self, job: Job, now: DateTime<Utc>) -> Result<Backlog, StoreError> {
        let all = self.tables().overdue(job, now);
        Ok(Backlog {
            due: u64::try_from(all.len()).unwrap_or(u64::MAX),
            oldest: all.into_iter().map(|(_, at)| at.due_at).min(),
        })
    }

    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(self.clock.unwrap_or_default())
    }

    /// Memory is always under the clock of whoever made it.
    async fn probe_write(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn take_own_clock(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn has_own_clock(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn last_written(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(self.tables().last_written())
    }

    async fn missing_guards(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn journal_end(&self, clinic: ClinicId) -> Result<u64, StoreError> {
        let lines = self.tables().journal_lines(clinic)?;
        Ok(lines.last().map_or(0, |line| line.seq))
    }

    async fn journal_lines(
        &self,
        clinic: ClinicId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<journal_chain::Line>, StoreError> {
        let lines = self.tables().journal_lines(clinic)?.into_iter();
        let lines = lines.filter(|line| line.seq > after);
        Ok(lines.take(usize::try_from(limit).unwrap_or(0)).collect())
    }

    async fn journal_gaps(&self) -> Result<u64, StoreError> {
        Ok(0) // lines are only ever added
    }

    async fn close(&self) {}

    async fn clinics(&self) -> Result<Vec<ClinicId>, StoreError> {
        let tables = self.tables();
        let mut clinics: Vec<Uuid> = tables.tokens.iter().map(|token| token.clinic.0).collect();
        clinics.extend(tables.therapists.keys().map(|(clinic, _)| clinic));
        clinics.extend(tables.clients.keys().map(|(clinic, _)| clinic));
        clinics.sort();
        clinics.dedup();
        Ok(clinics.into_iter().map(ClinicId).collect())
    }

    async fn add_token(&self, token: &Token) -> Result<(), StoreError> {
        self.tables().tokens.push(token.clone());
        Ok(())
    }

    async fn token(&self, hash: [u8; 32]) -> Result<Option<Token>, StoreError> {
        let tables = self.tables();
        let mut tokens = tables.tokens.iter();
        Ok(tokens.find(|token| token.secret.hash == hash).cloned())
    }

    async fn tokens(&self, page: Page) -> Result<Vec<Token>, StoreError> {
        let tables = self.tables();
        let by_id: std::collections::BTreeMap<Uuid, Token> = tables
            .tokens
            .iter()
            .map(|token| (token.id, token.clone()))
            .collect();
        let on_page = by_id.into_values();
        let on_page = on_page.filter(|token| page.after.is_none_or(|after| token.id > after));
        let limit = usize::try_from(page.limit.min(PAGE_MAX)).unwrap_or(0);
        Ok(on_page.take(limit).collect())
    }

    async fn remove_token(&self, id: Uuid) -> Result<bool, StoreError> {
        let tokens = &mut self.tables().tokens;
        let before = tokens.len();
        tokens.retain(|token| token.id != id);
        Ok(tokens.len() < before)
    }

    async fn therapist(
        &self,
        clinic: ClinicId,
        id: TherapistId,
    ) -> Result<Option<Therapist>, StoreError> {
        Ok(self.tables().therapists.get(&(clinic.0, id.0)).cloned())
    }

    async fn therapists(&self, clinic: ClinicId, page: Page) -> Result<Vec<Therapist>, StoreError> {
        Ok(tables::page(
            &self.tables().therapists,
            clinic,
            page,
            |_| true,
        ))
    }

    async fn client(&self, clinic: ClinicId, id: ClientId) -> Result<Option<Client>, StoreError> {
        Ok(self.tables().clients.get(&(clinic.0, id.0)).cloned())
    }

    async fn client_by_email(
        &self,
        clinic: ClinicId,
        indexes: &[[u8; 32]],
    ) -> Result<Option<Client>, StoreError> {
        Ok(self.tables().client_by_email(clinic, indexes).cloned())
    }

    async fn clients(&self, clinic: ClinicId, page: Page) -> Result<Vec<Client>, StoreError> {
        Ok(tables::page(&self.tables().clients, clinic, page, |_| true))
    }

    async fn service(
        &self,
        clinic: ClinicId,
        id: ServiceId,
    ) -> Result<Option<Service>, StoreError> {
        Ok(self.tables().services.get(&(clinic.0, id.0)).cloned())
    }

    async fn services(&self, clinic: ClinicId, page: Page) -> Result<Vec<Service>, StoreError> {
        Ok(tables::page(&self.tables().services, clinic, page, |_| {
            true
        }))
    }

    async fn plan(&self, clinic: ClinicId, id: PlanId) -> Result<Option<Plan>, StoreError> {
        Ok(self.tables().plans.get(&(clinic.0, id.0)).cloned())
    }

    async fn plans(&self, clinic: ClinicId, page: Page) -> Result<Vec<Plan>, StoreError> {
        Ok(tables::page(&self.tables().plans, clinic, page, |_| true))
    }

    async fn reasons(&self, clinic: ClinicId) -> Result<Vec<Reason>, StoreError> {
        Ok(self.tables().reasons(clinic))
    }

    async fn quotas(&self, clinic: ClinicId) -> Result<Quotas, StoreError> {
        Ok(self.tables().quotas(clinic))
    }

    async fn conflict(&self, clinic: ClinicId, id: Uuid) -> Result<Option<Conflict>, StoreError> {
        let conflicts = self.tables().conflicts(clinic);
        Ok(conflicts.into_iter().find(|one| one.id == id))
    }

    async fn conflicts(
        &self,
        clinic: ClinicId,
        only_open: bool,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Conflict>, StoreError> {
        let conflicts = self.tables().conflicts(clinic).into_iter();
        let conflicts = conflicts.filter(|one| one.seq > after);
        let wanted = conflicts.filter(|one| !only_open || one.settled_at.is_none());
        Ok(wanted.take(count(limit.min(PAGE_MAX))).collect())
    }

    async fn subscription(
        &self,
        clinic: ClinicId,
        client: ClientId,
    ) -> Result<Option<Subscription>, StoreError> {
        let tables = self.tables();
        Ok(tables.subscriptions.get(&(clinic.0, client.0)).cloned())
    }

    async fn intent(&self, clinic: ClinicId, id: IntentId) -> Result<Option<Intent>, StoreError> {
        Ok(self.tables().intents.get(&(clinic.0, id.0)).cloned())
    }

    async fn intents(
        &self,
        clinic: ClinicId,
        whose: Whose,
        page: Page,
    ) -> Result<Vec<Intent>, StoreError> {
        let tables = self.tables();
        let of = |intent: &Intent| is_intent_of(intent, whose);
        Ok(tables::page(&tables.intents, clinic, page, of))
    }

    async fn feed(&self, hash: [u8; 32]) -> Result<Option<Feed>, StoreError> {
        let tables = self.tables();
        let found = tables.feeds.iter().find(|(_, known)| known.hash == hash);
        Ok(found.and_then(|((clinic, role, id), secret)| {
            Some(Feed {
                clinic: ClinicId(*clinic),
                whose: Recipient::of_role(role, *id)?,
                secret: *secret,
            })
        }))
    }

    /// Memory files nothing.
    async fn misfiled(&self, _: ClinicId) -> Result<Vec<IntentId>, StoreError> {
        Ok(Vec::new())
    }

    async fn segments(
        &self,
        clinic: ClinicId,
        series: IntentId,
    ) -> Result<Vec<Intent>, StoreError> {
        let tables = self.tables();
        let segments = tables.intents_of(clinic);
        let segments = segments.filter(|intent| intent.series == series);
        Ok(segments.cloned().collect())
    }

    async fn history(&self, clinic: ClinicId, series: IntentId) -> Result<Vec<Record>, StoreError> {
        Ok(self.tables().history(clinic, series))
    }

    async fn session(
        &self,
        clinic: ClinicId,
        id: SessionId,
    ) -> Result<Option<Session>, StoreError> {
        Ok(self.tables().sessions.get(&(clinic.0, id.0)).cloned())
    }

    async fn sessions(
        &self,
        clinic: ClinicId,
        whose: Whose,
        which: Which,
        page: Page,
    ) -> Result<Vec<Session>, StoreError> {
        let of = |session: &Session| {
            is_session_of(session, whose)
                && match which {
                    Which::Live => session.state.is_live(),
                    Which::ToCome { now } => session.starts_at > now && !session.state.is_final(),
                    Which::AttendanceUnknown { now } => {
                        session.state == SessionState::Scheduled && session.ends_at <= now
                    }
                    Which::Open { now } => match session.state {
                        SessionState::Scheduled => session.ends_at <= now,
                        state => {
                            matches!(state, SessionState::Unfunded | SessionState::Missed)
                                || matches!(state, SessionState::Case { .. })
                        }
                    },
                    Which::In(name) => session.state.name() == name,
                }
        };
        Ok(tables::page(&self.tables().sessions, clinic, page, of))
    }

    async fn session_of(
        &self,
        clinic: ClinicId,
        intent: IntentId,
        recurrence_id: LocalDateTime,
    ) -> Result<Option<Session>, StoreError> {
        Ok(self
            .tables()
            .session_of(clinic, intent, recurrence_id)
            .cloned())
    }

    async fn calendar(
        &self,
        clinic: ClinicId,
        whose: Whose,
        window: Window,
    ) -> Result<Calendar, StoreError> {
        let tables = self.tables();
        let intents = tables.intents_of(clinic);
        let (since, until) = (window.start() - OVER_BEFORE, window.end() + OVER_BEFORE);
        let intents = intents.filter(|intent| {
            let is_over = intent.set.over_at().is_some_and(|over| over <= since);
            let has_begun = intent.set.begins_at().is_some_and(|begins| begins < until);
            is_intent_of(intent, whose) && !is_over && has_begun
        });
        let (from, to) = near(window);
        let sessions = tables.sessions_of(clinic).filter(|session| {
            let overlaps = session.starts_at < window.end() && session.ends_at > window.start();
            is_session_of(session, whose)
                && (overlaps || (from..=to).contains(&session.recurrence_id))
        });
        Ok(Calendar {
            intents: intents.cloned().collect(),
            sessions: sessions.cloned().collect(),
        })
    }

    async fn unfinished(
        &self,
        clinic: ClinicId,
        whose: Whose,
        since: DateTime<Utc>,
    ) -> Result<Calendar, StoreError> {
        let tables = self.tables();
        let since = since - OVER_BEFORE;
        let intents = tables.intents_of(clinic).filter(|intent| {
            let is_over = intent.set.over_at().is_some_and(|over| over <= since);
            is_intent_of(intent, whose) && !is_over && intent.set.begins_at().is_some()
        });
        let intents: Vec<Intent> = intents.cloned().collect();
        let is_of = |session: &&Session| intents.iter().any(|one| one.id == session.intent);
        let sessions = tables.sessions_of(clinic).filter(is_of).cloned().collect();
        Ok(Calendar { intents, sessions })
    }

    async fn accounts(&self) -> Result<Vec<(ClinicId, ClientId)>, StoreError> {
        let tables = self.tables();
        let keys = tables.accounts.keys();
        Ok(keys
            .map(|(clinic, id)| (ClinicId(*clinic), ClientId(*id)))
            .collect())
    }

    async fn account(
        &self,
        clinic: ClinicId,
        client: ClientId,
    ) -> Result<Option<Account>, StoreError> {
        Ok(self.tables().accounts.get(&(clinic.0, client.0)).cloned())
    }

    async fn entries(
        &self,
        clinic: ClinicId,
        client: ClientId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let tables = self.tables();
        let entries = tables
            .entries_of(clinic)
            .filter(|entry| entry.account.0 == client.0);
        let entries = entries.filter(|entry| entry.seq > after);
        Ok(entries.take(count(limit)).cloned().collect())
    }

    async fn entry(&self, clinic: ClinicId, key: &Key) -> Result<Option<Entry>, StoreError> {
        let tables = self.tables();
        Ok(tables
            .entries_of(clinic)
            .find(|entry| entry.key == *key)
            .cloned())
    }

    async fn proven(&self, clinic: ClinicId, proof: &Proof) -> Result<Vec<Entry>, StoreError> {
        Ok(scope::entries(&self.tables(), clinic, &[], Some(proof)))
    }

    async fn message(&self, clinic: ClinicId, seq: u64) -> Result<Option<Message>, StoreError> {
        Ok(self.tables().message(clinic, seq).cloned())
    }

    async fn messages(
        &self,
        clinic: ClinicId,
        state: MessageState,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        let tables = self.tables();
        let rows = tables.outbox.iter().filter(|row| row.clinic == clinic);
        let messages = rows.map(|row| &row.message);
        let messages = messages.filter(|message| message.state == state && message.seq > after);
        Ok(messages.take(count(limit.min(PAGE_MAX))).cloned().collect())
    }

    async fn deks(&self, clinic: ClinicId, owners: &[Uuid]) -> Result<Vec<WrappedDek>, StoreError> {
        let tables = self.tables();
        let deks = tables.deks.iter().filter(|(key, _)| {
            let (of, owner, _) = **key;
            of == clinic.0 && owners.contains(&owner)
        });
        Ok(deks.map(|(_, dek)| dek.clone()).collect())
    }

    async fn indexes(&self, clinic: ClinicId, id: PersonId) -> Result<Vec<BlindIndex>, StoreError> {
        let tables = self.tables();
        Ok(tables
            .indexes
            .get(&(clinic.0, id))
            .cloned()
            .unwrap_or_default())
    }

    async fn lacks_index(&self, generation: u32) -> Result<bool, StoreError> {
        let tables = self.tables();
        let lacks = |clinic: &Uuid, id: PersonId| {
            let indexes = tables.indexes.get(&(*clinic, id));
            !indexes.is_some_and(|all| all.iter().any(|one| one.generation == generation))
        };
        let mut clients = tables.clients.iter();
        let mut therapists = tables.therapists.iter();
        Ok(clients.any(|((clinic, _), row)| {
            row.person.is_some() && lacks(clinic, PersonId::Client(row.id))
        }) || therapists.any(|((clinic, _), row)| {
            row.person.is_some() && lacks(clinic, PersonId::Therapist(row.id))
        }))
    }

    async fn person_lines(
        &self,
        clinic: ClinicId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<PersonLine>, StoreError> {
        Ok(self.tables().person_lines(clinic, after, limit))
    }

    async fn newest_deks(&self, limit: u32) -> Result<Vec<(ClinicId, WrappedDek)>, StoreError> {
        let tables = self.tables();
        let deks = tables.deks.iter();
        let mut deks: Vec<_> = deks
            .map(|((clinic, ..), dek)| (ClinicId(*clinic), dek.clone()))
            .collect();
        deks.sort_by_key(|(_, dek)| std::cmp::Reverse(dek.created_at));
        deks.truncate(count(limit));
        Ok(deks)
    }

    async fn keep_key_fingerprint(&self, ours: [u8; 32]) -> Result<[u8; 32], StoreError> {
        Ok(*self.tables().key_fingerprint.get_or_insert(ours))
    }

    async fn dek_owners(&self, clinic: ClinicId, page: Page) -> Result<Vec<Uuid>, StoreError> {
        let tables = self.tables();
        let owners = tables.deks.keys().filter(|key| key.0 == clinic.0);
        let mut owners: Vec<Uuid> = owners.map(|key| key.1).collect();
        owners.dedup();
        owners.retain(|owner| Some(*owner) > page.after);
        owners.truncate(count(page.limit.min(PAGE_MAX)));
        Ok(owners)
    }

    async fn add_dek(&self, clinic: ClinicId, dek: &WrappedDek) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let of_owner = |key: &&(Uuid, Uuid, u32)| (key.0, key.1) == (clinic.0, dek.owner);
        if tables.deks.keys().find(of_owner).is_none() {
            return Ok(false);
        }
        Ok(tables.add_dek(clinic, dek).is_ok())
    }

    async fn rewrap_dek(
        &self,
        clinic: ClinicId,
        dek: &WrappedDek,
        wrapped: &[u8],
    ) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let stored = tables.deks.get_mut(&(clinic.0, dek.owner, dek.generation));
        let Some(stored) = stored.filter(|stored| stored.wrapped == dek.wrapped) else {
            return Ok(false);
        };
        stored.wrapped = wrapped.to_vec();
        Ok(true)
    }

    async fn drop_deks(
        &self,
        clinic: ClinicId,
        owner: Uuid,
        below: u32,
    ) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let named = tables.generation_in_use(clinic, owner);
        let before = tables.deks.len();
        tables.deks.retain(|(of, whose, generation), _| {
            let older = (*of, *whose) == (clinic.0, owner) && *generation < below;
            !older || named == Some(*generation)
        });
        Ok(u64::try_from(before - tables.deks.len()).unwrap_or(u64::MAX))
    }

    async fn reseal(
        &self,
        clinic: ClinicId,
        id: PersonId,
        person: &SealedPerson,
    ) -> Result<bool, StoreError> {
        match self.tables().set_person(clinic, id, person) {
            Ok(()) => Ok(true),
            Err(StoreError::Constraint { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn scrub(&self) -> Result<Vec<&'static str>, StoreError> {
        Ok(Vec::new())
    }

    async fn zone_data(&self, generation: Option<u64>) -> Result<Option<Planned>, StoreError> {
        Ok(self.tables().generation(generation).cloned())
    }

    async fn take_over(&self, next: &Planned) -> Result<bool, StoreError> {
        Ok(self.tables().take_over(next))
    }

    async fn settle_zone_data(
        &self,
        generation: u64,
        at: DateTime<Utc>,
        outcome: &Outcome,
    ) -> Result<bool, StoreError> {
        Ok(self.tables().settle(generation, at, *outcome))
    }

    async fn zone_moves(
        &self,
        clinic: ClinicId,
        generation: u64,
        page: Page,
    ) -> Result<Vec<ZoneMove>, StoreError> {
        Ok(self.tables().moves(clinic, generation, page))
    }

    async fn meter(&self, clinic: ClinicId) -> Result<Vec<Metered>, StoreError> {
        Ok(self.tables().meter(clinic))
    }
}

fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn is_intent_of(intent: &Intent, whose: Whose) -> bool {
    match whose {
        Whose::Clinic => true,
        Whose::Therapist(id) => intent.therapist == id,
        Whose::Client(id) => intent.client == id,
        Whose::Intent(id) => intent.id == id,
    }
}

fn is_session_of(session: &Session, whose: Whose) -> bool {
    match whose {
        Whose::Clinic => true,
        Whose::Therapist(id) => session.therapist == id,
        Whose::Client(id) => session.client == id,
        Whose::Intent(id) => session.intent == id,
    }
}

/// Where a row stands in the order of claims.
fn position(due_at: DateTime<Utc>, id: u128) -> Position {
    Position { due_at, id }
}
