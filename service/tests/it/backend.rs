//! The databases that the service runs on. `STANDING_TEST_STORE=postgres` runs every test on
//! PostgreSQL that does not name its own.

use std::path::Path;

use standing::database::Database;
use store_postgres::throwaway::Cluster;
use tokio::sync::OnceCell;

/// How many connections a clinic has to a server.
pub(crate) const CONNECTIONS: u32 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// The server of this test process.
pub(crate) async fn cluster() -> &'static Cluster {
    CLUSTER
        .get_or_init(async || Cluster::start().unwrap())
        .await
}

impl Backend {
    pub(crate) fn of_environment() -> Self {
        match std::env::var("STANDING_TEST_STORE").as_deref() {
            Err(_) | Ok("sqlite") => Self::Sqlite,
            Ok("postgres") => Self::Postgres,
            Ok(other) => panic!("STANDING_TEST_STORE is sqlite or postgres, not {other:?}"),
        }
    }

    /// An empty database with our schema. A file is made in the folder.
    pub(crate) async fn empty(self, folder: &Path) -> Database {
        match self {
            Self::Sqlite => {
                let database = Database::Sqlite(folder.join("clinic.db"));
                database.migrate().await.unwrap();
                database
            }
            Self::Postgres => Database::Postgres(cluster().await.database().await.unwrap()),
        }
    }
}
