//! Statements that fail in the midst, connections that are lost before and after the server has done what was
//! asked, callers who go away.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use store::contract::{
    Fault, Running, Struck, Tally, dropped_at, what_goes_wrong_leaves_nothing_half_done,
};
use store_postgres::PostgresStore;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Notify;

use crate::practice::cluster;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The server answers with an error, as with a full disk.
    Refused,
    /// The server never gets it.
    LostBefore,
    /// The server does it, and its answer is lost.
    LostAfter,
    /// The caller goes away.
    Dropped,
}

/// A statement that fails with `disk_full`. What the server answers to it is also an answer to a statement that
/// was to be prepared: an error, and that it is ready for the next.
const FAILS: &str = "DO $$BEGIN RAISE SQLSTATE '53100' USING MESSAGE = 'no space left'; END$$";

/// A proxy between a store and its server that counts statements.
#[derive(Clone)]
struct Wire {
    kind: Kind,
    /// How many statements go by before the one that goes wrong; negative if none does.
    left: Arc<AtomicI64>,
}

/// A message of the protocol: its type, and what follows, with the length.
type Message = (u8, Vec<u8>);

async fn message(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Message> {
    let kind = from.read_u8().await?;
    Ok((kind, body(from).await?))
}

async fn body(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut body = length.to_be_bytes().to_vec();
    body.resize(length.try_into().map_err(std::io::Error::other)?, 0);
    from.read_exact(&mut body[4..]).await?;
    Ok(body)
}

impl Wire {
    /// Whether it is the turn of the statement that goes wrong.
    fn strikes(&self) -> bool {
        let counted = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                (left >= 0).then(|| left - 1)
            });
        counted == Ok(0)
    }

    /// Forwards one connection until either end closes it, or it is lost.
    async fn forward(self, near: TcpStream, far: UnixStream) -> std::io::Result<()> {
        let (mut near_in, mut near_out) = near.into_split();
        let (mut far_in, mut far_out) = far.into_split();
        let (lose, ready) = (Notify::new(), Notify::new());
        let asking = async {
            far_out.write_all(&body(&mut near_in).await?).await?; // what opens the connection
            let mut asked = Vec::new();
            loop {
                let (kind, body) = message(&mut near_in).await?;
                asked.push(kind);
                asked.extend(&body);
                // Sync, or a query by itself: the server answers, and says that it is ready.
                if matches!(kind, b'S' | b'Q') && self.strikes() {
                    match self.kind {
                        Kind::LostBefore => return Ok(()),
                        Kind::LostAfter => lose.notify_one(),
                        Kind::Refused | Kind::Dropped => {
                            let length = u32::try_from(FAILS.len() + 5).unwrap();
                            asked =
                                [b"Q", &length.to_be_bytes()[..], FAILS.as_bytes(), b"\0"].concat();
                        }
                    }
                    far_out.write_all(&std::mem::take(&mut asked)).await?;
                    if self.kind == Kind::LostAfter {
                        ready.notified().await;
                        return Ok(());
                    }
                } else if matches!(kind, b'S' | b'Q' | b'X' | b'H') {
                    far_out.write_all(&std::mem::take(&mut asked)).await?;
                }
            }
        };
        let answering = async {
            let mut lost = false;
            loop {
                let (kind, body) = message(&mut far_in).await?;
                lost |= was_notified(&lose);
                if !lost {
                    near_out.write_all(&[&[kind], &body[..]].concat()).await?;
                } else if kind == b'Z' {
                    ready.notify_one();
                }
            }
        };
        tokio::select! {
            done = asking => done,
            done = answering => done,
        }
    }
}

/// Whether somebody has notified.
fn was_notified(notify: &Notify) -> bool {
    let waiting = std::pin::pin!(notify.notified());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    waiting.poll(&mut context).is_ready()
}

struct Postgres {
    wire: Wire,
    plain: PgPool,
}

#[async_trait]
impl Fault for Postgres {
    async fn strike(&self, step: u64, call: Running) -> Struck {
        if self.wire.kind == Kind::Dropped {
            return dropped_at(step, call).await;
        }
        self.wire
            .left
            .store(step.try_into().unwrap(), Ordering::SeqCst);
        let answer = call.await;
        let left = self.wire.left.swap(-1, Ordering::SeqCst);
        Struck {
            reached: left < 0,
            answer: Some(answer),
        }
    }

    fn is_silent(&self) -> bool {
        self.wire.kind != Kind::Refused
    }

    /// The server may still be at what a connection that is gone has asked.
    async fn settle(&self) {
        let busy = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                    AND pid <> pg_backend_pid() AND state IS DISTINCT FROM 'idle' AND backend_type = 'client backend')";
        for _ in 0..500 {
            let busy: bool = sqlx::query_scalar(busy)
                .fetch_one(&self.plain)
                .await
                .unwrap();
            if !busy {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("a connection does not end");
    }
}

async fn serve(wire: Wire, socket: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            near.set_nodelay(true).unwrap();
            let far = UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(wire.clone().forward(near, far));
        }
    });
    port
}

async fn strike(kind: Kind) -> Tally {
    let url = cluster().database().await.unwrap();
    let options: PgConnectOptions = url.parse().unwrap();
    let socket = options.get_socket().unwrap().join(".s.PGSQL.5432");
    let wire = Wire {
        kind,
        left: Arc::new(AtomicI64::new(-1)),
    };
    let port = serve(wire.clone(), socket).await;
    let name = options.get_database().unwrap();
    let through = format!("postgres://standing@127.0.0.1:{port}/{name}?sslmode=disable");
    let store = PostgresStore::open(&through, 3).await.unwrap();
    let plain = PgPool::connect_lazy(&url).unwrap();
    let fault = Postgres { wire, plain };
    let tally = what_goes_wrong_leaves_nothing_half_done(Arc::new(store), &fault).await;
    println!("{kind:?}: {} of {} calls", tally.struck, tally.calls);
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_statement_that_is_refused_leaves_nothing() {
    let tally = strike(Kind::Refused).await;
    assert_eq!(tally.untouched, ["journal_gaps"], "it asks nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_connection_that_is_lost_before_a_statement_leaves_nothing() {
    let tally = strike(Kind::LostBefore).await;
    assert_eq!(tally.untouched, ["journal_gaps"], "it asks nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_connection_that_is_lost_with_the_answer_leaves_all_or_nothing() {
    let tally = strike(Kind::LostAfter).await;
    assert_eq!(tally.untouched, ["journal_gaps"], "it asks nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_caller_who_goes_away_leaves_all_or_nothing() {
    let tally = strike(Kind::Dropped).await;
    assert!(tally.struck > 400, "{tally:?}");
}
