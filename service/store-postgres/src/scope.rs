//! Loading what a decision sees.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use clinic::credit::session_keys;
use clinic::{Address, ClinicId, Message, PersonId, Recipient, Scope, View};
use scheduler_core::intent::Intent;
use scheduler_core::session::Session;
use scheduler_core::{ClientId, LocalDateTime, ServiceId, TherapistId, Window};
use sqlx::postgres::PgConnection;
use store::{PAGE_MAX, Page, StoreError, Which, Whose};
use uuid::Uuid;

use crate::{conflicts, ledger, outbox, people, plans, quotas, reasons, schedule};

pub(crate) async fn load(
    db: &mut PgConnection,
    clinic: ClinicId,
    scope: &Scope,
) -> Result<View, StoreError> {
    let mut view = of(db, clinic, scope).await?;
    if scope.takes_reason() {
        view.reasons = reasons::own(db, clinic).await?;
    }
    Ok(view)
}

async fn of(db: &mut PgConnection, clinic: ClinicId, scope: &Scope) -> Result<View, StoreError> {
    match scope {
        Scope::New { therapist } => Ok(View {
            therapist: match therapist {
                Some(id) => people::therapist(db, clinic, *id).await?,
                None => None,
            },
            ..View::default()
        }),
        Scope::Booking {
            therapist,
            client,
            service,
            window,
        } => {
            let mut view = View::default();
            parties(db, clinic, &mut view, *therapist, *client, *service).await?;
            view.account = ledger::believed(db, clinic, *client).await?;
            in_the_way(db, clinic, &mut view, *therapist, *client, *window).await?;
            Ok(view)
        }
        Scope::Occurrence {
            address,
            around,
            history,
        } => {
            let (intent, session) = resolve(db, clinic, *address).await?;
            let Some(intent) = intent else {
                return Ok(View::default());
            };
            let mut view = occurrence(db, clinic, intent, session).await?;
            if let (true, Some(intent)) = (history, &view.intent) {
                view.records = schedule::records(db, clinic, intent.series).await?;
            }
            if let (Some(window), Some(intent)) = (around, &view.intent) {
                let (therapist, client) = (intent.therapist, intent.client);
                in_the_way(db, clinic, &mut view, therapist, client, *window).await?;
            }
            Ok(view)
        }
        Scope::Waiver(session) => {
            let (intent, session) = resolve(db, clinic, Address::Session(*session)).await?;
            match intent {
                Some(intent) => occurrence(db, clinic, intent, session).await,
                None => Ok(View::default()),
            }
        }
        Scope::Reasons => Ok(View::default()),
        Scope::Conflict(id) => Ok(View {
            conflict: conflicts::one(db, clinic, *id).await?,
            ..View::default()
        }),
        Scope::Quotas => Ok(View {
            quotas: quotas::of(db, clinic).await?,
            ..View::default()
        }),
        Scope::Series {
            intent,
            therapist,
            window,
            history,
        } => {
            let Some(intent) = schedule::intent(db, clinic, *intent).await? else {
                return Ok(View::default());
            };
            let mut view = series(db, clinic, intent, *therapist, *window).await?;
            if let (true, Some(intent)) = (history, &view.intent) {
                view.records = schedule::records(db, clinic, intent.series).await?;
            }
            Ok(view)
        }
        Scope::Registration { therapist, email } => Ok(View {
            therapist: match therapist {
                Some(id) => people::therapist(db, clinic, *id).await?,
                None => None,
            },
            email_of: email_of(db, clinic, email).await?,
            ..View::default()
        }),
        Scope::Person { id, email } => {
            let mut view = View {
                email_of: email_of(db, clinic, email).await?,
                ..View::default()
            };
            match id {
                PersonId::Therapist(id) => {
                    view.therapist = people::therapist(db, clinic, *id).await?;
                }
                PersonId::Client(id) => view.client = people::client(db, clinic, *id).await?,
            }
            Ok(view)
        }
        Scope::Erasure { client, now } => erasure(db, clinic, *client, *now).await,
        Scope::Offer { service, plan } => {
            let mut view = View::default();
            if let Some(service) = service {
                view.service = people::service(db, clinic, *service).await?;
            }
            if let Some(plan) = plan {
                view.plan = plans::plan(db, clinic, *plan).await?;
            }
            Ok(view)
        }
        Scope::Assignment { client, therapist } => Ok(View {
            client: people::client(db, clinic, *client).await?,
            therapist: match therapist {
                Some(id) => people::therapist(db, clinic, *id).await?,
                None => None,
            },
            ..View::default()
        }),
        Scope::Account {
            client,
            service,
            keys,
            proof,
        } => {
            let mut view = account(db, clinic, *client).await?;
            if let Some(service) = service {
                view.service = people::service(db, clinic, *service).await?;
            }
            view.entries = ledger::entries_of(db, clinic, keys).await?;
            if let Some(proof) = proof {
                view.entries
                    .extend(ledger::proven(db, clinic, proof).await?);
            }
            Ok(view)
        }
        Scope::Subscription { client, plan } => {
            let mut view = account(db, clinic, *client).await?;
            view.subscription = plans::subscription(db, clinic, *client).await?;
            if let Some(plan) = plan {
                view.plan = plans::plan(db, clinic, *plan).await?;
            }
            Ok(view)
        }
        Scope::Month {
            client,
            starts_at,
            proof,
        } => {
            let mut view = account(db, clinic, *client).await?;
            view.subscription = plans::subscription(db, clinic, *client).await?;
            if let Some(subscription) = &view.subscription
                && let Some(month) = subscription.month_starting(*starts_at)
            {
                view.plan = plans::plan(db, clinic, month.plan).await?;
                view.entries = ledger::entries_of(db, clinic, &subscription.keys(&month)).await?;
            }
            view.entries
                .extend(ledger::proven(db, clinic, proof).await?);
            Ok(view)
        }
        Scope::Message(seq) => match outbox::locked(db, clinic, *seq).await? {
            Some(message) => about(db, clinic, message).await,
            None => Ok(View::default()),
        },
    }
}

