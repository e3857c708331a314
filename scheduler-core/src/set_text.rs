//! Recurrence sets as the lines of an iCalendar component: DTSTART, RRULE, RDATE, EXDATE.

use std::fmt::{self, Write as _};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::rule::{Rule, RuleError};
use crate::set::{DEVIATIONS_MAX, RULES_MAX, SetError};
use crate::zone::UnknownZone;
use crate::{LocalDateTime, RecurrenceSet, Window, Zone};

/// The longest text that is read: all deviations a set can have, and all its rules.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Why lines are not a recurrence set. Every variant names the property and the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetTextError {
    /// The text is longer than any set.
    #[error("the text has {bytes} bytes, at most {TEXT_BYTES_MAX} are read")]
    TooLong {
        /// The length of the text.
        bytes: usize,
    },
    /// A line that is not `NAME;PARAMETER=value:value`.
    #[error("{line:?} is not of the form NAME:value")]
    NotAProperty {
        /// The line.
        line: String,
    },
    /// A property that means something else, or that changed what recurs before RFC 5545.
    #[error("{property} is not read: only DTSTART, RRULE, RDATE and EXDATE are")]
    UnknownProperty {
        /// Its name, as given.
        property: String,
    },
    /// DTSTART must be there once.
    #[error("DTSTART is given {count} times")]
    Starts {
        /// How often it is there.
        count: usize,
    },
    /// DTSTART has neither a TZID nor a Z: it has no instant.
    #[error("DTSTART:{value} has no time zone")]
    Floating {
        /// Its value.
        value: String,
    },
    /// A parameter that is not understood.
    #[error("{property} cannot have the parameter {parameter}")]
    Parameter {
        /// The property's name.
        property: &'static str,
        /// The parameter, as given.
        parameter: String,
    },
    /// A value that the property cannot have.
    #[error("{property} cannot be {value:?}")]
    Value {
        /// The property's name.
        property: &'static str,
        /// The value, or the element of the list, as given.
        value: String,
    },
    /// A TZID that the zone data does not have.
    #[error(transparent)]
    Zone(#[from] UnknownZone),
    /// An RRULE that is refused.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A set that is refused.
    #[error(transparent)]
    Set(#[from] SetError),
}

/// A time as a property gives it.
#[derive(Clone, Copy)]
enum Given {
    Wall(LocalDateTime),
    Instant(DateTime<Utc>),
    Date(NaiveDate),
}

/// One line, unfolded, in parts.
struct Property<'a> {
    name: String,
    zone: Option<Zone>,
    is_date: bool,
    value: &'a str,
}

