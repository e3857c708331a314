//! Expands recurrence rules: one JSON object per line in, one per line out.
//!
//! ```text
//! echo '{"id":1,"rrule":"FREQ=WEEKLY;COUNT=2","dtstart":"20260302T180000","tzid":"Europe/London"}' \
//!     | cargo run -q -p examples --example expand
//! {"id":1,"occurrences":["20260302T180000","20260309T180000"],"instants":[1772474400,1773079200]}
//! ```
//!
//! In: `id`, `rrule`, `dtstart`, and optionally `tzid`, `rdate`, `exdate` (lists of times; in
//! `exdate` also dates), `limit`, and `from` and `until`, a half-open window by start in local
//! times of the rule's zone. Out: `occurrences` as the wall times that were generated, with `tzid`
//! also `instants` in Unix seconds; or `error`. `truncated` says that the rule goes on behind what
//! is listed. Without `tzid` all is floating time, in the years 1 to 9999.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, BufRead, BufWriter, Write};

use scheduler_core::rule::{Expansion, Rule};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{Instance, LocalDateTime, RecurrenceSet, Window, Zone};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many occurrences of a rule without an end are listed when nothing limits them.
const UNLIMITED: usize = 1_000;
/// How many are listed at most.
const LISTED_MAX: usize = 1_000_000;

#[derive(Deserialize)]
struct Question {
    rrule: String,
    dtstart: String,
    tzid: Option<String>,
    rdate: Option<Vec<String>>,
    exdate: Option<Vec<String>>,
    limit: Option<usize>,
    from: Option<String>,
    until: Option<String>,
}

#[derive(Serialize, Default)]
struct Answer {
    id: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurrences: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instants: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

type Answered = Result<Answer, Box<dyn Error>>;

fn main() -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        if !line.trim().is_empty() {
            serde_json::to_writer(&mut out, &answer(&line))?;
            writeln!(out)?;
        }
    }
    out.flush()
}

fn answer(line: &str) -> Answer {
    let mut id = Value::Null;
    let answered = serde_json::from_str::<Value>(line)
        .and_then(|question| {
            id = question.get("id").cloned().unwrap_or_default();
            serde_json::from_value::<Question>(question)
        })
        .map_err(Into::into)
        .and_then(|question| match &question.tzid {
            Some(zone) => zoned(&question, zone.parse()?),
            None => floating(&question),
        });
    match answered {
        Ok(answer) => Answer { id, ..answer },
        Err(error) => Answer {
            id,
            error: Some(error.to_string()),
            ..Answer::default()
        },
    }
}

impl Question {
    fn rule(&self) -> Result<Rule, Box<dyn Error>> {
        Ok(self.rrule.parse()?)
    }

    /// How many to list, one more to know whether it goes on.
    fn listed(&self, ends: bool) -> usize {
        let unlimited = if ends || self.until.is_some() {
            LISTED_MAX
        } else {
            UNLIMITED
        };
        self.limit.unwrap_or(unlimited).min(LISTED_MAX)
    }
}

/// `20260302T180000`, or `20260302` for its midnight.
fn local(text: &str) -> Result<LocalDateTime, Box<dyn Error>> {
    let midnight = if text.len() == 8 {
        format!("{text}T000000")
    } else {
        text.to_owned()
    };
    Ok(LocalDateTime::from_basic(&midnight)?)
}

fn floating(question: &Question) -> Answered {
    let expansion = Expansion::new(&question.rule()?, local(&question.dtstart)?);
    let from = question
        .from
        .as_deref()
        .map_or(Ok(LocalDateTime::MIN), local)?;
    let until = question.until.as_deref().map(local).transpose()?;
    let within = |at: &LocalDateTime| *at >= from && until.is_none_or(|until| *at < until);
    let added = question
        .rdate
        .iter()
        .flatten()
        .map(|at| local(at))
        .collect::<Result<BTreeSet<_>, _>>()?;
    let mut added = added.into_iter().filter(within).peekable();
    let excluded = question
        .exdate
        .iter()
        .flatten()
        .map(|at| Ok((local(at)?, at.len() == 8)));
    let excluded = excluded.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let is_excluded = |at: &LocalDateTime| {
        let day = |other: &LocalDateTime| other.date() == at.date();
        excluded
            .iter()
            .any(|(other, is_day)| other == at || (*is_day && day(other)))
    };
    // The last second of the calendar is in a window without an end.
    let mut ruled = expansion.iter_from(from).take_while(within).peekable();
    let mut merged = std::iter::from_fn(|| match (ruled.peek(), added.peek()) {
        (Some(rule), Some(addition)) if addition < rule => added.next(),
        (Some(rule), Some(addition)) if addition == rule => {
            added.next();
            ruled.next()
        }
        (Some(_), _) => ruled.next(),
        (None, _) => added.next(),
    })
    .filter(|at| !is_excluded(at));
    let listed = question.listed(expansion.ends());
    let occurrences: Vec<String> = merged
        .by_ref()
        .take(listed)
        .map(LocalDateTime::to_basic)
        .collect();
    let more = merged.next().is_some();
    let truncated = more && question.limit.is_none();
    Ok(Answer {
        occurrences: Some(occurrences),
        truncated,
        ..Answer::default()
    })
}

fn zoned(question: &Question, zone: Zone) -> Answered {
    let set = as_set(question, zone)?;
    let compiled = set.compile();
    let first = LocalDateTime::MIN
        .plus_seconds(2 * 86_400)
        .unwrap_or(LocalDateTime::MIN);
    let from = question.from.as_deref().map_or(Ok(first), local)?;
    let until = question.until.as_deref().map(local).transpose()?;
    let end = until.map_or(END_OF_ZONE_DATA, |until| zone.resolve(until).0);
    // An empty window holds nothing.
    let window = Window::new(zone.resolve(from.max(first)).0, end);
    let mut found = window
        .map(|window| compiled.within(window))
        .ok()
        .transpose()?;
    let mut next = || found.as_mut().and_then(Iterator::next);
    let listed = question.listed(compiled.ends().is_some() || compiled.is_empty());
    let mut instances: Vec<Instance> = Vec::new();
    while instances.len() < listed
        && let Some(instance) = next()
    {
        instances.push(instance);
    }
    // Past the zone data nothing is known, which is not the same as nothing.
    let unknown = until.is_none() && compiled.ends().is_none() && !compiled.is_empty();
    let short = instances.len() < question.limit.unwrap_or(usize::MAX);
    let truncated = (next().is_some() && question.limit.is_none()) || (unknown && short);
    Ok(Answer {
        occurrences: Some(
            instances
                .iter()
                .map(|at| at.recurrence_id.to_basic())
                .collect(),
        ),
        instants: Some(instances.iter().map(|at| at.unix).collect()),
        truncated,
        ..Answer::default()
    })
}

/// The question as iCalendar lines, which know every form that a time can have.
fn as_set(question: &Question, zone: Zone) -> Result<RecurrenceSet, Box<dyn Error>> {
    let rule = question.rule()?;
    let start = local(&question.dtstart)?;
    let set = RecurrenceSet::new(start, zone, 1)?.with_rule(rule);
    let mut text = set.to_text();
    for (name, list) in [("RDATE", &question.rdate), ("EXDATE", &question.exdate)] {
        for at in list.iter().flatten() {
            let is_date = name == "EXDATE" && at.len() == 8;
            let value = if is_date { ";VALUE=DATE" } else { "" };
            text.push_str(&format!("{name}{value}:{at}\r\n"));
        }
    }
    Ok(RecurrenceSet::from_text(&text, 1)?)
}
