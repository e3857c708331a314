//! Sending: who sends a message, when, and what a slow one holds up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use clinic::{Change, ClinicId, Commit, Idempotent, Message, MessageState, Notification, Scope};
use clinic::{NotificationKind, View};
use scheduler_core::SessionId;
use serde_json::json;
use standing::stop::{Stop, Stopper};
use standing::worker;
use standing::worker::sink::{SendError, Sink};
use store::Request;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::clinic::Clinic;
use crate::messages::{tick_at, with_session};

const FIRST: ClinicId = ClinicId::FIRST;
/// Longer than any test.
const SELDOM: Duration = Duration::from_hours(1);
/// How many commits' messages a worker sends at a time.
const SENDERS: usize = 16;

/// Keeps the first so many messages until it is opened.
struct Gate {
    keeps: usize,
    opened: Semaphore,
    begun: Mutex<Vec<u64>>,
    sent: Mutex<Vec<u64>>,
}

#[async_trait]
impl Sink for Gate {
    async fn send(&self, message: &Message) -> Result<(), SendError> {
        let begun = {
            let mut begun = self.begun.lock().unwrap();
            begun.push(message.seq);
            begun.len()
        };
        if begun <= self.keeps {
            drop(self.opened.acquire().await.unwrap());
        }
        self.sent.lock().unwrap().push(message.seq);
        Ok(())
    }
}

impl Gate {
    fn new(keeps: usize) -> Arc<Self> {
        Arc::new(Self {
            keeps,
            opened: Semaphore::new(0),
            begun: Mutex::default(),
            sent: Mutex::default(),
        })
    }

    fn open(&self) {
        self.opened.add_permits(1);
    }

    fn begun(&self) -> usize {
        self.begun.lock().unwrap().len()
    }

    fn sent(&self) -> usize {
        self.sent.lock().unwrap().len()
    }
}

/// Sessions of as many clients and therapists, who were told of them.
async fn with_sessions(count: usize) -> (Clinic, Vec<String>) {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let mut sessions = Vec::new();
    for _ in 0..count {
        let parties = clinic.parties().await;
        clinic.grant(&parties, 1).await;
        let intent = clinic.book(&parties, "2026-03-03T18:00:00", None).await;
        assert_eq!(clinic.tick().await.failed, 0);
        let at = format!("/intents/{intent}/occurrences/2026-03-03T18:00:00");
        let session = clinic.get(&at).await["session_id"].clone();
        sessions.push(session.as_str().unwrap().to_owned());
    }
    (clinic, sessions)
}

/// Runs a worker until it is stopped; its first tick is over.
async fn working(clinic: &mut Clinic, every: Duration) -> (Stopper, JoinHandle<()>) {
    let (stopper, stop) = Stop::new();
    clinic.app.stop = stop;
    let ticks = "tick_duration_seconds_count{job=\"dispatch\"}";
    let before = metric(clinic, ticks);
    let working = tokio::spawn(worker::run(clinic.app.clone(), every));
    wait_for(async || metric(clinic, ticks) > before).await;
    (stopper, working)
}

async fn cancel(clinic: &Clinic, sessions: &[String]) {
    for session in sessions {
        clinic
            .post(&format!("/sessions/{session}/cancel"), json!({}))
            .await;
    }
}

async fn messages(clinic: &Clinic, state: MessageState) -> Vec<Message> {
    let found = clinic.app.store.messages(FIRST, state, 0, 100).await;
    found.unwrap()
}

async fn wait_for(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..2000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never was so");
}

fn metric(clinic: &Clinic, name: &str) -> u64 {
    let text = clinic.app.metrics.text();
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("standing_{name} ")));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

/// One row to write a message and one to settle it; and whoever is told by a command does not wait for
/// a tick.
#[tokio::test]
async fn a_message_is_leased_as_it_is_written_and_sent_at_once() {
    let (mut clinic, _, recorder, session) = with_session().await;
    clinic.app.senders.attend(true);
    tick_at(&clinic, "2026-03-08T18:00:00Z").await;
    let metered = clinic.app.store.meter(FIRST).await.unwrap();
    let reminder = metered
        .iter()
        .find(|line| line.kind == "session_reminder/1440");
    let reminder = reminder.map(|line| (line.commands, line.rows));
    assert_eq!(
        reminder,
        Some((1, 3)),
        "the session, the message, it is sent"
    );
    recorder.kinds();

    let (stopper, working) = working(&mut clinic, SELDOM).await;
    let ticks = "tick_duration_seconds_count{job=\"dispatch\"}";
    let before = metric(&clinic, ticks);
    cancel(&clinic, &[session]).await;
    wait_for(async || recorder.kinds() == ["session_cancelled to client"]).await;
    assert_eq!(metric(&clinic, ticks), before, "no tick came in between");
    stopper.stop();
    working.await.unwrap();
    let sent = messages(&clinic, MessageState::Sent).await;
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|message| message.attempts == 1));
}

