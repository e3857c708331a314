//! From a TZID to an IANA zone.
//!
//! An IANA name means the IANA zone, whatever a VTIMEZONE of that name says: those are copies of
//! the tz database that have aged. Other names are looked up in this order: behind a prefix as in
//! `/mozilla.org/20050126_1/Europe/London`, in the VTIMEZONE's X-LIC-LOCATION, among the names
//! that Windows has, and by the offsets that the VTIMEZONE's observances give.

use std::collections::BTreeMap;

use super::content::{Component, Property};
use super::observances::{Likeness, Observances};
use super::problem::{Done, Problem, Reason};
use super::value::{At, Time};
use super::windows;
use crate::Zone;

/// The zones that one VCALENDAR names.
pub(super) struct Zones<'a> {
    definitions: BTreeMap<&'a str, &'a Component>,
    known: BTreeMap<String, Option<Zone>>,
    /// Of times without a zone, and with one that is not known.
    pub(super) floating: Zone,
    /// The first year of any event, from which on offsets matter.
    from_year: i32,
}

impl<'a> Zones<'a> {
    pub(super) fn new(calendar: &'a Component, floating: Zone) -> Self {
        let definitions = calendar.components.iter();
        let definitions = definitions.filter(|component| component.name == "VTIMEZONE");
        let named = definitions.filter_map(|zone| Some((zone.value("TZID")?, zone)));
        let mut zones = Self {
            definitions: named.collect(),
            known: BTreeMap::new(),
            floating,
            from_year: first_year(calendar),
        };
        let stated = calendar.value("X-WR-TIMEZONE").and_then(by_name);
        zones.floating = stated.unwrap_or(floating);
        zones
    }

    /// One element of a property as a time in its zone. A zone that is not known is a problem,
    /// once, and so is a value that is no time; a time without a zone is not: see
    /// [`is_floating`](Self::is_floating).
    pub(super) fn at(
        &mut self,
        property: &Property,
        text: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<At> {
        let mut time = Time::read(text)?;
        if property.has("VALUE", "DATE")
            && let Time::Local(wall) | Time::Utc(wall) = time
        {
            time = Time::Date(wall.date());
        }
        let zone = match (time, property.parameter("TZID")) {
            (Time::Local(_), Some(tzid)) => self.zone(property, tzid, problems),
            _ => self.floating,
        };
        Some(time.in_zone(zone))
    }

    /// Whether a property's first value is a time without a zone.
    pub(super) fn is_floating(property: &Property) -> bool {
        let first = property.value.split(',').next().unwrap_or_default();
        let local = matches!(Time::read(first), Some(Time::Local(_)));
        local
            && property.parameter("TZID").is_none_or(str::is_empty)
            && !property.has("VALUE", "DATE")
    }

    fn zone(&mut self, property: &Property, tzid: &str, problems: &mut Vec<Problem>) -> Zone {
        if let Some(known) = self.known.get(tzid) {
            return known.unwrap_or(self.floating);
        }
        let definition = self.definitions.get(tzid).copied();
        let located = definition.and_then(|zone| zone.value("X-LIC-LOCATION"));
        let mut found = by_name(tzid).or_else(|| located.and_then(by_name));
        let problem = |reason, zone| Problem {
            uid: None,
            line: property.line,
            property: "TZID".to_owned(),
            value: tzid.to_owned(),
            reason,
            done: Done::ReadIn(zone),
        };
        if found.is_none() && !tzid.is_empty() {
            let alike = definition.and_then(Observances::read);
            let alike = alike.map(|observances| observances.nearest(self.from_year));
            match alike {
                Some(Likeness {
                    zone, differing: 0, ..
                }) => found = Some(zone),
                // Clocks that differ on one instant in ten are another zone's.
                Some(Likeness {
                    zone,
                    differing,
                    compared,
                }) if differing * 10 <= compared => {
                    found = Some(zone);
                    let reason = Reason::UnlikeZone {
                        differing,
                        compared,
                    };
                    problems.push(problem(reason, zone));
                }
                _ => problems.push(problem(Reason::UnknownZone, self.floating)),
            }
        }
        self.known.insert(tzid.to_owned(), found);
        found.unwrap_or(self.floating)
    }
}

/// The zone of a name that is IANA's, behind a prefix or not, or that Windows has.
fn by_name(name: &str) -> Option<Zone> {
    let name = name.trim().trim_matches('"');
    let mut rest = name.trim_start_matches('/');
    loop {
        if let Some(zone) = Zone::named(rest) {
            return Some(zone);
        }
        match rest.split_once('/') {
            Some((_, later)) => rest = later,
            None => return windows::zone(name),
        }
    }
}

/// The year of the earliest DTSTART of an event; the epoch's if there is none.
fn first_year(calendar: &Component) -> i32 {
    let events = calendar.components.iter();
    let events = events.filter(|component| component.name == "VEVENT");
    let years = events.filter_map(|event| event.value("DTSTART")?.get(..4)?.parse().ok());
    years.min().unwrap_or(1970)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_behind_prefixes_and_in_other_cases() {
        for (name, zone) in [
            ("Europe/London", "Europe/London"),
            ("/mozilla.org/20050126_1/Europe/London", "Europe/London"),
            (
                "/freeassociation.sourceforge.net/America/Argentina/Buenos_Aires",
                "America/Argentina/Buenos_Aires",
            ),
            (
                "/softwarestudio.org/Olson_20011030_5/America/Chicago",
                "America/Chicago",
            ),
            ("\"america/new_york\"", "America/New_York"),
            ("W. Europe Standard Time", "Europe/Berlin"),
            ("UTC", "UTC"),
        ] {
            assert_eq!(by_name(name).map(Zone::name), Some(zone), "{name}");
        }
        for name in [
            "",
            "/",
            "London",
            "Customized Time Zone",
            "(UTC+01:00) Berlin",
        ] {
            assert_eq!(by_name(name), None, "{name}");
        }
    }
}
