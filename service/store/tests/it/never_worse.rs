//! No client is worse off for what the clinic did, for paying early, or for a slip that was undone.
//!
//! Each property runs one random history twice, with one step done in two ways, on the plainest store
//! and with the worker's own decisions. A client has so many credits that are not lost: available,
//! held, used or forfeited by their own doing. `STANDING_CASES=100000` runs them at length.

use chrono::{DateTime, TimeDelta, Utc};
use clinic::account::{ByHand, by_hand};
use clinic::booking::{self, NewBooking};
use clinic::occurrence::{Touch, touch};
use clinic::paid::Paid;
use clinic::plan::Term;
use clinic::reassignment::{self, reassign_one};
use clinic::scope::{Claim, Job};
use clinic::series::{self, edit, undo};
use clinic::settlement::{Outcome, settle, waive};
use clinic::subscription::{PaidInvoice, grant_month, subscribe};
use clinic::{
    Address, Cancellation, Change, Client, ClinicId, Commit, Idempotent, Journal, LateRule,
    LeftOver, Plan, PlanId, Principal, Role, Scope, SealedPerson, Service, Subject, Therapist,
    View, WaivedBy, WorkingTimes, WrappedDek, account, horizon,
};
use ledger_core::{Balance, CarryOver, Credits, Expiry, Money};
use proptest::prelude::*;
use scheduler_core::GapPolicy;
use scheduler_core::availability::{Hours, WeeklyHours};
use scheduler_core::intent::Edit;
use scheduler_core::session::{Session, SessionState};
use scheduler_core::{ClientId, IntentId, ServiceId, TherapistId, Zone};
use scheduler_core::{Pause, PausedSlot};
use store::memory::MemoryStore;
use store::{Request, Store, Whose};
use uuid::Uuid;

pub(crate) const CLINIC: ClinicId = ClinicId::FIRST;
pub(crate) const CLIENT: ClientId = ClientId(Uuid::from_u128(0xc));
pub(crate) const SERVICE: ServiceId = ServiceId(Uuid::from_u128(0x5));
const PLAN: PlanId = PlanId(Uuid::from_u128(0x9));
pub(crate) const THERAPISTS: [TherapistId; 2] = [
    TherapistId(Uuid::from_u128(0xa1)),
    TherapistId(Uuid::from_u128(0xa2)),
];
fn opened() -> DateTime<Utc> {
    "2026-03-01T08:00:00Z".parse().unwrap()
}

fn zone() -> Zone {
    "Europe/London".parse().unwrap()
}

fn money(minor: i64) -> Money {
    Money {
        minor,
        currency: "GBP".parse().unwrap(),
    }
}

pub(crate) fn by(role: Role) -> Principal {
    Principal {
        clinic: CLINIC,
        credential: Uuid::from_u128(0x1),
        role,
    }
}

/// What the clinic offers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) credits: i64,
    pub(crate) rollover: CarryOver,
    pub(crate) grace_days: u32,
}

fn policy() -> impl Strategy<Value = Policy> {
    let rollover = prop_oneof![
        1 => Just(CarryOver::None),
        3 => Just(CarryOver::All),
        2 => (1..3i64).prop_map(|most| CarryOver::AtMost(Credits(most))),
    ];
    (
        1..5i64,
        rollover,
        prop_oneof![1 => Just(0u32), 4 => 1..40u32],
    )
        .prop_map(|(credits, rollover, grace_days)| Policy {
            credits,
            rollover,
            grace_days,
        })
}

/// What happens at the clinic.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Time passes, with the worker at work.
    Pass { hours: i64 },
    /// One session is booked, so many hours from now.
    Book { hours: i64 },
    /// The client or the clinic calls a session off.
    Cancel { which: usize, by_clinic: bool },
    /// Staff moves a session that has its credit by so many hours.
    Move { which: usize, hours: i64 },
    /// A session took place.
    Complete { which: usize },
    /// The client did not come.
    NoShow { which: usize },
    /// A month is paid, so many months from the first.
    Pay { month: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..160i64).prop_map(|hours| Step::Pass { hours }),
        4 => (30..600i64).prop_map(|hours| Step::Book { hours }),
        3 => (0..12usize, any::<bool>())
            .prop_map(|(which, by_clinic)| Step::Cancel { which, by_clinic }),
        2 => (0..12usize, -100..900i64).prop_map(|(which, hours)| Step::Move { which, hours }),
        2 => (0..12usize).prop_map(|which| Step::Complete { which }),
        1 => (0..12usize).prop_map(|which| Step::NoShow { which }),
        2 => (1..4u32).prop_map(|month| Step::Pay { month }),
    ]
}

pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) now: DateTime<Utc>,
    booked: u128,
}

/// The store in memory never waits.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

impl World {
    pub(crate) fn open(policy: Policy) -> Self {
        let mut world = Self {
            store: MemoryStore::new(opened()),
            now: opened(),
            booked: 0,
        };
        let service = Service {
            id: SERVICE,
            name: "session".to_owned(),
            minutes: 50,
            price: money(6_500),
            notice_minutes: 60,
            cancellation: Cancellation {
                free_until_minutes: 24 * 60,
                late_cancel: LateRule::Forfeit,
                no_show: LateRule::Forfeit,
                waived_by: WaivedBy::Staff,
                grace_days: policy.grace_days,
                no_show_after_minutes: 0,
            },
            slots: clinic::SlotRules::default(),
        };
        let plan = Plan {
            id: PLAN,
            name: "plan".to_owned(),
            service: SERVICE,
            credits: Credits(policy.credits),
            price: money(10_000),
            left_over: LeftOver {
                expiry: Expiry::PeriodEnd,
                rollover: policy.rollover,
                carry_over: CarryOver::All,
                late_days: 0,
            },
        };
        let always = (0..7).map(|day| Hours {
            weekday: chrono::Weekday::try_from(day).unwrap(),
            from: 0,
            to: 1440,
        });
        let hours = WeeklyHours::new(zone(), always.collect()).unwrap();
        let mut changes = vec![Change::Service(service), Change::Plan(plan)];
        changes.extend(THERAPISTS.map(|id| {
            Change::Therapist(Therapist {
                id,
                person: None,
                times: WorkingTimes::new(hours.clone()),
            })
        }));
        changes.push(Change::NewDek(WrappedDek {
            owner: CLIENT.0,
            generation: 1,
            wrapped: vec![1],
            created_at: opened(),
        }));
        changes.push(Change::Client(Client {
            id: CLIENT,
            person: Some(SealedPerson {
                envelope: vec![1],
                version: 1,
                generation: 1,
            }),
            legal_hold: false,
            clear_zone: None,
            therapist: Some(THERAPISTS[0]),
        }));
        let journal = Journal::new(Subject::Client(CLIENT), 1, "opened");
        let commit = Commit {
            journal: Some(journal),
            changes,
        };
        let scope = Scope::New { therapist: None };
        assert!(world.write(scope, |_, _| Ok(Idempotent::Applied(commit))));
        let subscribed = Scope::Subscription {
            client: CLIENT,
            plan: Some(PLAN),
        };
        assert!(world.write(subscribed, |view, now| {
            subscribe(view, Some(PLAN), (now, Some(zone())), None, now)
        }));
        assert!(world.pay(0));
        world
    }

    /// Whether staff has done it.
    fn write(
        &mut self,
        scope: Scope,
        decide: impl FnOnce(&View, DateTime<Utc>) -> clinic::Decision + Send,
    ) -> bool {
        self.write_as(by(Role::Admin), scope, decide)
    }

    /// Whether the principal has done it.
    fn write_as(
        &mut self,
        principal: Principal,
        scope: Scope,
        decide: impl FnOnce(&View, DateTime<Utc>) -> clinic::Decision + Send,
    ) -> bool {
        let now = self.now;
        let request = Request::of(principal, now);
        let decide = Box::new(move |view: &View| decide(view, now));
        let written = wait(self.store.write(&request, scope, decide));
        matches!(written, Ok(store::Written::Committed { .. }))
    }

    fn month(&self, number: u32) -> ledger_core::Period {
        let term = Term {
            from: opened(),
            zone: zone(),
            plan: Some(PLAN),
        };
        let near = opened() + TimeDelta::days(31 * i64::from(number)) + TimeDelta::days(2);
        let mut month = term.month_at(opened()).unwrap();
        for _ in 0..number {
            month = term.month_at(month.end()).unwrap();
        }
        assert!(month.start() <= near);
        month
    }

