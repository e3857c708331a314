//! Therapists, clients, and the services that are booked.

use chrono::{DateTime, TimeDelta, Utc};
use ledger_core::Money;
use scheduler_core::calendar::Buffers;
use scheduler_core::slots::{PolicyError, SlotPolicy};
use scheduler_core::{ClientId, ServiceId, TherapistId, Zone};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroize;

use crate::working_times::WorkingTimes;
use crate::{Refusal, Subject};

/// What is known of a person and nobody may read in the database. It cannot be printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<Zone>,
}

/// Wiped, as far as the strings themselves go: copies that were made of them are their makers' to wipe.
impl Drop for Person {
    fn drop(&mut self) {
        self.name.zeroize();
        self.email.zeroize();
    }
}

impl Person {
    /// The longest name of a person or service, in bytes.
    pub const NAME_BYTES_MAX: usize = 200;
    /// The most bytes of a person's JSON: each byte of name and address escaped as six, and a zone.
    pub const JSON_BYTES_MAX: usize = 6 * (Self::NAME_BYTES_MAX + 256) + 128;

    /// A person of this name, with this address, which is kept without the spaces around it: a line break there would
    /// end a header of mail. That the address is one, its blind index says.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for an empty or oversized name, which is not repeated.
    pub fn new(name: String, email: Option<String>) -> Result<Self, Refusal> {
        if !is_name(&name) {
            return Err(Refusal::Invalid {
                field: "name",
                value: format!("a text of {} bytes", name.len()),
                expected: NAME,
            });
        }
        let email = email.map(|mut given| {
            let trimmed = given.trim().to_owned();
            given.zeroize();
            trimmed
        });
        Ok(Self {
            name,
            email,
            zone: None,
        })
    }

    /// The same person, who sees times in this zone. A therapist's zone is that of the working times.
    #[must_use]
    pub fn in_zone(mut self, zone: Option<Zone>) -> Self {
        self.zone = zone;
        self
    }

    /// How they are called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where they are written to.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The zone they see times in.
    #[must_use]
    pub fn zone(&self) -> Option<Zone> {
        self.zone
    }
}

pub(crate) const NAME: &str =
    "1 to 200 bytes of text, not all of it spaces, without control characters";

/// Whether somebody or something can be called so.
pub(crate) fn is_name(text: &str) -> bool {
    let fits = !text.trim().is_empty() && text.len() <= Person::NAME_BYTES_MAX;
    fits && !text.chars().any(char::is_control)
}

/// A person as they are stored: sealed, to be opened in their own row only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPerson {
    /// The envelope.
    pub envelope: Vec<u8>,
    /// The envelope's own version: raised whenever it is sealed again.
    pub version: u64,
    /// The generation of the person's keys that it is sealed under.
    pub generation: u32,
}

/// What finds a person by their e-mail address, one for each key of blind indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlindIndex {
    /// The id of its key.
    pub generation: u32,
    /// The index; nothing, for a person without an address.
    pub hash: Option<[u8; 32]>,
}

/// A key of a person's, wrapped. Without these rows nothing of the person opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedDek {
    /// Whose.
    pub owner: Uuid,
    /// The first, the second, ... of theirs.
    pub generation: u32,
    /// The envelope.
    pub wrapped: Vec<u8>,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// Which person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is the person of that role")]
pub enum PersonId {
    Therapist(TherapistId),
    Client(ClientId),
}

impl PersonId {
    /// Their id, whatever they are.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        match self {
            Self::Therapist(id) => id.0,
            Self::Client(id) => id.0,
        }
    }

    /// The stored name of what they are.
    #[must_use]
    pub fn role(self) -> &'static str {
        match self {
            Self::Therapist(_) => "therapist",
            Self::Client(_) => "client",
        }
    }

    /// What the journal's line about them is about.
    #[must_use]
    pub fn subject(self) -> Subject {
        match self {
            Self::Therapist(id) => Subject::Therapist(id),
            Self::Client(id) => Subject::Client(id),
        }
    }
}

/// Somebody whose time is booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Therapist {
    /// Who.
    pub id: TherapistId,
    /// What is known of them; nothing, once they are erased.
    pub person: Option<SealedPerson>,
    /// When they can be booked, in their own zone.
    pub times: WorkingTimes,
}

