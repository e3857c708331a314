//! Sealing and opening a note, beside plain AES-256-GCM.
//!
//! The peer is the crate `aes-gcm` with one key, kept ready, on the same padded length and with the
//! same associated data, in two forms: *in place*, which is nothing but the cipher on bytes that lie
//! ready; and *to a vector*, which does for its caller what an envelope does: nonce, ciphertext and
//! tag in new memory. Numbers are comparable within one run, as ratios.
//! `cargo bench -p benches --bench crypto`
#![allow(missing_docs, clippy::unwrap_used, reason = "a program that measures")]

use std::hint::black_box;
use std::time::Duration;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use crypto_core::{
    ClientId, ClinicId, Context, Dek, DekId, Envelope, Field, Kek, KeyBytes, KeyId, Keyring, Nonce,
    Owner, Purpose, RowId, Version,
};
use uuid::Uuid;

fn owner() -> Owner {
    Owner {
        clinic: ClinicId(Uuid::from_u128(1)),
        client: ClientId(Uuid::from_u128(2)),
    }
}

fn dek_id() -> DekId {
    DekId {
        owner: owner(),
        generation: KeyId(1),
    }
}

fn context() -> Context {
    Context {
        owner: owner(),
        row: RowId(Uuid::from_u128(3)),
        field: Field(4),
        version: Version(5),
    }
}

/// Header and context: what an envelope has for associated data.
const ASSOCIATED: [u8; 64] = [7; 64];

/// Nonces that differ, as the peer's and ours must: the same cost on both sides.
#[derive(Default)]
struct Nonces(u64);

impl Nonces {
    fn next<const N: usize>(&mut self) -> [u8; N] {
        self.0 += 1;
        let mut nonce = [0; N];
        nonce[..8].copy_from_slice(&self.0.to_be_bytes());
        nonce
    }
}

fn notes(c: &mut Criterion) {
    let dek = Dek::new(dek_id(), &KeyBytes::take(&mut [9; 32]));
    let plain = Aes256Gcm::new(&[9; 32].into());
    let context = context();
    for (name, bytes) in [
        ("256 B", 255),
        ("1 KiB", 1023),
        ("16 KiB", 16_383),
        ("256 KiB", 262_143),
    ] {
        let text = vec![0x61; bytes];
        let padded = Purpose::Note.sealed_bytes(bytes).unwrap() - Envelope::OVERHEAD_BYTES;
        assert_eq!(padded, bytes + 1);
        let mut nonces = Nonces::default();

        let mut group = c.benchmark_group(format!("seal a note of {name}"));
        group.throughput(Throughput::Bytes(u64::try_from(padded).unwrap()));
        group.bench_function("standing", |b| {
            b.iter(|| {
                let nonce = Nonce::from_random(nonces.next());
                dek.seal(&context, Purpose::Note, black_box(&text), nonce)
                    .unwrap()
            });
        });
        group.bench_function("aes-gcm, in place", |b| {
            let mut buffer = vec![0x61; padded];
            b.iter(|| {
                let nonce = nonces.next::<12>();
                let buffer = black_box(buffer.as_mut_slice()).into();
                plain
                    .encrypt_inout_detached(&nonce.into(), &ASSOCIATED, buffer)
                    .unwrap()
            });
        });
        group.bench_function("aes-gcm, to a vector", |b| {
            b.iter(|| {
                let nonce = nonces.next::<12>();
                let mut sealed = Vec::with_capacity(12 + padded + 16);
                sealed.extend_from_slice(&nonce);
                sealed.extend_from_slice(black_box(&text));
                sealed.push(0x80);
                let body = (&mut sealed[12..]).into();
                let tag = plain
                    .encrypt_inout_detached(&nonce.into(), &ASSOCIATED, body)
                    .unwrap();
                sealed.extend_from_slice(&tag);
                sealed
            });
        });
        group.finish();

        let sealed = dek
            .seal(&context, Purpose::Note, &text, Nonce::from_random([1; 24]))
            .unwrap();
        let mut peer = vec![0x61; padded];
        let tag = plain
            .encrypt_inout_detached(&[1; 12].into(), &ASSOCIATED, peer.as_mut_slice().into())
            .unwrap();
        let mut group = c.benchmark_group(format!("open a note of {name}"));
        group.throughput(Throughput::Bytes(u64::try_from(padded).unwrap()));
        group.bench_function("standing", |b| {
            b.iter(|| {
                dek.open(&context, Purpose::Note, black_box(&sealed))
                    .unwrap()
            });
        });
        group.bench_function("aes-gcm, to a vector", |b| {
            b.iter(|| {
                let mut opened = black_box(&peer).clone();
                plain
                    .decrypt_inout_detached(
                        &[1; 12].into(),
                        &ASSOCIATED,
                        opened.as_mut_slice().into(),
                        &tag,
                    )
                    .unwrap();
                opened
            });
        });
        group.finish();
    }
}

/// What a client's first value of a while costs: its DEK out of the row.
fn keys(c: &mut Criterion) {
    let kek = Kek::new(KeyId(1), &KeyBytes::take(&mut [3; 32]));
    let keks = Keyring::new(kek, []).unwrap();
    let wrapped = keks.wrap(
        dek_id(),
        &KeyBytes::take(&mut [9; 32]),
        Nonce::from_random([1; 24]),
    );
    c.bench_function("unwrap a DEK and derive its subkeys", |b| {
        b.iter(|| keks.unwrap(dek_id(), black_box(&wrapped)).unwrap());
    });
    c.bench_function("rewrap a DEK", |b| {
        b.iter_batched(
            || Nonce::from_random([2; 24]),
            |nonce| keks.rewrap(dek_id(), black_box(&wrapped), nonce).unwrap(),
            BatchSize::SmallInput,
        );
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = notes, keys
}
criterion_main!(benches);
