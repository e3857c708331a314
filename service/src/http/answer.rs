//! Answers that are what was asked for.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use store::Written;
use utoipa::ToSchema;

use crate::admission::compute;

/// A body with its version as `ETag`.
pub(super) struct Versioned<T> {
    pub(super) status: StatusCode,
    pub(super) version: u64,
    pub(super) body: T,
}

impl<T: Serialize> Versioned<T> {
    pub(super) fn ok(version: u64, body: T) -> Self {
        Self {
            status: StatusCode::OK,
            version,
            body,
        }
    }
}

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body)).into_response();
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", self.version)) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// The answer to a command: what is there after it, and whether it was there before.
pub(super) struct Done<T> {
    pub(super) written: Written,
    pub(super) answer: T,
}

impl<T: IntoResponse> IntoResponse for Done<T> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        if let Written::Replayed(_) = self.written {
            let replayed = HeaderValue::from_static("true");
            response
                .headers_mut()
                .insert("idempotent-replayed", replayed);
        }
        response
    }
}

/// A body that may be long: it is written out as other work is that takes long.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize + Send> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        compute(|| axum::Json(self.0).into_response())
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    /// In the order of their ids; appointments of a calendar by their start.
    items: Vec<T>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
}

impl<T> List<T> {
    /// A page that was read with this limit; `cursor` names an item.
    pub(super) fn page(items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Self {
        let is_full = u32::try_from(items.len()).is_ok_and(|length| length >= limit);
        let next = items.last().filter(|_| is_full).map(cursor);
        Self { items, next }
    }

    /// A page, with the cursor of the next one.
    pub(super) fn part(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next }
    }

    /// All there is.
    pub(super) fn all(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}
