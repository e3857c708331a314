//! How long a booking takes: the transaction alone, through HTTP, and by the eager design.
//!
//! A booking is made on each in turn, each on a database of its own, so that all meet the same noise.
//! Both commit with the same settings: flushed on PostgreSQL, not on SQLite.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use clinic::{ClinicId, Role};
use serde_json::json;
use standing::vault::Vault;
use standing::{App, random, serve};
use store_postgres::throwaway::Cluster;
use tower::ServiceExt;

use crate::Progress;
use crate::amplification::{Extent, design, open_practice, wish};
use crate::database::{Database, Kind};
use crate::eager::{Eager, PerDate, Sessions};
use crate::practice::{Practice, Wish, client, service, therapist};

/// How long bookings took on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latency {
    /// On which database.
    pub database: Kind,
    /// Which design, and which way in.
    pub side: String,
    /// Of each booking, in microseconds, ascending.
    pub micros: Vec<u64>,
}

impl Latency {
    /// What so many in a hundred took no longer than, in microseconds.
    #[must_use]
    pub fn percentile(&self, hundredths: usize) -> u64 {
        let last = self.micros.len().saturating_sub(1);
        let index = (self.micros.len() * hundredths / 100).min(last);
        self.micros.get(index).copied().unwrap_or(0)
    }
}

enum Side {
    Transaction(Practice),
    Http(Router, String),
    Eager(Practice, Box<Eager>),
}

impl Side {
    fn name(&self) -> String {
        match self {
            Self::Transaction(_) => design(None),
            Self::Http(..) => format!("{}, through HTTP", design(None)),
            Self::Eager(..) => design(Some((PerDate::SessionSlotMeeting, 52))),
        }
    }

    async fn book(&mut self, wish: &Wish) -> anyhow::Result<()> {
        match self {
            Self::Transaction(practice) => practice.book(wish).await,
            Self::Http(router, token) => post(router, token, wish).await,
            Self::Eager(practice, eager) => eager.book(wish, practice.now()).await,
        }
    }
}

async fn post(router: &Router, token: &str, wish: &Wish) -> anyhow::Result<()> {
    let body = json!({
        "therapist_id": therapist(wish.therapist),
        "client_id": client(wish.client),
        "service_id": service(),
        "starts_local": wish.first,
        "zone": wish.zone.name(),
        "rule": wish.rule,
    });
    let request = Request::post("/api/v1/intents")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))?;
    let response = router.clone().oneshot(request).await?;
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await?;
    anyhow::ensure!(
        status == StatusCode::CREATED,
        "{status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(())
}

/// Measures on one database.
///
/// # Errors
/// What the database says.
pub async fn measure(
    cluster: Option<&Cluster>,
    extent: Extent,
    progress: &Progress,
) -> anyhow::Result<Vec<Latency>> {
    let bookings = extent.warm_up + extent.bookings;
    let mut databases = Vec::new();
    let mut sides = Vec::new();
    progress.begin("registering", 3);
    for number in 0..3 {
        let database = Database::new(cluster).await?;
        let practice = open_practice(&database, bookings).await?;
        sides.push(match number {
            0 => Side::Transaction(practice),
            1 => {
                let secret = random::secret();
                let app = App {
                    vault: Arc::new(Vault::temporary()?),
                    ..practice.app.clone()
                };
                let vault = &app.vault;
                let (role, now) = (Role::Admin, practice.now());
                let token = vault.token(ClinicId::FIRST, role, &secret, now, None)?;
                app.store.add_token(&token).await?;
                Side::Http(serve::routes(app), secret)
            }
            _ => {
                let per_date = PerDate::SessionSlotMeeting;
                let eager = Eager::open(&database, per_date, Sessions::Idle, 52).await?;
                Side::Eager(practice, Box::new(eager))
            }
        });
        databases.push(database);
        progress.step();
    }
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); sides.len()];
    progress.begin("booking", usize::try_from(bookings)?);
    for number in 0..bookings {
        if number == extent.warm_up {
            for database in &mut databases {
                database.tidy().await?;
                database.checkpoint().await?;
            }
        }
        let wish = wish(number)?;
        for (side, times) in sides.iter_mut().zip(&mut times) {
            let began = Instant::now();
            side.book(&wish).await?;
            if number >= extent.warm_up {
                times.push(began.elapsed());
            }
        }
        progress.step();
    }
    let mut measured = Vec::new();
    for (side, mut times) in sides.iter().zip(times) {
        times.sort_unstable();
        let micros = times.iter().map(|time| u64::try_from(time.as_micros()));
        measured.push(Latency {
            database: databases[0].kind,
            side: side.name(),
            micros: micros.collect::<Result<_, _>>()?,
        });
    }
    Ok(measured)
}
