//! A practice that the clinic's service runs: what staff, therapists and clients do in it, through
//! the service's own decisions and stores.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc, Weekday};
use clinic::account::{ByHand, by_hand};
use clinic::booking::{self, NewBooking};
use clinic::credit::hold_of;
use clinic::occurrence::{Touch, touch};
use clinic::registration::{self, NewService};
use clinic::settlement::{Outcome, settle};
use clinic::{
    Address, Change, Client, ClinicId, Commit, Idempotent, Journal, Notification, NotificationKind,
    Principal, Role, Scope, SealedPerson, Subject, Therapist, View, WorkingTimes, WrappedDek,
    series,
};
use ledger_core::{Credits, Money, Source};
use scheduler_core::availability::{Hours, WeeklyHours};
use scheduler_core::intent::Edit;
use scheduler_core::{ClientId, GapPolicy, IntentId, LocalDateTime, ServiceId, TherapistId, Zone};
use standing::clock::Clock;
use standing::worker::{self, Report};
use standing::{App, Decide};
use store::{Request, Store, Written};
use uuid::Uuid;

/// How long an appointment lasts, in minutes.
pub const MINUTES: u32 = 50;
/// Credits that every client has, more than any of them needs.
const CREDITS: i64 = 10_000;

/// A booking to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Its number: the booking's id is made of it.
    pub number: u32,
    /// The therapist's number.
    pub therapist: u32,
    /// The client's number.
    pub client: u32,
    /// The wall time of the first date.
    pub first: LocalDateTime,
    /// The zone of all its wall times.
    pub zone: Zone,
    /// How it recurs, as RRULE text.
    pub rule: &'static str,
}

/// A practice on a store, with one service.
pub struct Practice {
    /// The service.
    pub app: App,
    principal: Principal,
}

/// An id that sorts by its number within its kind.
#[must_use]
pub fn id(kind: u128, number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + (kind << 40) + number)
}

/// The one service that is booked.
#[must_use]
pub fn service() -> ServiceId {
    ServiceId(id(1, 0))
}

/// A therapist by number.
#[must_use]
pub fn therapist(number: u32) -> TherapistId {
    TherapistId(id(2, number.into()))
}

/// A client by number.
#[must_use]
pub fn client(number: u32) -> ClientId {
    ClientId(id(3, number.into()))
}

/// A booking by number.
#[must_use]
pub fn intent(number: u32) -> IntentId {
    IntentId(id(4, number.into()))
}

impl Practice {
    /// An empty practice at a time, with its service.
    ///
    /// # Errors
    /// What the store says.
    pub async fn open(store: Arc<dyn Store>, now: DateTime<Utc>) -> anyhow::Result<Self> {
        let practice = Self {
            app: App::new(store, Clock::starting_at(now)),
            principal: Principal {
                clinic: ClinicId::FIRST,
                credential: id(0, 0),
                role: Role::Admin,
            },
        };
        practice.app.senders.attend(true);
        standing::worker::agree(&practice.app).await;
        let new = NewService {
            id: service(),
            name: "session".to_owned(),
            minutes: MINUTES,
            price: Money {
                minor: 6_500,
                currency: "GBP".parse()?,
            },
            notice_minutes: None,
            slots: None,
            cancellation: None,
        };
        let decide = Box::new(move |_: &_| registration::add_service(new.clone()));
        let nobody = Scope::New { therapist: None };
        practice.write(nobody, decide).await?;
        Ok(practice)
    }

