//! What is due, found by looking at everything.

use chrono::{DateTime, Utc};
use clinic::scope::{Job, Position};
use clinic::{ClinicId, MessageState, Notification};
use scheduler_core::session::{Session, SessionState};

use super::position;
use super::tables::Tables;

impl Tables {
    /// Everything of a job that is due.
    pub(super) fn overdue(&self, job: Job, now: DateTime<Utc>) -> Vec<(ClinicId, Position)> {
        let sessions = |of: fn(&Session) -> bool| {
            let rows = self.sessions.iter().filter(move |(_, session)| of(session));
            rows.map(|(key, session)| (key.0, session.next_due_at, key.1.as_u128()))
                .collect()
        };
        let all: Vec<_> = match job {
            Job::Materialize => self
                .intents
                .iter()
                .map(|(key, intent)| (key.0, intent.next_due_at, key.1.as_u128()))
                .collect(),
            Job::Fund => sessions(|session| session.state == SessionState::Unfunded),
            Job::Expire => self
                .accounts
                .iter()
                .map(|(key, account)| (key.0, account.next_due_at(), key.1.as_u128()))
                .collect(),
            Job::Remind => sessions(|session| {
                session.state == SessionState::Scheduled
                    && session.next_due_at < Some(session.starts_at)
            }),
            Job::AskAttendance => sessions(|session| {
                session.state == SessionState::Scheduled
                    && session.next_due_at >= Some(session.starts_at)
            }),
            Job::Dispatch => self
                .outbox
                .iter()
                .map(|row| {
                    (
                        row.clinic.0,
                        row.message.next_due_at,
                        row.message.seq.into(),
                    )
                })
                .collect(),
        };
        let due = all.into_iter().filter_map(|(clinic, due_at, id)| {
            let due_at = due_at.filter(|at| *at <= now)?;
            Some((ClinicId(clinic), position(due_at, id)))
        });
        due.collect()
    }

    /// What of it can be claimed: of messages, none that an earlier one stands before.
    pub(super) fn due(&self, job: Job, now: DateTime<Utc>) -> Vec<(ClinicId, Position)> {
        let mut due = self.overdue(job, now);
        if job == Job::Dispatch {
            due.retain(|(_, position)| !self.is_behind_another(position.id));
        }
        due
    }

    fn is_behind_another(&self, seq: u128) -> bool {
        let mut rows = self.outbox.iter().map(|row| &row.message);
        rows.find(|message| u128::from(message.seq) == seq)
            .is_some_and(|this| self.is_behind(&this.notification, this.seq))
    }

    /// Whether a message before this number, to the same recipient or about the same session, is
    /// still to be sent.
    pub(super) fn is_behind(&self, told: &Notification, seq: u64) -> bool {
        let rows = self.outbox.iter().map(|row| &row.message);
        let mut earlier =
            rows.filter(|earlier| earlier.state == MessageState::Pending && earlier.seq < seq);
        earlier.any(|earlier| {
            let other = &earlier.notification;
            other.session == told.session || other.recipient == told.recipient
        })
    }
}
