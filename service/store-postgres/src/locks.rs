//! Transactions, and who waits for whom.
//!
//! A writer locks the therapist and the client it writes about before it reads anything, in one
//! order for all writers. So what a decision has seen is what its commit changes, and two writers
//! never wait for each other. A claim finds its row first and has it locked by then: it asks for
//! the parties' locks and does not wait for them.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use clinic::{Address, ClinicId, Scope};
use scheduler_core::{ClientId, TherapistId};
use sqlx::Row as _;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, PgRow, Postgres};
use store::rows::id;
use store::{Request, StoreError};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::clock::{Clock, Read, SERVER_TIME};
use crate::rows::{Row, failed, optional};
use crate::{ANSWER_TIMEOUT, QUEUE_TIMEOUT};

/// An open transaction. One that is dropped before its end (somebody gave up waiting, in the midst
/// of a statement) takes its connection with it: it must not come back to the pool with its locks.
pub(crate) struct Transaction {
    connection: PoolConnection<Postgres>,
    ended: bool,
}

impl Transaction {
    /// Begins, waits for the locks, and checks the writer's clock and the zone data, in one round
    /// trip.
    pub(crate) async fn begin(
        connection: PoolConnection<Postgres>,
        locks: &[i64],
        zone_data: Option<ZoneData>,
        clock: Option<(&Clock, Read)>,
    ) -> Result<Self, StoreError> {
        let mut tx = Self {
            connection,
            ended: false,
        };
        // Few statements: the server plans each anew. A target list is computed from left to right.
        let mut sql = "BEGIN ISOLATION LEVEL READ COMMITTED".to_owned();
        let locks = locks.iter();
        let mut locks: Vec<String> = locks
            .map(|lock| format!("pg_advisory_xact_lock({lock})"))
            .collect();
        locks.extend(zone_data.map(|_| format!("pg_advisory_xact_lock_shared({ZONE_DATA_LOCK})")));
        if !locks.is_empty() {
            sql.push_str("; SELECT ");
            sql.push_str(&locks.join(", "));
        }
        match (clock, zone_data) {
            (_, Some(_)) => sql.push_str(&format!("; SELECT {SERVER_TIME}, {LAST_ZONE_DATA}")),
            (Some(_), None) => sql.push_str(&format!("; SELECT {SERVER_TIME}")),
            (None, None) => {}
        }
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        let began = match sql.fetch_all(&mut *tx.connection).await {
            Ok(rows) => {
                let last = rows.last();
                let checked = clock.map_or(Ok(()), |(clock, read)| clock.check(read, last));
                checked.and_then(|()| zone_data.map_or(Ok(()), |ours| ours.check(last)))
            }
            Err(error) => Err(failed(error)),
        };
        match began {
            Ok(()) => Ok(tx),
            Err(error) => {
                tx.rollback().await;
                Err(error)
            }
        }
    }

    /// Makes it last.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        self.end("COMMIT").await.map_err(failed)
    }

    /// Lets go of its locks. If that fails, the connection goes, and they with it.
    pub(crate) async fn rollback(mut self) {
        let _ = self.end("ROLLBACK").await;
    }

    async fn end(&mut self, how: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(how).execute(&mut *self.connection).await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// The lock that planning writes share, and that a new generation of the zone data takes for itself.
pub(crate) const ZONE_DATA_LOCK: i64 = 0x7a6f_6e65_5f64_6174;

/// The last generation, if there is one, and whether it is settled; to be selected. As text: what several
/// statements in one round trip give is not binary.
const LAST_ZONE_DATA: &str = "generation::text, (settled_at IS NOT NULL)::text AS settled
    FROM (VALUES (1)) AS always
    LEFT JOIN (SELECT generation, settled_at FROM zone_data ORDER BY generation DESC LIMIT 1) AS last
    ON true";

/// The zone data that a writer computes with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ZoneData {
    generation: u64,
    settled: bool,
}

