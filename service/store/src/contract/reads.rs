//! Reads: everything comes back as it went in, page by page, to whoever it belongs to.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use clinic::{
    Address, Change, Client, ClinicId, LeftOver, MessageState, Notification, NotificationKind,
    Plan, PlanId, Recipient, Role, Scope, Subscription, Term, View,
};
use ledger_core::{CarryOver, Credits, Expiry};
use scheduler_core::session::{CaseReason, Party, Session, SessionState};
use scheduler_core::{ClientId, GapPolicy, IntentId, TherapistId, Window};
use uuid::Uuid;

use super::fixture::{ALL, Fixture, committing, id, now, sealed, stored};
use crate::{Page, Store, Token, Which, Whose};

/// To the microsecond, with every variant of every column.
pub async fn everything_comes_back_as_it_went(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let of = clinic.principal.clinic;
    let instants: Vec<DateTime<Utc>> = [
        "1900-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00.000001Z",
        "2000-01-01T00:00:00Z",
        "2026-03-29T01:00:00.123456Z",
        "2099-12-31T23:59:59.999999Z",
    ]
    .iter()
    .map(|text| text.parse().unwrap())
    .collect();
    let states = [
        SessionState::Scheduled,
        SessionState::Unfunded,
        SessionState::Case {
            reason: CaseReason::Overlap,
        },
        SessionState::Completed,
        SessionState::Cancelled {
            by: Party::Therapist,
            late: true,
            with_intent: true,
        },
        SessionState::Missed,
    ];
    for (number, (at, state)) in (0..).zip(instants.iter().zip(states)) {
        let mut intent = clinic.intent(100 + number);
        intent.done_through = *at;
        intent.next_due_at = Some(*at);
        intent.version = u64::from(u32::MAX) + 7;
        intent.series = IntentId(id(100));
        intent.set = intent.set.with_gap_policy(GapPolicy::Omit);
        let local = "2026-03-09T18:00:00".parse().unwrap();
        let moved = scheduler_core::intent::Command::Reschedule {
            recurrence_id: local,
            to: "2026-03-10T09:30:00".parse().unwrap(),
        };
        let known = std::collections::BTreeSet::new();
        match scheduler_core::intent::decide(&intent, &moved, &known, now()).unwrap() {
            scheduler_core::Idempotent::Applied(event) => {
                intent = scheduler_core::intent::evolve(intent, &event);
            }
            scheduler_core::Idempotent::AlreadyApplied => panic!("nothing moved"),
        }
        let mut session = clinic.session(&intent, 0);
        (session.starts_at, session.ends_at) = (*at, *at + TimeDelta::microseconds(1));
        (session.state, session.next_due_at) = (state, Some(*at));
        (session.slot_version, session.hold_generation) = (u32::from(u16::MAX), 3);
        let told = Notification {
            moves: Vec::new(),
            kind: NotificationKind::Reminder { minutes: 60 },
            session: session.id,
            slot_version: 3,
            recipient: Recipient::Therapist(session.therapist),
            due_at: *at,
        };
        let rows = vec![
            Change::NewIntent(intent.clone()),
            Change::NewSession(session.clone()),
            Change::Notify(told.clone()),
        ];
        clinic.commit(rows).await.unwrap();
        let stored = clinic.store.intent(of, intent.id).await.unwrap();
        assert_eq!(stored, Some(intent.clone()));
        let stored = clinic.store.session(of, session.id).await.unwrap();
        assert_eq!(stored, Some(session.clone()));
        let found = clinic
            .store
            .session_of(of, intent.id, session.recurrence_id)
            .await;
        assert_eq!(found.unwrap(), Some(session));
        let pending = clinic
            .store
            .messages(of, MessageState::Pending, 0, 200)
            .await
            .unwrap();
        let message = pending.last().unwrap();
        assert_eq!(message.notification, told);
        assert_eq!((message.next_due_at, message.attempts), (Some(*at), 0));
        let same = clinic.store.message(of, message.seq).await.unwrap();
        assert_eq!(same.as_ref(), Some(message));
    }
    let client = clinic
        .store
        .client(of, clinic.clients[0])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(client.therapist, Some(clinic.therapists[0]));
    assert_eq!(client.person, Some(sealed(client.id.0, 1, 1)));
    let service = clinic
        .store
        .service(of, clinic.service)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((service.minutes, service.price.minor), (50, 6500));
    let plan = Plan {
        id: PlanId(id(700)),
        name: "Four; a month\u{1F300}".to_owned(),
        service: clinic.service,
        credits: Credits(4),
        price: service.price,
        left_over: LeftOver {
            expiry: Expiry::PeriodEnd,
            rollover: CarryOver::AtMost(Credits(1)),
            carry_over: CarryOver::All,
            late_days: 3,
        },
        retired_at: None,
    };
    let mut subscription = Subscription {
        client: clinic.clients[0],
        terms: vec![Term {
            from: now() + TimeDelta::microseconds(1),
            zone: "Pacific/Apia".parse().unwrap(),
            plan: Some(plan.id),
        }],
        version: 1,
    };
    let rows = vec![
        Change::Plan(plan.clone()),
        Change::NewSubscription(subscription.clone()),
    ];
    clinic.commit(rows).await.unwrap();
    (subscription.version, subscription.terms[0].plan) = (2, None);
    let changed = Change::Subscription(subscription.clone());
    clinic.commit(vec![changed]).await.unwrap();
    let listed = clinic.store.plans(of, ALL).await.unwrap();
    let shown = clinic.store.plan(of, plan.id).await.unwrap();
    assert_eq!((listed, shown), (vec![plan.clone()], Some(plan)));
    let stored = clinic.store.subscription(of, clinic.clients[0]).await;
    assert_eq!(stored.unwrap(), Some(subscription));
    let therapist = clinic
        .store
        .therapist(of, clinic.therapists[0])
        .await
        .unwrap();
    let (person, id) = (therapist.unwrap().person, clinic.therapists[0].0);
    assert_eq!(person, Some(sealed(id, 1, 1)));
}

