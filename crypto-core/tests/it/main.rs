//! The crate from outside, in one binary: recorded vectors, a second reading of every construction,
//! properties, and a million tampered envelopes.
//!
//! `oracle` computes everything anew from SHA-256 and single AES blocks, and seals what the crate
//! would not: envelopes with any part wrong or free.
#![allow(
    clippy::unwrap_used,
    reason = "in a test a panic is the answer; clippy's exception does not reach shared functions"
)]

mod credential;
mod key_file;
mod keys;
mod laws;
mod oracle;
mod salamander;
mod tamper;
mod vectors;
mod wiped;

use crypto_core::{
    ClientId, ClinicId, Context, Dek, DekId, Field, KeyBytes, KeyId, Nonce, Owner, RowId, Version,
};
use proptest::test_runner::Config;
use uuid::Uuid;

/// Cases of each property; `STANDING_CASES=100000` runs it at length.
fn cases(usual: u32) -> Config {
    Config {
        cases: asked().unwrap_or(usual),
        failure_persistence: None,
        ..Config::default()
    }
}

fn asked() -> Option<u32> {
    std::env::var("STANDING_CASES").ok()?.parse().ok()
}

fn owner(client: u128) -> Owner {
    Owner {
        clinic: ClinicId(Uuid::from_u128(0xc1)),
        client: ClientId(Uuid::from_u128(client)),
    }
}

fn dek_id(client: u128, generation: u32) -> DekId {
    DekId {
        owner: owner(client),
        generation: KeyId(generation),
    }
}

fn key(byte: u8) -> KeyBytes {
    KeyBytes::take(&mut [byte; 32])
}

fn dek(client: u128, generation: u32, byte: u8) -> Dek {
    Dek::new(dek_id(client, generation), &key(byte))
}

fn nonce(byte: u8) -> Nonce {
    Nonce::from_random([byte; 24])
}

/// A place of client 1.
fn place() -> Context {
    Context {
        owner: owner(1),
        row: RowId(Uuid::from_u128(0x0f)),
        field: Field(3),
        version: Version(7),
    }
}
