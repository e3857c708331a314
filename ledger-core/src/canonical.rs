//! The bytes that an entry's hash is taken over, independent of any stored form.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::body::{Body, HeldPart, Part};
use crate::id::HoldId;
use crate::lot::Bucket;
use crate::money::Money;

/// Writes fields so that no two lists of fields give the same bytes: each is its length in four
/// bytes and then itself. Numbers are big-endian and of fixed width.
pub(crate) struct Canonical<'a>(pub(crate) &'a mut Vec<u8>);

impl Canonical<'_> {
    pub(crate) fn bytes(&mut self, field: &[u8]) -> &mut Self {
        let length = u32::try_from(field.len()).expect("a key is the longest field: 255 bytes");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(field);
        self
    }

    pub(crate) fn text(&mut self, field: &str) -> &mut Self {
        self.bytes(field.as_bytes())
    }

    pub(crate) fn u32(&mut self, field: u32) -> &mut Self {
        self.bytes(&field.to_be_bytes())
    }

    pub(crate) fn u64(&mut self, field: u64) -> &mut Self {
        self.bytes(&field.to_be_bytes())
    }

    pub(crate) fn i64(&mut self, field: i64) -> &mut Self {
        self.bytes(&field.to_be_bytes())
    }

    pub(crate) fn uuid(&mut self, field: Uuid) -> &mut Self {
        self.bytes(field.as_bytes())
    }

    fn hold(&mut self, field: HoldId) -> &mut Self {
        self.uuid(field.booking).u32(field.generation)
    }

    fn parts(&mut self, parts: &[Part]) -> &mut Self {
        self.count(parts.len());
        for part in parts {
            self.u32(part.lot.0).i64(part.amount.0);
        }
        self
    }

    fn held_parts(&mut self, parts: &[HeldPart]) -> &mut Self {
        self.count(parts.len());
        for part in parts {
            self.hold(part.hold).u32(part.lot.0).i64(part.amount.0);
        }
        self
    }

    /// One byte: 1 for true.
    pub(crate) fn bool(&mut self, field: bool) -> &mut Self {
        self.bytes(&[u8::from(field)])
    }

    /// One byte: 1 for true, and 2 more if a field that is optional follows later. What has no such
    /// field keeps the bytes that it had before there was one.
    pub(crate) fn bool_and(&mut self, field: bool, is_followed: bool) -> &mut Self {
        self.bytes(&[u8::from(field) | u8::from(is_followed) << 1])
    }

    /// The number of what follows.
    pub(crate) fn count(&mut self, field: usize) -> &mut Self {
        self.u32(u32::try_from(field).unwrap_or(u32::MAX))
    }

    /// The minor units and the currency's code.
    pub(crate) fn money(&mut self, field: Money) -> &mut Self {
        self.i64(field.minor).text(&field.currency.to_string())
    }

    /// An absent text is an empty field, which no id is.
    pub(crate) fn text_option(&mut self, field: Option<&str>) -> &mut Self {
        self.text(field.unwrap_or_default())
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub(crate) fn instant(&mut self, field: DateTime<Utc>) -> &mut Self {
        self.i64(field.timestamp_micros())
    }

    /// An absent instant is an empty field, which no instant is.
    pub(crate) fn instant_option(&mut self, field: Option<DateTime<Utc>>) -> &mut Self {
        match field {
            Some(at) => self.instant(at),
            None => self.bytes(&[]),
        }
    }
}