/// Whose an e-mail address is.
async fn email_of(
    db: &mut PgConnection,
    clinic: ClinicId,
    indexes: &[[u8; 32]],
) -> Result<Option<ClientId>, StoreError> {
    let found = people::client_by_email(db, clinic, indexes).await?;
    Ok(found.map(|client| client.id))
}

/// What is seen of a client who is to be erased.
async fn erasure(
    db: &mut PgConnection,
    clinic: ClinicId,
    client: ClientId,
    now: DateTime<Utc>,
) -> Result<View, StoreError> {
    let mut view = account(db, clinic, client).await?;
    let whose = Whose::Client(client);
    let page = |after: Option<Uuid>| Page {
        after,
        limit: PAGE_MAX,
    };
    let mut after = None;
    loop {
        let intents = schedule::intents(db, clinic, whose, page(after)).await?;
        let Some(last) = intents.last() else { break };
        after = Some(last.id.0);
        view.intents.extend(intents);
    }
    let (which, mut after) = (Which::ToCome { now }, None);
    loop {
        let sessions = schedule::page(db, clinic, whose, which, page(after)).await?;
        let Some(last) = sessions.last() else { break };
        after = Some(last.id.0);
        view.sessions.extend(sessions);
    }
    view.subscription = plans::subscription(db, clinic, client).await?;
    view.pending = outbox::pending_to(db, clinic, Recipient::Client(client)).await?;
    view.tokens = people::tokens_of(db, clinic, PersonId::Client(client)).await?;
    view.has_feed = people::has_feed(db, clinic, PersonId::Client(client)).await?;
    Ok(view)
}

/// What is seen of an account, whatever is done to it.
pub(crate) async fn account(
    db: &mut PgConnection,
    clinic: ClinicId,
    client: ClientId,
) -> Result<View, StoreError> {
    Ok(View {
        client: people::client(db, clinic, client).await?,
        account: ledger::believed(db, clinic, client).await?,
        waiting: schedule::unfunded(db, clinic, client).await?,
        ..View::default()
    })
}

/// The view of a message: with the session it is about.
pub(crate) async fn about(
    db: &mut PgConnection,
    clinic: ClinicId,
    message: Message,
) -> Result<View, StoreError> {
    Ok(View {
        session: schedule::session(db, clinic, message.notification.session).await?,
        message: Some(message),
        ..View::default()
    })
}

/// The view of a session that somebody is to be told something about.
pub(crate) fn followed(session: Session) -> View {
    View {
        session: Some(session),
        ..View::default()
    }
}

/// The view of one occurrence: its intent, its session, the parties, the account with the entries
/// of the session's keys, and the intent's sessions that the planner has to know.
pub(crate) async fn occurrence(
    db: &mut PgConnection,
    clinic: ClinicId,
    intent: Intent,
    session: Option<Session>,
) -> Result<View, StoreError> {
    let mut view = View {
        sessions: own_sessions(db, clinic, &intent).await?,
        ..View::default()
    };
    parties(
        db,
        clinic,
        &mut view,
        intent.therapist,
        intent.client,
        intent.service,
    )
    .await?;
    view.account = ledger::believed(db, clinic, intent.client).await?;
    view.waiting = schedule::unfunded(db, clinic, intent.client).await?;
    if let Some(session) = &session {
        view.entries = ledger::entries_of(db, clinic, &session_keys(session)).await?;
    }
    view.intent = Some(intent);
    view.session = session;
    Ok(view)
}

