//! Serving: HTTP and the tick loop until somebody says stop.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::net::TcpListener;

use crate::stop::Stop;
use crate::{App, connections, http, web, worker};

/// How long what is under way may take after a signal to stop.
const GRACE: Duration = Duration::from_secs(15);
/// How long the database may take to be let go.
const CLOSING: Duration = Duration::from_secs(3);

/// Tells whoever started the program. That nobody reads it is no reason to stop.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _nobody_reads = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Takes the address.
///
/// # Errors
/// If it is taken already, or not this machine's.
pub async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; choose another with --listen"))
}

/// Where a listener is reached.
///
/// # Errors
/// If the listener has no address, which a bound one has.
pub fn url(listener: &TcpListener) -> anyhow::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// Serves pages, each at its listener, until a signal, and ticks beside it if it is to. Then the requests, rows and
/// messages that are under way are finished, nothing more is claimed, and the database is let go. What
/// is cut off after that leaves nothing half done: each row is one transaction, and a lease runs out.
pub async fn run(app: App, served: Vec<(TcpListener, Router)>, ticks: Option<Duration>) {
    let (stop, store) = (app.stop.clone(), app.store.clone());
    let serving = served
        .into_iter()
        .map(|(listener, routes)| connections::serve(listener, routes, stop.clone()));
    let serving = futures_util::future::join_all(serving);
    let working = async {
        match ticks {
            Some(every) => worker::run(app, every).await,
            None => stop.requested().await,
        }
    };
    let all = async { tokio::join!(serving, working) };
    let patience = async {
        stop.requested().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        _served = all => {}
        () = patience => {}
    }
    // Something that was cut off may hold a connection for ever.
    let _closed = tokio::time::timeout(CLOSING, store.close()).await;
}

/// Health and metrics.
pub fn health_routes(app: App) -> Router {
    http::health::router(app)
}

/// The API.
pub fn api_routes(app: App) -> Router {
    http::router(app)
}

/// The API, health and metrics, and in the demo its page.
pub fn routes(app: App) -> Router {
    let api = api_routes(app.clone()).merge(health_routes(app.clone()));
    match app.demo {
        Some(_) => api.merge(web::router(app)),
        None => api,
    }
}

/// The word to stop, said at Ctrl-C, SIGTERM or SIGHUP. The second time the process ends at once.
#[must_use]
pub fn stop_on_signal() -> Stop {
    let (stopper, stop) = Stop::new();
    tokio::spawn(async move {
        signal().await;
        tracing::info!("stopping");
        stopper.stop();
        signal().await;
        tracing::warn!("stopping at once");
        std::process::exit(1);
    });
    stop
}

/// Waits for Ctrl-C, SIGTERM, or SIGHUP, which comes when a terminal is closed.
async fn signal() {
    let interrupt = async {
        // Without a handler for it, Ctrl-C ends the process the hard way.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        let of = [SignalKind::terminate(), SignalKind::hangup()].map(signal);
        let [Ok(mut terminate), Ok(mut hang_up)] = of else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ended = terminate.recv() => {}
            _ended = hang_up.recv() => {}
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
