//! That secrets are gone from memory once they are dropped, read where they stood.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::os::unix::fs::FileExt;

use crypto_core::{KeyBytes, Purpose};

use crate::{dek, nonce, place};

/// How many of these bytes this process has at this address.
fn still_there(address: usize, secret: &[u8]) -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let mut found = vec![0; secret.len()];
    let read = memory.read_exact_at(&mut found, u64::try_from(address).unwrap());
    match read {
        Ok(()) => found.iter().zip(secret).filter(|(a, b)| a == b).count(),
        Err(_) => 0, // given back to the system
    }
}

#[test]
fn an_opened_value_is_wiped() {
    let dek = dek(1, 1, 9);
    // No byte occurs in zeros, and few in what an allocator writes.
    let text = [0xa7; 10_000];
    let sealed = dek.seal(&place(), Purpose::Note, &text, nonce(1)).unwrap();
    let opened = dek.open(&place(), Purpose::Note, &sealed).unwrap();
    let address = opened.expose().as_ptr().addr();
    assert_eq!(still_there(address, &text), text.len());
    drop(opened);
    assert!(still_there(address, &text) < 64);
}

#[test]
fn taken_key_bytes_are_wiped() {
    let mut bytes = [0xa7; 32];
    let _key = KeyBytes::take(&mut bytes);
    assert_eq!(bytes, [0; 32]);
}
