//! TCP connections: how many there may be, and how long one may say nothing.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::http::Problem;
use crate::stop::Stop;

/// How long a request's head may take from the first look at the connection on, and so too how long a
/// connection may be idle between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How many connections there may be at once. An idle one costs some kilobytes.
const CONNECTIONS_MAX: usize = 8_192;
/// Files that stay free for the database and logs, of those that the process may open.
const OTHER_FILES: u64 = 256;
/// How long nothing is accepted after the system had no room for a connection.
const BREATH: Duration = Duration::from_millis(100);
/// The answer to a connection beyond the limit.
const FULL: &str = "HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\
    content-length: 126\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
    \"code\":\"unavailable\",\"detail\":\"too many connections at once\"}";

/// Serves connections until the word to stop, and then finishes the requests that are under way.
pub(crate) async fn serve(listener: TcpListener, routes: Router, stop: Stop) {
    // One service for all: what serves a connection is a reference to it.
    let routes = routes.layer(middleware::from_fn(name_host));
    let service = TowerToHyperService::new(routes.into_service::<Incoming>());
    let places = Arc::new(Semaphore::new(most()));
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.requested() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if !is_of_one(&error) {
                    tracing::error!(%error, "no connection can be accepted");
                    tokio::time::sleep(BREATH).await;
                }
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            refuse(stream);
            continue;
        };
        // An answer is one write: there is nothing to wait for.
        let _sooner = stream.set_nodelay(true);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service.clone());
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // One that breaks or is too slow is the caller's own.
            let _broken = connection.await;
            drop(place);
        });
    }
    drop(listener);
    open.shutdown().await;
}

/// Refuses a request of HTTP/1.1 that does not say which host it asks (RFC 9112, section 3.2).
async fn name_host(request: Request, next: Next) -> Response {
    let names_it = request.headers().contains_key(header::HOST);
    if request.version() == Version::HTTP_11 && !names_it {
        let detail = "a request of HTTP/1.1 names its host";
        return Problem::malformed("malformed_header", "Host", detail).into_response();
    }
    next.run(request).await
}

/// As many as there may be, or as the process may open.
fn most() -> usize {
    #[cfg(unix)]
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let files = None;
    let most = files.map_or(u64::MAX, |files: u64| {
        files.saturating_sub(OTHER_FILES).max(1)
    });
    usize::try_from(most).map_or(CONNECTIONS_MAX, |most| most.min(CONNECTIONS_MAX))
}

/// Whether only this connection has failed.
fn is_of_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Answers a connection beyond the limit. A caller who does not read at once gets no answer.
fn refuse(mut stream: TcpStream) {
    tokio::spawn(async move {
        let answer = async {
            stream.write_all(FULL.as_bytes()).await?;
            stream.shutdown().await
        };
        let _nobody_reads = tokio::time::timeout(BREATH, answer).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_beyond_the_limit_has_the_length_it_says() {
        let (head, body) = FULL.split_once("\r\n\r\n").unwrap();
        let length = format!("content-length: {}", body.len());
        assert!(head.contains(&length), "{length}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["status"], 503);
    }
}
