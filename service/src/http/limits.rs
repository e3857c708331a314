//! What texts and numbers of requests and answers can be, for the description of the API. The limits are those
//! that the clinic and the cores refuse by.

use clinic::account::BY_HAND_MAX;
use clinic::quota::DATES_A_WEEK_MAX;
use clinic::registration::{GRACE_DAYS_MAX, PLAN_CREDITS_MAX, POLICY_MINUTES_MAX};
use ledger_core::{Key, VendorId};
use scheduler_core::availability::HOURS_MAX;
use scheduler_core::calendar::BUFFER_MINUTES_MAX;
use scheduler_core::set::MINUTES_MAX;
use scheduler_core::slots::{
    AHEAD_DAYS_MAX, STANDING_DATES_MAX, STANDING_WEEKS_MAX, STEP_MINUTES_MAX,
};
use serde_json::{Value, json};
use store::{IDEMPOTENCY_KEY_BYTES_MAX, PAGE_MAX};

use super::params::CALENDAR_PAGE_MAX;

/// The dates of the years 1 to 9999, without anchors.
const DATE: &str = "((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)";
/// A time of a day with seconds, without anchors.
const CLOCK: &str = "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]";
/// The code of a reason.
const CODE: &str = "^[a-z][a-z0-9_]{0,63}$";
/// A time of day; 24:00 is its end.
const TIME: &str = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$";
/// Days of the week; none are all.
const DAYS: &str = "^((MO|TU|WE|TH|FR|SA|SU)(,(MO|TU|WE|TH|FR|SA|SU))*)?$";
/// A text without control characters that is not all spaces.
const NAME: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
/// An e-mail address; spaces around it do not count.
const EMAIL: &str = r"^\s*[^\s\x00-\x1f\x7f-\x9f]+@[^\s@\x00-\x1f\x7f-\x9f]+\s*$";
/// A key of the ledger.
const KEY: &str = "^v1(/[A-Za-z0-9._:-]+)+$";
/// A vendor's id.
const VENDOR: &str = "^[A-Za-z0-9._:-]+$";
/// A printable text that does not begin with a space, which is no part of a header's value.
const PRINTABLE: &str = "^[!-~][ -~]*$";
/// A version, as it is or as an entity tag, or any.
const TAG: &str = r#"^([0-9]{1,18}|"[0-9]{1,18}"|\*)$"#;

/// The states of a message.
const MESSAGE_STATES: [&str; 4] = ["pending", "sent", "void", "dead"];

/// A wall time.
fn local() -> Value {
    json!({ "pattern": format!("^{DATE}{CLOCK}$") })
}

/// The place after which a page of a calendar begins.
fn place() -> Value {
    json!({ "pattern": format!("^-?[0-9]{{1,18}}_[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}_{DATE}{CLOCK}$") })
}

fn between(least: impl Into<Value>, most: impl Into<Value>) -> Value {
    json!({ "minimum": least.into(), "maximum": most.into() })
}

/// The schema of an `Idempotency-Key`.
pub(super) fn idempotency_key() -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES_MAX, "pattern": PRINTABLE,
    })
}

/// The schema of an `If-Match`.
pub(super) fn if_match() -> Value {
    json!({ "type": "string", "pattern": TAG })
}

/// What a property or parameter of this name can be, wherever it is.
pub(super) fn of_name(name: &str) -> Option<Value> {
    Some(match name {
        "starts_local" | "from_local" | "until_local" | "ends_local" | "recurrence_id"
        | "instead" | "additions" | "exclusions" | "missed" => local(),
        "zone" => json!({ "minLength": 1, "maxLength": 64 }),
        "name" => {
            json!({ "minLength": 1, "maxLength": clinic::Person::NAME_BYTES_MAX, "pattern": NAME })
        }
        "email" => json!({ "maxLength": 254, "pattern": EMAIL }),
        "reason" => json!({ "pattern": CODE }),
        "currency" => json!({ "pattern": "^[A-Z]{3}$" }),
        "minor" => between(0, i64::MAX),
        "day" => json!({ "enum": ["MO", "TU", "WE", "TH", "FR", "SA", "SU"] }),
        "minutes" => between(1, MINUTES_MAX),
        "version" | "seq" => between(0, i64::MAX),
        _ => return None,
    })
}

