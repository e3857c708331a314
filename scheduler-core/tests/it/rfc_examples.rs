//! The examples of RFC 5545 §3.8.5.3, in its order, each with what it says they give.
//!
//! All are in America/New_York. Where the RFC lists dates without a time, they are at 09:00.

use scheduler_core::{RecurrenceSet, Window};

fn occurrences(start: &str, rule: &str, at_most: usize) -> Vec<String> {
    let start = scheduler_core::LocalDateTime::from_basic(start).unwrap();
    let set = RecurrenceSet::new(start, "America/New_York".parse().unwrap(), 60)
        .unwrap()
        .with_rule(rule.parse().unwrap())
        .compile();
    let at = |text: &str| text.parse().unwrap();
    let life = Window::new(at("1990-01-01T00:00:00Z"), at("2099-01-01T00:00:00Z")).unwrap();
    let found = set.within(life).unwrap().take(at_most);
    found
        .map(|instance| instance.recurrence_id.to_basic())
        .collect()
}

/// Expected as `year: month day,day; month day` with three-letter months, all at nine.
fn dates(text: &str) -> Vec<String> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut dates = Vec::new();
    for year in text.split('|') {
        let (year, months) = year.split_once(':').unwrap();
        for month in months.split(';') {
            let (month, days) = month.trim().split_once(' ').unwrap();
            let month = MONTHS.iter().position(|name| *name == month).unwrap() + 1;
            for day in days.split(',') {
                let day: u32 = day.trim().parse().unwrap();
                dates.push(format!("{}{month:02}{day:02}T090000", year.trim()));
            }
        }
    }
    dates
}

#[track_caller]
fn complete(start: &str, rule: &str, expected: &str) {
    assert_eq!(occurrences(start, rule, 1000), dates(expected), "{rule}");
}

#[track_caller]
fn begins(start: &str, rule: &str, expected: &str) {
    let expected = dates(expected);
    assert_eq!(occurrences(start, rule, expected.len()), expected, "{rule}");
}

const SEP_2: &str = "19970902T090000";

#[test]
fn daily() {
    complete(
        SEP_2,
        "FREQ=DAILY;COUNT=10",
        "1997: Sep 2,3,4,5,6,7,8,9,10,11",
    );
    let until = occurrences(SEP_2, "FREQ=DAILY;UNTIL=19971224T000000Z", 1000);
    assert_eq!(
        (until.len(), until.last().unwrap().as_str()),
        (113, "19971223T090000")
    );
    begins(
        SEP_2,
        "FREQ=DAILY;INTERVAL=2",
        "1997: Sep 2,4,6,8,10,12,14,16,18,20,22,24,26,28,30; Oct 2,4",
    );
    complete(
        SEP_2,
        "FREQ=DAILY;INTERVAL=10;COUNT=5",
        "1997: Sep 2,12,22; Oct 2,12",
    );
    let every_day = "FREQ=YEARLY;UNTIL=20000131T140000Z;BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA";
    let yearly = occurrences("19980101T090000", every_day, 1000);
    assert_eq!((yearly.len(), yearly[92].as_str()), (93, "20000131T090000"));
    let daily = "FREQ=DAILY;UNTIL=20000131T140000Z;BYMONTH=1";
    assert_eq!(occurrences("19980101T090000", daily, 1000), yearly);
}

