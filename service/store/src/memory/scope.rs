//! What a decision sees.

use clinic::credit::session_keys;
use clinic::scope::Job;
use clinic::{Address, ClinicId, Recipient, Role, Scope, View};
use ledger_core::{Key, Proof};
use scheduler_core::calendar::near;
use scheduler_core::intent::Intent;
use scheduler_core::session::{Session, SessionState};
use scheduler_core::{ClientId, IntentId, ServiceId, SessionId, TherapistId, Window};
use uuid::Uuid;

use super::tables::Tables;
use crate::rows::is_kept;

pub(super) fn load(tables: &Tables, clinic: ClinicId, scope: &Scope) -> View {
    let mut view = of(tables, clinic, scope);
    if scope.takes_reason() {
        view.reasons = tables.reasons(clinic);
    }
    view
}

fn of(tables: &Tables, clinic: ClinicId, scope: &Scope) -> View {
    match scope {
        Scope::New { therapist } => View {
            therapist: therapist.and_then(|id| tables.therapists.get(&(clinic.0, id.0)).cloned()),
            ..View::default()
        },
        Scope::Booking {
            therapist,
            client,
            service,
            window,
        } => {
            let mut view = parties(tables, clinic, *therapist, *client, *service);
            view.account = tables.accounts.get(&(clinic.0, client.0)).cloned();
            in_the_way(tables, clinic, &mut view, *therapist, *client, *window);
            view
        }
        Scope::Occurrence {
            address,
            around,
            history,
        } => {
            let Some((intent, session)) = resolve(tables, clinic, *address) else {
                return View::default();
            };
            let mut view = occurrence(tables, clinic, &intent, session);
            if *history {
                view.records = tables.history(clinic, intent.series);
            }
            if let Some(window) = around {
                let (therapist, client) = (intent.therapist, intent.client);
                in_the_way(tables, clinic, &mut view, therapist, client, *window);
            }
            view
        }
        Scope::Waiver(session) => match resolve(tables, clinic, Address::Session(*session)) {
            Some((intent, session)) => occurrence(tables, clinic, &intent, session),
            None => View::default(),
        },
        Scope::Reasons => View::default(),
        Scope::Conflict(id) => View {
            conflict: tables
                .conflicts(clinic)
                .into_iter()
                .find(|one| one.id == *id),
            ..View::default()
        },
        Scope::Quotas => View {
            quotas: tables.quotas(clinic),
            ..View::default()
        },
        Scope::Series {
            intent,
            therapist,
            window,
            history,
        } => match tables.intents.get(&(clinic.0, intent.0)) {
            None => View::default(),
            Some(intent) => {
                let mut view = series(tables, clinic, intent, *therapist, *window);
                if *history {
                    view.records = tables.history(clinic, intent.series);
                }
                view
            }
        },
        Scope::Registration { therapist, email } => View {
            therapist: therapist.and_then(|id| tables.therapists.get(&(clinic.0, id.0)).cloned()),
            email_of: email_of(tables, clinic, email),
            ..View::default()
        },
        Scope::Person { id, email } => {
            let key = (clinic.0, id.uuid());
            View {
                therapist: tables.therapists.get(&key).cloned(),
                client: tables.clients.get(&key).cloned(),
                email_of: email_of(tables, clinic, email),
                ..View::default()
            }
        }
        Scope::Erasure { client, now } => {
            let mut view = account(tables, clinic, *client);
            let intents = tables.intents_of(clinic);
            view.intents = intents
                .filter(|one| one.client == *client)
                .cloned()
                .collect();
            let sessions = tables
                .sessions_of(clinic)
                .filter(|one| one.client == *client);
            let to_come = sessions.filter(|one| one.starts_at > *now && !one.state.is_final());
            view.sessions = to_come.cloned().collect();
            view.subscription = tables.subscriptions.get(&(clinic.0, client.0)).cloned();
            view.pending = tables.pending_to(clinic, Recipient::Client(*client));
            let role = Role::Client(*client);
            let tokens = tables.tokens.iter();
            let tokens = tokens.filter(|token| token.clinic == clinic && token.role == role);
            view.tokens = u64::try_from(tokens.count()).unwrap_or(u64::MAX);
            let feed = (clinic.0, "client", client.0);
            view.has_feed = tables.feeds.contains_key(&feed);
            view
        }
        Scope::Offer { service, plan } => View {
            service: service.and_then(|id| tables.services.get(&(clinic.0, id.0)).cloned()),
            plan: plan.and_then(|id| tables.plans.get(&(clinic.0, id.0)).cloned()),
            ..View::default()
        },
        Scope::Assignment { client, therapist } => View {
            client: tables.clients.get(&(clinic.0, client.0)).cloned(),
            therapist: therapist.and_then(|id| tables.therapists.get(&(clinic.0, id.0)).cloned()),
            ..View::default()
        },
        Scope::Account {
            client,
            service,
            keys,
            proof,
        } => View {
            service: service.and_then(|id| tables.services.get(&(clinic.0, id.0)).cloned()),
            entries: entries(tables, clinic, keys, proof.as_ref()),
            ..account(tables, clinic, *client)
        },
        Scope::Subscription { client, plan } => View {
            plan: plan.and_then(|id| tables.plans.get(&(clinic.0, id.0)).cloned()),
            subscription: tables.subscriptions.get(&(clinic.0, client.0)).cloned(),
            ..account(tables, clinic, *client)
        },
        Scope::Month {
            client,
            starts_at,
            proof,
        } => {
            let subscription = tables.subscriptions.get(&(clinic.0, client.0));
            let month =
                subscription.and_then(|known| Some((known, known.month_starting(*starts_at)?)));
            let keys = month.map(|(known, month)| known.keys(&month));
            View {
                plan: month
                    .and_then(|(_, month)| tables.plans.get(&(clinic.0, month.plan.0)).cloned()),
                subscription: subscription.cloned(),
                entries: entries(tables, clinic, &keys.unwrap_or_default(), Some(proof)),
                ..account(tables, clinic, *client)
            }
        }
        Scope::Message(seq) => about(tables, clinic, *seq),
    }
}

