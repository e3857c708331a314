//! Whether the file can be written to.

use std::path::Path;

use sqlx::sqlite::SqlitePool;
use store::StoreError;

use crate::rows::execute;
use crate::transaction::Transaction;

/// What a large commit may add to the log of writes, in bytes.
const ROOM: usize = 256 * 1024;

/// Looks whether there is so much room, by a file that has no name and is gone at once.
async fn find_room(folder: &Path) -> Result<(), StoreError> {
    let folder = folder.to_owned();
    let looking = tokio::task::spawn_blocking(move || {
        let mut file = tempfile::tempfile_in(folder)?;
        std::io::Write::write_all(&mut file, &vec![0; ROOM])
    });
    let found = looking.await.map_err(std::io::Error::other);
    let found = found.and_then(|found| found);
    found.map_err(|source| StoreError::Unavailable(Box::new(source)))
}

/// Commits a row as it is: only a commit comes to the disk. It may fit where a larger one does not, so
/// there must be room for that too.
pub(crate) async fn write(writer: &SqlitePool, folder: &Path) -> Result<(), StoreError> {
    find_room(folder).await?;
    let mut tx = Transaction::begin(writer).await?;
    let sql = "UPDATE deployment SET clock = clock";
    match execute(&mut tx, sqlx::query(sql)).await {
        Ok(_) => tx.commit().await,
        Err(error) => {
            tx.rollback().await;
            Err(error)
        }
    }
}
