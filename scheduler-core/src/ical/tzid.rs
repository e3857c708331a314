//! From a TZID to a zone.
//!
//! A text that defines a zone means what it defines (RFC 5545 §3.2.19), and a name is looked up only
//! beside it: as IANA's, behind a prefix as in `/mozilla.org/20050126_1/Europe/London`, as
//! X-LIC-LOCATION, as a name of Windows. Without a definition the name alone counts, or the offset
//! that it is. Which IANA zone is meant by a definition is found when all of its events are read.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::content::{Component, Property, plain_name};
use super::observances::{Definition, Likeness, between};
use super::problem::{Done, Problem, Problems, Reason};
use super::timezone::{OwnZone, TimeZone};
use super::twin::{Defined, Letter};
use super::value::{At, Time};
use super::{DEFINITIONS_MAX, windows};
use crate::Zone;
use crate::epoch::SECONDS_PER_DAY;

/// The longest name of a zone that is looked up.
const NAME_BYTES_MAX: usize = 256;

/// The most definitions of one name that are tried if the first of them cannot be read.
const OTHERS_READ_MAX: usize = 8;

/// The zones that one VCALENDAR names.
pub(super) struct Zones<'a> {
    definitions: BTreeMap<String, Named<'a>>,
    known: BTreeMap<String, Result<TimeZone, Reason>>,
    /// The definitions that are used, by number.
    pub(super) defined: Vec<Defined>,
    /// The definitions that cannot be read, and the zones of their names: lines, names, and why.
    unreadable: Vec<(usize, String, &'static str, Zone)>,
    names: Names,
    /// Of times without a zone, and with one that is not known.
    pub(super) floating: TimeZone,
    /// The zone that was given, or X-WR-TIMEZONE if that is an IANA zone.
    pub(super) stated: Zone,
}

/// The definitions of one TZID.
struct Named<'a> {
    first: &'a Component,
    /// Those that are not like the first.
    others: Vec<&'a Component>,
    /// The one that is read because the first cannot be, and why not.
    instead: Option<(&'a Component, &'static str)>,
}

/// All IANA names in lower case.
struct Names(OnceLock<BTreeMap<String, Zone>>);

impl<'a> Zones<'a> {
    pub(super) fn new(
        calendar: &'a Component,
        given: Zone,
        meant: &BTreeMap<String, Zone>,
        problems: &mut Problems,
    ) -> Self {
        let meant = meant.iter();
        let known = meant.map(|(name, zone)| (plain_name(name), Ok(TimeZone::Iana(*zone))));
        let definitions = calendar.components.iter();
        let definitions = definitions.filter(|component| component.name == "VTIMEZONE");
        let mut named: BTreeMap<String, Named<'_>> = BTreeMap::new();
        for zone in definitions {
            let Some(tzid) = zone.value("TZID") else {
                continue;
            };
            let known = named
                .entry(plain_name(tzid))
                .or_insert_with(|| Named::new(zone));
            if !known.first.is_like(zone) {
                known.others.push(zone);
            }
        }
        let mut zones = Self {
            definitions: named,
            known: known.collect(),
            defined: Vec::new(),
            unreadable: Vec::new(),
            names: Names(OnceLock::new()),
            floating: TimeZone::Iana(given),
            stated: given,
        };
        if let Some(property) = calendar.first("X-WR-TIMEZONE") {
            let name = plain_name(&property.value);
            match zones.zone(&name) {
                Ok(zone) => {
                    zones.stated = zone.iana().unwrap_or(given);
                    zones.floating = zone;
                }
                Err(_) if name.is_empty() => {}
                Err(reason) => problems.push(|| {
                    let done = Done::ReadIn(given);
                    Problem::of_line(property.line, property.name, &property.value, reason, done)
                }),
            }
        }
        zones
    }

    /// One element of a property as a time in its zone; `None` if it is no time. An error gives the
    /// time in the zone of times without one, and why its own is not known.
    pub(super) fn at(
        &mut self,
        property: &Property,
        text: &str,
    ) -> Option<Result<At, (At, Reason)>> {
        let mut time = Time::read(text)?;
        // A midnight that is called a date is one.
        if property.is_of("DATE")
            && let Time::Local(wall) | Time::Utc(wall) = time
            && wall.seconds().rem_euclid(SECONDS_PER_DAY) == 0
        {
            time = Time::Date(wall.date());
        }
        Some(match (time, property.zone_name()) {
            (Time::Local(_), Some(tzid)) => match self.zone(tzid) {
                Ok(zone) => Ok(time.in_zone(&zone)),
                Err(reason) => Err((time.in_zone(&self.floating), reason)),
            },
            _ => Ok(time.in_zone(&self.floating)),
        })
    }

    /// Says which definitions were not read, and which zones were taken by their names because none
    /// can be.
    pub(super) fn report(&self, problems: &mut Problems) {
        for named in self.definitions.values() {
            named.report(problems);
        }
        for (line, tzid, why, named) in &self.unreadable {
            let (reason, done) = (Reason::BadDefinition { why }, Done::ReadIn(*named));
            problems.push(|| Problem::of_line(*line, "TZID", tzid, reason, done));
        }
    }

