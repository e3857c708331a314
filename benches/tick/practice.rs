//! A practice with a hundred daily bookings, and any number that are not due for a year.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc, Weekday};
use clinic::account::{ByHand, by_hand};
use clinic::booking::{self, NewBooking};
use clinic::registration::{self, NewService};
use clinic::{Client, ClinicId, Principal, Role, Scope, Therapist, WrappedDek};
use ledger_core::{Credits, Money, Source};
use scheduler_core::availability::{Hours, WeeklyHours};
use scheduler_core::{ClientId, GapPolicy, IntentId, ServiceId, TherapistId, Zone};
use sqlx::{AssertSqlSafe, Connection};
use standing::App;
use standing::clock::Clock;
use store::{Decide, Request, Store};
use store_postgres::PostgresStore;
use store_postgres::throwaway::Cluster;
use store_sqlite::SqliteStore;
use uuid::Uuid;

const THERAPISTS: u128 = 10;
const HOURS: [u32; 10] = [8, 9, 10, 11, 12, 13, 14, 15, 16, 17];
const START: &str = "2026-03-02T07:00:00Z";

/// A database with its service.
pub(crate) struct Practice {
    pub(crate) database: &'static str,
    pub(crate) intents: u32,
    app: App,
    /// Beside the service, to read what the server counts.
    beside: Option<sqlx::PgConnection>,
}

fn id(kind: u128, number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + (kind << 40) + number)
}

impl Practice {
    pub(crate) async fn on_sqlite(folder: &Path, intents: u32) -> anyhow::Result<Self> {
        let file = folder.join(format!("{intents}.db"));
        SqliteStore::migrate(&file).await?;
        let store = Arc::new(SqliteStore::open(&file).await?);
        let due = book_daily(store.as_ref()).await?;
        let url = format!("sqlite://{}", file.display());
        let mut beside = sqlx::SqliteConnection::connect(&url).await?;
        let fill = include_str!("sqlite.sql").replace("ALL_OTHERS", &(intents - due).to_string());
        sqlx::raw_sql(AssertSqlSafe(fill))
            .execute(&mut beside)
            .await?;
        beside.close().await?;
        Self::new("SQLite", intents, store, None)
    }

    pub(crate) async fn on_postgres(cluster: &Cluster, intents: u32) -> anyhow::Result<Self> {
        let url = cluster.database().await?;
        let store = Arc::new(PostgresStore::open(&url, 8).await?);
        let due = book_daily(store.as_ref()).await?;
        let mut beside = sqlx::PgConnection::connect(&url).await?;
        let fill = include_str!("postgres.sql").replace("ALL_OTHERS", &(intents - due).to_string());
        sqlx::raw_sql(AssertSqlSafe(fill))
            .execute(&mut beside)
            .await?;
        sqlx::raw_sql("VACUUM ANALYZE").execute(&mut beside).await?;
        Self::new("PostgreSQL", intents, store, Some(beside))
    }

    fn new(
        database: &'static str,
        intents: u32,
        store: Arc<dyn Store>,
        beside: Option<sqlx::PgConnection>,
    ) -> anyhow::Result<Self> {
        let clock = Clock::starting_at(START.parse()?);
        let app = App::new(store, clock);
        Ok(Self {
            database,
            intents,
            app,
            beside,
        })
    }

    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    pub(crate) fn next_day(&self) {
        self.app.clock.advance(TimeDelta::days(1));
    }

    /// Rows written since the beginning.
    pub(crate) async fn rows_written(&self) -> anyhow::Result<u64> {
        let metered = self.app.store.meter(ClinicId::FIRST).await?;
        Ok(metered.iter().map(|line| line.rows).sum())
    }

    /// Shared buffers that the statements of this database have touched since the beginning.
    pub(crate) async fn buffers(&mut self) -> anyhow::Result<Option<u64>> {
        let Some(beside) = &mut self.beside else {
            return Ok(None);
        };
        let sql = "SELECT coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint
                   FROM pg_stat_statements
                   JOIN pg_database ON pg_database.oid = dbid AND datname = current_database()
                   WHERE query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE '%FROM journal%'";
        let buffers: i64 = sqlx::query_scalar(sql).fetch_one(beside).await?;
        Ok(Some(u64::try_from(buffers)?))
    }
}