/// Whoever pages through a list sees each row once that was there at the start, and none twice.
pub async fn pages_are_stable_while_others_write(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let of = clinic.principal.clinic;
    let client = |number: u128| {
        Change::Client(Client {
            id: ClientId(id(number)),
            person: None,
            legal_hold: false,
            clear_zone: None,
            therapist: None,
        })
    };
    let at_first: Vec<u128> = (0..40).map(|number| 1000 + number * 10).collect();
    clinic
        .commit(at_first.iter().copied().map(client).collect())
        .await
        .unwrap();

    let (mut seen, mut after) = (Vec::<Uuid>::new(), Some(id(999)));
    for round in 0.. {
        let page = Page { after, limit: 7 };
        let clients = clinic.store.clients(of, page).await.unwrap();
        let Some(last) = clients.last() else { break };
        after = Some(last.id.0);
        seen.extend(clients.iter().map(|client| client.id.0));
        // New rows before and behind the place, and a change of one that was listed.
        clinic
            .commit(vec![client(1001 + round * 10), client(1399 - round)])
            .await
            .unwrap();
    }
    let once: BTreeSet<Uuid> = seen.iter().copied().collect();
    assert_eq!(once.len(), seen.len(), "a row was listed twice");
    assert!(
        at_first.iter().all(|number| once.contains(&id(*number))),
        "a row was lost"
    );
    assert!(seen.is_sorted());
    let limited = Page {
        after: None,
        limit: u32::MAX,
    };
    assert!(clinic.store.clients(of, limited).await.unwrap().len() <= 200);
}