#[test]
fn weekly() {
    complete(
        SEP_2,
        "FREQ=WEEKLY;COUNT=10",
        "1997: Sep 2,9,16,23,30; Oct 7,14,21,28; Nov 4",
    );
    let until = "FREQ=WEEKLY;UNTIL=19971224T000000Z";
    let weeks = "1997: Sep 2,9,16,23,30; Oct 7,14,21,28; Nov 4,11,18,25; Dec 2,9,16,23";
    complete(SEP_2, until, weeks);
    let other = "1997: Sep 2,16,30; Oct 14,28; Nov 11,25; Dec 9,23|1998: Jan 6,20; Feb 3,17";
    begins(SEP_2, "FREQ=WEEKLY;INTERVAL=2;WKST=SU", other);
    let five = "1997: Sep 2,4,9,11,16,18,23,25,30; Oct 2";
    complete(
        SEP_2,
        "FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH",
        five,
    );
    complete(SEP_2, "FREQ=WEEKLY;COUNT=10;WKST=SU;BYDAY=TU,TH", five);
    complete(
        "19970901T090000",
        "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
        "1997: Sep 1,3,5,15,17,19,29; Oct 1,3,13,15,17,27,29,31; Nov 10,12,14,24,26,28; Dec 8,10,12,22",
    );
    let eight = "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH";
    complete(SEP_2, eight, "1997: Sep 2,4,16,18,30; Oct 2,14,16");
}

#[test]
fn monthly_by_weekday() {
    let fridays = "1997: Sep 5; Oct 3; Nov 7; Dec 5|1998: Jan 2; Feb 6; Mar 6; Apr 3; May 1; Jun 5";
    complete(
        "19970905T090000",
        "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
        fridays,
    );
    let until = "FREQ=MONTHLY;UNTIL=19971224T000000Z;BYDAY=1FR";
    complete("19970905T090000", until, "1997: Sep 5; Oct 3; Nov 7; Dec 5");
    let sundays = "1997: Sep 7,28; Nov 2,30|1998: Jan 4,25; Mar 1,29; May 3,31";
    complete(
        "19970907T090000",
        "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
        sundays,
    );
    let mondays = "1997: Sep 22; Oct 20; Nov 17; Dec 22|1998: Jan 19; Feb 16";
    complete(
        "19970922T090000",
        "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO",
        mondays,
    );
    let tuesdays = "1997: Sep 2,9,16,23,30; Nov 4,11,18,25|1998: Jan 6,13,20,27; Mar 3,10,17,24,31";
    begins(SEP_2, "FREQ=MONTHLY;INTERVAL=2;BYDAY=TU", tuesdays);
}

#[test]
fn monthly_by_day() {
    let third_to_last = "1997: Sep 28; Oct 29; Nov 28; Dec 29|1998: Jan 29; Feb 26";
    begins(
        "19970928T090000",
        "FREQ=MONTHLY;BYMONTHDAY=-3",
        third_to_last,
    );
    let two = "1997: Sep 2,15; Oct 2,15; Nov 2,15; Dec 2,15|1998: Jan 2,15";
    complete(SEP_2, "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15", two);
    let ends = "1997: Sep 30; Oct 1,31; Nov 1,30; Dec 1,31|1998: Jan 1,31; Feb 1";
    complete(
        "19970930T090000",
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
        ends,
    );
    complete(
        "19970910T090000",
        "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
        "1997: Sep 10,11,12,13,14,15|1999: Mar 10,11,12,13",
    );
}

#[test]
fn yearly() {
    complete(
        "19970610T090000",
        "FREQ=YEARLY;COUNT=10;BYMONTH=6,7",
        "1997: Jun 10; Jul 10|1998: Jun 10; Jul 10|1999: Jun 10; Jul 10|2000: Jun 10; Jul 10|2001: Jun 10; Jul 10",
    );
    complete(
        "19970310T090000",
        "FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3",
        "1997: Mar 10|1999: Jan 10; Feb 10; Mar 10|2001: Jan 10; Feb 10; Mar 10|2003: Jan 10; Feb 10; Mar 10",
    );
    complete(
        "19970101T090000",
        "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
        "1997: Jan 1; Apr 10; Jul 19|2000: Jan 1; Apr 9; Jul 18|2003: Jan 1; Apr 10; Jul 19|2006: Jan 1",
    );
    begins(
        "19970519T090000",
        "FREQ=YEARLY;BYDAY=20MO",
        "1997: May 19|1998: May 18|1999: May 17",
    );
    let week_20 = "1997: May 12|1998: May 11|1999: May 17";
    begins(
        "19970512T090000",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
        week_20,
    );
    let march = "1997: Mar 13,20,27|1998: Mar 5,12,19,26|1999: Mar 4,11,18,25";
    begins("19970313T090000", "FREQ=YEARLY;BYMONTH=3;BYDAY=TH", march);
    let summer = "1997: Jun 5,12,19,26; Jul 3,10,17,24,31; Aug 7,14,21,28|\
        1998: Jun 4,11,18,25; Jul 2,9,16,23,30; Aug 6,13,20,27|\
        1999: Jun 3,10,17,24; Jul 1,8,15,22,29; Aug 5,12,19,26";
    begins(
        "19970605T090000",
        "FREQ=YEARLY;BYDAY=TH;BYMONTH=6,7,8",
        summer,
    );
}