    fn pay(&mut self, number: u32) -> bool {
        let month = self.month(number);
        let invoice = PaidInvoice {
            id: format!("in-{number}").parse().unwrap(),
            period: month,
            paid: Paid::just(money(10_000)),
        };
        let scope = Scope::Month {
            client: CLIENT,
            starts_at: month.start(),
            proof: invoice.proof(),
        };
        self.write(scope, |view, now| {
            grant_month(view, month.start(), invoice, None, now)
        })
    }

    /// The worker does what is due.
    fn tick(&mut self) {
        type Decide = fn(&View, DateTime<Utc>) -> clinic::Decision;
        let jobs: [(Job, Decide); 3] = [
            (Job::Materialize, horizon::materialize),
            (Job::Fund, horizon::fund),
            (Job::Expire, account::expire),
        ];
        for (job, decide) in jobs {
            let mut claim = Claim {
                job,
                now: self.now,
                after: None,
                lease_until: None,
                zone_data: None,
            };
            let now = self.now;
            while let Some(claimed) = wait(
                self.store
                    .claim(&claim, Box::new(move |view: &View| decide(view, now))),
            )
            .unwrap()
            {
                claimed.outcome.unwrap();
                claim.after = Some(claimed.position);
            }
        }
    }

    /// Time passes, and the worker looks every six hours, and at the end.
    pub(crate) fn pass(&mut self, hours: i64) {
        let until = self.now + TimeDelta::hours(hours);
        while self.now < until {
            self.now = until.min(self.now + TimeDelta::hours(6));
            self.tick();
        }
    }

    /// The client's sessions, of whatever state: a number means the same one in both worlds.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        let whole = scheduler_core::Window::new(
            opened() - TimeDelta::days(1),
            opened() + TimeDelta::days(400),
        )
        .unwrap();
        let all = wait(self.store.calendar(CLINIC, Whose::Clinic, whole)).unwrap();
        let mut sessions = all.sessions;
        sessions.sort_by_key(|session| (session.intent, session.recurrence_id));
        sessions
    }

    fn live(&self) -> Vec<Session> {
        let mut sessions = self.sessions();
        sessions.retain(|session| session.state.is_live());
        sessions
    }

    pub(crate) fn touch(&mut self, session: &Session, what: Touch, principal: Principal) -> bool {
        let scope = Scope::Occurrence {
            address: Address::Session(session.id),
            around: what.reach(self.now).unwrap(),
        };
        let at = session.recurrence_id;
        self.write(scope, |view, now| {
            touch(view, at, what, principal, None, now)
        })
    }

    pub(crate) fn book(&mut self, hours: i64) -> bool {
        self.booked += 1;
        let start = zone().local(self.now + TimeDelta::hours(hours));
        let wanted = NewBooking {
            id: IntentId(Uuid::from_u128(0xb000 + self.booked)),
            therapist: THERAPISTS[0],
            client: CLIENT,
            service: SERVICE,
            start,
            zone: zone(),
            minutes: None,
            rule: (hours % 3 == 0).then(|| "FREQ=WEEKLY;COUNT=6".parse().unwrap()),
            gap: GapPolicy::default(),
            resolutions: Vec::new(),
        };
        let scope = booking::scope(&wanted).unwrap();
        let done = self.write(scope, |view, now| {
            booking::book(view, wanted, by(Role::Admin), now)
        });
        self.tick();
        done
    }

    fn take(&mut self, step: Step) -> bool {
        match step {
            Step::Pass { hours } => {
                self.pass(hours);
                true
            }
            Step::Book { hours } => self.book(hours),
            Step::Pay { month } => self.pay(month),
            Step::Cancel { which, by_clinic } => {
                let sessions = self.sessions();
                let Some(session) = sessions.get(which) else {
                    return false;
                };
                let role = if by_clinic {
                    Role::Admin
                } else {
                    Role::Client(CLIENT)
                };
                self.touch(session, Touch::Cancel, by(role))
            }
            Step::Move { which, hours } => {
                let sessions = self.sessions();
                let funded = |session: &&Session| session.state == SessionState::Scheduled;
                let Some(session) = sessions.get(which).filter(funded) else {
                    return false;
                };
                let to = session.starts_local.plus_seconds(hours * 3_600).unwrap();
                self.touch(session, Touch::Reschedule(to), by(Role::Admin))
            }
            Step::Complete { which } => self.settle(which, Outcome::Completed),
            Step::NoShow { which } => self.settle(which, Outcome::NoShow),
        }
    }

    fn settle(&mut self, which: usize, outcome: Outcome) -> bool {
        let sessions = self.sessions();
        let Some(session) = sessions.get(which) else {
            return false;
        };
        let scope = Scope::Occurrence {
            address: Address::Session(session.id),
            around: None,
        };
        self.write(scope, |view, now| {
            settle(view, outcome, by(Role::Admin), None, now)
        })
    }

    fn balance(&self) -> Balance {
        let account = wait(self.store.account(CLINIC, CLIENT)).unwrap().unwrap();
        account.balance()
    }

    /// A session was left to a person because there was no credit for it.
    fn is_short(&self) -> bool {
        let case = |session: &Session| matches!(session.state, SessionState::Case { .. });
        self.sessions().iter().any(case)
    }

    /// What was written to the ledger, for a failure that is to be understood.
    fn story(&self) -> String {
        let entries = wait(self.store.entries(CLINIC, CLIENT, 0, store::PAGE_MAX)).unwrap();
        let line = |entry: &ledger_core::Entry| {
            let moves = entry.body.moves();
            let moves: Vec<String> = moves
                .iter()
                .map(|one| format!("{}:{:?}>{:?} {}", one.lot, one.from, one.to, one.amount))
                .collect();
            let hold = entry.body.hold();
            let hold = hold.map(|hold| hold.booking.to_string()[..4].to_owned());
            format!(
                "{} {} {hold:?} {moves:?}",
                entry.effective_at,
                entry.body.kind()
            )
        };
        let entries: Vec<String> = entries.iter().map(line).collect();
        let sessions = self.sessions();
        let sessions = sessions.iter().map(|session| {
            let id = &session.id.to_string()[..4];
            format!("{id} {} {:?}", session.starts_at, session.state)
        });
        let sessions: Vec<String> = sessions.collect();
        format!(
            "{:?}\n{}\n{}",
            self.balance(),
            entries.join("\n"),
            sessions.join("\n")
        )
    }

    /// Credits that are not lost.
    fn kept(&self) -> i64 {
        let Balance {
            available,
            held,
            used,
            forfeited,
            ..
        } = self.balance();
        available.0 + held.0 + used.0 + forfeited.0
    }
}

