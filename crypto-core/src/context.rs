//! Where a sealed value stands, and what it is for.
//!
//! The context is never stored with the value. Whoever opens it says from the row at hand what it
//! must be, so a value that was moved to another row, field, client or clinic, or put back from an
//! older version of its row, does not open.

use std::fmt;

use uuid::Uuid;

use crate::pad::Padding;

/// The tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClinicId(pub Uuid);

/// The person whose value it is. A client, mostly; of what a clinic's own people keep to sign in,
/// that person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub Uuid);

/// The row a sealed value stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub Uuid);

/// Which of a row's sealed fields. The caller numbers the fields of all its tables, once, and
/// never reuses a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field(pub u16);

/// The version of a sealed value: its own, stored beside it and raised whenever it is sealed again.
/// Not the version of the row, which rises when other fields change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// Whose keys and values: a client of a clinic. Who is a client of two clinics is two owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The tenant.
    pub clinic: ClinicId,
    /// The person.
    pub client: ClientId,
}

/// `{clinic}/{client}`
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.clinic.0, self.client.0)
    }
}

/// Where a sealed value stands. All of it is authenticated and none of it stored with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    /// Whose value.
    pub owner: Owner,
    /// In which row.
    pub row: RowId,
    /// In which of its fields.
    pub field: Field,
    /// In which version.
    pub version: Version,
}

impl Context {
    /// The same place in another version.
    #[must_use]
    pub fn at(self, version: Version) -> Context {
        Context { version, ..self }
    }

    /// Clinic 16, client 16, row 16, field 2, version 8; numbers big-endian. Every part has its
    /// width, so no two contexts have the same bytes.
    pub(crate) fn bytes(&self) -> [u8; CONTEXT_BYTES] {
        let mut bytes = [0; CONTEXT_BYTES];
        bytes[0..16].copy_from_slice(self.owner.clinic.0.as_bytes());
        bytes[16..32].copy_from_slice(self.owner.client.0.as_bytes());
        bytes[32..48].copy_from_slice(self.row.0.as_bytes());
        bytes[48..50].copy_from_slice(&self.field.0.to_be_bytes());
        bytes[50..58].copy_from_slice(&self.version.0.to_be_bytes());
        bytes
    }
}

pub(crate) const CONTEXT_BYTES: usize = 58;

/// What a sealed value is for. A value that was sealed for one purpose opens for no other, even in
/// its own place.
///
/// Wrapped DEKs have a purpose of their own, which only wrapping can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// A message between client and therapist.
    Message,
    /// A therapist's note.
    Note,
    /// What lets somebody join a video session: links, tokens, passcodes.
    VideoJoin,
    /// The seed of one-time passwords.
    TotpSeed,
    /// A name, an address, free text about a person.
    Person,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Purpose; 5] = [
        Purpose::Message,
        Purpose::Note,
        Purpose::VideoJoin,
        Purpose::TotpSeed,
        Purpose::Person,
    ];

    /// The most bytes of a plaintext of this purpose.
    #[must_use]
    pub fn max_bytes(self) -> usize {
        Kind::from(self).padding.max_bytes()
    }

    /// How long an envelope of a plaintext of so many bytes is; `None` above
    /// [`Purpose::max_bytes`].
    #[must_use]
    pub fn sealed_bytes(self, plaintext_bytes: usize) -> Option<usize> {
        let padded = Kind::from(self).padding.padded(plaintext_bytes)?;
        Some(crate::Envelope::OVERHEAD_BYTES + padded)
    }
}

/// A purpose as the envelope knows it: its byte and its padding. The bytes are stored and never
/// change their meaning.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) byte: u8,
    pub(crate) padding: Padding,
}

impl Kind {
    /// Not among the public purposes, so that no text can be passed off as a key.
    pub(crate) const WRAPPED_DEK: Kind = Kind {
        byte: 5,
        padding: Padding::Buckets(&[64]),
    };
}

impl From<Purpose> for Kind {
    fn from(purpose: Purpose) -> Kind {
        let (byte, padding) = match purpose {
            Purpose::Message => (1, Padding::TALK),
            Purpose::Note => (2, Padding::Padme),
            Purpose::VideoJoin => (3, Padding::TALK),
            Purpose::TotpSeed => (4, Padding::Buckets(&[128])),
            Purpose::Person => (6, Padding::Padme),
        };
        Kind { byte, padding }
    }
}
