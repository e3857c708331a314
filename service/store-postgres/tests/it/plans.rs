//! The work of every operation is proportional to what it is about, never to what exists: in a
//! database of a million standing bookings no plan reads a whole table.

use std::time::Instant;

use chrono::TimeDelta;
use clinic::account::{ByHand, by_hand};
use clinic::scope::{Claim, Job};
use clinic::{
    Address, Change, Idempotent, MessageState, Notification, NotificationKind, Scope, View,
    notification,
};
use ledger_core::{Account, AccountId, Command, Credits, Evidence, Key, Source, decide, evolve};
use scheduler_core::session::SessionState;
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{SessionId, Window};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;
use store::{Idempotency, Page, Store, Which, Whose, Written};
use store_postgres::PostgresStore;
use uuid::Uuid;

use crate::practice::*;
use crate::races::settle;

/// PostgreSQL may change to a plan that suits any values after the fifth execution.
const ROUNDS: u8 = 12;
/// No step of a plan reads more rows than this, and none reads so many to leave them out.
const ROWS_MAX: u64 = 2_000;

fn session_id(n: u128) -> SessionId {
    SessionId(Uuid::from_u128(0x5000_0000 + n))
}

async fn run(plain: &PgPool, sql: &str) {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    sql.execute(plain).await.unwrap();
}

/// Fills the database, and has every plan logged from the next connection on.
async fn fill(store: &PostgresStore, plain: &PgPool) {
    put(store, vec![Change::Service(service())]).await.unwrap();
    let parts: Vec<&str> = include_str!("plans.sql").split("-- PART\n").collect();
    run(plain, parts[0]).await;
    // An account as it is stored, for every client.
    let nobody = Uuid::nil().to_string();
    let snapshot = empty_account(scheduler_core::ClientId(Uuid::nil()));
    let genesis = snapshot.head().hash;
    let snapshot = serde_json::to_string(&snapshot).unwrap();
    // What `ledger_core::genesis` hashes: each field after its length.
    let own = "encode(sha256('\\x0000001a'::bytea || 'standing.ledger.genesis.v1'::bytea
               || '\\x00000010'::bytea || uuid_send(id)), 'hex')";
    let accounts = format!(
        "INSERT INTO account SELECT clinic_id, id, 0,
             replace(replace('{snapshot}', '{nobody}', id::text), '{genesis}', {own})::json,
             noon() + INTERVAL '9 days'
         FROM client;"
    );
    let rest = parts[2].to_owned() + &accounts + &with_credits();
    tokio::join!(run(plain, parts[1]), run(plain, &rest));
    run(plain, "ANALYZE").await;
    let database = "DO $$ BEGIN EXECUTE format(
        'ALTER DATABASE %1$I SET auto_explain.log_min_duration = 0;
         ALTER DATABASE %1$I SET auto_explain.log_analyze = on;
         ALTER DATABASE %1$I SET auto_explain.log_timing = off;
         ALTER DATABASE %1$I SET auto_explain.log_nested_statements = on;
         ALTER DATABASE %1$I SET auto_explain.log_format = text', current_database()); END $$";
    run(plain, database).await;
}

/// The accounts that are looked at have a credit each. The first hundred are due.
fn with_credits() -> String {
    let mut sql = String::new();
    for n in 0..1_100 {
        let due = now() + TimeDelta::days(if n < 100 { 0 } else { 9 });
        let id = AccountId(client_id(n).0);
        let grant = Command::Grant {
            key: Key::manual_grant(Uuid::from_u128(n + 10_000)),
            service: ledger_core::ServiceId(SERVICE.0),
            amount: Credits::ONE,
            source: Source::Goodwill,
            evidence: Evidence::Manual {
                actor: admin().identity(),
                reason: "goodwill".parse().unwrap(),
            },
            effective_at: due - TimeDelta::days(30),
            expires_at: Some(due),
        };
        let granted = decide(&Account::open(id), &[], &grant, now()).unwrap();
        let entry = &granted.applied().unwrap()[0];
        let account = evolve(Account::open(id), entry).unwrap();
        let [body, snapshot] = [
            serde_json::to_string(&entry.body),
            serde_json::to_string(&account.unfinished()),
        ]
        .map(Result::unwrap);
        sql += &format!(
            "INSERT INTO ledger_entry (clinic_id, account_id, seq, key, body, effective_at,
                 recorded_at, prev_hash, hash)
             VALUES (clinic(), '{id}', 1, '{}', '{body}', '{}', '{}', '\\x{}', '\\x{}');
             UPDATE account SET version = 1, snapshot = '{snapshot}', next_due_at = '{due}'
             WHERE client_id = '{id}';",
            entry.key, entry.effective_at, entry.recorded_at, entry.prev_hash, entry.hash,
        );
    }
    sql
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_operation_reads_a_whole_table() {
    let Ok(log) = cluster().log() else {
        println!("the server's log is not ours to read: plans are not checked");
        return;
    };
    let _alone = MEASURING.lock().await;
    let url = cluster().database().await.unwrap();
    let plain = PgPool::connect_lazy(&url).unwrap();
    let begun = Instant::now();
    fill(&PostgresStore::open(&url, 1).await.unwrap(), &plain).await;
    let filled = begun.elapsed();

    // One connection, so that every round executes the same prepared statements.
    let store = PostgresStore::open(&url, 1).await.unwrap();
    for round in 0..ROUNDS {
        read(&store, u128::from(round)).await;
        write(&store, round).await;
        tick(&store).await;
    }
    store.close().await;
    let log = std::fs::read_to_string(log).unwrap();
    let plans = checked(&log);
    println!(
        "{plans} plans in a database of 1,000,000 intents: filled in {filled:.1?}, all in {:.1?}",
        begun.elapsed()
    );
    assert!(plans > 50 * u32::from(ROUNDS), "{plans} plans were logged");
}

