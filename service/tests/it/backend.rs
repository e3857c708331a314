//! The databases that the service runs on. `STANDING_TEST_STORE=postgres` runs every test on
//! PostgreSQL that does not name its own.

use std::path::Path;

use standing::database::Database;
use standing::random;
use store_postgres::throwaway::Cluster;
use tokio::sync::OnceCell;

use crate::database::Database as Connection;

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

/// A copy of a database to which nobody is connected, in the folder if it is a file.
pub(crate) async fn copied(database: &Database, folder: &Path) -> Database {
    match database {
        Database::Sqlite(_) => {
            let copy = folder.join("clinic.db");
            let mut original = Connection::at(database).await;
            let into = format!("VACUUM INTO '{}'", copy.display());
            original.execute(&into).await.unwrap();
            original.close().await;
            Database::Sqlite(copy)
        }
        Database::Postgres(url) => {
            let copy = format!("standing_test_{}", random::client_id().simple());
            let create = format!("CREATE DATABASE {copy} TEMPLATE {}", name_in(url));
            on_server(&create).await;
            Database::Postgres(cluster().await.url(&copy))
        }
    }
}

/// Removes a copy. A file goes with its folder.
pub(crate) async fn removed(database: &Database) {
    if let Database::Postgres(url) = database {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", name_in(url));
        on_server(&drop).await;
    }
}

async fn on_server(sql: &str) {
    let url = cluster().await.url("postgres");
    let mut server = Connection::at(&Database::Postgres(url)).await;
    server.execute(sql).await.unwrap();
    server.close().await;
}

/// The name of a database in its URL.
fn name_in(url: &str) -> &str {
    let path = url.split('?').next().unwrap();
    path.rsplit('/').next().unwrap()
}
