//! Whether a key file is the one that a database is sealed under.

use store::Store;

use super::{Vault, VaultError};

/// How many of the newest keys of people are tried: some may have been damaged one by one.
const SAMPLE: u32 = 16;

impl Vault {
    /// Makes sure that the key file belongs to a database, which keeps the fingerprint of the first file
    /// that was used with it. A file from before the last rotation of KEKs has the fingerprint, but opens
    /// nothing that is new.
    ///
    /// # Errors
    /// [`VaultError::Foreign`] if it does not belong to it: people who are sealed under another file could
    /// not be read, nor could they be found by their addresses.
    pub async fn belong_to(&self, store: &dyn Store) -> Result<(), VaultError> {
        let file = self.key_file()?;
        let sample = store.newest_deks(SAMPLE).await?;
        let unwraps = |(clinic, dek): &_| self.unwrap_one(*clinic, dek).is_ok();
        let ours = file.keys()?.mac.fingerprint();
        let opens = sample.is_empty() || sample.iter().any(unwraps);
        if opens && store.keep_key_fingerprint(ours).await? == ours {
            return Ok(());
        }
        Err(VaultError::Foreign {
            file: file.shown().to_owned(),
        })
    }
}
