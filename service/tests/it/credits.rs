//! Plans, months that are paid for, corrections, waivers, grace, the end of credits: over HTTP.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::clinic::{Clinic, Parties};
use crate::database::Database;

const OPENED: &str = "2026-03-02T08:00:00Z";

/// A client of a clinic with plans.
struct Plans {
    clinic: Clinic,
    parties: Parties,
    two: String,
    four: String,
    eight: String,
}

fn pounds(minor: i64) -> Value {
    json!({ "minor": minor, "currency": "GBP" })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Plans {
    async fn open() -> Self {
        let clinic = Clinic::at(OPENED).await;
        let parties = clinic.parties().await;
        let add = async |name: &str, credits: i64, minor: i64| {
            let plan = json!({
                "name": name, "service_id": parties.service, "credits": credits,
                "price": pounds(minor), "rollover": 1,
            });
            text(&clinic.post("/plans", plan).await["id"])
        };
        Self {
            two: add("two", 2, 13_000).await,
            four: add("four", 4, 25_000).await,
            eight: add("eight", 8, 48_000).await,
            parties,
            clinic,
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/clients/{}/{rest}", self.parties.client)
    }

    /// Subscribes the client, and gives the present month's start and end.
    async fn subscribe(&self, plan: &str) -> (String, String) {
        let body = json!({ "plan_id": plan });
        let shown = self.clinic.post(&self.path("subscription"), body).await;
        let current = &shown["current"];
        assert_eq!(current["plan"]["id"], plan);
        (text(&current["starts_at"]), text(&current["ends_at"]))
    }

    async fn pay(&self, invoice: &str, (start, end): (&str, &str), minor: i64) -> Value {
        let body = month(invoice, start, (start, end), minor);
        self.clinic
            .post(&self.path("subscription/months"), body)
            .await
    }

    /// A command that is refused, and leaves everything as it was.
    async fn refused(&self, rest: &str, body: Value, status: StatusCode, code: &str) -> Value {
        let mut database = Database::open(&self.clinic).await;
        let before = database.dump().await;
        let admin = &self.clinic.admin;
        let answer = self.clinic.post_as(admin, &self.path(rest), &body).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(answer.body["code"], code, "{}", answer.body);
        assert_eq!(database.dump().await, before);
        answer.body
    }

    async fn available(&self) -> i64 {
        self.clinic.balance(&self.parties).await.0
    }
}

fn month(invoice: &str, starts_at: &str, (start, end): (&str, &str), minor: i64) -> Value {
    json!({
        "starts_at": starts_at,
        "invoice": {
            "id": invoice, "period_start": start, "period_end": end, "paid": pounds(minor),
        },
    })
}

#[tokio::test]
async fn a_month_is_granted_once_and_only_on_the_invoice_that_charges_exactly_it() {
    let plans = Plans::open().await;
    let (start, end) = plans.subscribe(&plans.four).await;
    assert!(end.starts_with("2026-04-02T08:"), "{end}");
    let shown = plans.clinic.get(&plans.path("subscription")).await;
    assert_eq!(shown["current"]["lot"], Value::Null, "nothing is paid yet");

    let ask = |body| {
        plans.refused(
            "subscription/months",
            body,
            StatusCode::UNPROCESSABLE_ENTITY,
            "evidence",
        )
    };
    let of = |period, minor| month("in-1", &start, period, minor);
    let refused = ask(of((&start, &end), 24_999)).await;
    assert!(
        text(&refused["mismatch"]).contains("24999 GBP"),
        "{refused}"
    );
    let longer = end.replace("2026-04-02", "2026-04-03");
    let refused = ask(of((&start, &longer), 25_000)).await;
    assert!(text(&refused["mismatch"]).contains(&longer), "{refused}");
    let between = start.replace("2026-03-02", "2026-03-03");
    let refused = plans
        .refused(
            "subscription/months",
            month("in-1", &between, (&start, &end), 25_000),
            StatusCode::UNPROCESSABLE_ENTITY,
            "no_month",
        )
        .await;
    assert_eq!(refused["within"]["starts_at"], *start);

    let entered = plans.pay("in-1", (&start, &end), 25_000).await;
    assert_eq!(
        entered["key"],
        format!("v1/grant/{}:0/{start}", plans.parties.client)
    );
    assert_eq!(plans.available().await, 4);
    // A retry, and another invoice for the same month, find it entered.
    for invoice in ["in-1", "in-2"] {
        let body = month(invoice, &start, (&start, &end), 25_000);
        let path = plans.path("subscription/months");
        let again = plans
            .clinic
            .post_as(&plans.clinic.admin, &path, &body)
            .await;
        assert_eq!((again.status, &again.body), (StatusCode::OK, &entered));
    }
    assert_eq!(plans.clinic.ledger(&plans.parties).await, ["grant"]);
    let shown = plans.clinic.get(&plans.path("subscription")).await;
    assert_eq!(shown["current"]["lot"], 1);
}

#[tokio::test]
async fn what_is_left_of_a_month_expires_and_goes_over_once() {
    let plans = Plans::open().await;
    let (start, end) = plans.subscribe(&plans.four).await;
    plans.pay("in-1", (&start, &end), 25_000).await;
    plans.clinic.jump_to("2026-04-02T08:10:00Z");
    assert_eq!(plans.clinic.tick().await.failed, 0);
    assert_eq!(
        plans.clinic.ledger(&plans.parties).await,
        ["grant", "expire"]
    );
    assert_eq!(plans.available().await, 0);
    assert_eq!(plans.clinic.tick().await.done, 0, "nothing is due twice");

    // The next month is paid: one of the four goes over, with the new month's end.
    let shown = plans.clinic.get(&plans.path("subscription")).await;
    let (next, after) = (
        text(&shown["current"]["starts_at"]),
        text(&shown["current"]["ends_at"]),
    );
    assert_eq!(next, end);
    plans.pay("in-2", (&next, &after), 25_000).await;
    assert_eq!(plans.available().await, 5);
    let statement = plans.clinic.get(&plans.path("statement")).await;
    let lots = statement["lots"].as_array().unwrap();
    let ends: Vec<&Value> = lots.iter().map(|lot| &lot["expires_at"]).collect();
    assert_eq!(ends, [&json!(end), &json!(after), &json!(after)]);

    // What went over does not go over again.
    plans.clinic.jump_to("2026-05-02T09:00:00Z");
    plans.clinic.tick().await;
    let shown = plans.clinic.get(&plans.path("subscription")).await;
    let (third, end) = (
        text(&shown["current"]["starts_at"]),
        text(&shown["current"]["ends_at"]),
    );
    plans.pay("in-3", (&third, &end), 25_000).await;
    assert_eq!(plans.available().await, 5);
}

#[tokio::test]
async fn a_change_of_plan_midway_carries_over_what_was_paid_for_and_no_more() {
    let plans = Plans::open().await;
    let (start, end) = plans.subscribe(&plans.four).await;
    plans.pay("in-1", (&start, &end), 25_000).await;
    let mut paid = 4;
    for (day, plan, credits, minor) in [
        ("2026-03-12", &plans.eight, 8, 48_000),
        ("2026-03-20", &plans.two, 2, 13_000),
        ("2026-03-28", &plans.eight, 8, 48_000),
    ] {
        plans.clinic.jump_to(&format!("{day}T12:00:00Z"));
        let (start, end) = plans.subscribe(plan).await;
        assert!(start.starts_with(&format!("{day}T12:")), "{start}");
        assert_eq!(
            plans.available().await,
            paid,
            "a change alone brings nothing"
        );
        plans.pay(&format!("in-{day}"), (&start, &end), minor).await;
        paid += credits;
        assert_eq!(plans.available().await, paid);
    }
    // All that is left has gone over into the last month, and ends with it.
    let lots = plans.clinic.get(&plans.path("statement")).await["lots"].clone();
    let kinds = plans.clinic.ledger(&plans.parties).await;
    let expected = [
        "grant", "grant", "transfer", "grant", "transfer", "grant", "transfer",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(lots.as_array().unwrap().len(), 7);

    // Subscribing to what is subscribed to changes nothing; a month that is paid is not replaced.
    let shown = plans.clinic.get(&plans.path("subscription")).await;
    plans.subscribe(&plans.eight).await;
    assert_eq!(plans.clinic.get(&plans.path("subscription")).await, shown);
    let future = json!({ "plan_id": plans.two, "from": "2026-06-01T00:00:00Z" });
    let planned = plans.clinic.post(&plans.path("subscription"), future).await;
    assert_eq!(planned["terms"].as_array().unwrap().len(), 5);
    let june = ("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z");
    plans.pay("in-june", june, 13_000).await;
    let end = json!({ "from": "2026-05-01T00:00:00Z" });
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;
    plans
        .refused("subscription/end", end, invalid, "invalid_value")
        .await;
    let past = json!({ "plan_id": plans.two, "from": "2026-03-01T00:00:00Z" });
    plans
        .refused("subscription", past, invalid, "invalid_value")
        .await;
    let nothing = json!({ "plan_id": plans.parties.service });
    plans
        .refused("subscription", nothing, StatusCode::NOT_FOUND, "not_found")
        .await;
    let end = json!({ "from": "2026-08-01T00:00:00Z" });
    let ended = plans
        .clinic
        .post(&plans.path("subscription/end"), end.clone())
        .await;
    assert_eq!(ended["terms"][5]["plan_id"], Value::Null);
    assert_eq!(
        plans
            .clinic
            .post(&plans.path("subscription/end"), end)
            .await,
        ended
    );
    let after = month("in-9", "2026-08-01T00:00:00Z", june, 13_000);
    plans
        .refused("subscription/months", after, invalid, "no_month")
        .await;
}

/// Whether the worker was there between the end of a month and the payment of the next is nobody's
/// concern.
#[tokio::test]
async fn what_goes_over_does_not_depend_on_the_worker() {
    let mut ended = Vec::new();
    for ticks in [false, true] {
        let plans = Plans::open().await;
        let (start, end) = plans.subscribe(&plans.four).await;
        plans.pay("in-1", (&start, &end), 25_000).await;
        let later = json!({ "plan_id": plans.eight, "from": end });
        plans.clinic.post(&plans.path("subscription"), later).await;
        plans.clinic.jump_to("2026-04-02T08:10:00Z");
        if ticks {
            plans.clinic.tick().await;
        }
        let after = end.replace("2026-04-02", "2026-05-02");
        plans.pay("in-2", (&end, &after), 48_000).await;
        let balance = plans.clinic.balance(&plans.parties).await;
        ended.push(balance);
        assert_eq!(plans.clinic.tick().await.failed, 0);
        assert_eq!(plans.clinic.balance(&plans.parties).await, balance);
    }
    assert_eq!(ended, [(12, 0, 0, 0), (12, 0, 0, 0)]);
}

#[tokio::test]
async fn a_plan_that_was_never_paid_for_takes_nothing_and_one_that_never_ends_gives_nothing() {
    let plans = Plans::open().await;
    let (start, end) = plans.subscribe(&plans.four).await;
    plans.pay("in-1", (&start, &end), 25_000).await;
    // A slip, corrected a moment later.
    plans.clinic.jump_to("2026-03-15T10:00:00Z");
    plans.subscribe(&plans.two).await;
    plans.clinic.jump_to("2026-03-15T10:01:00Z");
    let (start, end) = plans.subscribe(&plans.eight).await;
    plans.pay("in-2", (&start, &end), 48_000).await;
    let kinds = plans.clinic.ledger(&plans.parties).await;
    assert_eq!(kinds, ["grant", "grant", "transfer"]);

    let plans = Plans::open().await;
    let for_ever = json!({
        "name": "n", "service_id": plans.parties.service, "credits": 3, "price": pounds(1),
        "expiry": "never",
    });
    let for_ever = text(&plans.clinic.post("/plans", for_ever).await["id"]);
    let (start, end) = plans.subscribe(&for_ever).await;
    plans.pay("in-1", (&start, &end), 1).await;
    plans.clinic.jump_to("2026-03-15T10:00:00Z");
    let (start, end) = plans.subscribe(&plans.two).await;
    plans.pay("in-2", (&start, &end), 13_000).await;
    assert_eq!(
        plans.clinic.ledger(&plans.parties).await,
        ["grant", "grant"]
    );
    assert_eq!(plans.available().await, 5);
}

#[tokio::test]
async fn months_that_are_paid_in_any_order_end_the_same() {
    let mut balances = Vec::new();
    for order in [[0, 1, 2], [0, 2, 1]] {
        let plans = Plans::open().await;
        let (start, end) = plans.subscribe(&plans.four).await;
        let month = |day: &str| end.replace("2026-04-02", day);
        let months = [
            start.clone(),
            end.clone(),
            month("2026-05-02"),
            month("2026-06-02"),
        ];
        for at in order {
            let period = (&*months[at], &*months[at + 1]);
            plans.pay(&format!("in-{at}"), period, 25_000).await;
        }
        for day in ["2026-04-03", "2026-05-03", "2026-06-03"] {
            plans.clinic.jump_to(&format!("{day}T12:00:00Z"));
            plans.clinic.tick().await;
            balances.push(plans.available().await);
        }
    }
    assert_eq!(balances[..3], balances[3..]);
}

#[tokio::test]
async fn what_was_taken_back_is_not_entered_again_in_silence() {
    let plans = Plans::open().await;
    let conflict = StatusCode::CONFLICT;
    let buy = json!({
        "service_id": plans.parties.service, "checkout": "R-17", "paid": pounds(6_500),
    });
    let bought = plans
        .clinic
        .post(&plans.path("purchases"), buy.clone())
        .await;
    let back = json!({ "key": bought["key"], "reason": "wrong_client" });
    plans.clinic.post(&plans.path("reversals"), back).await;
    plans.refused("purchases", buy, conflict, "reversed").await;

    // A month ahead, paid and taken back, holds up neither another plan nor the end.
    let ahead = json!({ "plan_id": plans.four, "from": "2026-05-01T00:00:00Z" });
    plans.clinic.post(&plans.path("subscription"), ahead).await;
    let may = ("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z");
    let paid = plans.pay("in-1", may, 25_000).await;
    let back = json!({ "key": paid["key"], "reason": "typing_error" });
    plans.clinic.post(&plans.path("reversals"), back).await;
    let again = month("in-2", may.0, may, 25_000);
    plans
        .refused("subscription/months", again, conflict, "reversed")
        .await;
    plans.subscribe(&plans.two).await;
    plans
        .clinic
        .post(&plans.path("subscription/end"), json!({}))
        .await;

    let far = json!({ "plan_id": plans.four, "from": "9999-12-31T00:00:00Z" });
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;
    plans
        .refused("subscription", far, invalid, "invalid_value")
        .await;
    for amount in [10_001, -10_001, i64::MAX, i64::MIN] {
        let many = json!({
            "service_id": plans.parties.service, "amount": amount, "reason": "many",
        });
        plans
            .refused("adjustments", many, invalid, "invalid_value")
            .await;
    }
}

#[tokio::test]
async fn a_consultation_is_bought_once_at_its_price() {
    let plans = Plans::open().await;
    let consultation = json!({ "name": "Consultation", "minutes": 80, "price": pounds(8_000) });
    let consultation = plans.clinic.post("/services", consultation).await["id"].clone();
    let of =
        |minor| json!({ "service_id": consultation, "checkout": "cs_1", "paid": pounds(minor) });
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;
    plans
        .refused("purchases", of(7_999), invalid, "evidence")
        .await;
    let entered = plans.clinic.post(&plans.path("purchases"), of(8_000)).await;
    assert_eq!(entered["key"], "v1/grant/consultation/cs_1");
    let (admin, path) = (&plans.clinic.admin, plans.path("purchases"));
    let again = plans.clinic.post_as(admin, &path, &of(8_000)).await;
    assert_eq!(again.status, StatusCode::OK);
    // The receipt of one thing buys no other.
    let other = json!({
        "service_id": plans.parties.service, "checkout": "cs_1", "paid": pounds(6_500),
    });
    let conflict = StatusCode::CONFLICT;
    plans
        .refused("purchases", other, conflict, "key_conflict")
        .await;
    let balance = plans.clinic.get(&plans.path("balance")).await;
    assert_eq!(balance["services"][0]["service_id"], consultation);
    assert_eq!(balance["available"], 1);
}

#[tokio::test]
async fn corrections_name_who_and_why_and_are_taken_back_once() {
    let plans = Plans::open().await;
    plans.clinic.grant(&plans.parties, 3).await;
    let by = |amount: i64| json!({ "service_id": plans.parties.service, "amount": amount, "reason": "counted_twice" });
    let conflict = StatusCode::CONFLICT;
    let short = plans
        .refused("adjustments", by(-4), conflict, "short")
        .await;
    assert_eq!(
        (&short["amount"], &short["available"]),
        (&json!(-4), &json!(3))
    );
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;
    plans
        .refused("adjustments", by(0), invalid, "invalid_value")
        .await;
    let words = json!({
        "service_id": plans.parties.service, "amount": 1, "reason": "Her mother was ill",
    });
    plans
        .refused("adjustments", words, invalid, "invalid_value")
        .await;
    let fewer = plans.clinic.post(&plans.path("adjustments"), by(-2)).await;
    assert_eq!(fewer["details"]["reason"], "counted_twice");
    assert!(fewer["details"]["actor"].is_string());
    assert_eq!(plans.available().await, 1);

    let back = json!({ "key": fewer["key"], "reason": "typing_error" });
    let reversed = plans
        .clinic
        .post(&plans.path("reversals"), back.clone())
        .await;
    assert_eq!(reversed["kind"], "reverse");
    assert_eq!(plans.available().await, 3);
    let again = plans
        .clinic
        .post_as(&plans.clinic.admin, &plans.path("reversals"), &back)
        .await;
    assert_eq!((again.status, again.body), (StatusCode::OK, reversed));
    let unknown = json!({ "key": "v1/adjust/none", "reason": "typing_error" });
    plans
        .refused("reversals", unknown, StatusCode::NOT_FOUND, "not_found")
        .await;

    // Who may not administer finds nothing there.
    let client = plans.clinic.client_token(&plans.parties.client).await;
    for rest in ["adjustments", "subscription", "purchases"] {
        let answer = plans
            .clinic
            .post_as(&client, &plans.path(rest), &json!({}))
            .await;
        assert!(
            [StatusCode::NOT_FOUND, invalid].contains(&answer.status),
            "{rest}: {}",
            answer.body
        );
    }
    for rest in ["statement", "balance"] {
        let answer = plans.clinic.get_as(&client, &plans.path(rest)).await;
        assert_eq!(answer.status, StatusCode::OK, "{rest}");
    }
}

/// A service whose therapist may waive, with three weeks of grace, and a session of it tomorrow
/// that is paid from a lot which ends the day after.
async fn at_the_end_of_a_month(waived_by: &str) -> (Plans, String) {
    let mut plans = Plans::open().await;
    let service = json!({
        "name": "session", "minutes": 50, "price": pounds(6_500),
        "cancellation": {
            "free_until_minutes": 2_880, "late_cancel": "forfeit", "no_show": "forfeit",
            "waived_by": waived_by, "grace_days": 21,
        },
    });
    let service = text(&plans.clinic.post("/services", service).await["id"]);
    let plan = json!({
        "name": "one", "service_id": service, "credits": 1, "price": pounds(6_500),
    });
    let plan = text(&plans.clinic.post("/plans", plan).await["id"]);
    plans.parties.service = service;
    let (start, end) = plans.subscribe(&plan).await;
    plans.pay("in-1", (&start, &end), 6_500).await;
    plans.clinic.jump_to("2026-03-31T17:00:00Z");
    let booked = plans
        .clinic
        .book(&plans.parties, "2026-04-01T18:00:00", None)
        .await;
    plans.clinic.tick().await;
    assert_eq!(plans.clinic.balance(&plans.parties).await, (0, 1, 0, 0));
    let shown = plans
        .clinic
        .get(&format!(
            "/intents/{booked}/occurrences/2026-04-01T18:00:00"
        ))
        .await;
    let session = text(&shown["session_id"]);
    (plans, format!("/sessions/{session}"))
}

#[tokio::test]
async fn a_credit_that_the_clinic_sets_free_outlives_its_lot() {
    let (plans, session) = at_the_end_of_a_month("staff").await;
    plans
        .clinic
        .post(&format!("{session}/cancel"), json!({}))
        .await;
    let kinds = plans.clinic.ledger(&plans.parties).await;
    assert_eq!(kinds, ["grant", "hold", "release", "transfer"]);
    plans.clinic.jump_to("2026-04-10T12:00:00Z");
    plans.clinic.tick().await;
    assert_eq!(
        plans.available().await,
        1,
        "its month is over, its grace is not"
    );
    plans.clinic.jump_to("2026-04-22T12:00:00Z");
    plans.clinic.tick().await;
    assert_eq!(plans.available().await, 0);
}

#[tokio::test]
async fn a_forfeit_is_waived_once_by_whom_the_policy_lets() {
    let (plans, session) = at_the_end_of_a_month("therapist").await;
    let (clinic, parties) = (&plans.clinic, &plans.parties);
    let client = clinic.client_token(&parties.client).await;
    let therapist = clinic.therapist_token(&parties.therapist).await;
    let waive = format!("{session}/waive");
    let why = json!({ "reason": "bereavement" });
    let key = format!(
        "v1/booking/{}/hold/1/forfeit",
        session.rsplit('/').next().unwrap()
    );
    let nothing = clinic.post_as(&therapist, &waive, &why).await;
    assert_eq!(nothing.body["code"], "nothing_forfeited");
    let cancelled = clinic
        .post_as(&client, &format!("{session}/cancel"), &json!({}))
        .await;
    assert_eq!(cancelled.status, StatusCode::OK, "{}", cancelled.body);
    assert_eq!(clinic.balance(parties).await, (0, 0, 0, 1));
    let refused = clinic.post_as(&client, &waive, &why).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    // Not by another door, which has no policy and no grace.
    let around = json!({ "key": key, "reason": "bereavement" });
    let conflict = StatusCode::CONFLICT;
    plans
        .refused("reversals", around, conflict, "waived_instead")
        .await;

    let waived = clinic.post_as(&therapist, &waive, &why).await;
    assert_eq!(waived.status, StatusCode::OK, "{}", waived.body);
    assert_eq!(waived.body["state"], "cancelled", "it stays what it was");
    assert_eq!(clinic.balance(parties).await, (1, 0, 0, 0));
    let kinds = clinic.ledger(parties).await;
    let expected = ["grant", "hold", "release", "forfeit", "reverse", "transfer"];
    assert_eq!(kinds, expected);
    let again = clinic.post_as(&therapist, &waive, &why).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(clinic.ledger(parties).await, expected);

    let (plans, session) = at_the_end_of_a_month("staff").await;
    plans.clinic.jump_to("2026-04-01T19:00:00Z");
    plans
        .clinic
        .post(&format!("{session}/no-show"), json!({}))
        .await;
    let therapist = plans.clinic.therapist_token(&plans.parties.therapist).await;
    let waive = format!("{session}/waive");
    let refused = plans.clinic.post_as(&therapist, &waive, &why).await;
    assert_eq!(refused.body["code"], "may_not_waive");
    plans.clinic.post(&waive, why.clone()).await;
    assert_eq!(plans.clinic.balance(&plans.parties).await, (1, 0, 0, 0));

    let (plans, session) = at_the_end_of_a_month("nobody").await;
    let waive = format!("{session}/waive");
    let refused = plans
        .clinic
        .post_as(&plans.clinic.admin, &waive, &why)
        .await;
    assert_eq!(refused.body["code"], "may_not_waive");
}

#[tokio::test]
async fn who_does_not_come_and_keeps_the_credit_gets_no_grace() {
    let mut plans = Plans::open().await;
    let service = json!({
        "name": "kind", "minutes": 50, "price": pounds(6_500),
        "cancellation": { "free_until_minutes": 0, "late_cancel": "release", "no_show": "release" },
    });
    plans.parties.service = text(&plans.clinic.post("/services", service).await["id"]);
    plans.clinic.grant(&plans.parties, 1).await;
    let booked = plans
        .clinic
        .book(&plans.parties, "2026-03-03T18:00:00", None)
        .await;
    plans.clinic.tick().await;
    plans.clinic.jump_to("2026-03-03T19:00:00Z");
    let occurrence = format!("/intents/{booked}/occurrences/2026-03-03T18:00:00");
    let session = text(&plans.clinic.get(&occurrence).await["session_id"]);
    plans
        .clinic
        .post(&format!("/sessions/{session}/no-show"), json!({}))
        .await;
    let ledger = plans.clinic.get(&plans.path("ledger")).await;
    assert_eq!(ledger["items"][2]["details"]["reason"], "no_show");
    assert_eq!(
        plans.clinic.ledger(&plans.parties).await,
        ["grant", "hold", "release"]
    );
}

#[tokio::test]
async fn balances_are_told_as_of_two_times_and_statements_can_be_added_up() {
    let plans = Plans::open().await;
    let (start, end) = plans.subscribe(&plans.four).await;
    plans.pay("in-1", (&start, &end), 25_000).await;
    plans.clinic.jump_to("2026-03-20T08:00:00Z");
    plans.clinic.grant(&plans.parties, 2).await;
    // Paid ahead: known now, in effect in April.
    let april = end.replace("2026-04-02", "2026-05-02");
    plans.pay("in-2", (&end, &april), 25_000).await;
    plans.clinic.jump_to("2026-04-03T08:00:00Z");
    plans.clinic.tick().await;
    let as_of = async |query: &str| {
        let body = plans
            .clinic
            .get(&plans.path(&format!("balance{query}")))
            .await;
        (body["available"].clone(), body["expired"].clone())
    };
    // One of March's went over into April, and can be used in both.
    let now = (json!(2 + 4 + 1), json!(3));
    assert_eq!(as_of("").await, now);
    assert_eq!(as_of("?effective_at=2026-04-03T08:00:00Z").await, now);
    let then = "?effective_at=2026-03-21T00:00:00Z";
    assert_eq!(as_of(then).await, (json!(6), json!(0)), "as it was");
    let known = "?effective_at=2026-04-03T08:00:00Z&recorded_at=2026-03-21T00:00:00Z";
    assert_eq!(as_of(known).await, (json!(10), json!(0)), "as it was known");
    assert_eq!(
        as_of("?recorded_at=2026-03-01T00:00:00Z").await,
        (json!(0), json!(0))
    );

    let window = "statement?from=2026-03-10T00:00:00Z&until=2026-04-01T00:00:00Z";
    let statement = plans.clinic.get(&plans.path(window)).await;
    assert_eq!(statement["opening"]["available"], 4);
    let mut running = statement["opening"].clone();
    for line in statement["lines"].as_array().unwrap() {
        for one in line["moves"].as_array().unwrap() {
            let amount = one["amount"].as_i64().unwrap();
            for (bucket, sign) in [(&one["from"], -1), (&one["to"], 1)] {
                if let Some(bucket) = bucket.as_str() {
                    running[bucket] = json!(running[bucket].as_i64().unwrap() + sign * amount);
                }
            }
        }
        assert_eq!(line["balance"], running);
    }
    assert_eq!(statement["closing"], running);
    assert_eq!(statement["lines"].as_array().unwrap().len(), 3);
    assert_eq!(statement["seq"], 4);
}

#[tokio::test]
async fn plans_are_data_with_limits() {
    let plans = Plans::open().await;
    let plan = |field: &str, value: Value| {
        let mut plan = json!({
            "name": "n", "service_id": plans.parties.service, "credits": 4, "price": pounds(1),
        });
        plan[field] = value;
        plan
    };
    for (field, value, status, code) in [
        ("credits", json!(0), 422, "invalid_value"),
        ("credits", json!(101), 422, "invalid_value"),
        ("name", json!(""), 422, "invalid_value"),
        ("price", pounds(-1), 422, "invalid_value"),
        (
            "price",
            json!({ "minor": 1, "currency": "gbp" }),
            422,
            "invalid_value",
        ),
        ("rollover", json!(0), 422, "invalid_value"),
        ("rollover", json!("some"), 422, "invalid_body"),
        ("service_id", json!(plans.parties.client), 404, "not_found"),
        ("colour", json!("red"), 422, "unknown_field"),
    ] {
        let admin = &plans.clinic.admin;
        let answer = plans
            .clinic
            .post_as(admin, "/plans", &plan(field, value))
            .await;
        assert_eq!(answer.status.as_u16(), status, "{field}: {}", answer.body);
        assert_eq!(answer.body["code"], code, "{field}: {}", answer.body);
    }
    let mut never = plan("expiry", json!("never"));
    plans.clinic.post("/plans", never.clone()).await;
    never["rollover"] = json!("all");
    let answer = plans
        .clinic
        .post_as(&plans.clinic.admin, "/plans", &never)
        .await;
    assert_eq!(answer.body["field"], "rollover", "{}", answer.body);
    let listed = plans.clinic.get("/plans").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 4);
    let four = plans.clinic.get(&format!("/plans/{}", plans.four)).await;
    assert_eq!(
        (&four["rollover"], &four["carry_over"]),
        (&json!(1), &json!("all"))
    );
}
