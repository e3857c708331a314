//! Plans, and who is subscribed to which.

use chrono::{DateTime, Utc};
use clinic::{ClinicId, Plan, PlanId, Subscription};
use scheduler_core::ClientId;
use sqlx::postgres::PgConnection;
use store::rows::{self, integer, terms_json};
use store::{Page, StoreError};

use crate::people::{many, one};
use crate::rows::{Document, Instant, execute, execute_on_one};

pub(crate) async fn plan(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: PlanId,
) -> Result<Option<Plan>, StoreError> {
    let sql = "SELECT * FROM plan WHERE clinic_id = $1 AND id = $2";
    one(db, sql, clinic, id.0, rows::plan).await
}

pub(crate) async fn plans(
    db: &mut PgConnection,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Plan>, StoreError> {
    let sql = "SELECT * FROM plan WHERE clinic_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    many(db, sql, clinic, page, rows::plan).await
}

pub(crate) async fn subscription(
    db: &mut PgConnection,
    clinic: ClinicId,
    client: ClientId,
) -> Result<Option<Subscription>, StoreError> {
    let sql = "SELECT * FROM subscription WHERE clinic_id = $1 AND client_id = $2";
    one(db, sql, clinic, client.0, rows::subscription).await
}

pub(crate) async fn insert(
    db: &mut PgConnection,
    clinic: ClinicId,
    plan: &Plan,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "INSERT INTO plan (clinic_id, id, name, service_id, credits, price_minor, currency,
         left_over) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(clinic.0)
    .bind(plan.id.0)
    .bind(&plan.name)
    .bind(plan.service.0)
    .bind(plan.credits.0)
    .bind(plan.price.minor)
    .bind(plan.price.currency.to_string())
    .bind(Document(rows::json("left_over", &plan.left_over)?));
    execute(db, query).await
}

/// Nobody can subscribe to it any more.
pub(crate) async fn retire(
    db: &mut PgConnection,
    clinic: ClinicId,
    plan: PlanId,
    at: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let sql = "UPDATE plan SET retired_at = $1 WHERE clinic_id = $2 AND id = $3";
    let query = sqlx::query(sql)
        .bind(Instant(at))
        .bind(clinic.0)
        .bind(plan.0);
    execute_on_one(db, query).await
}

pub(crate) async fn insert_subscription(
    db: &mut PgConnection,
    clinic: ClinicId,
    new: &Subscription,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "INSERT INTO subscription (clinic_id, client_id, terms, version) VALUES ($1, $2, $3, $4)",
    )
    .bind(clinic.0)
    .bind(new.client.0)
    .bind(Document(terms_json(&new.terms)?))
    .bind(integer(new.version));
    execute(db, query).await
}

pub(crate) async fn update_subscription(
    db: &mut PgConnection,
    clinic: ClinicId,
    changed: &Subscription,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE subscription SET terms = $1, version = $2 WHERE clinic_id = $3 AND client_id = $4",
    )
    .bind(Document(terms_json(&changed.terms)?))
    .bind(integer(changed.version))
    .bind(clinic.0)
    .bind(changed.client.0);
    execute_on_one(db, query).await
}