#[test]
fn weekday_and_day_of_month_together() {
    // The RFC excludes the start, which is not a Friday; here a start is not an occurrence as such.
    let thirteenth = "1998: Feb 13; Mar 13; Nov 13|1999: Aug 13|2000: Oct 13";
    begins(SEP_2, "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", thirteenth);
    begins(
        "19970913T090000",
        "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",
        "1997: Sep 13; Oct 11; Nov 8; Dec 13|1998: Jan 10; Feb 7; Mar 7; Apr 11; May 9; Jun 13",
    );
    let election = "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8";
    begins(
        "19961105T090000",
        election,
        "1996: Nov 5|2000: Nov 7|2004: Nov 2",
    );
}

#[test]
fn positions() {
    let third = "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3";
    complete("19970904T090000", third, "1997: Sep 4; Oct 7; Nov 6");
    let second_to_last = "1997: Sep 29; Oct 30; Nov 27; Dec 30|1998: Jan 29; Feb 26; Mar 30";
    begins(
        "19970929T090000",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
        second_to_last,
    );
}

#[test]
fn hours_and_minutes() {
    let on_sep_2 = |times: &[&str]| -> Vec<String> {
        times
            .iter()
            .map(|time| format!("19970902T{time}00"))
            .collect()
    };
    // By verified erratum 3883 the UNTIL of this example is 21:00 UTC, 17:00 in New York.
    let every_third = occurrences(SEP_2, "FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T210000Z", 9);
    assert_eq!(every_third, on_sep_2(&["0900", "1200", "1500"]));
    let quarters = occurrences(SEP_2, "FREQ=MINUTELY;INTERVAL=15;COUNT=6", 9);
    assert_eq!(
        quarters,
        on_sep_2(&["0900", "0915", "0930", "0945", "1000", "1015"])
    );
    let long = occurrences(SEP_2, "FREQ=MINUTELY;INTERVAL=90;COUNT=4", 9);
    assert_eq!(long, on_sep_2(&["0900", "1030", "1200", "1330"]));
    let daily = "FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE=0,20,40";
    let twenty = occurrences(SEP_2, daily, 48);
    assert_eq!(twenty[..4], on_sep_2(&["0900", "0920", "0940", "1000"]));
    assert_eq!(
        (twenty[23].as_str(), twenty[24].as_str()),
        ("19970902T164000", "19970903T090000")
    );
    let minutely = "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16";
    assert_eq!(occurrences(SEP_2, minutely, 48), twenty);
}

#[test]
fn the_start_of_the_week_matters() {
    let rule = "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO";
    complete("19970805T090000", rule, "1997: Aug 5,10,19,24");
    let rule = "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU";
    complete("19970805T090000", rule, "1997: Aug 5,17,19,31");
}

#[test]
fn an_invalid_date_is_ignored() {
    let rule = "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5";
    complete(
        "20070115T090000",
        rule,
        "2007: Jan 15,30; Feb 15; Mar 15,30",
    );
}
