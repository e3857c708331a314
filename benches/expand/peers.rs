//! The same questions put to other engines, as their documentation says to ask.

use std::hint::black_box;

use chrono::{NaiveDateTime, TimeZone};
use ical::recur::expand::IcalRecurExpand;
use ical::recur::{IcalRecurDateTime, IcalRecurRule};
use rrule::{RRule, RRuleSet, Tz, Unvalidated};
use scheduler_core::Window;

pub(crate) fn rrule_set(start: &str, zone: &str, rule: &str) -> RRuleSet {
    let wall: NaiveDateTime = start.parse().unwrap();
    let zone: chrono_tz::Tz = zone.parse().unwrap();
    let at = Tz::Tz(zone).from_local_datetime(&wall).unwrap();
    let unvalidated: RRule<Unvalidated> = rule.parse().unwrap();
    unvalidated.build(at).unwrap()
}

pub(crate) fn rrule_window(set: &RRuleSet, window: Window) -> usize {
    let (start, end) = (window.start(), window.end());
    let inside = set
        .into_iter()
        .skip_while(|at| *at < start)
        .take_while(|at| *at < end);
    inside.fold(0, |count, at| {
        black_box(at.timestamp());
        count + 1
    })
}

fn civil(wall: NaiveDateTime) -> IcalRecurDateTime {
    IcalRecurDateTime::from_seconds(wall.and_utc().timestamp())
}

pub(crate) fn ical_expand(start: &str, rule: &str) -> IcalRecurExpand {
    let rule = IcalRecurRule::parse(rule).unwrap();
    IcalRecurExpand::new(rule, civil(start.parse().unwrap()))
}

pub(crate) fn ical_window(start: &str, rule: &str, window: Window) -> usize {
    let (from, to) = (
        civil(window.start().naive_utc()),
        civil(window.end().naive_utc()),
    );
    let inside = ical_expand(start, rule)
        .skip_while(|at| *at < from)
        .take_while(|at| *at < to);
    inside.fold(0, |count, at| {
        black_box(at);
        count + 1
    })
}
