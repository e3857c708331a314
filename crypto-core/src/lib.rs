//! Encryption at rest that binds every value to its row and its client.
//!
//! A sealed value is an [`Envelope`]. It opens under the key it was sealed under, for the
//! [`Purpose`] it was sealed for, in the [`Context`] it was sealed in (clinic, client, row, field,
//! version), and nowhere else: swapped, replayed, truncated or touched, it is refused.
//!
//! - **[`Dek`]**, a data encryption key, seals the values of one [`Owner`]. Its bytes stand wrapped
//!   in a row of their own. When those rows are gone, so is everything they sealed: that is how a
//!   client is erased.
//! - **[`Kek`]**, a key encryption key, wraps DEKs, in the same envelope.
//! - **[`Keyring`]**: one active key, and older ones that still open. [`rotation`] says which rows
//!   to seal again.
//! - **[`blind_index`]** finds a row by an address that the database cannot read.
//! - **[`credential`]** binds a token's or a feed's row to a key, so that a forged row is no credential.
//!
//! What it is not: it does no I/O, reads no clock, draws no randomness and keeps no state. Key bytes
//! and nonces are arguments, and must be random. It hides neither that a value exists nor when it
//! changed, and who holds both the rows and the KEKs reads everything. Nor can it see a row that is
//! gone, or one put back from the past whole, its version with it.
//!
//! ```
//! use crypto_core::*;
//! use uuid::Uuid;
//!
//! # fn random<const N: usize>() -> [u8; N] { std::array::from_fn(|i| u8::try_from(i * 37 % 251).unwrap()) }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keks = Keyring::new(Kek::new(KeyId(1), &KeyBytes::take(&mut random())), [])?;
//!
//! // A client's first DEK: wrap it, store the row, use it.
//! let anna = Owner { clinic: ClinicId(Uuid::from_u128(1)), client: ClientId(Uuid::from_u128(2)) };
//! let id = DekId { owner: anna, generation: KeyId(1) };
//! let wrapped = keks.wrap(id, &KeyBytes::take(&mut random()), Nonce::from_random(random()));
//! let deks = Keyring::new(keks.unwrap(id, &wrapped)?, [])?;
//!
//! // A note, bound to its place.
//! let place = Context { owner: anna, row: RowId(Uuid::from_u128(3)), field: Field(7), version: Version(1) };
//! let sealed = deks.seal(&place, Purpose::Note, b"slept well", Nonce::from_random(random()))?;
//! assert_eq!(deks.open(&place, Purpose::Note, &sealed)?.expose(), b"slept well");
//!
//! // Elsewhere it is nothing.
//! let other = Context { row: RowId(Uuid::from_u128(4)), ..place };
//! assert!(deks.open(&other, Purpose::Note, &sealed).is_err());
//! assert!(deks.open(&place.at(Version(2)), Purpose::Note, &sealed).is_err());
//! assert!(deks.open(&place, Purpose::Message, &sealed).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # The bytes
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 1 | suite, `0x01` |
//! | 1 | 1 | purpose: 1 message, 2 note, 3 video join, 4 TOTP seed, 5 wrapped DEK, 6 person |
//! | 2 | 4 | key id, big-endian: the DEK's generation; of a wrapped DEK the KEK's id |
//! | 6 | 24 | nonce |
//! | 30 | 32 | commitment |
//! | 62 | n | ciphertext of the padded plaintext |
//! | 62 + n | 16 | tag |
//!
//! - context = clinic 16, client 16, row 16, field u16, version u64, big-endian. It is never stored
//!   in the envelope. A wrapped DEK's has a nil row, field 0, and the generation for a version.
//! - K_enc, K_com = HKDF-SHA256 (RFC 5869) of the key, no salt, info `standing/v1/enc` and
//!   `standing/v1/com`.
//! - ciphertext and tag: [XAES-256-GCM](https://c2sp.org/XAES-256-GCM) under K_enc, that is
//!   AES-256-GCM (NIST SP 800-38D) under a key that the first half of the nonce derives; associated
//!   data = bytes 0 to 5, context.
//! - commitment = HMAC-SHA256 (RFC 2104) under K_com over nonce, bytes 0 to 5, context. GCM alone
//!   does not commit: a ciphertext can be made that opens under two keys. Here that takes a
//!   collision of SHA-256.
//! - padded plaintext = plaintext, `0x80`, zeros. Notes and personal data to Padmé lengths of at
//!   least 256; messages and join payloads to 256, 1 Ki, 4 Ki, 16 Ki or 64 Ki; TOTP seeds to 128;
//!   DEKs to 64. Nothing is compressed.
//!
//! # Why XAES-256-GCM is our own
//!
//! It is forty lines over the crates `aes` and `aes-gcm`. The crate `xaes-256-gcm` has the same
//! forty and was read beside them, but it is 0.1.0 and derives for every message round keys that only
//! decrypting blocks needs. Without them a note of 1 KiB seals nearly a tenth faster. C2SP's vectors,
//! all million of the accumulated ones, and a second reading of the specification over bare AES
//! blocks hold it. (The crate `xaes-gcm` is another construction.)
//!
//! # Secrets
//!
//! [`KeyBytes`], [`Dek`], [`Kek`], [`IndexKey`], [`MacKey`] and [`Plaintext`] are wiped when dropped and have no
//! `Debug`, `Display`, `Serialize` or `Clone`. Copies that the compiler makes in registers and on
//! the stack while it computes are beyond what safe code can wipe.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod blind_index;
#[cfg(doctest)]
mod compile_fail;
mod context;
pub mod credential;
mod envelope;
mod key;
mod key_file;
mod keyring;
mod pad;
pub mod rotation;
mod xaes;

pub use blind_index::{Addressee, BadEmail, BlindIndex, IndexKey};
pub use context::{ClientId, ClinicId, Context, Field, Owner, Purpose, RowId, Version};
pub use credential::{Bearer, Credential, CredentialKind, MacKey};
pub use envelope::{Envelope, Nonce, OpenError, Plaintext, SealError};
pub use key::{Dek, DekId, Kek, KeyBytes, KeyId};
pub use key_file::{BadKeyFile, Keys};
pub use keyring::{BadKeyring, Key, Keyring};
