//! From a rule and a start to civil times, in order.

use rrule::{RRule, RRuleSet, Tz, Unvalidated};

use super::model::{End, Rule, Skip};
use super::text::RuleError;
use crate::LocalDateTime;

/// The civil times that a rule generates from a start, unbounded by UNTIL, which is a matter of
/// the zone and applied after it.
pub(crate) struct Expansion(RRuleSet);

impl Expansion {
    pub(crate) fn new(rule: &Rule, start: LocalDateTime) -> Self {
        let set = build(rule, start).expect("Rule's parser refuses what cannot be expanded");
        Self(set)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = LocalDateTime> + '_ {
        self.0
            .into_iter()
            .map_while(|at| LocalDateTime::try_from(at.naive_utc()).ok())
    }

    /// Whether the first civil time is the start itself.
    pub(crate) fn starts_on_rule(rule: &Rule, start: LocalDateTime) -> bool {
        Self::new(rule, start).iter().next() == Some(start)
    }
}

/// Refuses what the expansion cannot do, so that every [`Rule`] can be expanded.
pub(super) fn check_supported(rule: &Rule) -> Result<(), RuleError> {
    let unsupported = |part, value: String, reason| {
        Err(RuleError::Unsupported {
            part,
            value,
            reason,
        })
    };
    if let Some(Skip::Backward | Skip::Forward) = rule.skip {
        return unsupported("SKIP", rule.to_string(), "only OMIT is");
    }
    let epoch = LocalDateTime::from_seconds(0).expect("1970 is a year of local times");
    match build(rule, epoch) {
        Ok(_) => Ok(()),
        Err(_) => unsupported("RRULE", rule.to_string(), "the combination of its parts"),
    }
}

fn build(rule: &Rule, start: LocalDateTime) -> Result<RRuleSet, rrule::RRuleError> {
    let civil = Rule {
        end: match rule.end {
            End::Until(_) => End::Never,
            other => other,
        },
        skip: None,
        ..rule.clone()
    };
    let unvalidated: RRule<Unvalidated> = civil.to_string().parse()?;
    unvalidated.build(start.naive().and_utc().with_timezone(&Tz::UTC))
}
