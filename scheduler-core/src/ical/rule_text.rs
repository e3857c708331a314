//! Rules as exporters write them: with blanks, parts of their own, escapes.

/// A rule's text without what is harmless, and the parts that were taken out although they may mean
/// something: parts of an exporter's own (`X-…`), empty ones, a negative COUNT. A part that is given
/// twice alike is once there.
pub(super) fn tidied(text: &str) -> (String, Vec<String>) {
    // The escapes of TEXT, which a rule is not.
    let text = text.trim().replace("\\;", ";").replace("\\,", ",");
    let text = match text.get(..6) {
        Some(prefix) if prefix.eq_ignore_ascii_case("RRULE:") => &text[6..],
        _ => &text,
    };
    let (mut kept, mut dropped): (Vec<String>, Vec<String>) = Default::default();
    for part in text.split(';') {
        let part: String = part.chars().filter(|c| !c.is_whitespace()).collect();
        let part = part.to_ascii_uppercase();
        if part.is_empty() || kept.contains(&part) {
            continue;
        }
        let (name, value) = part.split_once('=').unwrap_or((&part, "-"));
        let is_endless = name == "COUNT" && value.starts_with('-');
        if name.starts_with("X-") || value.is_empty() || (is_endless && part.contains('=')) {
            dropped.push(part);
        } else {
            kept.push(part);
        }
        if kept.len() + dropped.len() > PARTS_MAX {
            break;
        }
    }
    (kept.join(";"), dropped)
}

/// More than any rule has.
const PARTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_harmless_goes_and_the_rest_stays() {
        for (text, kept, dropped) in [
            ("FREQ=DAILY;COUNT=3", "FREQ=DAILY;COUNT=3", &[][..]),
            ("FREQ=DAILY; COUNT=3;", "FREQ=DAILY;COUNT=3", &[]),
            (";;freq=daily;;byday=mo, tu", "FREQ=DAILY;BYDAY=MO,TU", &[]),
            ("FREQ=DAILY\\;COUNT=3", "FREQ=DAILY;COUNT=3", &[]),
            ("RRULE:FREQ=DAILY;FREQ=DAILY", "FREQ=DAILY", &[]),
            (
                "FREQ=DAILY;X-FOO=1;BYDAY=",
                "FREQ=DAILY",
                &["X-FOO=1", "BYDAY="],
            ),
            ("FREQ=DAILY;COUNT=-1", "FREQ=DAILY", &["COUNT=-1"]),
            ("FREQ=DAILY;COUNT", "FREQ=DAILY;COUNT", &[]),
            ("", "", &[]),
        ] {
            let (found, gone) = tidied(text);
            assert_eq!(
                (found.as_str(), &gone[..]),
                (
                    kept,
                    dropped
                        .iter()
                        .map(|part| (*part).to_owned())
                        .collect::<Vec<_>>()
                        .as_slice()
                ),
                "{text}"
            );
        }
    }
}
