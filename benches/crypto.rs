//! Sealing and opening a note, beside plain AES-256-GCM.
//!
//! The peer is the crate `aes-gcm` with one key, kept ready, on the same padded length and with the
//! same associated data, in two forms: *in place*, which is nothing but the cipher on bytes that lie
//! ready; and *to a vector*, which does for its caller what an envelope does: nonce, ciphertext and
//! tag in new memory. Numbers are comparable within one run, as ratios, which are printed first.
//! `cargo bench -p benches --bench crypto`
#![allow(missing_docs, clippy::unwrap_used, reason = "a program that measures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use crypto_core::{
    ClientId, ClinicId, Context, Dek, DekId, Envelope, Field, Kek, KeyBytes, KeyId, Keyring, Nonce,
    Owner, Plaintext, Purpose, RowId, Version,
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

const NOTES: [(&str, usize); 4] = [
    ("256 B", 256),
    ("1 KiB", 1 << 10),
    ("16 KiB", 16 << 10),
    ("256 KiB", 256 << 10),
];

/// A note that is padded to so many bytes, sealed and opened by either side.
struct Note {
    text: Vec<u8>,
    dek: Dek,
    peer: Aes256Gcm,
    nonces: Nonces,
    buffer: Vec<u8>,
}

impl Note {
    fn padded(bytes: usize) -> Note {
        let text = vec![0x61; bytes - 1];
        let sealed = Purpose::Note.sealed_bytes(text.len());
        assert_eq!(sealed, Some(bytes + Envelope::OVERHEAD_BYTES));
        Note {
            text,
            dek: Dek::new(dek_id(), &KeyBytes::take(&mut [9; 32])),
            peer: Aes256Gcm::new(&[9; 32].into()),
            nonces: Nonces::default(),
            buffer: vec![0x61; bytes],
        }
    }

    fn seal(&mut self) -> Vec<u8> {
        let nonce = Nonce::from_random(self.nonces.next());
        let text = black_box(&self.text);
        self.dek
            .seal(&context(), Purpose::Note, text, nonce)
            .unwrap()
    }

    fn open(&self, sealed: &[u8]) -> Plaintext {
        self.dek
            .open(&context(), Purpose::Note, black_box(sealed))
            .unwrap()
    }

    fn peer_seal_in_place(&mut self) -> [u8; 16] {
        let nonce = self.nonces.next().into();
        let buffer = black_box(self.buffer.as_mut_slice());
        let tag = self
            .peer
            .encrypt_inout_detached(&nonce, &ASSOCIATED, buffer.into());
        tag.unwrap().into()
    }

    fn peer_seal(&mut self) -> Vec<u8> {
        let nonce = self.nonces.next::<12>();
        let mut sealed = Vec::with_capacity(12 + self.text.len() + 1 + 16);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(black_box(&self.text));
        sealed.push(0x80);
        let body = (&mut sealed[12..]).into();
        let tag = self
            .peer
            .encrypt_inout_detached(&nonce.into(), &ASSOCIATED, body);
        sealed.extend_from_slice(&tag.unwrap());
        sealed
    }

    fn peer_open(&self, sealed: &[u8]) -> Vec<u8> {
        let sealed = black_box(sealed);
        let (nonce, rest) = sealed.split_first_chunk::<12>().unwrap();
        let (body, tag) = rest.split_last_chunk::<16>().unwrap();
        let mut opened = body.to_vec();
        let bytes = opened.as_mut_slice().into();
        self.peer
            .decrypt_inout_detached(nonce.into(), &ASSOCIATED, bytes, tag.into())
            .unwrap();
        opened
    }
}

fn notes(c: &mut Criterion) {
    for (name, bytes) in NOTES {
        let mut note = Note::padded(bytes);
        let (sealed, peer) = (note.seal(), note.peer_seal());
        let throughput = Throughput::Bytes(u64::try_from(bytes).unwrap());

        let mut group = c.benchmark_group(format!("seal a note of {name}"));
        group.throughput(throughput.clone());
        group.bench_function("standing", |b| b.iter(|| note.seal()));
        group.bench_function("aes-gcm, in place", |b| {
            b.iter(|| note.peer_seal_in_place());
        });
        group.bench_function("aes-gcm, to a vector", |b| b.iter(|| note.peer_seal()));
        group.finish();

        let mut group = c.benchmark_group(format!("open a note of {name}"));
        group.throughput(throughput);
        group.bench_function("standing", |b| b.iter(|| note.open(&sealed)));
        group.bench_function("aes-gcm, to a vector", |b| b.iter(|| note.peer_open(&peer)));
        group.finish();
    }
}

/// The ratios themselves, in turns, so that whatever else the machine does falls on all alike: the
/// median of 201 rounds.
fn ratios(_: &mut Criterion) {
    for (name, bytes) in NOTES {
        let mut note = Note::padded(bytes);
        let (sealed, peer) = (note.seal(), note.peer_seal());
        let times = (1 << 20) / (bytes + 512);
        let mut rounds = [(); 3].map(|()| Vec::new());
        for _ in 0..201 {
            let seal = seconds(times, || note.seal());
            let in_place = seconds(times, || note.peer_seal_in_place());
            let to_vector = seconds(times, || note.peer_seal());
            let open = seconds(times, || note.open(&sealed));
            let peer_open = seconds(times, || note.peer_open(&peer));
            rounds[0].push(seal / in_place);
            rounds[1].push(seal / to_vector);
            rounds[2].push(open / peer_open);
        }
        let [in_place, to_vector, open] = rounds.map(|mut ratios| {
            ratios.sort_by(f64::total_cmp);
            ratios[ratios.len() / 2]
        });
        println!(
            "a note of {name}: sealing takes {in_place:.2} of aes-gcm in place, {to_vector:.2} of \
             aes-gcm to a vector; opening {open:.2}"
        );
    }
}

fn seconds<T>(times: usize, mut work: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    for _ in 0..times {
        black_box(work());
    }
    start.elapsed().as_secs_f64()
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
    targets = ratios, notes, keys
}
criterion_main!(benches);
