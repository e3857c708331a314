//! Connections that go silent: no answer, no end. A lost host, a firewall that forgot.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use store::{Store, StoreError};
use store_postgres::PostgresStore;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinSet;

use crate::practice::{CLINIC, client_id, cluster};

/// Forwards connections to a server. All that are open can be silenced; new ones are forwarded.
struct Wire {
    port: u16,
    silenced: tokio::sync::watch::Sender<u32>,
    opened: Arc<AtomicU32>,
}

impl Wire {
    async fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (silenced, _) = tokio::sync::watch::channel(0);
        let opened = Arc::new(AtomicU32::new(0));
        let (say, count) = (silenced.clone(), opened.clone());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let mut far = UnixStream::connect(&socket).await.unwrap();
                let mut hear = say.subscribe();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = hear.changed() => std::future::pending::<()>().await,
                    }
                });
            }
        });
        Self {
            port,
            silenced,
            opened,
        }
    }

    fn silence(&self) {
        self.silenced.send_modify(|times| *times += 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn connections_that_go_silent_are_given_up_and_replaced() {
    let url = cluster().database().await.unwrap();
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let socket = options.get_socket().unwrap().join(".s.PGSQL.5432");
    let wire = Wire::to(socket).await;
    let name = options.get_database().unwrap();
    let url = format!(
        "postgres://standing@127.0.0.1:{}/{name}?sslmode=disable",
        wire.port
    );
    let store = PostgresStore::open(&url, 3).await.unwrap();
    let ask = async |store: PostgresStore| {
        let began = Instant::now();
        (store.client(CLINIC, client_id(0)).await, began.elapsed())
    };
    let all = async || {
        let mut asking = JoinSet::new();
        for _ in 0..3 {
            asking.spawn(ask(store.clone()));
        }
        asking.join_all().await
    };
    for (answer, _) in all().await {
        answer.unwrap();
    }
    let opened = wire.opened.load(Ordering::Relaxed);
    wire.silence();
    for (answer, took) in all().await {
        assert!(
            matches!(answer, Err(StoreError::Unavailable(_))),
            "{answer:?}"
        );
        assert!(took < Duration::from_secs(25), "{took:?}");
    }
    for (answer, took) in all().await {
        answer.unwrap();
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    assert!(wire.opened.load(Ordering::Relaxed) > opened);
}