/// How many plans the log holds. Panics at the first that reads more than it should.
fn checked(log: &str) -> u32 {
    let tables = [
        "intent",
        "session",
        "journal",
        "ledger_entry",
        "outbox",
        "client",
        "account",
        "subscription",
        "feed",
    ];
    let (mut plans, mut generic) = (0, false);
    for plan in log.split("Query Text:").skip(1) {
        let plan = plan.split_once("\n2").map_or(plan, |(plan, _)| plan);
        plans += 1;
        generic |= plan.contains("Index Cond: ((clinic_id = $1)");
        for line in plan.lines() {
            let whole = tables.iter().any(|table| {
                let scan = line.split_once("Seq Scan on ").map(|(_, of)| of);
                scan.is_some_and(|of| of.split(' ').next() == Some(*table))
            });
            let left_out = line.trim().strip_prefix("Rows Removed by Filter: ");
            let given = line.split_once("(actual rows=").map(|(_, rows)| rows);
            let given = given.and_then(|rows| rows.split(' ').next());
            let most = left_out.into_iter().chain(given);
            let most = most.map(|rows| rows.parse().unwrap()).max().unwrap_or(0);
            assert!(!whole && most <= ROWS_MAX, "{line}\nof{plan}");
        }
    }
    assert!(generic, "no plan that suits any values was made");
    plans
}

async fn read(store: &PostgresStore, n: u128) {
    let page = Page {
        after: None,
        limit: 50,
    };
    let (therapist, client) = (therapist_id(n), client_id(n));
    let week = Window::new(now(), now() + TimeDelta::days(7)).unwrap();
    assert_eq!(store.token([0; 32]).await.unwrap(), None);
    assert!(store.client(CLINIC, client).await.unwrap().is_some());
    store.clients(CLINIC, page).await.unwrap();
    store.therapists(CLINIC, page).await.unwrap();
    assert!(store.intent(CLINIC, intent_id(n)).await.unwrap().is_some());
    assert!(
        store
            .session(CLINIC, session_id(n))
            .await
            .unwrap()
            .is_some()
    );
    let at = local("2026-06-02T13:00:00");
    store.session_of(CLINIC, intent_id(n), at).await.unwrap();
    assert_eq!(store.segments(CLINIC, intent_id(n)).await.unwrap().len(), 1);
    store.history(CLINIC, intent_id(n)).await.unwrap();
    assert_eq!(store.feed([0; 32]).await.unwrap(), None);

    let own = [
        Whose::Therapist(therapist),
        Whose::Client(client),
        Whose::Intent(intent_id(n)),
    ];
    for whose in own {
        let calendar = store.calendar(CLINIC, whose, week).await.unwrap();
        assert!(!calendar.intents.is_empty() && !calendar.sessions.is_empty());
    }
    for whose in own.into_iter().chain([Whose::Clinic]) {
        assert!(!store.intents(CLINIC, whose, page).await.unwrap().is_empty());
        for which in [Which::Live, Which::AttendanceUnknown { now: now() }] {
            store.sessions(CLINIC, whose, which, page).await.unwrap();
        }
    }
    assert!(store.account(CLINIC, client).await.unwrap().is_some());
    store.entries(CLINIC, client, 0, 100).await.unwrap();
    let key = Key::manual_grant(Uuid::from_u128(n));
    store.entry(CLINIC, &key).await.unwrap();
    store.message(CLINIC, 5).await.unwrap();
    for state in [
        MessageState::Pending,
        MessageState::Sent,
        MessageState::Dead,
    ] {
        let found = store.messages(CLINIC, state, 0, 50).await.unwrap();
        assert_eq!(found.len(), 50, "{state:?}");
    }
}