pub(crate) fn cases() -> ProptestConfig {
    let given = std::env::var("STANDING_CASES").ok();
    ProptestConfig {
        cases: given.and_then(|text| text.parse().ok()).unwrap_or(150),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    }
}

/// Two worlds after the same beginning.
fn twice(policy: Policy, before: &[Step]) -> (World, World) {
    let begin = || {
        let mut world = World::open(policy);
        for step in before {
            world.take(*step);
        }
        world
    };
    (begin(), begin())
}

/// Takes the same steps in both, and then lets two months pass; the first must never have fewer
/// credits. `equal` if they must have as many.
fn compare(
    (mut one, mut other): (World, World),
    after: &[Step],
    equal: bool,
) -> Result<(), TestCaseError> {
    let mut rest: Vec<Step> = after.to_vec();
    rest.extend([Step::Pass { hours: 24 }; 70]);
    for step in rest {
        one.take(step);
        other.take(step);
        // Where there are fewer credits than sessions, who gets one decides what is left.
        if one.is_short() || other.is_short() {
            break;
        }
        let (had, has) = (other.kept(), one.kept());
        prop_assert!(
            if equal { has == had } else { has >= had },
            "{has} and not {had} at {} after {step:?}: {}\n and {}",
            one.now,
            one.story(),
            other.story()
        );
    }
    Ok(())
}

/// Passes and payments: what does not depend on which sessions there are.
fn quiet(steps: &[Step]) -> Vec<Step> {
    let quiet = |step: &&Step| matches!(step, Step::Pass { .. } | Step::Pay { .. });
    steps.iter().filter(quiet).copied().collect()
}

