//! The text of a key file: every key of an installation, one to a line.
//!
//! ```text
//! # A comment. Empty lines are ignored too.
//! index 1 64 hexadecimal digits
//! mac 64 hexadecimal digits
//! 2 active 64 hexadecimal digits
//! 1 older 64 hexadecimal digits
//! ```
//!
//! A line `index` without an id, as files had it before there was more than one, is that of the key 1.
//!
//! A key has one purpose and one name. Two keys with the same bytes would break that, so they are
//! refused, and so is a key of zeros, which nobody has drawn at random.

use crate::blind_index::IndexKey;
use crate::credential::MacKey;
use crate::key::{Kek, KeyBytes, KeyId};
use crate::keyring::{BadKeyring, Keyring};

/// How the line of a key of blind indexes begins.
const INDEX: &str = "index";
/// How the line of the key of credentials' MACs begins.
const MAC: &str = "mac";

/// The keys of a key file.
pub struct Keys {
    /// Wrap the keys of people.
    pub keks: Keyring<Kek>,
    /// Make the blind indexes that addresses are found by: one index under each key. At least one key,
    /// in the order of their ids.
    pub index: Vec<IndexKey>,
    /// Makes the MACs of credentials.
    pub mac: MacKey,
}

impl Keys {
    /// Reads the text of a key file. The text is secret, and the caller's to wipe.
    ///
    /// ```
    /// # use crypto_core::{KeyId, Keys};
    /// let [a, b, c, d] = ["5a", "c3", "77", "e1"].map(|byte| byte.repeat(32));
    /// let text = format!("index 1 {a}\nmac {b}\n# since March\n2 active {c}\n1 older {d}\n");
    /// let keys = Keys::parse(&text)?;
    /// assert_eq!(keys.keks.active().id(), KeyId(2));
    /// # Ok::<(), crypto_core::BadKeyFile>(())
    /// ```
    ///
    /// # Errors
    /// [`BadKeyFile`] names the line, and never its content.
    pub fn parse(text: &str) -> Result<Keys, BadKeyFile> {
        let (mut active, mut older, mut index, mut mac) = (None, Vec::new(), Vec::new(), None);
        let mut read = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            match words[..] {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                [INDEX, digits] => {
                    index.push(IndexKey::new(KeyId(1), take(digits, line, &mut read)?));
                }
                [INDEX, id, digits] => {
                    let id = id.parse().map_err(|_| BadKeyFile::Line { line })?;
                    index.push(IndexKey::new(KeyId(id), take(digits, line, &mut read)?));
                }
                [MAC, digits] => {
                    let key = MacKey::new(take(digits, line, &mut read)?);
                    if mac.replace(key).is_some() {
                        return Err(BadKeyFile::SecondMac { line });
                    }
                }
                [INDEX | MAC, ..] => return Err(BadKeyFile::Key { line }),
                [id, state @ ("active" | "older"), digits] => {
                    let id = id.parse().map_err(|_| BadKeyFile::Line { line })?;
                    let kek = Kek::new(KeyId(id), take(digits, line, &mut read)?);
                    match state {
                        "older" => older.push(kek),
                        _ if active.is_some() => return Err(BadKeyFile::SecondActive { line }),
                        _ => active = Some(kek),
                    }
                }
                _ => return Err(BadKeyFile::Line { line }),
            }
        }
        let active = active.ok_or(BadKeyFile::NoActive)?;
        index.sort_by_key(IndexKey::id);
        if let Some(twice) = index.windows(2).find(|two| two[0].id() == two[1].id()) {
            return Err(BadKeyFile::SameIndex { id: twice[0].id() });
        }
        if index.is_empty() {
            return Err(BadKeyFile::NoIndex);
        }
        Ok(Keys {
            keks: Keyring::new(active, older)?,
            index,
            // Last, so that a file that lacks nothing else says so.
            mac: mac.ok_or(BadKeyFile::NoMac)?,
        })
    }
}

