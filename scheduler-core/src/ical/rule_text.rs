//! Rules as exporters write them: with blanks, parts of their own, escapes.

/// A rule's text without what is harmless, and the parts that were taken out although they may mean
/// something: parts of an exporter's own (`X-…`), empty ones, a negative COUNT, properties of the event.
/// A part that is given twice alike is there once.
pub(super) fn tidied(text: &str) -> (String, Vec<String>) {
    // The escapes of TEXT, which a rule is not.
    let text = text.trim().replace("\\;", ";").replace("\\,", ",");
    let text = match text.get(..6) {
        Some(prefix) if prefix.eq_ignore_ascii_case("RRULE:") => &text[6..],
        _ => &text,
    };
    let has_scale = text.to_ascii_uppercase().contains("RSCALE");
    let (mut kept, mut dropped): (Vec<String>, Vec<String>) = Default::default();
    for part in text.split(';') {
        let part: String = part.chars().filter(|c| !c.is_whitespace()).collect();
        let part = part.to_ascii_uppercase();
        let part = match part.split_once('=') {
            Some(("UNTIL", until)) => format!("UNTIL={}", plain_until(until)),
            Some(("COUNT" | "INTERVAL", number)) if number.starts_with('+') => {
                part.replacen('+', "", 1)
            }
            Some((name, list)) => {
                let items: Vec<&str> = list.split(',').filter(|item| !item.is_empty()).collect();
                format!("{name}={}", items.join(","))
            }
            None => part,
        };
        if part.is_empty() || kept.contains(&part) {
            continue;
        }
        let is_harmless = match part.split_once('=') {
            Some((_, "")) | Some(("TZID" | "DTSTART", _)) => true,
            Some(("COUNT", count)) => count.starts_with('-'),
            Some(("WKST", day)) => !["MO", "TU", "WE", "TH", "FR", "SA", "SU"].contains(&day),
            Some(("SKIP", "OMIT")) => !has_scale,
            Some((name, _)) => name.starts_with("X-"),
            None => part.starts_with("X-"),
        };
        if is_harmless {
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

/// An UNTIL in one of its three forms, if it is one of those that are clear: `20260107Z`,
/// `2026-01-07T10:00:00Z`, `20260107T1000Z`.
fn plain_until(until: &str) -> String {
    let digits = until.replace(['-', ':'], "");
    match (digits.strip_suffix(['Z', 'T']), digits.split_once('T')) {
        (Some(date), None) if date.len() == 8 => date.to_owned(),
        (Some(date), Some(_)) if date.len() == 8 => date.to_owned(),
        (_, Some((date, time))) => match time.strip_suffix('Z') {
            Some(time) if time.len() == 4 => format!("{date}T{time}00Z"),
            None if time.len() == 4 => format!("{date}T{time}00"),
            _ => digits,
        },
        _ => digits,
    }
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
            (
                "FREQ=DAILY;COUNT=+3;WKST=XX",
                "FREQ=DAILY;COUNT=3",
                &["WKST=XX"],
            ),
            (
                "FREQ=DAILY;UNTIL=20260107Z;BYDAY=MO,,TU,",
                "FREQ=DAILY;UNTIL=20260107;BYDAY=MO,TU",
                &[],
            ),
            (
                "FREQ=DAILY;UNTIL=2026-01-07T10:00:00Z",
                "FREQ=DAILY;UNTIL=20260107T100000Z",
                &[],
            ),
            (
                "FREQ=DAILY;UNTIL=20260107T1000Z;TZID=UTC",
                "FREQ=DAILY;UNTIL=20260107T100000Z",
                &["TZID=UTC"],
            ),
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
