use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::calendar::Buffers;
use crate::set::MINUTES_MAX;

/// The longest step, in minutes.
pub const STEP_MINUTES_MAX: u16 = 24 * 60;
/// The longest notice and booking window, in days: ten years.
pub const AHEAD_DAYS_MAX: u32 = 3_653;

/// How one service can be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct SlotPolicy {
    minutes: u32,
    step: u16,
    buffers: Buffers,
    notice_minutes: u32,
    window_days: Option<u32>,
}

/// A policy as data.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    minutes: u32,
    step: u16,
    #[serde(default)]
    buffers: Buffers,
    #[serde(default)]
    notice_minutes: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window_days: Option<u32>,
}

/// Why a policy cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The length is out of range.
    #[error("{minutes} minutes: an appointment lasts from 1 to {MINUTES_MAX}")]
    Minutes {
        /// The length given.
        minutes: u32,
    },
    /// The step is out of range.
    #[error("a step of {step} minutes: it is from 1 to {STEP_MINUTES_MAX}")]
    Step {
        /// The step given.
        step: u16,
    },
    /// The notice is longer than anything is booked ahead.
    #[error("a notice of {minutes} minutes: it is at most {AHEAD_DAYS_MAX} days")]
    Notice {
        /// The notice given.
        minutes: u32,
    },
    /// The booking window is empty or too long.
    #[error("a booking window of {days} days: it is from 1 to {AHEAD_DAYS_MAX}")]
    Window {
        /// The window given.
        days: u32,
    },
}

impl SlotPolicy {
    /// Appointments of this length that start every `step` minutes from midnight on the
    /// therapist's wall clock, without buffers or notice, however far ahead.
    ///
    /// # Errors
    /// [`PolicyError::Minutes`], [`PolicyError::Step`].
    pub fn new(minutes: u32, step: u16) -> Result<Self, PolicyError> {
        if !(1..=MINUTES_MAX).contains(&minutes) {
            return Err(PolicyError::Minutes { minutes });
        }
        if !(1..=STEP_MINUTES_MAX).contains(&step) {
            return Err(PolicyError::Step { step });
        }
        Ok(Self {
            minutes,
            step,
            buffers: Buffers::NONE,
            notice_minutes: 0,
            window_days: None,
        })
    }

    /// The same with buffers.
    #[must_use]
    pub fn with_buffers(self, buffers: Buffers) -> Self {
        Self { buffers, ..self }
    }

    /// The same, bookable only this long before its start or longer.
    ///
    /// # Errors
    /// [`PolicyError::Notice`].
    pub fn with_notice(self, minutes: u32) -> Result<Self, PolicyError> {
        if minutes > AHEAD_DAYS_MAX * 24 * 60 {
            return Err(PolicyError::Notice { minutes });
        }
        Ok(Self {
            notice_minutes: minutes,
            ..self
        })
    }

    /// The same, bookable only if it starts within this many days of 24 hours.
    ///
    /// # Errors
    /// [`PolicyError::Window`].
    pub fn with_window(self, days: u32) -> Result<Self, PolicyError> {
        if !(1..=AHEAD_DAYS_MAX).contains(&days) {
            return Err(PolicyError::Window { days });
        }
        Ok(Self {
            window_days: Some(days),
            ..self
        })
    }

    /// The same for another length, which has been checked.
    pub(crate) fn lasting(self, minutes: u32) -> Self {
        Self { minutes, ..self }
    }

    /// The length of an appointment.
    #[must_use]
    pub fn minutes(&self) -> u32 {
        self.minutes
    }

    /// Minutes between two starts.
    #[must_use]
    pub fn step(&self) -> u16 {
        self.step
    }

    /// What is kept free around it.
    #[must_use]
    pub fn buffers(&self) -> Buffers {
        self.buffers
    }

    /// The first start that is not too soon.
    #[must_use]
    pub fn earliest(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::minutes(i64::from(self.notice_minutes))
    }

    /// The first start that is too far ahead, if there is any.
    #[must_use]
    pub fn until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let days = self.window_days?;
        Some(now + TimeDelta::days(i64::from(days)))
    }
}

impl From<SlotPolicy> for Stored {
    fn from(policy: SlotPolicy) -> Self {
        let SlotPolicy {
            minutes,
            step,
            buffers,
            notice_minutes,
            window_days,
        } = policy;
        Self {
            minutes,
            step,
            buffers,
            notice_minutes,
            window_days,
        }
    }
}

impl TryFrom<Stored> for SlotPolicy {
    type Error = PolicyError;

    fn try_from(stored: Stored) -> Result<Self, PolicyError> {
        let policy = Self::new(stored.minutes, stored.step)?
            .with_buffers(stored.buffers)
            .with_notice(stored.notice_minutes)?;
        match stored.window_days {
            Some(days) => policy.with_window(days),
            None => Ok(policy),
        }
    }
}