pub async fn lists_hold_what_they_are_asked_for(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let of = clinic.principal.clinic;
    let mine = clinic.intent(100);
    let mut theirs = clinic.intent(101);
    (theirs.therapist, theirs.client) = (clinic.therapists[1], clinic.clients[1]);
    let mut rows = vec![
        Change::NewIntent(mine.clone()),
        Change::NewIntent(theirs.clone()),
    ];
    let over = clinic.session(&mine, -100);
    let running = clinic.session(&mine, -20);
    let ahead = clinic.session(&mine, 500);
    let mut unfunded = clinic.session(&theirs, 500);
    unfunded.state = SessionState::Unfunded;
    let mut done = clinic.session(&theirs, -100);
    done.state = SessionState::Completed;
    // Moved far away from where its rule put it.
    let mut moved = clinic.session(&theirs, 600);
    (moved.starts_at, moved.ends_at) = (
        moved.starts_at + TimeDelta::days(30),
        moved.ends_at + TimeDelta::days(30),
    );
    let sessions = [&over, &running, &ahead, &unfunded, &done, &moved];
    rows.extend(sessions.map(|session| Change::NewSession(session.clone())));
    clinic.commit(rows).await.unwrap();

    let ids = |sessions: &[Session]| -> BTreeSet<_> {
        sessions.iter().map(|session| session.id).collect()
    };
    let listed = async |whose, which| {
        let sessions = clinic.store.sessions(of, whose, which, ALL).await.unwrap();
        assert!(sessions.is_sorted_by_key(|session| session.id));
        ids(&sessions)
    };
    let set = |sessions: &[&Session]| -> BTreeSet<_> {
        sessions.iter().map(|session| session.id).collect()
    };
    let unknown = Which::AttendanceUnknown { now: now() };
    let live = set(&[&over, &running, &ahead, &unfunded, &moved]);
    assert_eq!(listed(Whose::Clinic, Which::Live).await, live);
    assert_eq!(listed(Whose::Clinic, unknown).await, set(&[&over]));
    let of_mine = set(&[&over, &running, &ahead]);
    assert_eq!(
        listed(Whose::Therapist(mine.therapist), Which::Live).await,
        of_mine
    );
    assert_eq!(
        listed(Whose::Client(mine.client), Which::Live).await,
        of_mine
    );
    assert_eq!(listed(Whose::Intent(mine.id), Which::Live).await, of_mine);
    assert_eq!(
        listed(Whose::Therapist(theirs.therapist), unknown).await,
        set(&[])
    );

    // A window shows what overlaps it, and what its rule put near it.
    let window = |from: i64, to: i64| {
        let at = |minutes| now() + TimeDelta::minutes(minutes);
        Window::new(at(from), at(to)).unwrap()
    };
    let shown = async |whose, window| {
        let calendar = clinic.store.calendar(of, whose, window).await.unwrap();
        (ids(&calendar.sessions), calendar.intents.len())
    };
    let (sessions, intents) = shown(Whose::Clinic, window(-30, 0)).await;
    assert!(sessions.contains(&running.id) && intents == 2);
    let (sessions, intents) = shown(Whose::Client(theirs.client), window(600, 650)).await;
    assert!(sessions.contains(&moved.id) && !sessions.contains(&ahead.id) && intents == 1);
    let a_month_on = 30 * 24 * 60 + 600;
    let (sessions, _) = shown(
        Whose::Therapist(theirs.therapist),
        window(a_month_on, a_month_on + 1),
    )
    .await;
    assert_eq!(sessions, set(&[&moved]));
    let intents = clinic
        .store
        .intents(of, Whose::Therapist(mine.therapist), ALL)
        .await
        .unwrap();
    assert_eq!(intents, [mine]);
}

