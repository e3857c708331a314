//! From sets to text.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::line::Lines;
use super::plan::Plan;
use super::{DATES_MAX, vtimezone};
use crate::epoch::SECONDS_PER_DAY;
use crate::{RecurrenceSet, Zone};

/// What is said of all events of a text.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// METHOD, which the MIME type repeats; none for a file (RFC 5546 §3.2).
    pub method: Option<&'a str>,
    /// DTSTAMP: when this was said. Whole seconds are written.
    pub stamp: DateTime<Utc>,
    /// PRODID: who says it.
    pub product: &'a str,
}

/// One segment of a series on its way out.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// UID, another for each segment.
    pub uid: &'a str,
    /// SEQUENCE, which rises with every change.
    pub sequence: u32,
    /// SUMMARY.
    pub summary: Option<&'a str>,
    /// When it takes place.
    pub set: &'a RecurrenceSet,
}

/// Why sets cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Its pauses, or the times that its zone skips, are more dates than are written.
    #[error("UID {uid:?} needs more than {DATES_MAX} values of RDATE and EXDATE")]
    TooManyDates {
        /// The UID.
        uid: String,
    },
}

/// How far past the last start a zone is written, in seconds: appointments last up to a day, and readers,
/// ours among them, look at the clocks a day around each.
const BEYOND: i64 = 2 * SECONDS_PER_DAY;

/// Writes sets as one VCALENDAR, which [`parse`](super::parse) reads back into the same
/// occurrences. Lines end with CR LF and have at most 75 bytes.
///
/// Each set is a VEVENT, each of its overrides another: moved, of another length, or
/// STATUS:CANCELLED. A VTIMEZONE goes with every zone but UTC. What iCalendar has no word for is
/// said in its words: an end, and a pause without one, as UNTIL, so that whoever reads it sees
/// nothing behind; a pause that ends as EXDATE; so too what
/// [`GapPolicy::Omit`](crate::GapPolicy::Omit) leaves out, through the end of the zone data. A start
/// that the rule does not generate is no DTSTART, which always counts: the first occurrence is.
/// Every UNTIL is in UTC (RFC 5545 §3.3.10), whatever form the rule was given: it is the instant of
/// the rule's last occurrence.
///
/// # Errors
/// [`WriteError`].
pub fn write(header: &Header<'_>, outgoing: &[Outgoing<'_>]) -> Result<String, WriteError> {
    let mut lines = Lines::default();
    lines.property("BEGIN", "VCALENDAR");
    lines.property("VERSION", "2.0");
    lines.text("PRODID", header.product);
    lines.property("CALSCALE", "GREGORIAN");
    if let Some(method) = header.method {
        lines.text("METHOD", method);
    }
    let mut events = Lines::default();
    let mut spans: BTreeMap<&str, (Zone, i64, i64)> = BTreeMap::new();
    for one in outgoing {
        let plan = Plan::new(one.set).map_err(|_| WriteError::TooManyDates {
            uid: one.uid.to_owned(),
        })?;
        write_master(&mut events, header, one, &plan);
        write_overrides(&mut events, header, one);
        let zone = one.set.zone();
        let listed = plan.additions.iter().chain([&plan.start]);
        let listed = listed.map(|at| zone.resolve(*at).0);
        let overridden = one.set.overridden();
        let overridden = overridden.flat_map(|one| [zone.resolve(one.recurrence_id).0, one.start]);
        let used = listed.chain(overridden).chain([plan.last]);
        let used = used.map(|at| at.timestamp());
        let span = spans
            .entry(zone.name())
            .or_insert((zone, i64::MAX, i64::MIN));
        for unix in used {
            *span = (zone, span.1.min(unix), span.2.max(unix + BEYOND));
        }
    }
    for (zone, from, to) in spans.into_values().filter(|(zone, ..)| *zone != Zone::UTC) {
        vtimezone::write(&mut lines, zone, from, to);
    }
    lines.append(&events);
    lines.property("END", "VCALENDAR");
    Ok(lines.into_text())
}

fn write_master(lines: &mut Lines, header: &Header<'_>, one: &Outgoing<'_>, plan: &Plan) {
    let zone = one.set.zone();
    begin(lines, header, one);
    lines.times("DTSTART", zone, [plan.start]);
    lines.property("DURATION", &format!("PT{}M", one.set.minutes()));
    for rule in &plan.rules {
        lines.property("RRULE", &rule.to_string());
    }
    lines.times("RDATE", zone, plan.additions.iter().copied());
    lines.times("EXDATE", zone, plan.exclusions.iter().copied());
    lines.property("END", "VEVENT");
}

fn write_overrides(lines: &mut Lines, header: &Header<'_>, one: &Outgoing<'_>) {
    let deviations = one.set.deviations();
    let (zone, ends) = (one.set.zone(), deviations.ends);
    for (id, changed) in &deviations.overrides {
        if ends.is_some_and(|ends| *id >= ends) {
            continue;
        }
        begin(lines, header, one);
        lines.times("RECURRENCE-ID", zone, [*id]);
        lines.times("DTSTART", zone, [changed.start.unwrap_or(*id)]);
        let minutes = changed.minutes.unwrap_or(one.set.minutes());
        lines.property("DURATION", &format!("PT{minutes}M"));
        if changed.cancelled {
            lines.property("STATUS", "CANCELLED");
        }
        lines.property("END", "VEVENT");
    }
}

fn begin(lines: &mut Lines, header: &Header<'_>, one: &Outgoing<'_>) {
    lines.property("BEGIN", "VEVENT");
    lines.text("UID", one.uid);
    let stamp = header.stamp.format("%Y%m%dT%H%M%SZ").to_string();
    lines.property("DTSTAMP", &stamp);
    lines.property("SEQUENCE", &one.sequence.to_string());
    if let Some(summary) = one.summary {
        lines.text("SUMMARY", summary);
    }
}