    /// Whether a property's first value is a time without a zone.
    pub(super) fn is_floating(property: &Property) -> bool {
        let first = property.value.split(',').next().unwrap_or_default();
        matches!(Time::read(first), Some(Time::Local(_))) && property.zone_name().is_none()
    }

    fn zone(&mut self, tzid: &str) -> Result<TimeZone, Reason> {
        if let Some(known) = self.known.get(tzid) {
            return known.clone();
        }
        let found = self.find(tzid);
        self.known.insert(tzid.to_owned(), found.clone());
        found
    }

    fn find(&mut self, tzid: &str) -> Result<TimeZone, Reason> {
        let by_name = |name: &str| self.names.zone(name);
        let (zone, definition) = self
            .definitions
            .get_mut(tzid)
            .map_or((None, Ok(None)), |named| {
                let (zone, definition) = named.read();
                (Some(zone), definition)
            });
        let located = || zone?.value("X-LIC-LOCATION").and_then(by_name);
        let named = by_name(tzid).or_else(located);
        let named = named.or_else(|| whole_hours(offset_name(tzid)?));
        let definition = match definition {
            Ok(Some(definition)) => self.define(tzid, line_of(zone), named, &definition),
            Err(why) => Err(why),
            // The name is all that there is.
            Ok(None) => {
                return match (named, offset_name(tzid)) {
                    (Some(zone), _) => Ok(TimeZone::Iana(zone)),
                    (None, Some(offset)) => self.constant(tzid, offset),
                    (None, None) => Err(Reason::UnknownZone),
                };
            }
        };
        match (definition, named) {
            (Ok(zone), _) => Ok(zone),
            // What cannot be read says nothing against the name.
            (Err(why), Some(named)) => {
                let unreadable = (line_of(zone), tzid.to_owned(), why, named);
                self.unreadable.push(unreadable);
                Ok(TimeZone::Iana(named))
            }
            (Err(why), None) => Err(Reason::BadDefinition { why }),
        }
    }

    fn define(
        &mut self,
        tzid: &str,
        line: usize,
        named: Option<Zone>,
        definition: &Definition,
    ) -> Result<TimeZone, &'static str> {
        if self.defined.len() >= DEFINITIONS_MAX {
            return Err("there are too many others");
        }
        let (letter, passed_over) = definition.to_the_letter()?;
        let likeness = named.map_or(Likeness::Other, |named| definition.likeness(&letter, named));
        // What says nothing against the zone that it is named after means that zone where it says
        // nothing.
        let table = match (named, likeness) {
            (Some(named), Likeness::Part | Likeness::Shifted(..)) => named.transitions().clone(),
            (Some(named), Likeness::Between(from, to)) => between(&letter, named, from, to)?,
            _ => letter.clone(),
        };
        let own = Arc::new(OwnZone::new(tzid, self.defined.len(), table));
        let letter = Letter {
            table: letter,
            passed_over,
            likeness,
        };
        self.defined
            .push(Defined::new(tzid, line, named, letter, Arc::clone(&own)));
        Ok(TimeZone::Own(own))
    }

    /// A zone of one offset.
    fn constant(&mut self, tzid: &str, offset: i64) -> Result<TimeZone, Reason> {
        match whole_hours(offset) {
            Some(zone) => Ok(TimeZone::Iana(zone)),
            None => self
                .define(tzid, 0, None, &Definition::constant(offset))
                .map_err(|why| Reason::BadDefinition { why }),
        }
    }

    /// The zones in which a time without a zone of its own may be meant: the calendar's, then those
    /// that it defines.
    pub(super) fn likely(&mut self) -> Vec<TimeZone> {
        const DEFINED: usize = 8;
        let names: Vec<String> = self.definitions.keys().take(DEFINED).cloned().collect();
        let defined: Vec<_> = names
            .iter()
            .filter_map(|name| self.zone(name).ok())
            .collect();
        [self.floating.clone()].into_iter().chain(defined).collect()
    }
}

impl<'a> Named<'a> {
    fn new(first: &'a Component) -> Self {
        Self {
            first,
            others: Vec::new(),
            instead: None,
        }
    }

    /// Reads the first that can be read, else the first.
    fn read(&mut self) -> (&'a Component, Result<Option<Definition>, &'static str>) {
        let first = Definition::read(self.first);
        if matches!(first, Ok(Some(_))) {
            return (self.first, first);
        }
        for other in self.others.iter().take(OTHERS_READ_MAX) {
            if let Ok(Some(definition)) = Definition::read(other) {
                let why = first.err().unwrap_or("it has no observance");
                self.instead = Some((other, why));
                return (other, Ok(Some(definition)));
            }
        }
        (self.first, first)
    }