/// What the decision about a claimed row sees.
pub(super) fn claimed(tables: &Tables, clinic: ClinicId, job: Job, id: u128) -> View {
    let uuid = Uuid::from_u128(id);
    match job {
        Job::Materialize => match tables.intents.get(&(clinic.0, uuid)) {
            Some(intent) => due_intent(tables, clinic, intent),
            None => View::default(),
        },
        Job::Fund => match resolve(tables, clinic, Address::Session(SessionId(uuid))) {
            Some((intent, session)) => occurrence(tables, clinic, &intent, session),
            None => View::default(),
        },
        Job::Expire => account(tables, clinic, ClientId(uuid)),
        Job::Remind | Job::AskAttendance => View {
            session: tables.sessions.get(&(clinic.0, uuid)).cloned(),
            ..View::default()
        },
        Job::Dispatch => about(tables, clinic, u64::try_from(id).unwrap_or(0)),
    }
}

fn email_of(tables: &Tables, clinic: ClinicId, indexes: &[[u8; 32]]) -> Option<ClientId> {
    let found = tables.client_by_email(clinic, indexes);
    found.map(|client| client.id)
}

/// What is seen of an account, whatever is done to it.
fn account(tables: &Tables, clinic: ClinicId, client: ClientId) -> View {
    View {
        client: tables.clients.get(&(clinic.0, client.0)).cloned(),
        account: tables.accounts.get(&(clinic.0, client.0)).cloned(),
        waiting: waiting(tables, clinic, client),
        ..View::default()
    }
}

fn about(tables: &Tables, clinic: ClinicId, seq: u64) -> View {
    let message = tables.message(clinic, seq);
    let session = message.and_then(|message| {
        let id = message.notification.session;
        tables.sessions.get(&(clinic.0, id.0))
    });
    View {
        message: message.cloned(),
        session: session.cloned(),
        ..View::default()
    }
}

fn due_intent(tables: &Tables, clinic: ClinicId, intent: &Intent) -> View {
    let mut view = occurrence(tables, clinic, intent, None);
    let live = tables.sessions_of(clinic).filter(|session| {
        let theirs = session.therapist == intent.therapist || session.client == intent.client;
        theirs && session.state.is_live() && session.ends_at > intent.done_through
    });
    add_sessions(&mut view, live);
    view
}

fn occurrence(
    tables: &Tables,
    clinic: ClinicId,
    intent: &Intent,
    session: Option<Session>,
) -> View {
    let keys = session.as_ref().map(session_keys).unwrap_or_default();
    let own = own_sessions(tables, clinic, intent);
    View {
        account: tables.accounts.get(&(clinic.0, intent.client.0)).cloned(),
        entries: entries(tables, clinic, &keys, None),
        waiting: waiting(tables, clinic, intent.client),
        sessions: own,
        intent: Some(intent.clone()),
        session,
        ..parties(
            tables,
            clinic,
            intent.therapist,
            intent.client,
            intent.service,
        )
    }
}

