//! Plans, and who is subscribed to which.

use chrono::{DateTime, Utc};
use clinic::{ClinicId, Plan, PlanId, Subscription};
use scheduler_core::ClientId;
use sqlx::sqlite::SqliteConnection;
use store::rows::{self, integer, terms_json};
use store::{Page, StoreError};

use crate::people::{many, one};
use crate::rows::{execute, execute_on_one, micros};

pub(crate) async fn plan(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    id: PlanId,
) -> Result<Option<Plan>, StoreError> {
    let sql = "SELECT * FROM plan WHERE clinic_id = ? AND id = ?";
    one(db, sql, clinic, id.0, rows::plan).await
}

pub(crate) async fn plans(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Plan>, StoreError> {
    let sql = "SELECT * FROM plan WHERE clinic_id = ? AND id > ? ORDER BY id LIMIT ?";
    many(db, sql, clinic, page, rows::plan).await
}

pub(crate) async fn subscription(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    client: ClientId,
) -> Result<Option<Subscription>, StoreError> {
    let sql = "SELECT * FROM subscription WHERE clinic_id = ? AND client_id = ?";
    one(db, sql, clinic, client.0, rows::subscription).await
}

pub(crate) async fn insert(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    plan: &Plan,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "INSERT INTO plan (clinic_id, id, name, service_id, credits, price_minor, currency,
         left_over) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(clinic.0)
    .bind(plan.id.0)
    .bind(&plan.name)
    .bind(plan.service.0)
    .bind(plan.credits.0)
    .bind(plan.price.minor)
    .bind(plan.price.currency.to_string())
    .bind(rows::json("left_over", &plan.left_over)?);
    execute(db, query).await
}

/// Nobody can subscribe to it any more.
pub(crate) async fn retire(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    plan: PlanId,
    at: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let sql = "UPDATE plan SET retired_at = ? WHERE clinic_id = ? AND id = ?";
    let query = sqlx::query(sql)
        .bind(micros(at))
        .bind(clinic.0)
        .bind(plan.0);
    execute_on_one(db, query).await
}

pub(crate) async fn insert_subscription(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    new: &Subscription,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "INSERT INTO subscription (clinic_id, client_id, terms, version) VALUES (?, ?, ?, ?)",
    )
    .bind(clinic.0)
    .bind(new.client.0)
    .bind(terms_json(&new.terms)?)
    .bind(integer(new.version));
    execute(db, query).await
}

pub(crate) async fn update_subscription(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    changed: &Subscription,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE subscription SET terms = ?, version = ? WHERE clinic_id = ? AND client_id = ?",
    )
    .bind(terms_json(&changed.terms)?)
    .bind(integer(changed.version))
    .bind(clinic.0)
    .bind(changed.client.0);
    execute_on_one(db, query).await
}
