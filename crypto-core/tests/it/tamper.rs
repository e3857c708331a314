//! Whatever is done to a sealed value or its place, it does not open: more than a million ways.

use crypto_core::{
    ClientId, ClinicId, Context, Dek, Envelope, Field, Keyring, OpenError, Purpose, RowId, Version,
};
use uuid::Uuid;

use crate::oracle::{Parts, header};
use crate::{asked, dek, dek_id, key, nonce, place};

/// Counts refusals, and takes nothing else for an answer.
struct Tally {
    ring: Keyring<Dek>,
    error: OpenError,
    refused: u64,
}

impl Tally {
    fn refuses(&mut self, context: &Context, purpose: Purpose, sealed: &[u8]) {
        let opened = self.ring.open(context, purpose, sealed);
        assert!(opened.err() == Some(self.error), "{context:?} {purpose:?}");
        self.refused += 1;
    }

    fn opens(&self, context: &Context, purpose: Purpose, sealed: &[u8]) {
        assert!(self.ring.open(context, purpose, sealed).is_ok());
    }

    /// Every bit of the header, nonce, commitment and tag, and so many of the body.
    fn bits(&mut self, context: &Context, purpose: Purpose, sealed: &mut [u8], of_body: usize) {
        let (start, end) = (62, sealed.len() - 16);
        let step = ((end - start) * 8).div_ceil(of_body).max(1);
        let bits = (0..start * 8)
            .chain((start * 8..end * 8).step_by(step))
            .chain(end * 8..sealed.len() * 8);
        for bit in bits {
            sealed[bit / 8] ^= 1 << (bit % 8);
            self.refuses(context, purpose, sealed);
            sealed[bit / 8] ^= 1 << (bit % 8);
        }
        self.opens(context, purpose, sealed);
    }

    /// Every shorter length, cut at either end; longer ones, at either end.
    fn lengths(&mut self, context: &Context, purpose: Purpose, sealed: &[u8], step: usize) {
        for length in (0..sealed.len()).step_by(step) {
            self.refuses(context, purpose, &sealed[..length]);
            self.refuses(context, purpose, &sealed[sealed.len() - length..]);
        }
        for more in (1..=sealed.len()).step_by(step) {
            for byte in [0, 0x80, 0xff] {
                let extra = vec![byte; more];
                self.refuses(context, purpose, &[sealed, &extra].concat());
                self.refuses(context, purpose, &[&extra, sealed].concat());
                // Between body and tag, as if the padding were longer.
                let (body, tag) = sealed.split_at(sealed.len() - 16);
                self.refuses(context, purpose, &[body, &extra, tag].concat());
            }
        }
        self.refuses(context, purpose, &[sealed, sealed].concat());
    }

    /// Every bit of every part of the context, and every other purpose.
    fn places(&mut self, context: &Context, purpose: Purpose, sealed: &[u8]) {
        let flip = |id: Uuid, bit: usize| Uuid::from_u128(id.as_u128() ^ 1 << bit);
        for bit in 0..128 {
            let mut moved = [*context; 3];
            moved[0].owner.clinic = ClinicId(flip(context.owner.clinic.0, bit));
            moved[1].owner.client = ClientId(flip(context.owner.client.0, bit));
            moved[2].row = RowId(flip(context.row.0, bit));
            for moved in moved {
                self.refuses(&moved, purpose, sealed);
            }
        }
        for bit in 0..16 {
            let field = Field(context.field.0 ^ 1 << bit);
            self.refuses(&Context { field, ..*context }, purpose, sealed);
        }
        for bit in 0..64 {
            let version = Version(context.version.0 ^ 1 << bit);
            self.refuses(&context.at(version), purpose, sealed);
        }
        for other in Purpose::ALL.into_iter().filter(|&other| other != purpose) {
            self.refuses(context, other, sealed);
        }
    }
}