impl ZoneData {
    /// This generation must be the last one.
    pub(crate) fn last(generation: u64) -> Self {
        Self {
            generation,
            settled: false,
        }
    }

    /// And everything to come must agree with it.
    pub(crate) fn settled(generation: u64) -> Self {
        Self {
            generation,
            settled: true,
        }
    }

    fn check(self, last: Option<&PgRow>) -> Result<(), StoreError> {
        let corrupt = |source| StoreError::corrupt("zone data", source);
        let text = |column: &str| match last {
            Some(row) => row.try_get::<Option<String>, _>(column).map_err(corrupt),
            None => Ok(None),
        };
        let planned = text("generation")?.and_then(|number| number.parse().ok());
        let planned = planned.unwrap_or(0);
        let is_settled = text("settled")?.as_deref() == Some("true");
        if planned == self.generation && (is_settled || !self.settled) {
            return Ok(());
        }
        let ours = self.generation;
        Err(StoreError::OtherZoneData { planned, ours })
    }
}

/// A limit to how long an answer is waited for.
pub(crate) async fn within<T>(
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(ANSWER_TIMEOUT, answer)
        .await
        .unwrap_or_else(|elapsed| Err(StoreError::Unavailable(Box::new(elapsed))))
}

/// A connection that is read from. One that is dropped before its answer has come is closed: it would
/// wait for it, perhaps for ever, before it came back to the pool.
pub(crate) struct Reading {
    connection: PoolConnection<Postgres>,
    answered: bool,
}

impl Reading {
    pub(crate) async fn begin(pool: &PgPool) -> Result<Self, StoreError> {
        Ok(Self {
            connection: acquire(pool).await?,
            answered: false,
        })
    }