async fn write(store: &PostgresStore, round: u8) {
    let n = u128::from(round);
    // A booking with its first session, a year on, and what is told of it.
    let start = now() + TimeDelta::days(365);
    let new = intent(2_000_000 + n, therapist_id(n), client_id(n), start);
    let new_session = session(&new, SessionState::Scheduled);
    let told = Notification::to_client(NotificationKind::Scheduled, &new_session, start);
    let booked = applied(
        new.id,
        vec![
            Change::NewIntent(new),
            Change::NewSession(new_session),
            Change::Notify(told),
        ],
    );
    let series = Scope::Series {
        intent: intent_id(n),
        therapist: Some(therapist_id(n + 1)),
        window: Window::new(now(), END_OF_ZONE_DATA).unwrap(),
        history: true,
    };
    let unchanged = Box::new(|view: &View| {
        assert!(view.intent.is_some() && view.account.is_some());
        Ok(Idempotent::AlreadyApplied)
    });
    store.write(&request(), series, unchanged).await.unwrap();
    let scope = Scope::Booking {
        therapist: therapist_id(n),
        client: client_id(n),
        service: SERVICE,
        window: Window::new(now(), start).unwrap(),
    };
    let mut keyed = request();
    keyed.idempotency = Some(Idempotency {
        key: format!("booking {n}"),
        request_hash: [round; 32],
    });
    let decide = |view: &View| {
        assert!(view.intents.len() > 400 && view.sessions.len() > 10);
        Ok(booked)
    };
    store.write(&keyed, scope, Box::new(decide)).await.unwrap();

    let n = 1_000 + n;
    let at = local("2026-06-02T13:00:00");
    for address in [
        Address::Session(session_id(n)),
        Address::Occurrence(intent_id(n), at),
    ] {
        let scope = Scope::Occurrence {
            address,
            around: Some(Window::new(now(), now() + TimeDelta::days(8)).unwrap()),
            history: false,
        };
        let decide = |view: &View| {
            let intent = view.intent()?.clone();
            let mut session = view.session()?.clone();
            session.version += 1;
            let changes = vec![Change::Intent(intent), Change::Session(session)];
            Ok(applied(intent_id(n), changes))
        };
        store
            .write(&request(), scope, Box::new(decide))
            .await
            .unwrap();
    }
    let grant = ByHand::Grant {
        id: Uuid::from_u128(n),
        service: SERVICE,
        amount: Credits(5),
        source: Source::Goodwill,
        reason: "goodwill".parse().unwrap(),
    };
    let scope = grant.scope(client_id(n));
    let decide = |view: &View| by_hand(view, &grant, admin(), None, now());
    store
        .write(&request(), scope, Box::new(decide))
        .await
        .unwrap();
    let scope = Scope::Month {
        client: client_id(n),
        starts_at: now(),
        proof: ledger_core::Proof::invoice(&"2026-0017".parse().unwrap()),
    };
    let decide = |view: &View| {
        view.subscription()?;
        Ok(Idempotent::AlreadyApplied)
    };
    let written = store.write(&request(), scope, Box::new(decide)).await;
    assert_eq!(written.unwrap(), Written::Unchanged);
    let dead = store.messages(CLINIC, MessageState::Dead, 0, 1).await;
    let scope = Scope::Message(dead.unwrap()[0].seq);
    let decide = |view: &View| notification::replay(view, admin(), None, now());
    store
        .write(&request(), scope, Box::new(decide))
        .await
        .unwrap();
}

async fn tick(store: &PostgresStore) {
    for job in Job::ALL {
        let backlog = store.backlog(job, now()).await.unwrap();
        assert!(backlog.due >= 50, "{}: {backlog:?}", job.name());
        let claim = Claim {
            zone_data: None,
            job,
            now: now(),
            after: None,
            lease_until: None,
        };
        let claimed = store.claim(&claim, Box::new(move |view| settle(job, view)));
        let claimed = claimed.await.unwrap().unwrap();
        claimed.outcome.unwrap();
        let after = Some(claimed.position);
        let claim = Claim { after, ..claim };
        let claimed = store.claim(&claim, Box::new(move |view| settle(job, view)));
        claimed.await.unwrap().unwrap().outcome.unwrap();
    }
}