impl RecurrenceSet {
    /// Reads the lines DTSTART, RRULE, RDATE and EXDATE of an iCalendar component (RFC 5545
    /// §3.8.2.4, §3.8.5), in any order. DTSTART is an anchor: an occurrence if a rule generates it.
    ///
    /// Times in UTC or another zone than DTSTART's are instants. An EXDATE like that removes the
    /// occurrence at that instant, a shifted one too, and else the wall time that it is in
    /// DTSTART's zone. `EXDATE;VALUE=DATE` removes all of that local day.
    ///
    /// ```
    /// use scheduler_core::RecurrenceSet;
    ///
    /// let text = "DTSTART;TZID=America/New_York:20260307T023000\r\n\
    ///     RRULE:FREQ=DAILY;COUNT=3\r\nEXDATE:20260308T073000Z\r\n";
    /// let set = RecurrenceSet::from_text(text, 50)?;
    /// // 02:30 does not exist on 8 March; at 07:30 UTC it is the occurrence that was shifted.
    /// assert_eq!(set.deviations().exclusions.iter().next().unwrap().to_basic(), "20260308T023000");
    /// assert_eq!(RecurrenceSet::from_text(&set.to_text(), 50)?, set);
    /// # Ok::<(), scheduler_core::SetTextError>(())
    /// ```
    ///
    /// # Errors
    /// [`SetTextError`], which names the property and the value. EXRULE is refused, not ignored.
    pub fn from_text(text: &str, minutes: u32) -> Result<Self, SetTextError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(SetTextError::TooLong { bytes: text.len() });
        }
        let unfolded = text
            .replace("\r\n", "\n")
            .replace("\n ", "")
            .replace("\n\t", "");
        let lines = unfolded
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty());
        let properties: Vec<Property<'_>> = lines.map(property).collect::<Result<_, _>>()?;
        let named = |name: &'static str| properties.iter().filter(move |given| given.name == name);
        let count = named("DTSTART").count();
        let Some(start) = named("DTSTART").next().filter(|_| count == 1) else {
            return Err(SetTextError::Starts { count });
        };
        let mut set = start_of(start, minutes)?;
        let rules: Result<Vec<Rule>, RuleError> = named("RRULE")
            .take(RULES_MAX + 1)
            .map(|rule| rule.value.parse())
            .collect();
        set = set.with_rules(rules?)?;
        let zone = set.zone();
        let mut deviations = set.deviations().clone();
        for property in named("RDATE") {
            for value in property.value.split(',') {
                let at = match given("RDATE", property, value, zone)? {
                    Given::Wall(at) => at,
                    Given::Instant(at) => zone.local(at),
                    Given::Date(_) => return Err(bad("RDATE", value)),
                };
                deviations.additions.insert(at);
            }
        }
        set = set.with_deviations(deviations)?;
        let mut deviations = set.deviations().clone();
        let compiled = set.compile();
        for property in named("EXDATE") {
            for value in property.value.split(',') {
                match given("EXDATE", property, value, zone)? {
                    Given::Wall(at) => drop(deviations.exclusions.insert(at)),
                    Given::Instant(at) => {
                        let found = compiled.sequence().next(at.timestamp());
                        let found = found.filter(|found| found.unix == at.timestamp());
                        let at = found.map_or_else(|| zone.local(at), |found| found.recurrence_id);
                        deviations.exclusions.insert(at);
                    }
                    Given::Date(date) => {
                        deviations.exclusions.extend(on_day(&set, date, value)?);
                    }
                }
                if deviations.exclusions.len() > DEVIATIONS_MAX {
                    return Err(SetError::TooManyDeviations.into());
                }
            }
        }
        Ok(set.with_deviations(deviations)?)
    }

    /// The lines that [`from_text`](Self::from_text) reads back into the same set, each ended by
    /// CR LF and folded to 75 bytes (RFC 5545 §3.1). Length, gap policy and overrides are not in
    /// them: iCalendar keeps those in other properties and components.
    ///
    /// The lines are this crate's own notation, and rules keep the UNTIL that they were given, also
    /// in local time. Other programs expect UNTIL in UTC: for them, use [`write`](crate::ical::write).
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let zone = self.zone();
        let (parameter, suffix) = match zone {
            Zone::UTC => (String::new(), "Z"),
            _ => (format!(";TZID={zone}"), ""),
        };
        let times = |list: &mut dyn Iterator<Item = LocalDateTime>| {
            let times: Vec<String> = list.map(|at| at.to_basic() + suffix).collect();
            times.join(",")
        };
        let deviations = self.deviations();
        fold(
            &mut text,
            &format!("DTSTART{parameter}:{}{suffix}", self.start().to_basic()),
        );
        for rule in self.rules() {
            fold(&mut text, &format!("RRULE:{rule}"));
        }
        for (name, list) in [
            ("RDATE", &deviations.additions),
            ("EXDATE", &deviations.exclusions),
        ] {
            if !list.is_empty() {
                fold(
                    &mut text,
                    &format!("{name}{parameter}:{}", times(&mut list.iter().copied())),
                );
            }
        }
        text
    }
}

fn start_of(start: &Property<'_>, minutes: u32) -> Result<RecurrenceSet, SetTextError> {
    let (at, zone) = match (start.value.strip_suffix('Z'), start.zone) {
        (Some(wall), None) => (wall, Zone::UTC),
        (None, Some(zone)) => (start.value, zone),
        (None, None) => {
            return Err(SetTextError::Floating {
                value: start.value.to_owned(),
            });
        }
        (Some(_), Some(_)) => return Err(bad("DTSTART", start.value)),
    };
    let at = LocalDateTime::from_basic(at).map_err(|_| bad("DTSTART", start.value))?;
    Ok(RecurrenceSet::new(at, zone, minutes)?)
}

