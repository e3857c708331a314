//! What is asked of every request before anybody looks at what it wants, and said with every answer.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// Headers that would say two things if they were there twice.
const ONCE: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::IF_MATCH,
    HeaderName::from_static("idempotency-key"),
];

/// The type that `curl -d` gives a body by default. The body must be JSON all the same.
const CURLS_DEFAULT: &str = "application/x-www-form-urlencoded";

/// Refuses two tokens, since either could count, and keeps answers out of caches.
pub(super) async fn check(request: Request, next: Next) -> Response {
    let mut response = match once(request.headers(), &header::AUTHORIZATION) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses a request that could be read in two ways. It is asked of a known caller: anybody else learns only that
/// the token is missing.
pub(super) fn well_formed(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    for name in &ONCE {
        once(headers, name)?;
    }
    if request.method() == Method::POST {
        is_json(headers)?;
    }
    Ok(())
}

fn once(headers: &HeaderMap, name: &HeaderName) -> Result<(), Problem> {
    if headers.get_all(name).iter().count() > 1 {
        let detail = "it is given twice: which one counts?";
        return Err(Problem::malformed(
            "malformed_header",
            name.as_str(),
            detail,
        ));
    }
    Ok(())
}

fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| HeaderValue::to_str(value).ok())
    };
    let kind = text(header::CONTENT_TYPE).map(|kind| {
        let kind = kind.split(';').next().unwrap_or_default();
        kind.trim().to_ascii_lowercase()
    });
    let is_known = kind.as_deref().is_none_or(|kind| {
        ["application/json", CURLS_DEFAULT].contains(&kind) || kind.ends_with("+json")
    });
    let is_plain = text(header::CONTENT_ENCODING)
        .is_none_or(|coding| coding.trim().eq_ignore_ascii_case("identity"));
    let refused = |name: &str, value: Option<&str>, detail| {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Problem::new(status, "unsupported_media_type", detail)
            .with("field", name)
            .with("value", value.unwrap_or_default())
    };
    match (is_known, is_plain) {
        (false, _) => Err(refused(
            "Content-Type",
            kind.as_deref(),
            "a body is application/json",
        )),
        (_, false) => Err(refused(
            "Content-Encoding",
            text(header::CONTENT_ENCODING),
            "a body is sent as it is",
        )),
        (true, true) => Ok(()),
    }
}