proptest! {
    #![proptest_config(cases())]

    /// Whoever the clinic calls off has as many credits as whoever calls off in time, or more.
    #[test]
    fn the_clinic_cancels_no_worse_than_the_client_in_time(
        policy in policy(),
        before in prop::collection::vec(step(), 1..25),
        after in prop::collection::vec(step(), 0..25),
        which in 0..12usize,
    ) {
        let (mut clinic, mut client) = twice(policy, &before);
        let live = client.live();
        let Some(session) = live.get(which % live.len().max(1)) else {
            return Ok(());
        };
        let forfeited = client.balance().forfeited;
        let done = client.touch(session, Touch::Cancel, by(Role::Client(CLIENT)));
        if !done || client.balance().forfeited != forfeited {
            return Ok(());
        }
        prop_assert!(clinic.touch(session, Touch::Cancel, by(Role::Admin)));
        compare((clinic, client), &after, false)?;
    }

    /// Paid early is no worse than paid on time, and that no worse than paid late within the month.
    #[test]
    fn paying_early_is_no_worse_than_paying_later(
        policy in policy(),
        before in prop::collection::vec(step(), 1..25),
        between in prop::collection::vec(step(), 0..15),
        after in prop::collection::vec(step(), 0..20),
        month in 1..3u32,
    ) {
        let paid = |step: &Step| matches!(step, Step::Pay { month: paid } if *paid == month);
        let other = |step: &Step| !paid(step);
        let before: Vec<Step> = before.into_iter().filter(other).collect();
        let between: Vec<Step> = between.into_iter().filter(other).collect();
        let (mut early, mut late) = twice(policy, &before);
        let end = early.month(month).end();
        prop_assert!(early.pay(month));
        for step in between {
            early.take(step);
            late.take(step);
            if early.is_short() || late.is_short() {
                return Ok(());
            }
        }
        // A month that is over is another question.
        if late.now >= end {
            return Ok(());
        }
        prop_assert!(late.pay(month));
        compare((early, late), &after, false)?;
    }

    /// A series that is paused, ended or moved, and undone a moment later, has cost nothing.
    #[test]
    fn an_edit_that_is_undone_is_nothing(
        policy in policy(),
        before in prop::collection::vec(step(), 1..25),
        after in prop::collection::vec(step(), 0..20),
        which in 0..12usize,
        what in 0..3u8,
        as_client in any::<bool>(),
    ) {
        let (mut edited, plain) = twice(policy, &before);
        let live = edited.live();
        let Some(session) = live.get(which % live.len().max(1)) else {
            return Ok(());
        };
        let principal = by(if as_client { Role::Client(CLIENT) } else { Role::Admin });
        let forfeited = edited.balance().forfeited;
        let date = edited.now.date_naive() + chrono::Days::new(1);
        let edit_it = match what {
            0 => Edit::Pause(Pause { from: date, until: None, slot: PausedSlot::Freed }),
            1 => Edit::Pause(Pause {
                from: date,
                until: Some(date + chrono::Days::new(9)),
                slot: PausedSlot::Kept,
            }),
            _ => Edit::End { from: date },
        };
        let scope = series::scope(session.intent, &edit_it, edited.now).unwrap();
        let done = edited.write_as(principal, scope, |view, now| edit(view, &edit_it, None, principal, None, now));
        if !done || edited.balance().forfeited != forfeited {
            return Ok(());
        }
        let intent = wait(edited.store.intent(CLINIC, session.intent)).unwrap().unwrap();
        edited.now += TimeDelta::seconds(1);
        let scope = series::undo_scope(&intent, edited.now).unwrap();
        let named = intent.id;
        let undone = edited.write_as(principal, scope, |view, now| undo(view, named, None, principal, None, now));
        prop_assert!(undone);
        edited.now -= TimeDelta::seconds(1);
        let states = |world: &World| -> Vec<(DateTime<Utc>, SessionState)> {
            let live = world.live().into_iter();
            live.map(|session| (session.starts_at, session.state)).collect()
        };
        prop_assert_eq!(states(&edited), states(&plain));
        prop_assert_eq!(edited.balance().held, plain.balance().held);
        compare((edited, plain), &after, true)?;
    }

    /// A date that goes to another therapist keeps its credit.
    #[test]
    fn a_date_that_is_reassigned_keeps_its_credit(
        policy in policy(),
        before in prop::collection::vec(step(), 1..25),
        after in prop::collection::vec(step(), 0..20),
        which in 0..12usize,
    ) {
        let (mut reassigned, plain) = twice(policy, &before);
        let live = reassigned.live();
        let Some(session) = live.get(which % live.len().max(1)) else {
            return Ok(());
        };
        let into = IntentId(Uuid::from_u128(0xeeee));
        let scope = reassignment::scope(session.intent, THERAPISTS[1], reassigned.now).unwrap();
        let at = session.recurrence_id;
        let principal = by(Role::Admin);
        let done = reassigned.write(scope, |view, now| {
            reassign_one(view, at, THERAPISTS[1], into, principal, None, now)
        });
        if !done {
            return Ok(());
        }
        let found = reassigned.live();
        let moved = found.iter().find(|one| one.intent == into);
        if session.state != SessionState::Scheduled {
            return Ok(());
        }
        prop_assert_eq!(moved.map(|one| one.state), Some(session.state));
        // A session that waited may have got one on the way.
        let there = |world: &World| world.balance().available.0 + world.balance().held.0;
        prop_assert_eq!(there(&reassigned), there(&plain));
        compare((reassigned, plain), &quiet(&after), true)?;
    }

    /// Whose forfeit is waived has no fewer credits than whose is not.
    #[test]
    fn a_waiver_takes_nothing(
        policy in policy(),
        before in prop::collection::vec(step(), 1..25),
        after in prop::collection::vec(step(), 0..20),
        which in 0..10usize,
    ) {
        let (mut waived, plain) = twice(policy, &before);
        let sessions = waived.sessions();
        let Some(session) = sessions.get(which % sessions.len().max(1)) else {
            return Ok(());
        };
        let scope = Scope::Waiver(session.id);
        let reason = "goodwill".parse().unwrap();
        let principal = by(Role::Admin);
        let done = waived.write(scope, |view, now| waive(view, &reason, principal, None, now));
        if !done {
            return Ok(());
        }
        // A forfeited credit counted as kept; a waived one counts while it can be used.
        let before = plain.balance();
        let now = waived.balance();
        prop_assert_eq!(now.available.0 + now.held.0, before.available.0 + before.held.0 + 1);
        let usable = |world: &World| {
            let balance = world.balance();
            balance.available.0 + balance.held.0 + balance.used.0
        };
        let (mut waived, mut plain) = (waived, plain);
        for step in quiet(&after).into_iter().chain([Step::Pass { hours: 24 }; 60]) {
            waived.take(step);
            plain.take(step);
            prop_assert!(usable(&waived) >= usable(&plain), "{step:?} at {}", plain.now);
        }
    }

    /// Whatever was paid is there, or was lost by its date: nothing is granted twice by all this.
    #[test]
    fn nothing_comes_from_nothing(
        policy in policy(),
        steps in prop::collection::vec(step(), 1..50),
    ) {
        let mut world = World::open(policy);
        let mut paid = policy.credits;
        for step in steps {
            let done = world.take(step);
            if done && matches!(step, Step::Pay { .. }) {
                paid += policy.credits;
            }
            let balance = world.balance();
            let all = world.kept() + balance.expired.0;
            prop_assert_eq!(all, paid, "{:?}: {:?}", step, balance);
        }
    }
}

/// What is entered by hand has a date when it comes back after its own.
#[test]
fn an_expiry_that_is_reversed_comes_back_with_a_date() {
    let policy = Policy {
        credits: 4,
        rollover: CarryOver::None,
        grace_days: 14,
    };
    let mut world = World::open(policy);
    world.pass(24 * 40);
    assert_eq!(world.balance().expired, Credits(4));
    let entries = wait(world.store.entries(CLINIC, CLIENT, 0, 50)).unwrap();
    let expiry = entries.iter().find(|entry| entry.body.kind() == "expire");
    let what = ByHand::Reverse {
        entry: expiry.unwrap().key.clone(),
        reason: "correction".parse().unwrap(),
        until: None,
    };
    let scope = what.scope(CLIENT);
    assert!(world.write(scope, |view, now| {
        by_hand(view, &what, by(Role::Admin), None, now)
    }));
    assert_eq!(world.balance().available, Credits(4));
    world.pass(24 * 12);
    assert_eq!(world.balance().available, Credits(4));
    assert!(world.book(31));
    world.pass(24 * 3);
    assert_eq!(world.balance().expired, Credits(3));
}
