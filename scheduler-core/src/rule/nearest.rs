use super::expand::Expansion;
use super::model::{End, Rule};
use crate::LocalDateTime;

/// How far before a start the earlier suggestion is looked for: 53 weeks, so that a rule that
/// takes its weekday from the start keeps it.
const LOOK_BACK_SECONDS: i64 = 53 * 7 * 24 * 3600;
/// How many candidates are looked at before giving up. An hourly rule has 8,904 in 53 weeks.
const CANDIDATES_MAX: usize = 10_000;

/// The starts closest to `start` that are on the rule: the last before it and the first after it,
/// as far as they are found within 53 weeks before and 10,000 candidates.
///
/// A start is *on the rule* if the rule, anchored there, generates it.
#[must_use]
pub fn nearest_starts(rule: &Rule, start: LocalDateTime) -> Vec<LocalDateTime> {
    let unphased = Rule {
        interval: 1,
        end: End::Never,
        ..rule.clone()
    };
    let anchored = |anchor: LocalDateTime| {
        let expansion = Expansion::new(&unphased, anchor);
        let on_rule = |at: &LocalDateTime| Expansion::new(rule, *at).first() == Some(*at);
        let times: Vec<_> = expansion
            .iter()
            .take(CANDIDATES_MAX)
            .take_while(|at| *at <= start)
            .collect();
        let before = times
            .into_iter()
            .rev()
            .filter(|at| *at < start)
            .find(on_rule);
        let after = expansion
            .iter()
            .take(CANDIDATES_MAX)
            .filter(|at| *at > start)
            .find(on_rule);
        (before, after)
    };
    let before = start
        .plus_seconds(-LOOK_BACK_SECONDS)
        .and_then(|anchor| anchored(anchor).0);
    let after = anchored(start).1;
    before.into_iter().chain(after).collect()
}
