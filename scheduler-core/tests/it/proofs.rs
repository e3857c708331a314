//! Certificates and clashes against a comparison of everything with everything.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use scheduler_core::proof::{Candidate, Certificate, Obstacle, Unproven, each_clash, prove};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{LocalDateTime, RecurrenceSet, Window};

use crate::days::{Practice, availability, buffers, compared, practice, set};
use crate::expansion_laws::cases;

/// Every clash of the candidate's dates before an instant, found once each.
fn all_clashes(
    candidate: Candidate<'_>,
    until: DateTime<Utc>,
    practice: &Practice,
    availability: &scheduler_core::availability::Availability,
) -> (BTreeSet<(LocalDateTime, Obstacle)>, Vec<DateTime<Utc>>) {
    let mut found = BTreeSet::new();
    let mut starts = Vec::new();
    each_clash(
        candidate,
        until,
        &practice.calendar(),
        availability,
        |clash| {
            assert!(
                found.insert((clash.recurrence_id, clash.obstacle)),
                "twice: {clash:?}"
            );
            starts.push(clash.start);
        },
    )
    .unwrap();
    (found, starts)
}

fn begin(set: &RecurrenceSet, days: i64) -> DateTime<Utc> {
    set.zone().resolve(set.start()).0 + TimeDelta::days(days)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn all_clashes_of_ten_years_are_those_of_a_comparison_of_everything(
        set in set(), buffers in buffers(), practice in practice(4),
        availability in availability(), days in -30..60_i64,
    ) {
        let from = begin(&set, days);
        let candidate = Candidate { set: &set, buffers, from };
        let until = from + TimeDelta::days(3_653);
        let window = Window::new(from, until).unwrap();
        let (found, _) = all_clashes(candidate, until, &practice, &availability);
        let expected = compared(candidate, window, &practice, &availability);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_certificate_holds_in_every_year_there_is(
        set in set(), buffers in buffers(), practice in practice(3),
        availability in availability(),
        samples in prop::collection::vec(0..74_i64 * 365, 12),
    ) {
        let from = begin(&set, 0);
        let candidate = Candidate { set: &set, buffers, from };
        let calendar = practice.calendar();
        let (all, _) = all_clashes(candidate, END_OF_ZONE_DATA, &practice, &availability);
        match prove(candidate, &calendar, &availability) {
            Ok(certificate) => {
                prop_assert!(all.is_empty());
                let forever = certificate == Certificate::Forever;
                prop_assert_eq!(certificate.until(), (!forever).then_some(END_OF_ZONE_DATA));
            }
            Err(Unproven::Clashes(clashes)) => {
                prop_assert_eq!(clashes.count, all.len());
                let dates: BTreeSet<_> = all.iter().map(|clash| clash.0).collect();
                prop_assert_eq!(clashes.dates, dates.len());
                for against in &clashes.against {
                    let first = &against.first;
                    prop_assert_eq!(first.len(), against.count.min(20));
                    prop_assert!(first.is_sorted_by_key(|found| found.start));
                }
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
        for sample in samples {
            let start = from + TimeDelta::days(sample);
            let Ok(window) = Window::new(start, (start + TimeDelta::days(45)).min(END_OF_ZONE_DATA)) else {
                continue;
            };
            let later = Candidate { from: start, ..candidate };
            let (found, _) = all_clashes(later, window.end(), &practice, &availability);
            let expected = compared(candidate, window, &practice, &availability);
            prop_assert!(expected.is_subset(&all));
            prop_assert_eq!(found, expected);
        }
    }
}