pub async fn a_clinic_sees_its_own(store: Arc<dyn Store>) {
    let ours = Fixture::open(store.clone()).await;
    let other = ClinicId(id(9999));
    let before = ours.dump().await;
    let theirs = Fixture::open_as(store.clone(), other, 50_000).await;
    let mut intent = theirs.intent(60_000);
    intent.next_due_at = Some(now());
    let session = theirs.session(&intent, 60);
    let told = Notification::to_client(NotificationKind::Scheduled, &session, now());
    let rows = vec![
        Change::NewIntent(intent.clone()),
        Change::NewSession(session.clone()),
        Change::Notify(told),
    ];
    theirs.commit(rows).await.unwrap();
    assert_eq!(ours.dump().await, before);
    let clinic = ours.principal.clinic;
    assert_eq!(store.intent(clinic, intent.id).await.unwrap(), None);
    assert_eq!(store.session(clinic, session.id).await.unwrap(), None);
    assert_eq!(store.client(clinic, theirs.clients[0]).await.unwrap(), None);
    let seq = store
        .messages(other, MessageState::Pending, 0, 1)
        .await
        .unwrap()[0]
        .seq;
    assert_eq!(store.message(clinic, seq).await.unwrap(), None);
    let mut clinics = store.clinics().await.unwrap();
    clinics.sort_by_key(|clinic| clinic.0);
    let mut both = vec![clinic, other];
    both.sort_by_key(|clinic| clinic.0);
    assert_eq!(clinics, both);
    // Nor does a decision of one clinic.
    let scope = Scope::Occurrence {
        address: Address::Occurrence(intent.id, session.recurrence_id),
        around: None,
        history: false,
    };
    let empty = |view: &View| {
        assert!(view.intent.is_none() && view.session.is_none());
        committing(Vec::new())
    };
    store
        .write(&ours.request(), scope, Box::new(empty))
        .await
        .unwrap();
}

pub async fn tokens_stand_for_principals(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let roles = [
        Role::Admin,
        Role::Operator,
        Role::Therapist(TherapistId(id(2))),
        Role::Client(ClientId(id(4))),
    ];
    let mut made = Vec::new();
    for (number, role) in (10..).zip(roles) {
        let ends_at = (number > 11).then(|| now() + TimeDelta::days(1));
        let token = Token {
            id: id(u128::from(number)),
            secret: stored(number),
            clinic: clinic.principal.clinic,
            role,
            created_at: now(),
            ends_at,
        };
        clinic.store.add_token(&token).await.unwrap();
        let found = clinic.store.token([number; 32]).await.unwrap();
        assert_eq!(found.as_ref(), Some(&token));
        made.push(token);
    }
    assert_eq!(clinic.store.token([0xff; 32]).await.unwrap(), None);

    let page = |after, limit| Page { after, limit };
    let listed = clinic.store.tokens(page(Some(id(9)), 3)).await.unwrap();
    assert_eq!(listed, made[..3]);
    let rest = clinic.store.tokens(page(Some(id(12)), 3)).await.unwrap();
    assert!(rest.starts_with(&made[3..]), "{rest:?}");
    assert!(clinic.store.remove_token(id(11)).await.unwrap());
    assert!(!clinic.store.remove_token(id(11)).await.unwrap());
    assert_eq!(clinic.store.token([11; 32]).await.unwrap(), None);
    let listed = clinic.store.tokens(page(Some(id(9)), 3)).await.unwrap();
    assert_eq!(listed.len(), 3);
}

