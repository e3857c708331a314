//! People's keys in memory: a bounded number, each for a minute at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clinic::ClinicId;
use crypto_core::{Dek, Keyring};
use uuid::Uuid;

/// How long a ring is kept. Who is erased is unreadable for every process after that.
const LIFETIME: Duration = Duration::from_secs(60);
/// The most rings that are kept.
const RINGS_MAX: usize = 4_096;

#[derive(Default)]
pub(super) struct Rings(Mutex<HashMap<(ClinicId, Uuid), Kept>>);

struct Kept {
    since: Instant,
    ring: Arc<Keyring<Dek>>,
}

impl Rings {
    pub(super) fn get(&self, clinic: ClinicId, owner: Uuid) -> Option<Arc<Keyring<Dek>>> {
        let kept = self.kept();
        kept.get(&(clinic, owner)).map(|kept| kept.ring.clone())
    }

    pub(super) fn put(&self, clinic: ClinicId, owner: Uuid, ring: Arc<Keyring<Dek>>) {
        let mut kept = self.kept();
        if kept.len() >= RINGS_MAX {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.since);
            if let Some(oldest) = oldest.map(|(owner, _)| *owner) {
                kept.remove(&oldest);
            }
        }
        let since = Instant::now();
        kept.insert((clinic, owner), Kept { since, ring });
    }

    pub(super) fn forget(&self, clinic: ClinicId, owner: Uuid) {
        self.kept().remove(&(clinic, owner));
    }

    /// What is kept, without what has been for too long: it is wiped as it goes.
    fn kept(&self) -> MutexGuard<'_, HashMap<(ClinicId, Uuid), Kept>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, kept| kept.since.elapsed() < LIFETIME);
        kept
    }
}

#[cfg(test)]
mod tests {
    use crypto_core::{ClientId, DekId, KeyBytes, KeyId, Owner};

    use super::*;

    fn ring(owner: Uuid) -> Arc<Keyring<Dek>> {
        let id = DekId {
            owner: Owner {
                clinic: crypto_core::ClinicId(Uuid::nil()),
                client: ClientId(owner),
            },
            generation: KeyId(1),
        };
        let dek = Dek::new(id, &KeyBytes::take(&mut [7; 32]));
        Arc::new(Keyring::new(dek, []).unwrap())
    }

    #[test]
    fn rings_are_few_and_short_lived() {
        let (rings, clinic) = (Rings::default(), ClinicId::FIRST);
        let owner = |number: usize| Uuid::from_u128(number.try_into().unwrap());
        let first = ring(owner(0));
        rings.put(clinic, owner(0), first.clone());
        for number in 1..=RINGS_MAX {
            rings.put(clinic, owner(number), first.clone());
        }
        assert_eq!(rings.kept().len(), RINGS_MAX);
        assert!(rings.get(clinic, owner(0)).is_none(), "the oldest went");
        assert!(rings.get(clinic, owner(1)).is_some());
        assert!(rings.get(ClinicId(owner(1)), owner(1)).is_none());
        rings.forget(clinic, owner(1));
        assert!(rings.get(clinic, owner(1)).is_none());
        // A minute later there is none, and nothing of them is left in memory.
        let Some(then) = Instant::now().checked_sub(LIFETIME) else {
            return;
        };
        for kept in rings.kept().values_mut() {
            kept.since = then;
        }
        assert!(rings.get(clinic, owner(2)).is_none());
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
