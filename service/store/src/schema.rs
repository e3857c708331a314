//! Whether a database's schema is the one this program knows.

use crate::OpenError;

/// A version of the schema, and a hash of the statements that make it.
pub type Version = (i64, Vec<u8>);

/// Compares what was applied to a database with what this program would apply, both in order.
///
/// # Errors
/// [`OpenError::OlderSchema`], [`OpenError::NewerSchema`], or [`OpenError::OtherSchema`] if a version
/// was made by other statements than this program's.
pub fn check(database: &str, applied: &[Version], known: &[Version]) -> Result<(), OpenError> {
    let newest = |versions: &[Version]| versions.last().map_or(0, |(version, _)| *version);
    let (found, known_newest) = (newest(applied), newest(known));
    let database = database.to_owned();
    if found > known_newest {
        return Err(OpenError::NewerSchema {
            database,
            found,
            known: known_newest,
        });
    }
    let differs = applied.iter().zip(known).find(|(is, ours)| is != ours);
    if let Some(((version, _), _)) = differs {
        let version = *version;
        return Err(OpenError::OtherSchema { database, version });
    }
    if found < known_newest {
        return Err(OpenError::OlderSchema {
            database,
            found,
            known: known_newest,
        });
    }
    Ok(())
}