/// Numbers without a pattern, the same in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ z >> 31) % u64::try_from(end).unwrap()).unwrap()
    }
}

fn tally() -> Tally {
    let ring = Keyring::new(dek(1, 3, 0x33), [dek(1, 1, 0x11), dek(1, 2, 0x22)]).unwrap();
    let error = ring.open(&place(), Purpose::Note, b"").err().unwrap();
    Tally {
        ring,
        error,
        refused: 0,
    }
}

#[test]
fn a_million_ways_and_none_opens() {
    let mut tally = tally();
    let context = place();
    let mut envelopes = Vec::new();
    for (index, purpose) in (0u8..).zip(Purpose::ALL) {
        for (bytes, of_body, step) in [(0, 8192, 1), (40, 8192, 1), (100, 512, 1), (3000, 8192, 7)]
        {
            if bytes > purpose.max_bytes() {
                continue;
            }
            let text = vec![index; bytes];
            let sealed = tally.ring.seal(&context, purpose, &text, nonce(index));
            let mut sealed = sealed.unwrap();
            tally.bits(&context, purpose, &mut sealed, of_body);
            tally.lengths(&context, purpose, &sealed, step);
            tally.places(&context, purpose, &sealed);
            envelopes.push((purpose, sealed));
        }
    }
    whole_rows(&mut tally, &context, &envelopes);
    let systematic = tally.refused;

    // Then at random: some bytes replaced, in one place or spread.
    let goal = u64::from(asked().unwrap_or(0)).max(1_200_000);
    let mut numbers = Numbers(1);
    while tally.refused < goal {
        let (purpose, sealed) = &envelopes[numbers.below(envelopes.len())];
        let mut changed = sealed.clone();
        for _ in 0..=numbers.below(4) {
            let start = numbers.below(changed.len());
            let most = (changed.len() - start).min(32);
            for byte in &mut changed[start..][..=numbers.below(most)] {
                *byte = u8::try_from(numbers.below(256)).unwrap();
            }
        }
        if changed != *sealed {
            tally.refuses(&context, *purpose, &changed);
        }
    }
    println!("{} refused, {systematic} of them by rule", tally.refused);
    assert!(systematic >= 140_000 && tally.refused >= 1_000_000);
}

/// Envelopes that are whole, but in another's place or of another's parts.
fn whole_rows(tally: &mut Tally, context: &Context, envelopes: &[(Purpose, Vec<u8>)]) {
    // Parts of two envelopes of one place and purpose, in all mixtures.
    for purpose in Purpose::ALL {
        let of_purpose = || envelopes.iter().filter(|(of, _)| *of == purpose);
        for ((_, one), (_, other)) in
            of_purpose().flat_map(|one| of_purpose().map(move |two| (one, two)))
        {
            if one.len() != other.len() || one == other {
                continue;
            }
            let cuts = [0, 6, 30, 62, one.len() - 16, one.len()];
            for mixture in 1u8..31 {
                let mut mixed = one.clone();
                for (part, cut) in cuts.windows(2).enumerate() {
                    if mixture >> part & 1 == 1 {
                        mixed[cut[0]..cut[1]].copy_from_slice(&other[cut[0]..cut[1]]);
                    }
                }
                // One nonce and header: mixtures of those parts are one of the two again.
                if mixed != *one && mixed != *other {
                    tally.refuses(context, purpose, &mixed);
                }
            }
        }
    }
    // Sealed under the same bytes by another owner or generation, or under other bytes here.
    for purpose in Purpose::ALL {
        for (client, generation, byte) in [
            (2, 3, 0x33),
            (2, 3, 0x44),
            (1, 4, 0x33),
            (1, 3, 0x44),
            (1, 2, 0x33),
        ] {
            let mut there = *context;
            there.owner = dek_id(client, generation).owner;
            let sealed = dek(client, generation, byte).seal(&there, purpose, b"hers", nonce(0));
            tally.refuses(context, purpose, &sealed.unwrap());
        }
    }
    // A wrapped DEK is not a value, not even under the same bytes.
    let keks = Keyring::new(crypto_core::Kek::new(crypto_core::KeyId(3), &key(0x33)), []).unwrap();
    let wrapped = keks.wrap(dek_id(1, 3), &key(0x55), nonce(0));
    for purpose in Purpose::ALL {
        tally.refuses(context, purpose, &wrapped);
    }
}

