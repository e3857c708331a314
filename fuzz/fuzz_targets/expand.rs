//! Any text as a recurrence set, and any rule as an expansion: nothing panics, nothing runs on
//! forever, and what is answered agrees with itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scheduler_core::rule::{Expansion, Rule, english};
use scheduler_core::{LocalDateTime, RecurrenceSet, Window};

/// The first line is a start, the second a rule, the rest the lines of a set.
fuzz_target!(|text: &str| {
    let (start, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (rule, lines) = rest.split_once('\n').unwrap_or((rest, ""));
    if let (Ok(start), Ok(rule)) = (LocalDateTime::from_basic(start), rule.parse::<Rule>()) {
        assert_eq!(rule.to_string().parse::<Rule>().as_ref(), Ok(&rule));
        expand(&rule, start);
        let zone = "America/New_York".parse().expect("a zone");
        let set = RecurrenceSet::new(start, zone, 30).expect("a length in range");
        ask(&set.with_rule(rule));
    }
    if let Ok(set) = RecurrenceSet::from_text(lines, 30) {
        assert_eq!(
            RecurrenceSet::from_text(&set.to_text(), 30).as_ref(),
            Ok(&set)
        );
        if set.rules().len() < 2 {
            ask(&set);
        }
    }
});

fn expand(rule: &Rule, start: LocalDateTime) {
    let expansion = Expansion::new(rule, start);
    let forward: Vec<LocalDateTime> = expansion.iter().take(20).collect();
    assert_eq!(forward.is_empty(), expansion.is_empty());
    assert!(forward.is_sorted_by(|a, b| a < b));
    if let Some(last) = forward.last() {
        assert!(forward[0] >= start);
        let end = last.plus_seconds(1).unwrap_or(LocalDateTime::MAX);
        let back = expansion
            .between(LocalDateTime::MIN, end)
            .rev()
            .take(forward.len());
        let back: Vec<LocalDateTime> = back.collect();
        if *last < LocalDateTime::MAX {
            assert!(back.iter().eq(forward.iter().rev()));
        }
        let rank = expansion.rank(*last);
        assert_eq!(rank, forward.len() as u64 - 1);
        assert_eq!(expansion.nth(rank), Some(*last));
    }
    if let Some(last) = expansion.last() {
        assert!(expansion.contains(last));
    }
}

fn ask(set: &RecurrenceSet) {
    let compiled = set.compile();
    let at = |text: &str| text.parse().expect("an instant");
    let window = Window::new(at("1901-01-01T00:00:00Z"), at("2099-01-01T00:00:00Z"));
    let window = window.expect("a window");
    let Ok(instances) = compiled.within(window) else {
        return;
    };
    let before = compiled.rank(window.start());
    for (index, instance) in instances.take(20).enumerate() {
        let rank = before + index as u64;
        assert_eq!(compiled.rank(instance.start()), rank);
        assert_eq!(compiled.nth(rank).ok().flatten(), Some(instance));
    }
    let week = Window::new(at("2030-03-04T00:00:00Z"), at("2030-03-11T00:00:00Z"));
    drop(compiled.overlapping(week.expect("a window")));
    drop(english(set));
    compiled.ends();
}