/// A decision on an occurrence sees its intent, its session, the parties, the account, and what is
/// in the way; one on a grant the sessions that wait for it.
pub async fn scopes_show_what_decisions_need(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let mut intent = clinic.intent(100);
    intent.next_due_at = Some(now());
    let mut same_client = clinic.intent(101);
    same_client.therapist = clinic.therapists[1];
    let mut ended = clinic.intent(102);
    ended.next_due_at = None;
    let session = clinic.session(&intent, 60);
    let mut waits = clinic.session(&intent, 600);
    waits.state = SessionState::Unfunded;
    let mut waits_longer = clinic.session(&same_client, 60 * 24);
    waits_longer.state = SessionState::Unfunded;
    let rows = vec![
        Change::NewIntent(intent.clone()),
        Change::NewIntent(same_client),
        Change::NewIntent(ended),
        Change::NewSession(waits_longer.clone()),
        Change::NewSession(session.clone()),
        Change::NewSession(waits.clone()),
    ];
    clinic.commit(rows).await.unwrap();
    let look = async |scope: Scope| {
        let mut seen = None;
        let decide = |view: &View| {
            seen = Some(view.clone());
            Ok(clinic::Idempotent::AlreadyApplied)
        };
        let request = clinic.request();
        clinic
            .store
            .write(&request, scope, Box::new(decide))
            .await
            .unwrap();
        seen.unwrap()
    };
    let waiting = [waits, waits_longer];

    let seen = look(Scope::Occurrence {
        address: Address::Session(session.id),
        around: None,
        history: false,
    })
    .await;
    assert_eq!(
        (seen.intent, &seen.session),
        (Some(intent.clone()), &Some(session.clone()))
    );
    assert_eq!(seen.therapist.unwrap().id, intent.therapist);
    assert_eq!(seen.client.unwrap().id, intent.client);
    assert_eq!(seen.service.unwrap().id, intent.service);
    assert_eq!(seen.account.unwrap().id().0, intent.client.0);
    assert_eq!(seen.waiting, waiting);

    let window = Window::new(now(), now() + TimeDelta::days(2)).unwrap();
    let seen = look(Scope::Booking {
        therapist: intent.therapist,
        client: intent.client,
        service: intent.service,
        window,
    })
    .await;
    let pending: Vec<IntentId> = seen.intents.iter().map(|intent| intent.id).collect();
    assert_eq!(pending, [intent.id], "the others mean nothing virtual");
    assert_eq!(seen.sessions.len(), 3);

    let seen = look(Scope::Account {
        client: intent.client,
        service: Some(intent.service),
        keys: vec![ledger_core::Key::manual_grant(id(1))],
        proof: None,
    })
    .await;
    assert_eq!(seen.waiting, waiting);
    assert!(seen.entries.is_empty());
    assert!(seen.service.is_some() && seen.client.is_some() && seen.account.is_some());
}

/// The meter's sum is the sum of what the writes said, and each is what was written.
pub async fn the_meter_counts_every_row(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let rows = async |kind: &str| {
        let metered = clinic.store.meter(clinic.principal.clinic).await.unwrap();
        let of_kind = metered.iter().find(|line| line.kind == kind);
        of_kind.map_or((0, 0), |line| (line.commands, line.rows))
    };
    let (commands, before) = rows("tested").await;
    let intent = clinic.intent(100);
    let session = clinic.session(&intent, 60);
    let told = Notification::to_client(NotificationKind::Scheduled, &session, now());
    let written = clinic
        .commit(vec![
            Change::NewIntent(intent.clone()),
            Change::NewSession(session.clone()),
            Change::Notify(told.clone()),
        ])
        .await
        .unwrap();
    assert!(matches!(written, crate::Written::Committed { rows: 4, .. }));
    assert_eq!(rows("tested").await, (commands + 1, before + 4));
    // A message that the journal counts counts nothing itself; one that it does not carries its
    // commit's rows.
    assert_eq!(rows("session_scheduled").await, (1, 0));
    let reminder = NotificationKind::Reminder { minutes: 60 };
    let told = Notification::to_client(reminder, &session, now());
    let decide = move |_: &View| {
        Ok(clinic::Idempotent::Applied(clinic::Commit {
            journal: None,
            changes: vec![Change::Session(session), Change::Notify(told)],
        }))
    };
    let scope = Scope::New { therapist: None };
    let written = clinic
        .store
        .write(&clinic.request(), scope, Box::new(decide))
        .await;
    let two = crate::Written::Committed {
        subject: None,
        rows: 2,
        leased: Vec::new(),
    };
    assert_eq!(written.unwrap(), two);
    assert_eq!(rows("session_reminder/60").await, (1, 2));
}

/// What the migrations made is there.
pub async fn a_migrated_store_lacks_no_guard(store: Arc<dyn Store>) {
    let missing = store.missing_guards().await.unwrap();
    assert_eq!(missing, Vec::<String>::new());
}
