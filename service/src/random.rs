//! The one place that draws random bytes: new ids and secrets.

use chrono::{DateTime, Utc};
use crypto_core::{KeyBytes, Nonce};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};
use zeroize::Zeroizing;

/// The system's random source fails only where no program can be secure; then nothing is served.
#[allow(
    clippy::disallowed_methods,
    reason = "the service's one draw of random bytes"
)]
fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has a random source");
    bytes
}

/// A new id: a UUID of version 7 (RFC 9562 §5.7), so that ids sort by the time of creation.
#[must_use]
pub fn id(now: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &bytes()).into_uuid()
}

/// A new client's id: a UUID of version 4, 122 random bits. It does not say when the client
/// registered, as [`id`] would, and stands in rows that are never erased.
#[must_use]
pub fn client_id() -> Uuid {
    Builder::from_random_bytes(bytes()).into_uuid()
}

/// A new key.
#[must_use]
pub fn key() -> KeyBytes {
    KeyBytes::take(&mut bytes())
}

/// A new key in hexadecimal, as key files have it.
#[must_use]
pub fn key_digits() -> Zeroizing<String> {
    let bytes = Zeroizing::new(bytes::<32>());
    let mut digits = Zeroizing::new(String::with_capacity(64));
    for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        digits.extend(char::from_digit(nibble.into(), 16));
    }
    digits
}

/// A nonce for one envelope.
#[must_use]
pub fn nonce() -> Nonce {
    Nonce::from_random(bytes())
}

/// A random number, for jitter.
#[must_use]
pub fn number() -> u64 {
    u64::from_ne_bytes(bytes())
}

/// A new token's secret: 256 random bits as text that says what it is.
#[must_use]
pub fn secret() -> String {
    let hex: String = bytes::<32>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("standing_{hex}")
}

/// The only form in which a secret is stored and looked up. It has 256 random bits, so a plain
/// hash is enough.
#[must_use]
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
