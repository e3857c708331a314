//! A client of a clinic, on the plainest store and with the worker's own decisions, through random steps.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use clinic::booking::{self, NewBooking};
use clinic::occurrence::{Touch, touch};
use clinic::paid::Paid;
use clinic::plan::Term;
use clinic::scope::{Claim, Job};
use clinic::settlement::{Outcome, settle};
use clinic::subscription::{PaidInvoice, grant_month, subscribe};
use clinic::{
    Address, Cancellation, Change, Client, ClinicId, Commit, Idempotent, Journal, LateRule,
    LeftOver, Plan, PlanId, Principal, Role, Scope, SealedPerson, Service, SlotRules, Subject,
    Therapist, View, WaivedBy, WorkingTimes, WrappedDek, account, horizon,
};
use ledger_core::{Account, Balance, CarryOver, Credits, Expiry, Lot, Money};
use proptest::prelude::*;
use scheduler_core::GapPolicy;
use scheduler_core::availability::{Hours, WeeklyHours};
use scheduler_core::session::{Session, SessionState};
use scheduler_core::{ClientId, IntentId, ServiceId, SessionId, TherapistId, Zone};
use store::memory::MemoryStore;
use store::{Request, Store, Whose};
use uuid::Uuid;

pub(crate) const CLINIC: ClinicId = ClinicId::FIRST;
pub(crate) const CLIENT: ClientId = ClientId(Uuid::from_u128(0xc));
pub(crate) const SERVICE: ServiceId = ServiceId(Uuid::from_u128(0x5));
pub(crate) const PLAN: PlanId = PlanId(Uuid::from_u128(0x9));
pub(crate) const THERAPISTS: [TherapistId; 2] = [
    TherapistId(Uuid::from_u128(0xa1)),
    TherapistId(Uuid::from_u128(0xa2)),
];
pub(crate) fn opened() -> DateTime<Utc> {
    "2026-03-01T08:00:00Z".parse().unwrap()
}

pub(crate) fn zone() -> Zone {
    "Europe/London".parse().unwrap()
}

pub(crate) fn money(minor: i64) -> Money {
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

pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    let rollover = prop_oneof![
        1 => Just(CarryOver::None),
        3 => Just(CarryOver::All),
        2 => (1..3i64).prop_map(|most| CarryOver::AtMost(Credits(most))),
    ];
    (
        2..9i64,
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
pub(crate) enum Step {
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

pub(crate) fn step() -> impl Strategy<Value = Step> {
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
        Self::offering(policy, SlotRules::default())
    }

    /// A world whose service is booked by these rules.
    pub(crate) fn offering(policy: Policy, slots: SlotRules) -> Self {
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
            slots,
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
            retired_at: None,
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
    pub(crate) fn write(
        &mut self,
        scope: Scope,
        decide: impl FnOnce(&View, DateTime<Utc>) -> clinic::Decision + Send,
    ) -> bool {
        self.write_as(by(Role::Admin), scope, decide)
    }

    /// Whether the principal has done it.
    pub(crate) fn write_as(
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

    pub(crate) fn month(&self, number: u32) -> ledger_core::Period {
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

    pub(crate) fn pay(&mut self, number: u32) -> bool {
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
    pub(crate) fn tick(&mut self) {
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

    pub(crate) fn live(&self) -> Vec<Session> {
        let mut sessions = self.sessions();
        sessions.retain(|session| session.state.is_live());
        sessions
    }

    pub(crate) fn touch(&mut self, session: &Session, what: Touch, principal: Principal) -> bool {
        let scope = Scope::Occurrence {
            address: Address::Session(session.id),
            around: what.reach(self.now).unwrap(),
            history: false,
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
            rule: (hours % 6 == 0).then(|| "FREQ=WEEKLY;COUNT=4".parse().unwrap()),
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

    pub(crate) fn take(&mut self, step: Step) -> bool {
        match step {
            Step::Pass { hours } => {
                self.pass(hours);
                true
            }
            Step::Book { hours } => self.book(hours),
            Step::Pay { month } => self.pay(month),
            Step::Cancel { which, by_clinic } => {
                let sessions = self.sessions();
                let Some(session) = sessions.get(which % sessions.len().max(1)) else {
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
                let Some(session) = sessions.get(which % sessions.len().max(1)).filter(funded)
                else {
                    return false;
                };
                let to = session.starts_local.plus_seconds(hours * 3_600).unwrap();
                self.touch(session, Touch::Reschedule(to), by(Role::Admin))
            }
            Step::Complete { which } => self.settle(which, Outcome::Completed { charged: true }),
            Step::NoShow { which } => self.settle(which, Outcome::NoShow),
        }
    }

    pub(crate) fn settle(&mut self, which: usize, outcome: Outcome) -> bool {
        let sessions = self.sessions();
        let Some(session) = sessions.get(which % sessions.len().max(1)) else {
            return false;
        };
        let scope = Scope::Occurrence {
            address: Address::Session(session.id),
            around: None,
            history: false,
        };
        self.write(scope, |view, now| {
            settle(view, outcome, by(Role::Admin), None, now)
        })
    }

    pub(crate) fn balance(&self) -> Balance {
        self.account().balance()
    }

    pub(crate) fn account(&self) -> Account {
        wait(self.store.account(CLINIC, CLIENT)).unwrap().unwrap()
    }

    /// Which sessions are in this state.
    pub(crate) fn sessions_in(&self, state: SessionState) -> BTreeSet<SessionId> {
        let sessions = self.sessions().into_iter();
        let there = sessions.filter(|session| session.state == state);
        there.map(|session| session.id).collect()
    }

    /// An older credit lasts longer than one of a month that may still be rolled over. Which of them a
    /// session should take depends on whether the month after that is paid.
    pub(crate) fn is_out_of_order(&self) -> bool {
        let account = self.account();
        let free = account
            .lots()
            .iter()
            .filter(|lot| lot.balance.available.is_positive());
        let free: Vec<&Lot> = free.collect();
        let lasts = |old: &Lot, new: &Lot| {
            let ends = account.good_until(old).into_iter();
            let longer = |until: Option<DateTime<Utc>>| until.is_none() || until > new.expires_at;
            ends.map(|(_, until)| until).any(longer)
        };
        let paid = |lot: &&&Lot| lot.origin.is_none();
        let newer = |old: &Lot, new: &Lot| old.root() < new.number && lasts(old, new);
        let old = |new: &&Lot| free.iter().any(|old| newer(old, new));
        free.iter().filter(paid).any(old)
    }

    /// A session was left to a person because there was no credit for it.
    pub(crate) fn is_short(&self) -> bool {
        let case = |session: &Session| matches!(session.state, SessionState::Case { .. });
        self.sessions().iter().any(case)
    }

    /// What was written to the ledger, for a failure that is to be understood.
    pub(crate) fn story(&self) -> String {
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
    pub(crate) fn kept(&self) -> i64 {
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

/// How many cases of a property: as many as usual, or as `STANDING_CASES` says.
pub(crate) fn cases() -> ProptestConfig {
    let given = std::env::var("STANDING_CASES").ok();
    ProptestConfig {
        cases: given.and_then(|text| text.parse().ok()).unwrap_or(600),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    }
}
