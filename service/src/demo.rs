//! `standing demo`: a clinic to look at, in a temporary database.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, SubsecRound, Utc, Weekday};
use clinic::account::{ByHand, by_hand};
use clinic::booking::{self, NewBooking};
use clinic::occurrence::{Touch, touch};
use clinic::paid::Paid;
use clinic::plan::LATE_DAYS;
use clinic::registration::{self, NewService};
use clinic::subscription::{PaidInvoice, grant_month, subscribe};
use clinic::{
    Address, BlindIndex, Client, ClinicId, LeftOver, Person, PersonId, Plan, PlanId, Principal,
    Role, Scope, SealedPerson, Therapist, WorkingTimes, WrappedDek,
};
use ledger_core::{CarryOver, Credits, Expiry, Money};
use scheduler_core::availability::{Hours, WeeklyHours};
use scheduler_core::{ClientId, GapPolicy, IntentId, LocalDateTime, ServiceId, TherapistId, Zone};
use store::{Decide, Request, Store, Written};
use store_sqlite::SqliteStore;

use crate::clock::Clock;
use crate::vault::{KeyFile, Vault};
use crate::{App, random, serve, worker};

/// The admin token of a demo. It opens nothing but a temporary database on this machine.
pub const TOKEN: &str = "demo-admin";

/// What a consultation of 80 minutes costs, in pence.
const CONSULTATION: i64 = 8_000;

/// Runs the demo until it is stopped.
///
/// # Errors
/// If the address is not this machine's own, or the database cannot be made.
pub async fn run(listen: SocketAddr, every: Duration, clock: Clock) -> anyhow::Result<()> {
    if !listen.ip().is_loopback() {
        bail!("the demo's token is public, so it listens on this machine only, not on {listen}");
    }
    let folder = tempfile::Builder::new()
        .prefix("standing-demo-")
        .tempdir()
        .context("cannot make a folder for the demo's database")?;
    let file = folder.path().join("standing.db");
    SqliteStore::migrate(&file).await?;
    let keys = folder.path().join("standing.keys");
    KeyFile::init(&keys)?;
    let store = Arc::new(SqliteStore::open(&file).await?);
    store.take_own_clock().await?;
    let app = App {
        stop: serve::stop_on_signal(),
        ..fill(store, clock, Vault::open(&keys)?).await?
    };
    let listener = match serve::bind(listen).await {
        Ok(listener) => listener,
        Err(_) => {
            eprintln!("{listen} is taken, so the demo takes a free port.");
            serve::bind(SocketAddr::new(listen.ip(), 0)).await?
        }
    };
    let url = serve::url(&listener)?;
    serve::say(&format!(
        "
The demo clinic is open at  {url}/

  * Solid appointments are sessions: made seven days ahead, with a credit held.
  * Dashed ones are virtual: they exist only as intent, one row for each booking.
  * Move the clock on the page and watch sessions appear, and the meter.

  The API:  {url}/api/v1/openapi.json      token: {TOKEN}
  Walk it:  scripts/walk {url} {TOKEN}
  Tokens:   standing token --help      with --database {}

Ctrl-C stops the demo and removes its database.
",
        file.display()
    ));
    let routes = serve::routes(app.clone());
    serve::run(app, vec![(listener, routes)], Some(every)).await;
    Ok(())
}

/// Fills an empty store with a clinic, and runs the first tick.
async fn fill(store: Arc<dyn Store>, clock: Clock, vault: Vault) -> anyhow::Result<App> {
    let now = clock.now().trunc_subsecs(0); // as subscriptions begin
    let vault = Arc::new(vault);
    let token = vault.token(ClinicId::FIRST, Role::Admin, TOKEN, now, None)?;
    store.add_token(&token).await?;
    let principal = Principal {
        clinic: token.clinic,
        credential: token.id,
        role: token.role,
    };
    let clinic = Filler {
        vault: &vault,
        store: store.as_ref(),
        principal,
        now,
    };
    clinic.fill().await.context("cannot fill the demo")?;
    let app = App {
        demo: Some(principal),
        vault,
        ..App::new(store, clock)
    };
    worker::tick(&app).await;
    Ok(app)
}