/// Key, commitment and tag right, and only the padding wrong: what nobody without the key can make.
#[test]
fn padding_is_the_one_form_or_refused() {
    let mut tally = tally();
    let context = place();
    let parts = Parts {
        key: [0x33; 32],
        header: header(1, 3),
        context: &context,
        nonce: [4; 24],
    };
    let mut padded = vec![0; 256];
    padded[..3].copy_from_slice(b"abc");
    padded[3] = 0x80;
    tally.opens(&context, Purpose::Message, &parts.seal(&padded));
    let with = |at: usize, byte: u8| {
        let mut padded = padded.clone();
        padded[at] = byte;
        padded
    };
    let mut bucket_too_long = padded.clone();
    bucket_too_long.resize(1024, 0);
    let forms = [
        with(3, 0),    // the mark is read further back: a byte that is none
        with(3, 0x81), // no mark
        with(255, 1),  // something after it
        vec![0; 256],  // nothing but zeros
        vec![],        // nothing
        vec![0x80],    // a length that no bucket has
        padded[..255].to_vec(),
        bucket_too_long,
    ];
    for form in forms {
        tally.refuses(&context, Purpose::Message, &parts.seal(&form));
    }
    // A length of another purpose's padding.
    let mut of_a_note = vec![0; 272];
    of_a_note[260] = 0x80;
    tally.refuses(&context, Purpose::Message, &parts.seal(&of_a_note));
    let as_a_note = Parts {
        header: header(2, 3),
        ..parts
    };
    tally.opens(&context, Purpose::Note, &as_a_note.seal(&of_a_note));
}

/// A DEK answers for its owner alone, even to who has its bytes and seals into another's place.
#[test]
fn a_dek_opens_nothing_of_another_owner() {
    let mut tally = tally();
    let hers = place();
    let mut his = hers;
    his.owner = dek_id(2, 3).owner;
    let seal = |context: &Context| {
        let mut padded = vec![0; 256];
        padded[0] = 0x80;
        let parts = Parts {
            key: [0x33; 32],
            header: header(1, 3),
            context,
            nonce: [4; 24],
        };
        parts.seal(&padded)
    };
    tally.opens(&hers, Purpose::Message, &seal(&hers));
    tally.refuses(&his, Purpose::Message, &seal(&his));
}

/// Suites and purposes that nobody knows, with all else right.
#[test]
fn unknown_suites_and_purposes_are_refused() {
    let mut tally = tally();
    let context = place();
    let mut padded = vec![0; 256];
    padded[0] = 0x80;
    for suite in 0..=u8::MAX {
        for purpose in 0..=u8::MAX {
            let [_, _, id @ ..] = header(0, 3);
            let [a, b, c, d] = id;
            let parts = Parts {
                key: [0x33; 32],
                header: [suite, purpose, a, b, c, d],
                context: &context,
                nonce: [4; 24],
            };
            if suite != 1 && purpose > 6 {
                continue; // seen often enough
            }
            let sealed = parts.seal(&padded);
            assert_eq!(Envelope::parse(&sealed).is_ok(), suite == 1);
            for expected in Purpose::ALL {
                let own = tally.ring.seal(&context, expected, b"", nonce(4)).unwrap()[1];
                if (suite, purpose) == (1, own) && own != 4 {
                    tally.opens(&context, expected, &sealed);
                } else {
                    tally.refuses(&context, expected, &sealed);
                }
            }
        }
    }
}