/// Writes as the clinic's staff does.
struct Staff<'a> {
    store: &'a dyn Store,
    principal: Principal,
    now: DateTime<Utc>,
}

impl Staff<'_> {
    async fn write(&self, scope: Scope, decide: Decide<'_>) -> anyhow::Result<()> {
        let request = Request::of(self.principal, self.now);
        self.store.write(&request, scope, decide).await?;
        Ok(())
    }
}

/// A hundred daily bookings of ten therapists, each of a client with credits; tells how many.
async fn book_daily(store: &dyn Store) -> anyhow::Result<u32> {
    let staff = Staff {
        store,
        principal: Principal {
            clinic: ClinicId::FIRST,
            credential: id(0, 0),
            role: Role::Admin,
        },
        now: START.parse()?,
    };
    let service = ServiceId(id(1, 0));
    let new = NewService {
        id: service,
        name: "session".to_owned(),
        minutes: 50,
        price: Money {
            minor: 6_500,
            currency: "GBP".parse()?,
        },
        notice_minutes: None,
        slots: None,
        cancellation: None,
    };
    let nobody = || Scope::New { therapist: None };
    let decide = Box::new(move |_: &_| registration::add_service(new));
    staff.write(nobody(), decide).await?;
    let mut booked = 0;
    for number in 0..THERAPISTS {
        let therapist = TherapistId(id(2, number));
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
            id: therapist,
            person: None,
            times: clinic::WorkingTimes::new(WeeklyHours::new(Zone::UTC, hours.to_vec())?),
        };
        let dek = unused_key(therapist.0, staff.now);
        let decide = Box::new(move |_: &_| registration::register_therapist(new, dek));
        staff.write(nobody(), decide).await?;
        for (hour, place) in HOURS.into_iter().zip(0..) {
            let client = ClientId(id(3, number * 10 + place));
            book(&staff, therapist, client, service, hour).await?;
            booked += 1;
        }
    }
    Ok(booked)
}

/// The key of somebody of whom nothing is known: a tick looks at nobody.
fn unused_key(owner: Uuid, created_at: DateTime<Utc>) -> WrappedDek {
    WrappedDek {
        owner,
        generation: 1,
        wrapped: Vec::new(),
        created_at,
    }
}

async fn book(
    staff: &Staff<'_>,
    therapist: TherapistId,
    client: ClientId,
    service: ServiceId,
    hour: u32,
) -> anyhow::Result<()> {
    let (principal, now) = (staff.principal, staff.now);
    let new = Client {
        id: client,
        person: None,
        legal_hold: false,
        zone: Zone::UTC,
        therapist: Some(therapist),
    };
    let therapist_of = Scope::New {
        therapist: Some(therapist),
    };
    let dek = unused_key(client.0, now);
    let decide = Box::new(move |view: &_| registration::register_client(view, new, dek));
    staff.write(therapist_of, decide).await?;
    let grant = ByHand::Grant {
        id: client.0,
        service,
        amount: Credits(1000),
        source: Source::Paid,
        reason: "bank_transfer".parse()?,
    };
    let scope = grant.scope(client);
    let decide = Box::new(move |view: &_| by_hand(view, &grant, principal, None, now));
    staff.write(scope, decide).await?;
    let wanted = NewBooking {
        id: IntentId(id(4, client.0.as_u128() & 0xff_ffff)),
        therapist,
        client,
        service,
        start: format!("2026-03-03T{hour:02}:00:00").parse()?,
        zone: Zone::UTC,
        minutes: None,
        rule: Some("FREQ=DAILY;COUNT=100".parse()?),
        gap: GapPolicy::Shift,
        resolutions: Vec::new(),
    };
    let scope = booking::scope(&wanted)?;
    let decide = Box::new(move |view: &_| booking::book(view, wanted, principal, now));
    staff.write(scope, decide).await.context("cannot book")
}
