//! Which zone data plans a database, and which process may change that.
//!
//! Processes with different zone data on one database would make sessions of one series at different
//! instants. So the database records the data that plans it, as generations; each planning write
//! checks that it is made by a process of the last generation.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use scheduler_core::zone::ZoneData;
use scheduler_core::{ClientId, IntentId, LocalDateTime, SessionId, TherapistId, Zone};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What identifies zone data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// The name of the release, like `2026f`.
    pub release: String,
    /// What its zones do, all together.
    pub fingerprint: Uuid,
    /// The same for each zone.
    pub zones: BTreeMap<String, u64>,
}

/// A generation of the zone data that plans a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its number: 1 is the first that was recorded.
    pub generation: u64,
    /// The data.
    pub edition: Edition,
    /// Since when it plans.
    pub since: DateTime<Utc>,
    /// When everything to come agreed with it, and what that took. Nothing is planned before.
    pub settled: Option<(DateTime<Utc>, Outcome)>,
}

/// What a change of the zone data has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// How many sessions to come were looked at.
    pub sessions: u64,
    /// How many series were looked at.
    pub series: u64,
    /// How many sessions have another instant.
    pub moved: u64,
    /// How many of them are cases, because their new time is taken.
    pub cases: u64,
    /// How many people got a message.
    pub messages: u64,
}

/// A session that a change of the zone data moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneMove {
    /// The generation of the data that moved it.
    pub generation: u64,
    /// The session.
    pub session: SessionId,
    /// Its intent.
    pub intent: IntentId,
    /// The therapist whose time it takes.
    pub therapist: TherapistId,
    /// The client it is for.
    pub client: ClientId,
    /// The zone of its wall time.
    pub zone: Zone,
    /// The wall time that it keeps.
    pub starts_local: LocalDateTime,
    /// Its first instant before.
    pub was: DateTime<Utc>,
    /// Its first instant now.
    pub starts_at: DateTime<Utc>,
    /// Whether it takes place at its new time.
    pub outcome: MoveOutcome,
}

/// Whether a moved session takes place at its new time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveOutcome {
    /// It takes place at its new time.
    Moved,
    /// Its new time is taken: it is a case.
    Case,
    /// It would not have taken place anyway, so nobody gets a message.
    Silent,
}

/// Whether a process may plan a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may: the recorded data agrees with its own.
    Plans,
    /// It may once it has recorded its own data, which is newer than the recorded.
    TakesOver,
    /// It may not: the recorded data is another, and not older.
    Refuses,
}

impl Edition {
    /// The zone data that this process computes with. It reads every zone: keep the answer.
    #[must_use]
    pub fn installed() -> Self {
        let data = ZoneData::installed();
        Self {
            release: data.release().to_owned(),
            fingerprint: data.fingerprint(),
            zones: data.fingerprints(),
        }
    }

    /// Whether all zones that both have do the same. You might expect the fingerprints to be compared.
    /// They differ too where one packager has a name more, which moves nobody's session.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint || self.differing(other).next().is_none()
    }

    /// The zones that both have and whose clocks differ.
    pub fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a str> {
        let zones = self.zones.iter();
        zones.filter_map(|(name, fingerprint)| {
            let differs = other.zones.get(name).is_some_and(|its| its != fingerprint);
            differs.then_some(name.as_str())
        })
    }
}

/// Whether a process with this zone data may plan the database for which `recorded` was recorded last.
///
/// The newer release takes over, so that a rolling upgrade needs no command. Nothing else does: an
/// older process that is restarted in the midst must not take the database back, so a return to older
/// data, or to other data of the same name, is a person's command.
#[must_use]
pub fn judge(recorded: Option<&Edition>, ours: &Edition) -> Verdict {
    match recorded {
        None => Verdict::TakesOver,
        Some(recorded) if recorded.agrees_with(ours) => Verdict::Plans,
        Some(recorded) if is_newer(&ours.release, &recorded.release) => Verdict::TakesOver,
        Some(_) => Verdict::Refuses,
    }
}

/// Whether a release of the tz database is newer than another, by their names: a year and a letter or
/// two. A name of another form is neither newer nor older.
#[must_use]
pub fn is_newer(release: &str, than: &str) -> bool {
    match (age(release), age(than)) {
        (Some(one), Some(other)) => one > other,
        _ => false,
    }
}

fn age(release: &str) -> Option<(u32, usize, &str)> {
    let (year, letters) = release.split_at_checked(4)?;
    let is_letters = (1..=2).contains(&letters.len())
        && letters.bytes().all(|letter| letter.is_ascii_lowercase());
    let year = year.parse().ok().filter(|_| is_letters)?;
    Some((year, letters.len(), letters))
}

impl MoveOutcome {
    /// Its name, as stored and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Case => "case",
            Self::Silent => "silent",
        }
    }

    /// The outcome of a stored name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let all = [Self::Moved, Self::Case, Self::Silent];
        all.into_iter().find(|outcome| outcome.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edition(release: &str, zones: &[(&str, u64)]) -> Edition {
        let zones = zones.iter().map(|(name, does)| ((*name).to_owned(), *does));
        let zones: BTreeMap<String, u64> = zones.collect();
        Edition {
            release: release.to_owned(),
            fingerprint: Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{zones:?}").as_bytes()),
            zones,
        }
    }

    #[test]
    fn releases_are_ordered_by_year_and_letters() {
        for (newer, older) in [
            ("2026f", "2025b"),
            ("2026f", "2026e"),
            ("2026aa", "2026z"),
            ("2027a", "2026zz"),
        ] {
            assert!(is_newer(newer, older) && !is_newer(older, newer));
            assert!(!is_newer(newer, newer));
        }
        for odd in [
            "",
            "2026",
            "local-0a1b2c3d",
            "2026F",
            "2026-1",
            "2026abc",
            "éa",
        ] {
            assert!(!is_newer(odd, "2026f") && !is_newer("2026f", odd), "{odd}");
        }
    }

    #[test]
    fn the_newer_takes_over_and_nobody_else() {
        let old = edition("2026e", &[("America/Vancouver", 1), ("UTC", 0)]);
        let new = edition("2026f", &[("America/Vancouver", 2), ("UTC", 0)]);
        assert_eq!(judge(None, &old), Verdict::TakesOver);
        assert_eq!(judge(Some(&old), &new), Verdict::TakesOver);
        assert_eq!(judge(Some(&new), &old), Verdict::Refuses);
        assert_eq!(judge(Some(&new), &new), Verdict::Plans);
        let rebuilt = edition("2026f", &[("America/Vancouver", 3), ("UTC", 0)]);
        assert_eq!(judge(Some(&new), &rebuilt), Verdict::Refuses);
        let local = edition("local-0a1b2c3d", &[("America/Vancouver", 3)]);
        assert_eq!(judge(Some(&new), &local), Verdict::Refuses);
        assert_eq!(
            new.differing(&old).collect::<Vec<_>>(),
            ["America/Vancouver"]
        );
    }

    #[test]
    fn data_that_does_the_same_agrees_whatever_it_is_called() {
        let one = edition("2026e", &[("America/Vancouver", 1), ("UTC", 0)]);
        let with_a_name_more = edition("2026d", &[("UTC", 0), ("America/Vancouver", 1), ("X", 9)]);
        assert_eq!(judge(Some(&one), &with_a_name_more), Verdict::Plans);
        assert_eq!(judge(Some(&with_a_name_more), &one), Verdict::Plans);
    }
}