    /// Says which were not read.
    fn report(&self, problems: &mut Problems) {
        let mut say = |zone: &Component, reason: Reason| {
            let tzid = zone.value("TZID").unwrap_or_default();
            problems.push(|| Problem::of_line(zone.line, "TZID", tzid, reason, Done::KeptOther));
        };
        if let Some((_, why)) = self.instead {
            say(self.first, Reason::BadDefinition { why });
        }
        let kept = self.instead.map_or(self.first, |(instead, _)| instead);
        let others = self.others.iter().filter(|other| !kept.is_like(other));
        others.for_each(|other| say(other, Reason::Repeated));
    }
}

impl Names {
    /// The zone of a name that is IANA's, behind a prefix or not, or that Windows has.
    fn zone(&self, name: &str) -> Option<Zone> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let names = self.0.get_or_init(|| {
            let all = Zone::all().map(|zone| (zone.name().to_ascii_lowercase(), zone));
            all.collect()
        });
        if matches!(name, "Z" | "(UTC)" | "Coordinated Universal Time") {
            return Some(Zone::UTC);
        }
        let lower = name.to_ascii_lowercase();
        // As in `(UTC+01:00) Europe/Berlin`.
        let behind = lower
            .split_once(") ")
            .filter(|(offset, _)| offset.starts_with('('));
        let mut rest = behind
            .map_or(&*lower, |(_, name)| name)
            .trim_start_matches('/');
        loop {
            if let Some(zone) = names.get(rest) {
                return Some(*zone);
            }
            match rest.split_once('/') {
                Some((_, later)) => rest = later,
                // Behind a prefix, or whole: some names of Windows have a slash.
                None => return windows::zone(name).or_else(|| windows::zone(rest)),
            }
        }
    }
}

/// The IANA zone of an offset in seconds: there is one for every whole hour.
fn whole_hours(offset: i64) -> Option<Zone> {
    match offset / 3600 {
        _ if offset % 3600 != 0 => None,
        0 => Some(Zone::UTC),
        // Signs are those of POSIX: hours behind UTC are positive.
        hours => format!("Etc/GMT{:+}", -hours).parse().ok(),
    }
}

fn line_of(zone: Option<&Component>) -> usize {
    zone.map_or(0, |zone| zone.line)
}

/// The offset in seconds that a name is, like `UTC+01`, `GMT-0530`, `(GMT +01:00)` or `+02:00`.
fn offset_name(name: &str) -> Option<i64> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name: String = name.chars().filter(|c| !c.is_whitespace()).collect();
    let name = name.replace(['\u{2212}', '\u{2013}'], "-");
    let name = name
        .trim_start_matches('(')
        .trim_end_matches(')')
        .to_ascii_uppercase();
    let name = name
        .strip_prefix("UTC")
        .or_else(|| name.strip_prefix("GMT"))
        .unwrap_or(&name);
    let (sign, digits) = match name.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() > 2 => digits.split_at_checked(digits.len() - 2)?,
        None => (digits, "00"),
    };
    let number = |text: &str, most: i64| {
        let plain = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let number = plain.then(|| text.parse::<i64>().ok()).flatten()?;
        (number <= most).then_some(number)
    };
    let offset = sign * (number(hours, 15)? * 3600 + number(minutes, 59)? * 60);
    // No clocks are further from Greenwich.
    (-12 * 3600..=14 * 3600).contains(&offset).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_behind_prefixes_and_in_other_cases() {
        let names = Names(OnceLock::new());
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
            ("america/new_york", "America/New_York"),
            ("W. Europe Standard Time", "Europe/Berlin"),
            ("(UTC-05:00) Eastern Time (US & Canada)", "America/New_York"),
            (
                "(GMT-05:00) Eastern Time (US and Canada)",
                "America/New_York",
            ),
            (
                "(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna",
                "Europe/Berlin",
            ),
            ("UTC", "UTC"),
        ] {
            assert_eq!(names.zone(name).map(Zone::name), Some(zone), "{name}");
        }
        let long = format!("{}Europe/London", "a/".repeat(1000));
        for name in [
            "",
            "/",
            "London",
            "Customized Time Zone",
            "(UTC+01:00) Berlin",
            &long,
        ] {
            assert_eq!(names.zone(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_may_be_an_offset() {
        for (name, offset) in [
            ("UTC+01", 3600),
            ("UTC-06:00", -21_600),
            ("(GMT +01:00)", 3600),
            ("GMT+0530", 19_800),
            ("+02:00", 7200),
            ("utc\u{2212}3", -10_800),
            ("UTC+00:00", 0),
        ] {
            assert_eq!(offset_name(name), Some(offset), "{name}");
        }
        for name in [
            "UTC",
            "",
            "UTC+",
            "UTC+1:2:3",
            "UTC+25",
            "UTC+01:75",
            "(UTC+01:00) Berlin",
            "GMT+x",
        ] {
            assert_eq!(offset_name(name), None, "{name}");
        }
    }
}