/// Reads the key of a line, which must be none of the keys that were `read` before.
fn take<'k>(
    digits: &str,
    line: usize,
    read: &'k mut Vec<(usize, KeyBytes)>,
) -> Result<&'k KeyBytes, BadKeyFile> {
    let key = hexadecimal(digits).ok_or(BadKeyFile::Key { line })?;
    if is_same(&key, &KeyBytes::zeros()) {
        return Err(BadKeyFile::Zeros { line });
    }
    if let Some((other, _)) = read.iter().find(|(_, other)| is_same(&key, other)) {
        return Err(BadKeyFile::Same {
            line,
            other: *other,
        });
    }
    read.push((line, key));
    Ok(&read[read.len() - 1].1)
}

/// Compares keys in a time that does not depend on where they differ.
fn is_same(one: &KeyBytes, other: &KeyBytes) -> bool {
    let pairs = one.expose().iter().zip(other.expose());
    pairs.fold(0, |differ, (one, other)| differ | (one ^ other)) == 0
}

/// Reads 64 hexadecimal digits, without branches or tables that depend on them.
fn hexadecimal(digits: &str) -> Option<KeyBytes> {
    let digits: &[u8; 64] = digits.as_bytes().try_into().ok()?;
    let mut bytes = KeyBytes::zeros();
    let mut bad = 0;
    for (byte, pair) in bytes.expose_mut().iter_mut().zip(digits.chunks_exact(2)) {
        for &digit in pair {
            let (value, unknown) = nibble(digit);
            *byte = *byte << 4 | value;
            bad |= unknown;
        }
    }
    (bad == 0).then_some(bytes)
}

/// The value of a hexadecimal digit, and whether it is none (0 or 0xff).
fn nibble(digit: u8) -> (u8, u8) {
    // 0xff where `low <= digit <= high`: neither difference borrows.
    let within = |low: u8, high: u8| {
        let below = u16::from(digit).wrapping_sub(u16::from(low)) >> 8;
        let above = u16::from(high).wrapping_sub(u16::from(digit)) >> 8;
        let [_, outside] = (below | above).to_be_bytes();
        !outside
    };
    let (number, lower, upper) = (within(b'0', b'9'), within(b'a', b'f'), within(b'A', b'F'));
    let value = number & digit.wrapping_sub(b'0')
        | lower & digit.wrapping_sub(b'a' - 10)
        | upper & digit.wrapping_sub(b'A' - 10);
    (value, !(number | lower | upper))
}

/// A text that is no key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadKeyFile {
    /// Not an id, a state and a key.
    #[error(
        "line {line} is neither `<id> active|older <64 hexadecimal digits>` nor `index <id> <digits>` nor `mac <digits>`"
    )]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// The last word is no key.
    #[error("the key in line {line} is not 64 hexadecimal digits")]
    Key {
        /// Counted from 1.
        line: usize,
    },
    /// One key seals.
    #[error("line {line} is a second active key")]
    SecondActive {
        /// Counted from 1.
        line: usize,
    },
    /// One key seals.
    #[error("no key is active")]
    NoActive,
    /// An id must select one key.
    #[error("two keys of blind indexes have the id {id}")]
    SameIndex {
        /// That id.
        id: KeyId,
    },
    /// Some key makes blind indexes.
    #[error("there is no line `index <id> <64 hexadecimal digits>`")]
    NoIndex,
    /// One key makes MACs.
    #[error("line {line} is a second key of credentials")]
    SecondMac {
        /// Counted from 1.
        line: usize,
    },
    /// One key makes MACs. A file that was made before there were MACs lacks it, and nothing else.
    #[error("there is no line `mac <64 hexadecimal digits>`")]
    NoMac,
    /// A key of zeros is no secret.
    #[error("the key in line {line} is all zeros")]
    Zeros {
        /// Counted from 1.
        line: usize,
    },
    /// A key has one name and one purpose.
    #[error("the key in line {line} is the key in line {other} again")]
    Same {
        /// Counted from 1.
        line: usize,
        /// The earlier line.
        other: usize,
    },
    /// The keys are no ring.
    #[error(transparent)]
    Keyring(#[from] BadKeyring),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_as_a_digit() {
        for digit in 0..=u8::MAX {
            let expected = char::from(digit).to_digit(16);
            let (value, unknown) = nibble(digit);
            match expected {
                Some(expected) => assert_eq!((u32::from(value), unknown), (expected, 0)),
                None => assert_eq!((value, unknown), (0, 0xff)),
            }
        }
    }
}