fn series(
    tables: &Tables,
    clinic: ClinicId,
    intent: &Intent,
    therapist: Option<TherapistId>,
    window: Window,
) -> View {
    let (client, service) = (intent.client, intent.service);
    let therapist = therapist.unwrap_or(intent.therapist);
    let mut view = View {
        intent: Some(intent.clone()),
        account: tables.accounts.get(&(clinic.0, client.0)).cloned(),
        waiting: waiting(tables, clinic, client),
        ..parties(tables, clinic, therapist, client, service)
    };
    in_the_way(tables, clinic, &mut view, therapist, client, window);
    let others = tables
        .intents_of(clinic)
        .filter(|other| other.series == intent.series);
    view.segments = others
        .filter(|other| other.id != intent.id)
        .cloned()
        .collect();
    let segments: Vec<IntentId> = view.segments.iter().map(|other| other.id).collect();
    let own = tables
        .sessions_of(clinic)
        .filter(|session| session.intent == intent.id || segments.contains(&session.intent));
    add_sessions(&mut view, own);
    let to_come = view.sessions.iter().filter(|session| {
        session.client == client && session.ends_at > window.start() && !session.state.is_final()
    });
    let keys: Vec<Key> = to_come.flat_map(session_keys).collect();
    view.entries = entries(tables, clinic, &keys, None);
    view
}

fn own_sessions(tables: &Tables, clinic: ClinicId, intent: &Intent) -> Vec<Session> {
    let from = intent.sessions_known_from();
    let own = tables
        .sessions_of(clinic)
        .filter(|session| session.intent == intent.id);
    own.filter(|session| session.recurrence_id >= from)
        .cloned()
        .collect()
}

fn resolve(
    tables: &Tables,
    clinic: ClinicId,
    address: Address,
) -> Option<(Intent, Option<Session>)> {
    let session = match address {
        Address::Session(id) => Some(tables.sessions.get(&(clinic.0, id.0))?),
        Address::Occurrence(intent, at) => tables.session_of(clinic, intent, at),
    };
    let intent = match (session, address) {
        (Some(session), _) => session.intent,
        (None, Address::Occurrence(intent, _)) => intent,
        (None, Address::Session(_)) => return None,
    };
    let intent = tables.intents.get(&(clinic.0, intent.0))?;
    Some((intent.clone(), session.cloned()))
}

fn parties(
    tables: &Tables,
    clinic: ClinicId,
    therapist: TherapistId,
    client: ClientId,
    service: ServiceId,
) -> View {
    View {
        therapist: tables.therapists.get(&(clinic.0, therapist.0)).cloned(),
        client: tables.clients.get(&(clinic.0, client.0)).cloned(),
        service: tables.services.get(&(clinic.0, service.0)).cloned(),
        ..View::default()
    }
}

fn in_the_way(
    tables: &Tables,
    clinic: ClinicId,
    view: &mut View,
    therapist: TherapistId,
    client: ClientId,
    window: Window,
) {
    let pending = tables.intents_of(clinic).filter(|intent| {
        let theirs = intent.therapist == therapist || intent.client == client;
        theirs && (intent.next_due_at.is_some() || is_kept(&intent.set))
    });
    view.intents = pending.cloned().collect();
    view.quotas = tables.quotas(clinic);
    let services = tables.services.iter().filter(|(key, _)| key.0 == clinic.0);
    view.services = services.map(|(_, service)| service.clone()).collect();
    let (from, to) = near(window);
    let of_theirs = |id: IntentId| {
        let intent = tables.intents.get(&(clinic.0, id.0));
        intent.is_some_and(|one| one.therapist == therapist || one.client == client)
    };
    let sessions = tables.sessions_of(clinic).filter(|session| {
        let overlaps = session.starts_at < window.end() && session.ends_at > window.start();
        let theirs = session.therapist == therapist || session.client == client;
        let near = (from..=to).contains(&session.recurrence_id) && of_theirs(session.intent);
        (theirs && overlaps) || near
    });
    add_sessions(view, sessions);
}

/// Adds sessions that are not in view yet.
fn add_sessions<'a>(view: &mut View, more: impl Iterator<Item = &'a Session>) {
    for session in more {
        if view.sessions.iter().all(|known| known.id != session.id) {
            view.sessions.push(session.clone());
        }
    }
}

fn waiting(tables: &Tables, clinic: ClinicId, client: ClientId) -> Vec<Session> {
    let unfunded = tables
        .sessions_of(clinic)
        .filter(|session| session.client == client && session.state == SessionState::Unfunded);
    let mut waiting: Vec<Session> = unfunded.cloned().collect();
    waiting.sort_by_key(|session| (session.starts_at, session.id));
    waiting
}

pub(super) fn entries(
    tables: &Tables,
    clinic: ClinicId,
    keys: &[Key],
    proof: Option<&Proof>,
) -> Vec<ledger_core::Entry> {
    let is_on = |entry: &&ledger_core::Entry| {
        let stored = entry.proof();
        proof.is_some_and(|proof| stored.is_some_and(|(stored, _)| stored == *proof))
    };
    let entries = tables.entries_of(clinic);
    entries
        .filter(|entry| keys.contains(&entry.key) || is_on(entry))
        .cloned()
        .collect()
}