/// What properties of one schema can be.
pub(super) fn of_schemas() -> Vec<(&'static str, &'static str, Value)> {
    let policy = || between(0, POLICY_MINUTES_MAX);
    let buffer = || between(0, BUFFER_MINUTES_MAX);
    let (time, vendor) = (
        || json!({ "pattern": TIME }),
        || json!({ "minLength": 1, "maxLength": VendorId::MAX_BYTES, "pattern": VENDOR }),
    );
    let one_of = |values: &[&str]| json!({ "enum": values });
    let before = ["virtual", "skipped", "paused"];
    let states: Vec<&str> = before.into_iter().chain(super::sessions::STATES).collect();
    vec![
        ("OccurrenceBody", "state", one_of(&states)),
        (
            "IntentBody",
            "state",
            one_of(&["active", "ended", "continued", "withdrawn"]),
        ),
        ("MessageBody", "state", one_of(&MESSAGE_STATES)),
        (
            "MessageBody",
            "recipient_role",
            one_of(&["client", "therapist"]),
        ),
        ("HoursBody", "from", time()),
        ("HoursBody", "to", time()),
        ("DayHoursBody", "from", time()),
        ("DayHoursBody", "to", time()),
        ("NewReason", "code", json!({ "pattern": CODE })),
        ("SplitBody", "at", local()),
        ("NewServiceBody", "notice_minutes", policy()),
        ("CancellationBody", "free_until_minutes", policy()),
        ("CancellationBody", "grace_days", between(0, GRACE_DAYS_MAX)),
        (
            "CancellationBody",
            "no_show_after_minutes",
            between(0, MINUTES_MAX),
        ),
        ("SlotsBody", "step_minutes", between(1, STEP_MINUTES_MAX)),
        ("SlotsBody", "buffer_before_minutes", buffer()),
        ("SlotsBody", "buffer_after_minutes", buffer()),
        (
            "SlotsBody",
            "notice_minutes",
            between(0, AHEAD_DAYS_MAX * 24 * 60),
        ),
        ("SlotsBody", "window_days", between(1, AHEAD_DAYS_MAX)),
        ("SlotsBody", "dates_a_week", between(1, DATES_A_WEEK_MAX)),
        ("NewCredits", "amount", between(1, BY_HAND_MAX)),
        ("Adjustment", "amount", between(-BY_HAND_MAX, BY_HAND_MAX)),
        ("NewTransfer", "amount", between(1, i64::MAX)),
        ("NewTransfer", "lot", between(0, u32::MAX)),
        (
            "Reversal",
            "key",
            json!({ "maxLength": Key::MAX_BYTES, "pattern": KEY }),
        ),
        ("NewPurchase", "checkout", vendor()),
        ("InvoiceBody", "id", vendor()),
        ("NewPlan", "credits", between(1, PLAN_CREDITS_MAX)),
        ("NewPlan", "late_days", between(0, GRACE_DAYS_MAX)),
        ("QuotasBody", "standing_bookings", between(0, u32::MAX)),
        ("QuotasBody", "minutes_a_week", between(0, u32::MAX)),
        (
            "QuotasBody",
            "bookings_without_credit",
            between(0, u32::MAX),
        ),
    ]
}

/// Optional words of answers: of which schema and property, the name of their own schema, and all of
/// them. One schema for them is one type in a generated client.
pub(super) const WORDS: [(&str, &str, &str, [&str; 3]); 2] = [
    (
        "OccurrenceBody",
        "cancelled_by",
        "Party",
        ["client", "therapist", "clinic"],
    ),
    (
        "OccurrenceBody",
        "resolution",
        "WallTime",
        ["unique", "gap", "fold"],
    ),
];

/// The most items of lists in one schema.
pub(super) const LISTS: [(&str, &str, usize); 2] = [
    ("NewTherapist", "hours", HOURS_MAX),
    ("NewHours", "hours", HOURS_MAX),
];

/// What a parameter of an operation can be.
pub(super) fn of_parameter(path: &str, name: &str) -> Option<Value> {
    let is_calendar = path.ends_with("}/sessions") || path.ends_with("/occurrences");
    let is_busy = path.ends_with("}/busy");
    Some(match (path, name) {
        (_, "limit") if is_calendar || is_busy => between(1, CALENDAR_PAGE_MAX),
        (_, "limit") => between(1, PAGE_MAX),
        (_, "cursor") if is_calendar => place(),
        ("/api/v1/messages" | "/api/v1/clients/{id}/ledger", "cursor") => between(0, i64::MAX),
        ("/api/v1/messages", "state") => json!({ "enum": MESSAGE_STATES }),
        ("/api/v1/messages/{seq}/replay", "seq") => between(0, i64::MAX),
        ("/api/v1/sessions", "state") => json!({ "enum": super::sessions::STATES }),
        ("/api/v1/sessions", "which") => {
            let lists = ["live", "attendance_unknown", "open"];
            let all: Vec<&str> = lists.into_iter().chain(super::sessions::STATES).collect();
            json!({ "enum": all })
        }
        (_, "after") => between(0, u32::MAX),
        (_, "dates") => between(1, STANDING_DATES_MAX),
        (_, "at_least") => between(0, STANDING_DATES_MAX),
        (_, "weeks") => between(1, STANDING_WEEKS_MAX),
        (_, "weekdays") => json!({ "pattern": DAYS }),
        (_, name) => return of_name(name),
    })
}