/// Fills the demo's clinic through the same decisions as everybody's.
struct Filler<'a> {
    vault: &'a Vault,
    store: &'a dyn Store,
    principal: Principal,
    now: DateTime<Utc>,
}

impl Filler<'_> {
    async fn fill(&self) -> anyhow::Result<()> {
        let consultation = self.service("Consultation", 80, CONSULTATION).await?;
        let session = self.service("Session", 50, 6_500).await?;
        let two = self.plan("Two a month", session, 2, 13_000).await?;
        let four = self.plan("Four a month", session, 4, 25_000).await?;
        let eight = self.plan("Eight a month", session, 8, 48_000).await?;
        let weekdays = [
            Weekday::Mon,
            Weekday::Tue,
            Weekday::Wed,
            Weekday::Thu,
            Weekday::Fri,
        ];
        let amara = self
            .therapist("Amara Osei", "Europe/London", &weekdays, (8, 20))
            .await?;
        let week = [&weekdays[..], &[Weekday::Sat, Weekday::Sun]].concat();
        let ines = self
            .therapist("Inés Prado", "America/New_York", &week, (7, 23))
            .await?;

        // Everything starts within a week from tomorrow, so that the first tick has work.
        let tomorrow = self.now.date_naive() + Days::new(1);
        let at = |weekday: Weekday, weeks: u64, hour: u32, minute: u32| {
            let ahead = weekday.days_since(tomorrow.weekday());
            local(
                tomorrow + Days::new(u64::from(ahead) + 7 * weeks),
                hour,
                minute,
            )
        };

        let executive = self
            .client("Executive, London", "Europe/London", amara)
            .await?;
        self.subscribe(executive, &eight).await?;
        let standing = self
            .book(
                amara,
                executive,
                session,
                at(Weekday::Mon, 0, 18, 0),
                "Europe/London",
                Some("FREQ=WEEKLY;BYDAY=MO,TH"),
            )
            .await?;
        // The second Monday is moved to Tuesday, the third is left out. No row is added.
        self.touch(
            standing,
            at(Weekday::Mon, 1, 18, 0),
            Touch::Reschedule(at(Weekday::Tue, 1, 9, 0)),
        )
        .await?;
        self.touch(standing, at(Weekday::Mon, 2, 18, 0), Touch::Skip)
            .await?;

        let athlete = self
            .client("Athlete, on the road", "Europe/Madrid", amara)
            .await?;
        self.subscribe(athlete, &four).await?;
        self.book(
            amara,
            athlete,
            session,
            at(Weekday::Wed, 0, 8, 0),
            "Europe/London",
            Some("FREQ=WEEKLY;BYDAY=WE"),
        )
        .await?;

        let nurse = self
            .client("Nurse, night shifts", "Europe/London", amara)
            .await?;
        self.subscribe(nurse, &two).await?;
        self.book(
            amara,
            nurse,
            session,
            at(Weekday::Tue, 0, 14, 30),
            "Europe/London",
            Some("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU"),
        )
        .await?;

        let actor = self
            .client("Actor, New York", "America/New_York", ines)
            .await?;
        self.subscribe(actor, &eight).await?;
        self.book(
            ines,
            actor,
            session,
            at(Weekday::Sat, 0, 11, 0),
            "America/New_York",
            Some("FREQ=WEEKLY;BYDAY=TU,SA"),
        )
        .await?;

        let officer = self.client("Officer, deployed", "Asia/Tokyo", ines).await?;
        self.book(
            ines,
            officer,
            session,
            at(Weekday::Thu, 0, 21, 0),
            "Asia/Tokyo",
            Some("FREQ=WEEKLY;BYDAY=TH"),
        )
        .await?;

        let newcomer = self.client("Newcomer", "America/Chicago", ines).await?;
        self.buy(newcomer, consultation, CONSULTATION).await?;
        self.book(
            ines,
            newcomer,
            consultation,
            at(Weekday::Fri, 0, 10, 0),
            "America/New_York",
            None,
        )
        .await?;
        Ok(())
    }

    fn seal(
        &self,
        id: PersonId,
        name: &str,
        email: Option<String>,
        zone: Option<Zone>,
    ) -> anyhow::Result<(SealedPerson, WrappedDek, Vec<BlindIndex>)> {
        let person = Person::new(name.to_owned(), email)?.in_zone(zone);
        let clinic = self.principal.clinic;
        Ok(self.vault.seal_new(clinic, id, &person, self.now)?)
    }

    async fn write(&self, scope: Scope, decide: Decide<'_>) -> anyhow::Result<Written> {
        let request = Request::of(self.principal, self.now);
        Ok(self.store.write(&request, scope, decide).await?)
    }

    async fn therapist(
        &self,
        name: &str,
        zone: &str,
        days: &[Weekday],
        (from, to): (u16, u16),
    ) -> anyhow::Result<TherapistId> {
        let hours = days.iter().map(|&weekday| Hours {
            weekday,
            from: from * 60,
            to: to * 60,
        });
        let zone: Zone = zone.parse()?;
        let id = TherapistId(random::id(self.now));
        let (person, dek, indexes) = self.seal(PersonId::Therapist(id), name, None, None)?;
        let therapist = Therapist {
            id,
            person: Some(person),
            times: WorkingTimes::new(WeeklyHours::new(zone, hours.collect())?),
        };
        let decide = Box::new(|_: &_| registration::register_therapist(therapist, dek, indexes));
        self.write(Scope::New { therapist: None }, decide).await?;
        Ok(id)
    }

    async fn service(&self, name: &str, minutes: u32, minor: i64) -> anyhow::Result<ServiceId> {
        let id = ServiceId(random::id(self.now));
        let service = NewService {
            id,
            name: name.to_owned(),
            minutes,
            price: pounds(minor)?,
            notice_minutes: None,
            slots: None,
            cancellation: None,
        };
        let decide = Box::new(|_: &_| registration::add_service(service));
        self.write(Scope::New { therapist: None }, decide).await?;
        Ok(id)
    }

    async fn client(
        &self,
        name: &str,
        zone: &str,
        therapist: TherapistId,
    ) -> anyhow::Result<ClientId> {
        let id = ClientId(random::client_id());
        let role = name.split(',').next().unwrap_or(name).to_lowercase();
        let email = Some(format!("{role}@example.org"));
        let zone = Some(zone.parse()?);
        let (person, dek, indexes) = self.seal(PersonId::Client(id), name, email, zone)?;
        let client = Client {
            id,
            person: Some(person),
            legal_hold: false,
            clear_zone: None,
            therapist: Some(therapist),
        };
        let scope = Scope::New {
            therapist: client.therapist,
        };
        let decide = Box::new(|view: &_| registration::register_client(view, client, dek, indexes));
        self.write(scope, decide).await?;
        Ok(id)
    }

    async fn plan(
        &self,
        name: &str,
        service: ServiceId,
        credits: i64,
        minor: i64,
    ) -> anyhow::Result<Plan> {
        let plan = Plan {
            id: PlanId(random::id(self.now)),
            name: name.to_owned(),
            service,
            credits: Credits(credits),
            price: pounds(minor)?,
            left_over: LeftOver {
                expiry: Expiry::PeriodEnd,
                rollover: CarryOver::AtMost(Credits::ONE),
                carry_over: CarryOver::All,
                late_days: LATE_DAYS,
            },
            retired_at: None,
        };
        let new = plan.clone();
        let decide = Box::new(move |view: &_| registration::add_plan(view, new));
        self.write(
            Scope::Offer {
                service: Some(service),
                plan: None,
            },
            decide,
        )
        .await?;
        Ok(plan)
    }

    /// Subscribes a client to a plan from now on, and enters that the first month is paid.
    async fn subscribe(&self, client: ClientId, plan: &Plan) -> anyhow::Result<()> {
        let (now, id, paid) = (self.now, plan.id, plan.price);
        let scope = Scope::Subscription {
            client,
            plan: Some(id),
        };
        let clinic = self.principal.clinic;
        let row = self.store.client(clinic, client).await?;
        let sealed = row.context("no client")?.person;
        let of = PersonId::Client(client);
        let person = self
            .vault
            .open_person(self.store, clinic, of, sealed)
            .await?;
        let term = (now, person.and_then(|person| person.zone()));
        let decide = Box::new(move |view: &_| subscribe(view, Some(id), term, None, now));
        self.write(scope, decide).await?;
        let subscription = self.store.subscription(self.principal.clinic, client);
        let subscription = subscription.await?.context("no subscription")?;
        let month = subscription.month_at(now).context("no month")?;
        let invoice = PaidInvoice {
            id: random::id(now).to_string().parse()?,
            period: month.period,
            paid: Paid::just(paid),
        };
        let scope = Scope::Month {
            client,
            starts_at: now,
            proof: invoice.proof(),
        };
        let decide = Box::new(move |view: &_| grant_month(view, now, invoice, None, now));
        self.write(scope, decide).await?;
        Ok(())
    }

    /// Enters that a client has bought one of a service.
    async fn buy(&self, client: ClientId, service: ServiceId, minor: i64) -> anyhow::Result<()> {
        let purchase = ByHand::Purchase {
            service,
            checkout: random::id(self.now).to_string().parse()?,
            paid: Paid::just(pounds(minor)?),
        };
        let (principal, now) = (self.principal, self.now);
        let scope = purchase.scope(client);
        let decide = Box::new(move |view: &_| by_hand(view, &purchase, principal, None, now));
        self.write(scope, decide).await?;
        Ok(())
    }

    async fn book(
        &self,
        therapist: TherapistId,
        client: ClientId,
        service: ServiceId,
        start: LocalDateTime,
        zone: &str,
        rule: Option<&str>,
    ) -> anyhow::Result<IntentId> {
        let id = IntentId(random::id(self.now));
        let new = NewBooking {
            id,
            therapist,
            client,
            service,
            start,
            zone: zone.parse()?,
            minutes: None,
            rule: rule.map(str::parse).transpose()?,
            gap: GapPolicy::Shift,
            resolutions: Vec::new(),
        };
        let scope = booking::scope(&new)?;
        let (principal, now) = (self.principal, self.now);
        let decide = Box::new(move |view: &_| booking::book(view, new, principal, now));
        self.write(scope, decide).await?;
        Ok(id)
    }

    async fn touch(
        &self,
        intent: IntentId,
        at: LocalDateTime,
        wanted: Touch,
    ) -> anyhow::Result<()> {
        let (principal, now) = (self.principal, self.now);
        let scope = Scope::Occurrence {
            address: Address::Occurrence(intent, at),
            around: wanted.reach(now)?,
            history: false,
        };
        let decide = Box::new(move |view: &_| touch(view, at, wanted, principal, None, now));
        self.write(scope, decide).await?;
        Ok(())
    }
}

fn pounds(minor: i64) -> anyhow::Result<Money> {
    let currency = "GBP".parse()?;
    Ok(Money { minor, currency })
}

fn local(date: NaiveDate, hour: u32, minute: u32) -> LocalDateTime {
    let time = NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or_default();
    LocalDateTime::try_from(date.and_time(time)).unwrap_or(LocalDateTime::MIN)
}