fn property(line: &str) -> Result<Property<'_>, SetTextError> {
    let not_one = || SetTextError::NotAProperty {
        line: line.to_owned(),
    };
    let (head, value) = line.split_once(':').ok_or_else(not_one)?;
    let mut parts = head.split(';');
    let name = parts.next().unwrap_or_default().to_ascii_uppercase();
    let known = ["DTSTART", "RRULE", "RDATE", "EXDATE"];
    let Some(property) = known.into_iter().find(|known| *known == name) else {
        return Err(SetTextError::UnknownProperty { property: name });
    };
    let (mut zone, mut is_date) = (None, false);
    for parameter in parts {
        let (key, argument) = parameter.split_once('=').ok_or_else(not_one)?;
        match (
            key.to_ascii_uppercase().as_str(),
            argument.to_ascii_uppercase().as_str(),
        ) {
            ("TZID", _) => zone = Some(argument.trim_matches('"').parse()?),
            ("VALUE", "DATE-TIME") => {}
            ("VALUE", "DATE") if property == "EXDATE" => is_date = true,
            _ => {
                return Err(SetTextError::Parameter {
                    property,
                    parameter: parameter.to_owned(),
                });
            }
        }
    }
    Ok(Property {
        name,
        zone,
        is_date,
        value,
    })
}

/// One element of RDATE or EXDATE.
fn given(
    name: &'static str,
    property: &Property<'_>,
    value: &str,
    zone: Zone,
) -> Result<Given, SetTextError> {
    let error = || bad(name, value);
    if property.is_date {
        let date = (value.len() == 8).then(|| NaiveDate::parse_from_str(value, "%Y%m%d").ok());
        return date.flatten().map(Given::Date).ok_or_else(error);
    }
    if let Some(wall) = value.strip_suffix('Z') {
        let at = LocalDateTime::from_basic(wall).map_err(|_| error())?;
        return Ok(match zone {
            Zone::UTC => Given::Wall(at),
            _ => Given::Instant(at.naive().and_utc()),
        });
    }
    let at = LocalDateTime::from_basic(value).map_err(|_| error())?;
    Ok(match property.zone {
        Some(other) if other != zone => Given::Instant(other.resolve(at).0),
        _ => Given::Wall(at),
    })
}

/// The recurrence-ids of a local day, of which there may be more than a set can exclude.
fn on_day(
    set: &RecurrenceSet,
    date: NaiveDate,
    value: &str,
) -> Result<Vec<LocalDateTime>, SetTextError> {
    let midnight = date.and_hms_opt(0, 0, 0).map(|at| at.and_utc());
    let midnight = midnight.ok_or_else(|| bad("EXDATE", value))?;
    // Two days to either side cover every offset and every gap.
    let (from, to) = (midnight - TimeDelta::days(2), midnight + TimeDelta::days(3));
    let window = Window::new(from, to).map_err(|_| bad("EXDATE", value))?;
    let mut found = Vec::new();
    for instance in set.compile().within(window)? {
        if instance.recurrence_id.date() == date {
            found.push(instance.recurrence_id);
        }
        if found.len() > DEVIATIONS_MAX {
            return Err(SetError::TooManyDeviations.into());
        }
    }
    Ok(found)
}

fn bad(property: &'static str, value: &str) -> SetTextError {
    SetTextError::Value {
        property,
        value: value.to_owned(),
    }
}

/// Content lines are folded after 75 bytes, between characters (RFC 5545 §3.1).
pub(crate) fn fold(text: &mut String, line: &str) {
    let mut rest = line;
    let mut room = 75;
    while rest.len() > room {
        let (now, later) = rest.split_at(rest.floor_char_boundary(room));
        let _: fmt::Result = write!(text, "{now}\r\n ");
        rest = later;
        room = 74;
    }
    text.push_str(rest);
    text.push_str("\r\n");
}