/// Somebody who books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Who.
    pub id: ClientId,
    /// What is known of them; nothing, once they are erased.
    pub person: Option<SealedPerson>,
    /// They must not be erased: somebody's right or a court wants what there is.
    pub legal_hold: bool,
    /// The zone they see times in, where an earlier version has left it in the clear. Sealing the person
    /// again takes it along, and clears it here.
    pub clear_zone: Option<Zone>,
    /// The therapist they are assigned to.
    pub therapist: Option<TherapistId>,
}

impl Client {
    /// The zone they see times in, by what is known of them; nothing, if that is erased or unreadable.
    #[must_use]
    pub fn zone(&self, person: Option<&Person>) -> Option<Zone> {
        person.and_then(Person::zone).or(self.clear_zone)
    }
}

/// What is booked: a consultation, a session. Data of the clinic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Which.
    pub id: ServiceId,
    /// How it is called.
    pub name: String,
    /// How long it takes.
    pub minutes: u32,
    /// What one costs.
    pub price: Money,
    /// An unfunded session becomes a case this long before its start.
    pub notice_minutes: u32,
    /// What calling it off costs.
    pub cancellation: Cancellation,
    /// When it can be booked.
    pub slots: SlotRules,
}

/// When a service can be booked. Staff may book it at any time that is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotRules {
    /// It starts every so many minutes from midnight on the therapist's wall clock.
    pub step_minutes: u16,
    /// What is kept free around it.
    pub buffers: Buffers,
    /// It is booked this long before it starts, or longer.
    pub notice_minutes: u32,
    /// It is booked at most so many days ahead: of a series, the first date.
    pub window_days: Option<u32>,
    /// A client's booking of it has at most so many dates in any week.
    #[serde(default = "dates_a_week")]
    pub dates_a_week: u32,
}

fn dates_a_week() -> u32 {
    SlotRules::DATES_A_WEEK
}

impl SlotRules {
    /// The step of a service that says nothing of it.
    pub const STEP_MINUTES: u16 = 15;
    /// How dense a client books a service that says nothing of it: once a day.
    pub const DATES_A_WEEK: u32 = 7;

    /// As the scheduler asks it, for appointments of this length.
    ///
    /// # Errors
    /// [`PolicyError`] if something is out of range.
    pub fn policy(&self, minutes: u32) -> Result<SlotPolicy, PolicyError> {
        let policy = SlotPolicy::new(minutes, self.step_minutes)?
            .with_buffers(self.buffers)
            .with_notice(self.notice_minutes)?;
        match self.window_days {
            Some(days) => policy.with_window(days),
            None => Ok(policy),
        }
    }
}

impl Default for SlotRules {
    fn default() -> Self {
        Self {
            step_minutes: Self::STEP_MINUTES,
            buffers: Buffers::NONE,
            notice_minutes: 0,
            window_days: None,
            dates_a_week: Self::DATES_A_WEEK,
        }
    }
}

/// The cancellation policy of a service: what becomes of a credit whose session does not take
/// place, by who caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    /// A client cancels and reschedules freely until this long before the start.
    pub free_until_minutes: u32,
    /// What becomes of the credit when a client cancels later than that.
    pub late_cancel: LateRule,
    /// What becomes of it when the client does not come.
    pub no_show: LateRule,
    /// Who may give a forfeited credit back.
    pub waived_by: WaivedBy,
    /// A credit that the clinic sets free, by cancelling or by a waiver, can be used for so many
    /// days at least, whenever its lot ends. A client moves a session at most so many days past the
    /// end of its credit, or past its old time if that is later. With none, what is set free after its
    /// lot's end has [`BACK_DAYS`].
    pub grace_days: u32,
    /// A session is a no-show from so many minutes after its start on.
    #[serde(default = "no_show_after_minutes")]
    pub no_show_after_minutes: u32,
}

/// How long a credit that returns after its own end can be used, unless a person sets another end.
pub const BACK_DAYS: TimeDelta = TimeDelta::days(14);

/// How long a client is waited for at a service that says nothing of it, in minutes.
pub const NO_SHOW_AFTER_MINUTES: u32 = 15;

fn no_show_after_minutes() -> u32 {
    NO_SHOW_AFTER_MINUTES
}

/// Who may waive a forfeit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaivedBy {
    /// Nobody.
    Nobody,
    /// The clinic's staff.
    Staff,
    /// The session's therapist too.
    Therapist,
}

/// What becomes of a held credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LateRule {
    /// The client loses it.
    Forfeit,
    /// The client keeps it.
    Release,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_without_the_spaces_around_it() {
        let person = Person::new("A".to_owned(), Some(" \r\na@b.example\t".to_owned()));
        assert_eq!(person.unwrap().email(), Some("a@b.example"));
    }
}
