//! Commands in words.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::account::command::Command;

/// The request in words, with all its values: a conflict shows two of them side by side.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Grant {
                key: _,
                service,
                amount,
                source,
                evidence,
                effective_at,
                expires_at,
            } => {
                write!(f, "grant {amount} {source} credits of service {service} ")?;
                write!(f, "{evidence} ")?;
                dates(f, *effective_at, *expires_at)
            }
            Command::Hold {
                hold,
                service,
                slot_start,
            } => {
                write!(f, "hold {hold} of service {service} at {slot_start:?}")
            }
            Command::Release { hold, reason } => write!(f, "release hold {hold} as {reason}"),
            Command::Use { hold } => write!(f, "use hold {hold}"),
            Command::Forfeit { hold, reason } => write!(f, "forfeit hold {hold} for {reason}"),
            Command::Reschedule {
                hold,
                slot_version,
                to,
            } => {
                write!(f, "reschedule hold {hold} to slot {slot_version} at {to:?}")
            }
            Command::Expire { lot } => write!(f, "expire lot {lot}"),
            Command::Clawback {
                cause,
                lot,
                amount,
                held,
            } => {
                let held = held.as_str();
                write!(
                    f,
                    "claw back {amount} credits of lot {lot} for {cause}, held: {held}"
                )
            }
            Command::Reinstate { cause } => write!(f, "reinstate what {cause} took"),
            Command::Transfer {
                id,
                lot,
                reason,
                amount,
                effective_at,
                expires_at,
            } => {
                write!(
                    f,
                    "transfer {amount} credits of lot {lot} as {reason} {id} "
                )?;
                dates(f, *effective_at, *expires_at)
            }
            Command::Extend {
                id,
                lot,
                reason,
                amount,
                until,
            } => {
                write!(f, "extend {amount} credits of lot {lot} as {reason} {id} ")?;
                end(f, *until)
            }
            Command::Unextend { lot, id } => write!(f, "take back extension {id} of lot {lot}"),
            Command::Rebook { hold, into } => write!(f, "rebook hold {hold} as {into}"),
            Command::Restore {
                hold,
                of,
                service,
                slot_start,
                extension,
                actor,
                reason,
            } => {
                write!(f, "restore hold {of} as {hold} ")?;
                write!(f, "of service {service} at {slot_start:?} ")?;
                write!(f, "without extension {extension} by {actor} for {reason}")
            }
            Command::Adjust {
                id,
                service,
                amount,
                actor,
                reason,
            } => {
                write!(f, "adjust {id} by {amount} credits of service {service} ")?;
                write!(f, "by {actor} for {reason}")
            }
            Command::Reverse {
                entry,
                actor,
                reason,
            } => write!(f, "reverse {entry} by {actor} for {reason}"),
        }
    }
}

fn dates(
    f: &mut fmt::Formatter<'_>,
    effective_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
) -> fmt::Result {
    write!(f, "from {effective_at:?} ")?;
    end(f, expires_at)
}

fn end(f: &mut fmt::Formatter<'_>, expires_at: Option<DateTime<Utc>>) -> fmt::Result {
    match expires_at {
        Some(end) => write!(f, "to {end:?}"),
        None => write!(f, "without end"),
    }
}
