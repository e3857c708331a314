//! Which rows a rotation still has to seal again, and which keys nothing needs any more.
//!
//! A rotation makes another key the active one and changes nothing else: from then on everything
//! new is sealed under it, and everything old still opens. Rows follow when they are written
//! anyway, and in batches: [`Keyring::reseal`] for values, [`Keyring::rewrap`] for wrapped DEKs.
//! No read or write waits for it. A key may go when no row names it.

use std::collections::BTreeSet;

use crate::envelope::Envelope;
use crate::key::KeyId;
use crate::keyring::{Key, Keyring};

/// Where a sealed value stands in a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Sealed under the active key.
    Current,
    /// Sealed under this older key: to be sealed again.
    Stale(KeyId),
    /// No envelope, or of a key that is not on the ring. It cannot be opened; a person must look.
    Orphan,
}

/// Reads where a sealed value stands, by its header alone. It may still fail to open.
#[must_use]
pub fn status<K: Key>(ring: &Keyring<K>, sealed: &[u8]) -> Status {
    let Ok(envelope) = Envelope::parse(sealed) else {
        return Status::Orphan;
    };
    let id = envelope.key_id();
    if id == ring.active().key_id() {
        Status::Current
    } else if ring.get(id).is_some() {
        Status::Stale(id)
    } else {
        Status::Orphan
    }
}

/// What a rotation finds in a ring's rows, by names of the caller's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<R> {
    /// To be sealed again, in the order they came.
    pub stale: Vec<R>,
    /// That no key of the ring opens.
    pub orphans: Vec<R>,
    /// How many are sealed under the active key.
    pub current: u64,
    named: BTreeSet<KeyId>,
}

impl<R> Plan<R> {
    /// Reads rows of a ring: their names and their sealed values.
    pub fn of<K: Key, S: AsRef<[u8]>>(
        ring: &Keyring<K>,
        rows: impl IntoIterator<Item = (R, S)>,
    ) -> Plan<R> {
        let mut plan = Plan {
            stale: Vec::new(),
            orphans: Vec::new(),
            current: 0,
            named: BTreeSet::new(),
        };
        for (row, sealed) in rows {
            match status(ring, sealed.as_ref()) {
                Status::Current => plan.current += 1,
                Status::Stale(id) => {
                    plan.named.insert(id);
                    plan.stale.push(row);
                }
                Status::Orphan => plan.orphans.push(row),
            }
        }
        plan
    }

    /// The older keys that none of these rows names. If the rows were all there are, backups apart,
    /// these keys may go.
    #[must_use]
    pub fn unneeded<K: Key>(&self, ring: &Keyring<K>) -> Vec<KeyId> {
        ring.older_ids()
            .filter(|id| !self.named.contains(id))
            .collect()
    }
}