    /// What time it is there.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.app.clock.now()
    }

    /// Lets time pass, without a tick.
    pub fn go_to(&self, at: DateTime<Utc>) {
        let by: TimeDelta = at - self.now();
        self.app.clock.advance(by);
    }

    /// Writes, and waits until what is told by it is sent: so two runs write the same.
    async fn write(&self, scope: Scope, decide: Decide<'_>) -> anyhow::Result<Written> {
        let request = Request::of(self.principal, self.now());
        let written = self.app.write(&request, scope, decide).await?;
        self.app.senders.idle().await;
        Ok(written)
    }

    /// How many rows more an eager design would have written for the commands so far, by the service's
    /// metrics.
    ///
    /// # Errors
    /// If they have another form.
    pub fn more_rows(&self) -> anyhow::Result<i64> {
        let page = self.app.metrics.text();
        let of = |name: &str| -> anyhow::Result<i64> {
            let line = page.lines().find_map(|line| line.strip_prefix(name));
            line.map_or(Ok(0), |rows| Ok(rows.trim().parse()?))
        };
        let eager = of("standing_rows_eager_total{by=\"command\"}")?;
        Ok(eager - of("standing_rows_written_total{by=\"command\"}")?)
    }

    /// A therapist who works at any time.
    ///
    /// # Errors
    /// What the store says.
    pub async fn hire(&self, number: u32) -> anyhow::Result<()> {
        let days = [
            Weekday::Mon,
            Weekday::Tue,
            Weekday::Wed,
            Weekday::Thu,
            Weekday::Fri,
            Weekday::Sat,
            Weekday::Sun,
        ];
        let hours = days.map(|weekday| Hours {
            weekday,
            from: 0,
            to: 24 * 60,
        });
        let new = Therapist {
            id: therapist(number),
            person: Some(unread()),
            times: WorkingTimes::new(WeeklyHours::new(Zone::UTC, hours.to_vec())?),
        };
        let dek = unused_key(new.id.0, self.now());
        let decide = Box::new(move |_: &_| {
            registration::register_therapist(new.clone(), dek.clone(), Vec::new())
        });
        let nobody = Scope::New { therapist: None };
        self.write(nobody, decide).await?;
        Ok(())
    }

    /// A client of a therapist's, with more credits than they need.
    ///
    /// # Errors
    /// What the store says.
    pub async fn admit(&self, number: u32, of: u32) -> anyhow::Result<()> {
        let assigned = Some(therapist(of));
        let new = Client {
            id: client(number),
            person: Some(unread()),
            legal_hold: false,
            clear_zone: None,
            therapist: assigned,
        };
        let dek = unused_key(new.id.0, self.now());
        let decide = Box::new(move |view: &_| {
            registration::register_client(view, new.clone(), dek.clone(), Vec::new())
        });
        let scope = Scope::New {
            therapist: assigned,
        };
        self.write(scope, decide).await?;
        let grant = ByHand::Grant {
            id: client(number).0,
            service: service(),
            amount: Credits(CREDITS),
            source: Source::Paid,
            reason: "bank_transfer".parse()?,
        };
        let scope = grant.scope(client(number));
        let (principal, now) = (self.principal, self.now());
        let decide = Box::new(move |view: &_| by_hand(view, &grant, principal, None, now));
        self.write(scope, decide).await?;
        Ok(())
    }

    /// Makes a booking.
    ///
    /// # Errors
    /// A refusal, or what the store says.
    pub async fn book(&self, wish: &Wish) -> anyhow::Result<()> {
        let wanted = NewBooking {
            id: intent(wish.number),
            therapist: therapist(wish.therapist),
            client: client(wish.client),
            service: service(),
            start: wish.first,
            zone: wish.zone,
            minutes: None,
            rule: Some(wish.rule.parse()?),
            gap: GapPolicy::Shift,
            resolutions: Vec::new(),
        };
        let (principal, now) = (self.principal, self.now());
        let scope = booking::scope(&wanted)?;
        let decide = Box::new(move |view: &_| booking::book(view, wanted.clone(), principal, now));
        self.write(scope, decide).await?;
        Ok(())
    }

    /// Edits a series.
    ///
    /// # Errors
    /// A refusal, or what the store says.
    pub async fn edit(&self, intent: IntentId, edit: Edit) -> anyhow::Result<()> {
        let (principal, now) = (self.principal, self.now());
        let scope = series::scope(intent, &edit, now)?;
        let decide =
            Box::new(move |view: &View| series::edit(view, &edit, None, principal, None, now));
        self.write(scope, decide).await?;
        Ok(())
    }

    /// Takes the last change of a series back.
    ///
    /// # Errors
    /// A refusal, or what the store says.
    pub async fn undo(&self, intent: IntentId) -> anyhow::Result<()> {
        let (principal, now) = (self.principal, self.now());
        let named = self.app.store.intent(ClinicId::FIRST, intent).await?;
        let named = named.ok_or_else(|| anyhow::anyhow!("there is no booking {intent}"))?;
        let scope = series::undo_scope(&named, now)?;
        let decide =
            Box::new(move |view: &View| series::undo(view, intent, None, principal, None, now));
        self.write(scope, decide).await?;
        Ok(())
    }

    /// Changes one date.
    ///
    /// # Errors
    /// A refusal, or what the store says.
    pub async fn touch(
        &self,
        intent: IntentId,
        at: LocalDateTime,
        wanted: Touch,
    ) -> anyhow::Result<()> {
        let (principal, now) = (self.principal, self.now());
        let scope = Scope::Occurrence {
            address: Address::Occurrence(intent, at),
            around: wanted.reach(now)?,
            history: false,
        };
        let decide = Box::new(move |view: &View| touch(view, at, wanted, principal, None, now));
        self.write(scope, decide).await?;
        Ok(())
    }

    /// Holds a credit for a session that was written out without one, and tells its client, as the
    /// service does when it makes a session; nothing, if it was called off.
    ///
    /// # Errors
    /// A refusal, or what the store says.
    pub async fn hold(&self, intent: IntentId, at: LocalDateTime) -> anyhow::Result<()> {
        let now = self.now();
        let scope = Scope::Occurrence {
            address: Address::Occurrence(intent, at),
            around: None,
            history: false,
        };
        let decide = Box::new(move |view: &View| {
            let session = view.session()?;
            if !session.state.is_live() {
                return Ok(Idempotent::AlreadyApplied);
            }
            let command = ledger_core::Command::Hold {
                hold: hold_of(session),
                service: ledger_core::ServiceId(session.service.0),
                slot_start: session.starts_at,
            };
            let mut account = view.account()?.clone();
            let decided = ledger_core::decide(&account, &view.entries, &command, now)?;
            let ledger_core::Idempotent::Applied(entries) = decided else {
                return Ok(Idempotent::AlreadyApplied);
            };
            for entry in &entries {
                account = ledger_core::evolve(account, entry)?;
            }
            let subject = Subject::Occurrence(session.intent, session.recurrence_id);
            let told = Notification::to_client(NotificationKind::Scheduled, session, now);
            Ok(Idempotent::Applied(Commit {
                journal: Some(Journal::new(subject, session.version, "session_funded")),
                changes: vec![Change::Ledger { account, entries }, Change::Notify(told)],
            }))
        });
        self.write(scope, decide).await?;
        Ok(())
    }

    /// Says how a session went.
    ///
    /// # Errors
    /// A refusal, or what the store says.
    pub async fn settle(
        &self,
        intent: IntentId,
        at: LocalDateTime,
        outcome: Outcome,
    ) -> anyhow::Result<()> {
        let (principal, now) = (self.principal, self.now());
        let scope = Scope::Occurrence {
            address: Address::Occurrence(intent, at),
            around: None,
            history: false,
        };
        let decide = Box::new(move |view: &View| settle(view, outcome, principal, None, now));
        self.write(scope, decide).await?;
        Ok(())
    }

    /// Everything that is due is done.
    ///
    /// # Errors
    /// If something failed.
    pub async fn tick(&self) -> anyhow::Result<Report> {
        let report = worker::tick(&self.app).await;
        anyhow::ensure!(report.failed == 0, "{} rows failed", report.failed);
        Ok(report)
    }

    /// Rows written since the beginning without the journal's, by the service's own meter.
    ///
    /// # Errors
    /// What the store says.
    pub async fn schedule_rows_written(&self) -> anyhow::Result<u64> {
        let metered = self.app.store.meter(ClinicId::FIRST).await?;
        Ok(metered.iter().map(|line| line.rows - line.commands).sum())
    }

    /// Rows written since the beginning, by the service's own meter.
    ///
    /// # Errors
    /// What the store says.
    pub async fn rows_written(&self) -> anyhow::Result<u64> {
        let metered = self.app.store.meter(ClinicId::FIRST).await?;
        Ok(metered.iter().map(|line| line.rows).sum())
    }
}

/// The key of somebody of whom nothing is known: nobody looks at them here.
/// Something sealed that nobody opens, as long as a person's usual envelope.
fn unread() -> SealedPerson {
    SealedPerson {
        envelope: vec![0; 334],
        version: 1,
        generation: 1,
    }
}

fn unused_key(owner: Uuid, created_at: DateTime<Utc>) -> WrappedDek {
    WrappedDek {
        owner,
        generation: 1,
        wrapped: Vec::new(),
        created_at,
    }
}
