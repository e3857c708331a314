//! iCalendar over HTTP: a series as a file, feeds behind secrets, files from other calendars.

use axum::http::StatusCode;
use scheduler_core::{Window, Zone, ical};
use serde_json::{Value, json};

use crate::clinic::{Clinic, booking};
use crate::database::Database;

/// A Wednesday.
const OPENED: &str = "2026-03-04T08:00:00Z";

/// The starts that a text means from March to December, cancelled ones left out.
pub(crate) fn starts(text: &str) -> Vec<String> {
    let calendar = ical::parse(text.as_bytes(), Zone::UTC).unwrap();
    assert_eq!(calendar.problems(), []);
    let window = Window::new(
        "2026-03-01T00:00:00Z".parse().unwrap(),
        "2026-12-31T00:00:00Z".parse().unwrap(),
    );
    let found = calendar.between(window.unwrap()).unwrap();
    let found = found.iter().filter(|one| !one.is_cancelled);
    found.map(|one| one.start.to_string()).collect()
}

/// The same as the API shows it.
pub(crate) async fn shown(clinic: &Clinic, path: &str) -> Vec<String> {
    let path = format!("{path}?from=2026-03-01T00:00:00Z&to=2026-12-31T00:00:00Z");
    let list = clinic.get(&path).await;
    let items = list["items"].as_array().unwrap().iter();
    items
        .filter(|item| item["state"] != "cancelled")
        .map(|item| item["starts_at"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_file_of_a_series_says_what_became_of_its_dates() {
    let clinic = Clinic::at(OPENED).await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 4).await;
    let intent = clinic
        .book(
            &parties,
            "2026-03-05T18:00:00",
            Some("FREQ=WEEKLY;BYDAY=MO,TH"),
        )
        .await;
    clinic.tick().await;
    let at = |at: &str, what: &str| format!("/intents/{intent}/occurrences/{at}/{what}");
    clinic
        .post(
            &at("2026-03-05T18:00:00", "reschedule"),
            json!({ "starts_local": "2026-03-06T09:30:00" }),
        )
        .await;
    clinic
        .post(&at("2026-03-09T18:00:00", "cancel"), json!({}))
        .await;
    clinic
        .post(&at("2026-03-16T18:00:00", "skip"), json!({}))
        .await;
    clinic
        .post(
            &at("2026-03-19T18:00:00", "amend"),
            json!({ "minutes": 80 }),
        )
        .await;
    clinic
        .post(
            &format!("/intents/{intent}/pause"),
            json!({ "from": "2026-03-22", "until": "2026-03-25" }),
        )
        .await;
    let changes = json!({ "at": "2026-03-30T18:00:00", "changes": { "starts_local": "2026-03-30T17:00:00" } });
    let next = clinic
        .post(&format!("/intents/{intent}/split"), changes)
        .await;
    let file = format!("/api/v1/intents/{intent}/ical");
    let (status, text) = clinic.text(Some(&clinic.admin), &file).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let expected = shown(&clinic, &format!("/clients/{}/sessions", parties.client)).await;
    assert_eq!(starts(&text), expected);
    assert!(expected.contains(&"2026-03-06T09:30:00Z".to_owned()));
    assert!(
        !text.contains("SUMMARY:session"),
        "nothing clinical is said"
    );
    for uid in [&json!(intent), &next["id"]] {
        assert!(
            text.contains(&format!("UID:{}@standing", uid.as_str().unwrap())),
            "{text}"
        );
    }
    // Every change raises the revision.
    let second = format!("UID:{}@standing", next["id"].as_str().unwrap());
    let sequence = |text: &str| -> u32 {
        let (_, component) = text.split_once(&second).unwrap();
        let (_, value) = component.split_once("SEQUENCE:").unwrap();
        value.lines().next().unwrap().trim().parse().unwrap()
    };
    let cancel = format!(
        "/intents/{}/occurrences/2026-04-02T17:00:00/cancel",
        next["id"].as_str().unwrap()
    );
    clinic.post(&cancel, json!({})).await;
    let (_, later) = clinic.text(Some(&clinic.admin), &file).await;
    assert!(sequence(&later) > sequence(&text));
    let (status, _) = clinic.text(None, &file).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_feed_is_behind_a_secret_that_can_be_changed_and_taken_away() {
    let clinic = Clinic::at(OPENED).await;
    let parties = clinic.parties().await;
    clinic
        .book(&parties, "2026-03-05T18:00:00", Some("FREQ=WEEKLY"))
        .await;
    let client = clinic.client_token(&parties.client).await;
    let open = format!("/clients/{}/feed", parties.client);
    let answer = clinic.post_as(&client, &open, &json!({})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    let path = answer.body["path"].as_str().unwrap().to_owned();
    let (status, text) = clinic.text(None, &path).await;
    assert_eq!(status, StatusCode::OK);
    let expected = shown(&clinic, &format!("/clients/{}/sessions", parties.client)).await;
    assert_eq!(starts(&text), expected);
    // The secret itself is nowhere.
    let secret = path
        .strip_prefix("/feeds/")
        .unwrap()
        .strip_suffix(".ics")
        .unwrap();
    let dump = Database::open(&clinic).await.dump().await;
    assert!(!format!("{dump:?}").contains(secret));

    let second = clinic.post(&open, json!({})).await["path"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(clinic.text(None, &path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(clinic.text(None, &second).await.0, StatusCode::OK);
    clinic.post(&format!("{open}/close"), json!({})).await;
    assert_eq!(clinic.text(None, &second).await.0, StatusCode::NOT_FOUND);
    assert_eq!(clinic.text(None, "/feeds/x").await.0, StatusCode::NOT_FOUND);
    // Nobody opens another's.
    let other = clinic.parties().await;
    let answer = clinic
        .post_as(
            &client,
            &format!("/clients/{}/feed", other.client),
            &json!({}),
        )
        .await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let theirs = format!("/therapists/{}/feed", parties.therapist);
    assert_eq!(
        clinic.post_as(&client, &theirs, &json!({})).await.status,
        StatusCode::NOT_FOUND
    );
    let theirs = clinic.post(&theirs, json!({})).await;
    let (_, text) = clinic.text(None, theirs["path"].as_str().unwrap()).await;
    assert_eq!(starts(&text), expected);
}

const FILE: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Elsewhere//EN\r\n\
BEGIN:VEVENT\r\nUID:weekly@elsewhere\r\nDTSTART;TZID=Europe/London:20260105T180000\r\n\
DTEND;TZID=Europe/London:20260105T185000\r\nRRULE:FREQ=WEEKLY;COUNT=14\r\n\
EXDATE;TZID=Europe/London:20260316T180000\r\nSUMMARY:Anna\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:weekly@elsewhere\r\nRECURRENCE-ID;TZID=Europe/London:20260323T180000\r\n\
DTSTART;TZID=Europe/London:20260324T090000\r\nDTEND;TZID=Europe/London:20260324T095000\r\n\
END:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:taken@elsewhere\r\nDTSTART;TZID=Europe/London:20260309T183000\r\n\
DURATION:PT50M\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:day@elsewhere\r\nDTSTART;VALUE=DATE:20260310\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:over@elsewhere\r\nDTSTART:20250310T100000Z\r\nDURATION:PT50M\r\nEND:VEVENT\r\n\
END:VCALENDAR\r\n";

#[tokio::test]
async fn a_date_that_was_put_off_to_after_today_is_imported_and_one_brought_forward_is_over() {
    let clinic = Clinic::at(OPENED).await;
    let parties = clinic.parties().await;
    let changed = |uid: &str, own: &str, to: &str, until: &str| {
        format!(
            "BEGIN:VEVENT\r\nUID:{uid}\r\nRECURRENCE-ID:{own}\r\nDTSTART:{to}\r\nDTEND:{until}\r\n\
             END:VEVENT\r\n"
        )
    };
    let weekly = |uid: &str, start: &str, count: u32| {
        format!(
            "BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTART:{start}\r\nDURATION:PT50M\r\n\
             RRULE:FREQ=WEEKLY;COUNT={count}\r\nEND:VEVENT\r\n"
        )
    };
    let ics = [
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Elsewhere//EN\r\n".to_owned(),
        weekly("a", "20260209T180000Z", 7),
        changed(
            "a",
            "20260302T180000Z",
            "20260306T090000Z",
            "20260306T100000Z",
        ),
        changed(
            "a",
            "20260316T180000Z",
            "20260302T090000Z",
            "20260302T095000Z",
        ),
        // Its rule is over.
        weekly("b", "20260211T120000Z", 2),
        changed(
            "b",
            "20260218T120000Z",
            "20260307T120000Z",
            "20260307T125000Z",
        ),
        "END:VCALENDAR\r\n".to_owned(),
    ];
    let body = |ics: String| {
        json!({
            "therapist_id": parties.therapist, "client_id": parties.client,
            "service_id": parties.service, "zone": "UTC", "ics": ics,
        })
    };
    let done = clinic.post("/imports", body(ics.concat())).await;
    let of = async |index: usize| {
        let intent = done["bookings"][index]["intent_id"].as_str();
        let intent = intent.unwrap_or_else(|| panic!("{done}"));
        shown(&clinic, &format!("/intents/{intent}/occurrences")).await
    };
    let expected = [
        "2026-03-06T09:00:00Z",
        "2026-03-09T18:00:00Z",
        "2026-03-23T18:00:00Z",
    ];
    assert_eq!(of(0).await, expected);
    assert_eq!(of(1).await, ["2026-03-07T12:00:00Z"]);

    let many: String = (0..201)
        .map(|n| {
            let day = 10 + n % 20;
            format!(
                "BEGIN:VEVENT\r\nUID:{n}\r\nDTSTART:202604{day}T180000Z\r\nDURATION:PT50M\r\n\
                 END:VEVENT\r\n"
            )
        })
        .collect();
    let many = format!("{}{many}END:VCALENDAR\r\n", ics[0]);
    let answer = clinic.post_as(&clinic.admin, "/imports", &body(many)).await;
    assert_eq!(answer.body["limit"], 200, "{}", answer.body);
}

#[tokio::test]
async fn a_file_from_another_calendar_becomes_what_is_still_to_come_of_it() {
    let clinic = Clinic::at(OPENED).await;
    let parties = clinic.parties().await;
    let body = json!({
        "therapist_id": parties.therapist, "client_id": parties.client,
        "service_id": parties.service, "zone": "Europe/London", "ics": FILE,
    });
    let mut database = Database::open(&clinic).await;
    let before = database.dump().await;
    let tried = clinic.post("/imports?dry_run=true", body.clone()).await;
    assert_eq!(tried["bookings"][0]["preview"]["dry_run"], true);
    assert_eq!(database.dump().await, before);

    let done = clinic.post("/imports", body).await;
    let bookings = done["bookings"].as_array().unwrap();
    let uids: Vec<&Value> = bookings.iter().map(|one| &one["uid"]).collect();
    assert_eq!(uids, ["weekly@elsewhere", "taken@elsewhere"]);
    assert_eq!(bookings[1]["problem"]["code"], "clash", "{done}");
    assert!(
        done["problems"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["uid"] == "day@elsewhere"),
        "{done}"
    );
    let intent = bookings[0]["intent_id"].as_str().unwrap();
    let starts = shown(&clinic, &format!("/intents/{intent}/occurrences")).await;
    // 14 from 5 January on, of which the first nine are over and one is left out.
    let expected = [
        "2026-03-09T18:00:00Z",
        "2026-03-24T09:00:00Z",
        "2026-03-30T17:00:00Z",
        "2026-04-06T17:00:00Z",
    ];
    assert_eq!(starts, expected);
    let answer = clinic
        .post_as(
            &clinic.admin,
            "/imports",
            &json!({
                "therapist_id": parties.therapist, "client_id": parties.client,
                "service_id": parties.service, "zone": "Europe/London", "ics": "no calendar",
            }),
        )
        .await;
    assert_eq!(answer.body["code"], "invalid_calendar", "{}", answer.body);
    // What was imported stands in the way like any booking.
    let wanted = booking(&parties, "2026-03-30T18:20:00", None);
    let answer = clinic.post_as(&clinic.admin, "/intents", &wanted).await;
    assert_eq!(answer.body["code"], "clash");
}

/// A zone that is like no other is not guessed: the nearest is proposed, and taken when somebody says so.
#[tokio::test]
async fn a_zone_that_is_not_known_is_asked_for() {
    let clinic = Clinic::at(OPENED).await;
    let parties = clinic.parties().await;
    let ics = "BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nTZID:House\r\nBEGIN:STANDARD\r\n\
        DTSTART:19700101T000000\r\nTZOFFSETFROM:+0010\r\nTZOFFSETTO:+0010\r\nEND:STANDARD\r\n\
        END:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:weekly\r\nDTSTART;TZID=House:20260309T180000\r\n\
        DURATION:PT50M\r\nRRULE:FREQ=WEEKLY\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:once\r\n\
        DTSTART;TZID=House:20260310T090000\r\nDURATION:PT50M\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nUID:lost\r\nDTSTART;TZID=Mars:20260311T090000\r\nDURATION:PT50M\r\n\
        END:VEVENT\r\nEND:VCALENDAR\r\n";
    let mut body = json!({
        "therapist_id": parties.therapist, "client_id": parties.client,
        "service_id": parties.service, "zone": "Europe/London", "ics": ics,
    });
    let asked = clinic.post("/imports", body.clone()).await;
    let uids: Vec<&Value> = asked["bookings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["uid"])
        .collect();
    assert_eq!(uids, ["once", "lost"], "{asked}");
    // Two events are in the zone, and one in none; the one without an end is not booked.
    let summary = json!({ "at_another_time": 3, "missing": 1, "unlisted": 0 });
    assert_eq!(asked["summary"], summary, "{asked}");
    let problems = asked["problems"].as_array().unwrap();
    assert_eq!(problems[0]["effect"], "other_time");
    let said: Vec<&str> = problems
        .iter()
        .filter_map(|one| one["problem"].as_str())
        .collect();
    assert!(
        said.iter().any(|said| said.contains("the nearest is ")),
        "{asked}"
    );
    let once = asked["bookings"][0]["intent_id"].as_str().unwrap();
    let starts = shown(&clinic, &format!("/intents/{once}/occurrences")).await;
    assert_eq!(starts, ["2026-03-10T08:50:00Z"]);

    body["zones"] = json!({ "House": "Africa/Abidjan" });
    let answered = clinic.post("/imports", body.clone()).await;
    assert_eq!(answered["bookings"][0]["uid"], "weekly", "{answered}");
    let weekly = answered["bookings"][0]["intent_id"].as_str().unwrap();
    let starts = shown(&clinic, &format!("/intents/{weekly}/occurrences")).await;
    assert_eq!(starts[0], "2026-03-09T18:00:00Z");
    body["zones"] = json!({ "House": "Mars/Olympus" });
    let answer = clinic.post_as(&clinic.admin, "/imports", &body).await;
    assert_eq!(answer.body["code"], "unknown_zone");
}

/// A small file that would take long is refused or read in no time, and holds up nobody.
#[tokio::test]
async fn a_hostile_file_is_read_in_proportion_to_its_size() {
    let clinic = Clinic::at(OPENED).await;
    let parties = clinic.parties().await;
    let event = |lines: &str| format!("BEGIN:VEVENT\r\nUID:u\r\n{lines}END:VEVENT\r\n");
    let range = |second: u8| {
        event(
            &format!(
                "RECURRENCE-ID;RANGE=THISANDFUTURE:202603010000{second:02}Z\r\n\
             DTSTART:202603010000{second:02}Z\r\nDURATION:PT10M\r\n"
            )
            .replace("20260301", "20260301T"),
        )
    };
    let secondly = event("DTSTART:20260301T000000Z\r\nDURATION:PT30M\r\nRRULE:FREQ=SECONDLY\r\n");
    let faults = event(&format!(
        "DTSTART:20260301T000000Z\r\n{}",
        "EXDATE:x\r\n".repeat(2200)
    ))
    .replace("UID:u", &format!("UID:{}", "Z".repeat(900_000)));
    for events in [format!("{secondly}{}{}", range(5), range(6)), faults] {
        let ics = format!("BEGIN:VCALENDAR\r\n{events}END:VCALENDAR\r\n");
        let body = json!({
            "therapist_id": parties.therapist, "client_id": parties.client,
            "service_id": parties.service, "zone": "Europe/London", "ics": ics,
        });
        let answer = clinic
            .post_as(&clinic.admin, "/imports?dry_run=true", &body)
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(answer.body.to_string().len() < 1_000_000);
    }
}