/// A sender that hangs for ever holds up none of the other jobs.
#[tokio::test]
async fn a_job_that_hangs_holds_up_no_other() {
    struct Hangs;
    #[async_trait]
    impl Sink for Hangs {
        async fn send(&self, _: &Message) -> Result<(), SendError> {
            std::future::pending().await
        }
    }
    let mut clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    clinic.send_to(Arc::new(Hangs));
    let (stopper, stop) = Stop::new();
    clinic.app.stop = stop;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 2).await;
    clinic.book(&parties, "2026-03-03T18:00:00", None).await;
    let every = Duration::from_millis(20);
    let working = tokio::spawn(worker::run(clinic.app.clone(), every));
    let held = async || clinic.balance(&parties).await.1;
    wait_for(async || metric(&clinic, "claimed_total{job=\"dispatch\"}") == 1).await;
    assert_eq!(held().await, 1);
    clinic.book(&parties, "2026-03-04T18:00:00", None).await;
    wait_for(async || held().await == 2).await;
    // A worker that is stopped in the middle settles what it had leased.
    stopper.stop();
    working.await.unwrap();
    for message in messages(&clinic, MessageState::Pending).await {
        let leased = message.attempts > 0;
        assert_eq!(message.last_error.as_deref(), leased.then_some("timeout"));
    }
}

/// One message that cannot be got rid of holds up nobody else's.
#[tokio::test]
async fn a_message_that_hangs_holds_up_no_other() {
    let (mut clinic, sessions) = with_sessions(4).await;
    let gate = Gate::new(1);
    clinic.send_to(gate.clone());
    let (stopper, working) = working(&mut clinic, SELDOM).await;
    cancel(&clinic, &sessions).await;
    wait_for(async || gate.sent() == 3).await;
    assert_eq!(gate.begun(), 4, "the first hangs still");
    gate.open();
    stopper.stop();
    working.await.unwrap();
    assert_eq!(gate.sent(), 4);
}

/// No more is leased than is on its way; and what is, is sent and settled before the worker ends.
#[tokio::test]
async fn what_is_leased_is_on_its_way_and_sent_before_the_end() {
    let (mut clinic, sessions) = with_sessions(SENDERS + 3).await;
    let gate = Gate::new(usize::MAX);
    clinic.send_to(gate.clone());
    let (stopper, working) = working(&mut clinic, SELDOM).await;
    cancel(&clinic, &sessions).await;
    wait_for(async || gate.begun() == SENDERS).await;
    let pending = messages(&clinic, MessageState::Pending).await;
    assert_eq!(pending.len(), SENDERS + 3);
    let leased = pending.iter().filter(|message| message.attempts > 0);
    assert_eq!(leased.count(), SENDERS);
    stopper.stop();
    gate.open();
    working.await.unwrap();
    let pending = messages(&clinic, MessageState::Pending).await;
    assert_eq!(pending.len(), 3);
    assert!(pending.iter().all(|message| message.attempts == 0));
    assert_eq!((gate.begun(), gate.sent()), (SENDERS, SENDERS));
}

/// What found no sender free does not wait for those who are busy.
#[tokio::test]
async fn a_tick_sends_beside_what_is_sent_as_it_is_written() {
    let (mut clinic, sessions) = with_sessions(SENDERS + 2).await;
    let gate = Gate::new(usize::MAX);
    clinic.send_to(gate.clone());
    let (stopper, working) = working(&mut clinic, Duration::from_millis(500)).await;
    cancel(&clinic, &sessions).await;
    wait_for(async || gate.begun() > SENDERS).await;
    gate.open();
    wait_for(async || gate.sent() == sessions.len()).await;
    stopper.stop();
    working.await.unwrap();
    assert_eq!(gate.sent(), sessions.len(), "each is sent once");
    assert!(messages(&clinic, MessageState::Pending).await.is_empty());
}

/// A worker waits for the command that was under way when it was told to stop.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_a_worker_stops_is_sent_or_not_leased() {
    let (mut clinic, sessions) = with_sessions(1).await;
    let (stopper, working) = working(&mut clinic, SELDOM).await;
    let session = SessionId(sessions[0].parse().unwrap());
    let session = clinic.app.store.session(FIRST, session).await.unwrap();
    let kind = NotificationKind::Reminder { minutes: 5 };
    let now = clinic.app.clock.now();
    let told = Notification::to_client(kind, &session.unwrap(), now);
    let decide = |_: &View| {
        stopper.stop();
        for _ in 0..20 {
            if working.is_finished() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let changes = vec![Change::Notify(told.clone())];
        let journal = None;
        Ok(Idempotent::Applied(Commit { journal, changes }))
    };
    let request = Request::of_tick(FIRST, now);
    let scope = Scope::New { therapist: None };
    let written = clinic.app.write(&request, scope, Box::new(decide)).await;
    written.unwrap();
    working.await.unwrap();
    assert!(messages(&clinic, MessageState::Pending).await.is_empty());
}