    /// The answer has come, whatever it is.
    pub(crate) fn end(&mut self) {
        self.answered = true;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.answered {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Reading {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// Where the writers of one process queue, before they take a connection. Of all who want one
/// person's calendar one holds a connection; the others wait without one, and do not starve those
/// who want something else. Between processes the database's locks decide.
#[derive(Debug, Clone)]
pub(crate) struct Gates(Arc<[Mutex<()>]>);

/// Enough that two people rarely share a gate. Those who do only wait for each other.
const GATES: u16 = 1024;

impl Gates {
    pub(crate) fn new() -> Self {
        Self((0..GATES).map(|_| Mutex::new(())).collect())
    }

    /// Waits for the gates of these locks, in one order for all writers.
    pub(crate) async fn pass(&self, locks: &[i64]) -> Result<Vec<MutexGuard<'_, ()>>, StoreError> {
        let gate = |lock: &i64| usize::try_from(lock.rem_euclid(GATES.into())).unwrap_or(0);
        let mut gates: Vec<usize> = locks.iter().map(gate).collect();
        gates.sort_unstable();
        gates.dedup();
        let passing = async {
            let mut passed = Vec::with_capacity(gates.len());
            for gate in gates {
                passed.push(self.0[gate].lock().await);
            }
            passed
        };
        tokio::time::timeout(QUEUE_TIMEOUT, passing)
            .await
            .map_err(|elapsed| StoreError::Unavailable(Box::new(elapsed)))
    }
}

pub(crate) async fn acquire(pool: &PgPool) -> Result<PoolConnection<Postgres>, StoreError> {
    pool.acquire().await.map_err(failed)
}

/// Therapist and client of a booking.
pub(crate) type Parties = (TherapistId, ClientId);

/// The parties of an occurrence's intent, read without a lock: what to lock before reading all else.
pub(crate) async fn parties(
    db: &mut PgConnection,
    clinic: ClinicId,
    address: Address,
) -> Result<Option<Parties>, StoreError> {
    let (sql, of) = match address {
        Address::Occurrence(intent, _) => (
            "SELECT therapist_id, client_id FROM intent WHERE clinic_id = $1 AND id = $2",
            intent.0,
        ),
        Address::Session(session) => (
            "SELECT intent.therapist_id, intent.client_id FROM session
             JOIN intent ON intent.clinic_id = session.clinic_id AND intent.id = session.intent_id
             WHERE session.clinic_id = $1 AND session.id = $2",
            session.0,
        ),
    };
    let query = sqlx::query(sql).bind(clinic.0).bind(of);
    optional(db, query, |row: &Row| {
        let therapist = TherapistId(id(row, "therapist_id")?);
        Ok((therapist, ClientId(id(row, "client_id")?)))
    })
    .await
}

/// What a write locks: the parties of its scope, what is to prove a grant, and its idempotency key, so
/// that of two requests under one proof or key the second sees what the first has stored. Sorted,
/// each once.
pub(crate) fn of_write(request: &Request, scope: &Scope, parties: Option<Parties>) -> Vec<i64> {
    let parties = match scope {
        Scope::Booking {
            therapist, client, ..
        } => vec![therapist.0, client.0],
        Scope::Account { client, .. }
        | Scope::Subscription { client, .. }
        | Scope::Month { client, .. } => vec![client.0],
        Scope::Occurrence { .. } | Scope::Waiver(_) => of_parties(parties),
        // So that of two writers who add codes the second sees the first's.
        Scope::Reasons | Scope::Quotas => vec![request.clinic.0],
        Scope::Conflict(id) => vec![*id],
        Scope::Series { therapist, .. } => {
            let mut all = of_parties(parties);
            all.extend(therapist.map(|other| other.0));
            all
        }
        Scope::Person { id, .. } => vec![id.uuid()],
        Scope::Assignment { client, therapist } => {
            let therapist = therapist.map(|therapist| therapist.0);
            therapist.into_iter().chain([client.0]).collect()
        }
        // So that of two writers who change one the second sees the first's.
        Scope::Offer { service, plan } => {
            let service = service.map(|service| service.0);
            service.into_iter().chain(plan.map(|plan| plan.0)).collect()
        }
        Scope::Erasure { client, .. } => vec![client.0],
        Scope::Registration { .. } | Scope::New { .. } | Scope::Message(_) => Vec::new(),
    };
    let proof = match scope {
        Scope::Account { proof, .. } => proof.as_ref(),
        Scope::Month { proof, .. } => Some(proof),
        _ => None,
    };
    let mut locks: Vec<i64> = parties.into_iter().map(lock).collect();
    locks.extend(proof.map(|proof| {
        let name = format!("proof {proof}");
        lock(Uuid::new_v5(&request.clinic.0, name.as_bytes()))
    }));
    locks.extend(request.idempotency.as_ref().map(|given| {
        let name = format!("{}\n{}", request.actor, given.key);
        lock(Uuid::new_v5(&request.clinic.0, name.as_bytes()))
    }));
    locks.sort_unstable();
    locks.dedup();
    locks
}

fn of_parties(parties: Option<Parties>) -> Vec<Uuid> {
    parties.map_or_else(Vec::new, |(therapist, client)| vec![therapist.0, client.0])
}

/// Locks the parties of a claimed row, unless somebody else holds one of them.
pub(crate) async fn try_lock(db: &mut PgConnection, parties: &[Uuid]) -> Result<(), StoreError> {
    let locks: Vec<i64> = parties.iter().copied().map(lock).collect();
    let sql = "SELECT bool_and(pg_try_advisory_xact_lock(lock)) FROM unnest($1) AS lock";
    let locked: bool = sqlx::query_scalar(sql)
        .bind(locks)
        .fetch_one(db)
        .await
        .map_err(failed)?;
    locked.then_some(()).ok_or(StoreError::Busy)
}

/// The lock that stands for an id. Two ids that share one only wait for each other.
fn lock(id: Uuid) -> i64 {
    let (high, low) = id.as_u64_pair();
    (high ^ low).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_differ_anywhere_have_different_locks() {
        let id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
        for bit in 0..128 {
            let other = Uuid::from_u128(id.as_u128() ^ (1 << bit));
            assert_ne!(lock(id), lock(other), "bit {bit}");
        }
    }
}
