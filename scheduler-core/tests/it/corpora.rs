//! What other implementations answer, as data.
//!
//! Source: the corpora beside `tests/data/recur/README.md`. An expected value is never edited; a
//! case that is answered differently on purpose stands in `DIFFERENT` with its RFC sentence.

use scheduler_core::LocalDateTime;
use scheduler_core::rule::{Expansion, Rule};

/// DTSTART, RRULE, why.
const DIFFERENT: [(&str, &str, &str); 0] = [];

fn local(text: &str) -> LocalDateTime {
    let timed = if text.len() == 8 {
        format!("{text}T000000")
    } else {
        text.to_owned()
    };
    LocalDateTime::from_basic(&timed).unwrap()
}

/// The cases that are answered differently, and how many were looked at.
fn wrong(corpus: &str) -> (Vec<String>, usize) {
    let cases = corpus
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in cases {
        let mut fields = case.split('\t');
        let mut field = || fields.next().unwrap_or_default();
        let (start, text, expected) = (field(), field(), field());
        if DIFFERENT
            .iter()
            .any(|(at, rule, _)| (*at, *rule) == (start, text))
        {
            continue;
        }
        count += 1;
        let rule: Rule = match text.parse() {
            Ok(rule) => rule,
            Err(error) => {
                wrong.push(format!("{start} {text}: {error}"));
                continue;
            }
        };
        let expansion = Expansion::new(&rule, local(start));
        let found: Vec<LocalDateTime> = expansion.iter().take(12).collect();
        let expected: Vec<LocalDateTime> = expected
            .split(',')
            .filter(|at| !at.is_empty())
            .map(local)
            .collect();
        if found != expected {
            wrong.push(format!(
                "{start} {text}\n  found    {found:?}\n  expected {expected:?}"
            ));
        }
        assert_eq!(expansion.is_empty(), expected.is_empty(), "{start} {text}");
    }
    (wrong, count)
}

#[test]
fn all_that_dateutil_and_libical_agree_on() {
    let (wrong, count) = wrong(include_str!("../data/recur/consensus.tsv"));
    assert!(
        wrong.is_empty(),
        "{} of {count} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(count, 4331);
}

#[test]
fn skip_as_libical_answers_it() {
    let (wrong, count) = wrong(include_str!("../data/recur/skip.tsv"));
    assert!(
        wrong.is_empty(),
        "{} of {count} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(count, 10);
}
