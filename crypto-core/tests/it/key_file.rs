//! Key files: what they hold, and what is refused.

use crypto_core::{
    Addressee, BadKeyFile, BadKeyring, Bearer, ClinicId, Credential, CredentialKind, IndexKey, Kek,
    KeyId, Keyring, Keys, MacKey,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{cases, dek_id, key, nonce};

/// A key in hexadecimal: this byte, 32 times.
fn digits(byte: &str) -> String {
    byte.repeat(32)
}

#[test]
fn each_key_is_the_key_of_its_line() {
    let text = format!(
        "# keys\n\n 2\tactive  {}\r\nindex 7 {}\n index\t{}\r\nmac {}\n1 older {}\n",
        digits("Ab"),
        digits("0c"),
        digits("0e"),
        digits("0d"),
        digits("0f")
    );
    let keys = Keys::parse(&text).unwrap();
    let ids: Vec<_> = keys.keks.older_ids().collect();
    assert_eq!((keys.keks.active().id(), ids), (KeyId(2), vec![KeyId(1)]));
    let wrapped = Keyring::new(Kek::new(KeyId(1), &key(0x0f)), [])
        .unwrap()
        .wrap(dek_id(1, 1), &key(9), nonce(1));
    assert!(keys.keks.unwrap(dek_id(1, 1), &wrapped).is_ok());
    let clinic = ClinicId(Uuid::from_u128(0xc1));
    let email = |index: &IndexKey| {
        let index = index.email(clinic, Addressee::Client, "anna@example.org");
        *index.unwrap().as_bytes()
    };
    let made = |id, byte| (KeyId(id), email(&IndexKey::new(KeyId(id), &key(byte))));
    let read: Vec<_> = keys
        .index
        .iter()
        .map(|index| (index.id(), email(index)))
        .collect();
    assert_eq!(read, [made(1, 0x0e), made(7, 0x0c)]);
    let credential = Credential {
        kind: CredentialKind::Feed,
        clinic,
        bearer: Bearer::Admin,
    };
    let mac = |mac: &MacKey| mac.mac(&credential, &[7; 32]);
    assert_eq!(mac(&keys.mac), mac(&MacKey::new(&key(0x0d))));
}

#[test]
fn what_is_no_key_file_is_refused_and_the_line_is_named() {
    let [one, two] = ["0f", "ab"].map(digits);
    let index = format!("index {}", digits("cc"));
    let mac = format!("mac {}", digits("dd"));
    let whole = format!("{index}\n1 active {one}\n{mac}");
    assert!(Keys::parse(&whole).is_ok());
    let line = |line| BadKeyFile::Line { line };
    let no_key = |line| BadKeyFile::Key { line };
    for (text, expected) in [
        (String::new(), BadKeyFile::NoActive),
        (format!("{index}\n1 older {one}"), BadKeyFile::NoActive),
        (
            format!("{whole}\n2 active {two}"),
            BadKeyFile::SecondActive { line: 4 },
        ),
        (
            format!("{whole}\n1 older {two}"),
            BadKeyring::Duplicate { id: KeyId(1) }.into(),
        ),
        (format!("\n1 {one}"), line(2)),
        (format!("1 active {one} x"), line(1)),
        (format!("1 new {one}"), line(1)),
        (format!("4294967296 active {one}"), line(1)),
        (format!("-1 active {one}"), line(1)),
        (format!("1 active {}", &one[1..]), no_key(1)),
        (format!("1 active {}g", &one[1..]), no_key(1)),
        (format!("1 active {one}00"), no_key(1)),
        (format!("1 active {one}"), BadKeyFile::NoIndex),
        (format!("# {index}\n1 active {one}"), BadKeyFile::NoIndex),
        (format!("1 active {one}\nindex"), no_key(2)),
        (format!("index {one} x"), line(1)),
        (format!("index 1 {one} x"), no_key(1)),
        (format!("index -1 {one}"), line(1)),
        (format!("index 2 {}", &one[1..]), no_key(1)),
        (format!("index {}", &one[1..]), no_key(1)),
        (
            format!("{whole}\n\nindex {two}"),
            BadKeyFile::SameIndex { id: KeyId(1) },
        ),
        (format!("{index}\n1 active {one}"), BadKeyFile::NoMac),
        (format!("mac {one} x"), no_key(1)),
        (
            format!("{whole}\nmac {two}"),
            BadKeyFile::SecondMac { line: 4 },
        ),
    ] {
        assert_eq!(Keys::parse(&text).err(), Some(expected), "{text}");
    }
    let said = BadKeyFile::Key { line: 3 }.to_string();
    assert_eq!(said, "the key in line 3 is not 64 hexadecimal digits");
}

/// One name and one purpose for each key: whatever two lines hold the same bytes, the second is refused.
#[test]
fn no_key_is_there_twice_and_none_is_zeros() {
    let kinds = ["index", "1 active", "mac", "2 older", "index 2", "3 older"];
    let texts = ["0f", "ab", "e1", "C3", "1b", "77"].map(digits);
    let text = |digits: &[String; 6]| {
        let lines = kinds.iter().zip(digits);
        lines
            .map(|(kind, digits)| format!("{kind} {digits}\n"))
            .collect::<String>()
    };
    assert!(Keys::parse(&text(&texts)).is_ok());
    for line in 0..kinds.len() {
        let mut zeros = texts.clone();
        zeros[line] = digits("00");
        let refused = Keys::parse(&text(&zeros)).err();
        assert_eq!(refused, Some(BadKeyFile::Zeros { line: line + 1 }));
        for other in 0..line {
            let mut twice = texts.clone();
            // In other letters: it is the bytes that are compared.
            twice[line] = texts[other].to_uppercase();
            let (line, other) = (line + 1, other + 1);
            let refused = Keys::parse(&text(&twice)).err();
            assert_eq!(refused, Some(BadKeyFile::Same { line, other }));
        }
    }
}

proptest! {
    #![proptest_config(cases(128))]

    /// No text makes the reader of key files panic, and none that is refused is repeated.
    #[test]
    fn any_key_file_is_answered(text in prop_oneof![
        any::<String>(),
        "(([0-9]{1,11} (active|older)|index|index [0-9]{1,11}|mac) [0-9a-fA-F]{63,65}\n){0,4}",
    ]) {
        if let Err(refused) = Keys::parse(&text) {
            let said = refused.to_string();
            prop_assert!(text.lines().filter(|line| line.len() > 20).all(|line| !said.contains(line)));
        }
    }
}