impl Body {
    /// The kind, and the fields in the order of their declaration.
    pub(crate) fn write(&self, to: &mut Canonical<'_>) {
        to.text(self.kind());
        if let Some(hold) = self.hold() {
            to.hold(hold);
        }
        match self {
            Body::Grant {
                lot,
                service,
                amount,
                source,
                evidence,
                effective_at,
                expires_at,
            } => {
                to.u32(lot.0).uuid(service.0).i64(amount.0);
                to.text(source.as_str());
                evidence.write(to);
                to.instant(*effective_at).instant_option(*expires_at);
            }
            Body::Hold {
                service,
                amount,
                slot_start,
                allocation,
                extended,
                ..
            } => {
                to.uuid(service.0).i64(amount.0).instant(*slot_start);
                to.parts(allocation);
                if let Some(slot) = extended {
                    to.instant(*slot);
                }
            }
            Body::Release {
                reason, allocation, ..
            } => {
                to.text(reason.as_str()).parts(allocation);
            }
            Body::Use { allocation, .. } => {
                to.parts(allocation);
            }
            Body::Forfeit {
                reason, allocation, ..
            } => {
                to.text(reason.as_str()).parts(allocation);
            }
            Body::Rescheduled {
                slot_version,
                from,
                to: until,
                ..
            } => {
                to.u32(*slot_version).instant(*from).instant(*until);
            }
            Body::Expire { lot, amount } => {
                to.u32(lot.0).i64(amount.0);
            }
            Body::Clawback { .. } | Body::Reinstate { .. } | Body::Repay { .. } => {
                self.write_clawed(to);
            }
            Body::Transfer { .. }
            | Body::Extend { .. }
            | Body::Adjust { .. }
            | Body::Reverse { .. } => {
                self.write_corrected(to);
            }
        }
    }

    /// What takes credits back, and its inverse.
    fn write_clawed(&self, to: &mut Canonical<'_>) {
        match self {
            Body::Clawback {
                cause,
                lot,
                amount,
                asked,
                held,
                allocation,
                holds,
                debt,
            } => {
                to.text(cause.kind()).text(cause.id().as_str());
                to.u32(lot.0).i64(amount.0).text(held.as_str());
                to.parts(allocation).held_parts(holds).i64(debt.0);
                // The last field, and only if there is one: bodies without it have kept their bytes.
                if let Some(asked) = asked {
                    to.i64(asked.0);
                }
            }
            Body::Reinstate {
                cause,
                clawback,
                lot,
                amount,
                allocation,
                holds,
                debt,
                returned,
            } => {
                to.text(cause.kind()).text(cause.id().as_str());
                to.u64(*clawback).u32(lot.0).i64(amount.0);
                to.parts(allocation).held_parts(holds).i64(debt.0);
                to.parts(returned);
            }
            Body::Repay { lot, allocation } => {
                to.u32(lot.0).parts(allocation);
            }
            _ => {}
        }
    }

    /// What a person or a change of plan moves.
    fn write_corrected(&self, to: &mut Canonical<'_>) {
        match self {
            Body::Transfer {
                id,
                reason,
                from,
                lot,
                amount,
                expired,
                effective_at,
                expires_at,
            } => {
                to.uuid(*id).text(reason.as_str());
                to.u32(from.0).u32(lot.0).i64(amount.0).i64(expired.0);
                to.instant(*effective_at).instant_option(*expires_at);
            }
            Body::Extend {
                id,
                reason,
                lot,
                amount,
                until,
            } => {
                to.uuid(*id).text(reason.as_str());
                to.u32(lot.0).i64(amount.0).instant_option(*until);
            }
            Body::Adjust {
                id,
                service,
                amount,
                actor,
                reason,
                lot,
                allocation,
            } => {
                to.uuid(*id).uuid(service.0).i64(amount.0).uuid(*actor);
                to.text(reason.as_str());
                match lot {
                    Some(lot) => to.u32(lot.0),
                    None => to.bytes(&[]),
                };
                to.parts(allocation);
            }
            Body::Reverse {
                entry,
                seq,
                actor,
                reason,
                moves,
            } => {
                to.text(entry.as_str()).u64(*seq).uuid(*actor);
                to.text(reason.as_str()).count(moves.len());
                for back in moves {
                    to.u32(back.lot.0);
                    to.text_option(back.from.map(Bucket::as_str));
                    to.text(back.to.as_str()).i64(back.amount.0);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_from_one_field_to_the_next_changes_the_bytes() {
        let written = |fields: &[&str]| {
            let mut bytes = Vec::new();
            let mut canonical = Canonical(&mut bytes);
            for field in fields {
                canonical.text(field);
            }
            bytes
        };
        assert_ne!(written(&["ab", "c"]), written(&["a", "bc"]));
        assert_ne!(written(&["ab"]), written(&["ab", ""]));
    }
}