/// The view of a series that is to be edited at one of its segments.
async fn series(
    db: &mut PgConnection,
    clinic: ClinicId,
    intent: Intent,
    therapist: Option<TherapistId>,
    window: Window,
) -> Result<View, StoreError> {
    let mut view = View::default();
    let (client, service) = (intent.client, intent.service);
    let therapist = therapist.unwrap_or(intent.therapist);
    parties(db, clinic, &mut view, therapist, client, service).await?;
    view.account = ledger::believed(db, clinic, client).await?;
    view.waiting = schedule::unfunded(db, clinic, client).await?;
    in_the_way(db, clinic, &mut view, therapist, client, window).await?;
    for segment in schedule::segments(db, clinic, intent.series).await? {
        let own = schedule::sessions_from(db, clinic, segment.id, LocalDateTime::MIN).await?;
        add_sessions(&mut view, own);
        view.segments.push(segment);
    }
    view.segments.retain(|segment| segment.id != intent.id);
    let to_come = view.sessions.iter().filter(|session| {
        session.client == client && session.ends_at > window.start() && !session.state.is_final()
    });
    let keys: Vec<_> = to_come.flat_map(session_keys).collect();
    view.entries = ledger::entries_of(db, clinic, &keys).await?;
    view.intent = Some(intent);
    Ok(view)
}

/// The view of a due intent: an occurrence's, with the live sessions in the planner's way.
pub(crate) async fn due_intent(
    db: &mut PgConnection,
    clinic: ClinicId,
    intent: Intent,
) -> Result<View, StoreError> {
    let (therapist, client) = (intent.therapist, intent.client);
    let after = intent.done_through;
    let mut view = occurrence(db, clinic, intent, None).await?;
    let live = schedule::live_after(db, clinic, therapist, client, after).await?;
    add_sessions(&mut view, live);
    Ok(view)
}

async fn own_sessions(
    db: &mut PgConnection,
    clinic: ClinicId,
    intent: &Intent,
) -> Result<Vec<Session>, StoreError> {
    schedule::sessions_from(db, clinic, intent.id, intent.sessions_known_from()).await
}

async fn resolve(
    db: &mut PgConnection,
    clinic: ClinicId,
    address: Address,
) -> Result<(Option<Intent>, Option<Session>), StoreError> {
    let session = match address {
        Address::Session(id) => schedule::session(db, clinic, id).await?,
        Address::Occurrence(intent, at) => schedule::session_of(db, clinic, intent, at).await?,
    };
    let intent = match (&session, address) {
        (Some(session), _) => session.intent,
        (None, Address::Occurrence(intent, _)) => intent,
        (None, Address::Session(_)) => return Ok((None, None)),
    };
    Ok((schedule::intent(db, clinic, intent).await?, session))
}

async fn parties(
    db: &mut PgConnection,
    clinic: ClinicId,
    view: &mut View,
    therapist: TherapistId,
    client: ClientId,
    service: ServiceId,
) -> Result<(), StoreError> {
    (view.therapist, view.client, view.service) =
        people::parties(db, clinic, therapist, client, service).await?;
    Ok(())
}

/// Adds everything of therapist and client that can stand in the way in the window.
async fn in_the_way(
    db: &mut PgConnection,
    clinic: ClinicId,
    view: &mut View,
    therapist: TherapistId,
    client: ClientId,
    window: Window,
) -> Result<(), StoreError> {
    view.services = people::all_services(db, clinic).await?;
    view.quotas = quotas::of(db, clinic).await?;
    view.intents = schedule::pending_intents(db, clinic, therapist, client).await?;
    let sessions = schedule::sessions_in_way(db, clinic, therapist, client, window).await?;
    add_sessions(view, sessions);
    Ok(())
}

/// Adds sessions that are not in view yet.
fn add_sessions(view: &mut View, more: Vec<Session>) {
    let mut sessions: BTreeMap<_, _> = std::mem::take(&mut view.sessions)
        .into_iter()
        .map(|session| (session.id, session))
        .collect();
    sessions.extend(more.into_iter().map(|session| (session.id, session)));
    view.sessions = sessions.into_values().collect();
}
