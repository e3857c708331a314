//! Serving: HTTP and the tick loop until somebody says stop.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::net::TcpListener;

use crate::{App, http, web, worker};

/// How long requests that are under way may take after a signal to stop.
const GRACE: Duration = Duration::from_secs(10);

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

/// Serves until a signal, then lets the requests that are under way finish. A tick that is cut off
/// leaves nothing half done: each row is one transaction.
///
/// # Errors
/// If the listener breaks.
pub async fn run(app: App, listener: TcpListener, every: Duration) -> anyhow::Result<()> {
    let ticking = tokio::spawn(worker::run(app.clone(), every));
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let serving = axum::serve(listener, routes(app)).with_graceful_shutdown(async {
        stop().await;
        let _nobody_waits = stopping.send(());
    });
    let patience = async {
        if stopped.await.is_ok() {
            tokio::time::sleep(GRACE).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let served = tokio::select! {
        served = serving.into_future() => served.context("serving stopped"),
        () = patience => Ok(()),
    };
    ticking.abort();
    let _cut_off = ticking.await;
    served
}

/// The API, and in the demo its page.
pub fn routes(app: App) -> Router {
    let api = http::router(app.clone());
    match app.demo {
        Some(_) => api.merge(web::router(app)),
        None => api,
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn stop() {
    let interrupt = async {
        // Without a handler for it, Ctrl-C ends the process the hard way.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
    tracing::info!("stopping");
}
