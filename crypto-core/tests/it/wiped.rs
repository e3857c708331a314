//! That secrets are gone from memory once they are dropped, read where they stood.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::os::unix::fs::FileExt;

use crypto_core::{KeyBytes, Purpose};

use crate::{dek, nonce, place};

/// Reads this process's memory. What it needs is allocated before: after a drop, the allocator
/// would give it the very place to be looked at.
struct Memory {
    file: File,
    found: Vec<u8>,
}

impl Memory {
    /// How many bytes from this address on are this one.
    fn count(&mut self, address: usize, byte: u8) -> usize {
        let address = u64::try_from(address).unwrap();
        match self.file.read_exact_at(&mut self.found, address) {
            Ok(()) => self.found.iter().filter(|&&found| found == byte).count(),
            Err(_) => 0, // given back to the system
        }
    }
}

#[test]
fn an_opened_value_is_wiped() {
    const BYTES: usize = 10_000;
    let mut memory = Memory {
        file: File::open("/proc/self/mem").unwrap(),
        found: vec![0; BYTES],
    };
    let dek = dek(1, 1, 9);
    let sealed = dek
        .seal(&place(), Purpose::Note, &[0xa7; BYTES], nonce(1))
        .unwrap();
    let opened = dek.open(&place(), Purpose::Note, &sealed).unwrap();
    let address = opened.expose().as_ptr().addr();
    assert_eq!(memory.count(address, 0xa7), BYTES);
    drop(opened);
    assert!(memory.count(address, 0xa7) < 64); // few in what an allocator or another thread writes
}

#[test]
fn taken_key_bytes_are_wiped() {
    let mut bytes = [0xa7; 32];
    let _key = KeyBytes::take(&mut bytes);
    assert_eq!(bytes, [0; 32]);
}
