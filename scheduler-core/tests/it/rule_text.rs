//! Rules as text.

use proptest::prelude::*;
use scheduler_core::Rule;
use scheduler_core::rule::RuleError;

fn part(text: &str) -> String {
    let error: RuleError = text.parse::<Rule>().unwrap_err();
    error.part().to_owned()
}

#[test]
fn the_canonical_text_is_sorted_upper_case_and_without_defaults() {
    for (given, canonical) in [
        (
            "freq=weekly;interval=1;wkst=mo;byday=fr,mo,mo",
            "FREQ=WEEKLY;BYDAY=MO,FR",
        ),
        (
            "RRULE:BYDAY=-1SU;FREQ=YEARLY;BYMONTH=10",
            "FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
        ),
        (
            "FREQ=DAILY;UNTIL=20261231T180000Z;INTERVAL=3",
            "FREQ=DAILY;INTERVAL=3;UNTIL=20261231T180000Z",
        ),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=9",
            "FREQ=MONTHLY;COUNT=9;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        ),
        (
            "RSCALE=GREGORIAN;FREQ=MONTHLY;BYMONTHDAY=31;SKIP=OMIT",
            "RSCALE=GREGORIAN;FREQ=MONTHLY;BYMONTHDAY=31",
        ),
    ] {
        let rule: Rule = given.parse().unwrap();
        assert_eq!(rule.to_string(), canonical);
        assert_eq!(canonical.parse::<Rule>().unwrap(), rule);
    }
}

#[test]
fn an_error_names_the_part() {
    for (text, expected) in [
        ("", ""),
        ("FREQ", "FREQ"),
        ("FREQ=FORTNIGHTLY", "FREQ"),
        ("INTERVAL=2", "FREQ"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=4294967296", "INTERVAL"),
        ("FREQ=DAILY;COUNT=-1", "COUNT"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20260101", "UNTIL"),
        ("FREQ=DAILY;UNTIL=20260230", "UNTIL"),
        ("FREQ=DAILY;UNTIL=20260101T250000", "UNTIL"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR"),
        ("FREQ=DAILY;BYHOUR=", "BYHOUR"),
        ("FREQ=DAILY;BYMINUTE=+5", "BYMINUTE"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYDAY=54MO", "BYDAY"),
        ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY"),
        ("FREQ=MONTHLY;BYDAY=ÅMO", "BYDAY"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYWEEKNO=1", "BYWEEKNO"),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO", "BYDAY"),
        ("FREQ=DAILY;BYYEARDAY=1", "BYYEARDAY"),
        ("FREQ=HOURLY;BYDAY=1MO", "BYDAY"),
        ("FREQ=DAILY;BYEASTER=1", "BYEASTER"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ"),
        ("FREQ=MONTHLY;SKIP=BACKWARD", "RSCALE"),
        ("RSCALE=CHINESE;FREQ=YEARLY", "RSCALE"),
        ("FREQ=DAILY;WKST=MON", "WKST"),
    ] {
        assert_eq!(part(text), expected, "{text}");
    }
    assert_eq!(
        part(&format!("FREQ=DAILY;BYHOUR={}", "1,".repeat(5000))),
        "RRULE"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_and_what_is_read_is_printed_and_read_alike(
        text in "(RSCALE=GREGORIAN;)?FREQ=(SECOND|MINUTE|HOUR|DAI|WEEK|MONTH|YEAR)LY(;(INTERVAL|COUNT|UNTIL|BYMONTH|BYWEEKNO|BYYEARDAY|BYMONTHDAY|BYDAY|BYHOUR|BYMINUTE|BYSETPOS|WKST)=[-,0-9A-Z]{1,6}){0,3}",
    ) {
        if let Ok(rule) = text.parse::<Rule>() {
            prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule));
        }
    }

    #[test]
    fn arbitrary_text_does_not_panic(text in any::<String>()) {
        let _refused = text.parse::<Rule>();
    }
}
