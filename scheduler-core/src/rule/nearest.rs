use super::expand::Expansion;
use super::model::{End, Rule};
use crate::LocalDateTime;

/// How far before a start the earlier suggestion is looked for: 53 weeks, so that a rule that
/// takes its weekday from the start keeps it.
const LOOK_BACK_SECONDS: i64 = 53 * 7 * 24 * 3600;
/// How many candidates are looked at to either side. An hourly rule has 8,904 in 53 weeks.
const CANDIDATES_MAX: usize = 10_000;

/// The starts closest to `start` that are on the rule: the last before it and the first after it,
/// as far as they are found within 53 weeks before and 10,000 candidates to either side.
///
/// A start is *on the rule* if the rule, anchored there, generates it.
#[must_use]
pub fn nearest_starts(rule: &Rule, start: LocalDateTime) -> Vec<LocalDateTime> {
    let unphased = Rule {
        interval: 1,
        end: End::Never,
        ..rule.clone()
    };
    let on_rule = |at: &LocalDateTime| Expansion::new(rule, *at).first() == Some(*at);
    let before = start.plus_seconds(-LOOK_BACK_SECONDS).and_then(|anchor| {
        let expansion = Expansion::new(&unphased, anchor);
        let earlier = expansion.between(anchor, start).rev();
        earlier.take(CANDIDATES_MAX).find(on_rule)
    });
    let after = start.plus_seconds(1).and_then(|later| {
        let expansion = Expansion::new(&unphased, start);
        expansion
            .iter_from(later)
            .take(CANDIDATES_MAX)
            .find(on_rule)
    });
    before.into_iter().chain(after).collect()
}
