//! Plans, and months that are paid for: granted once, carried over, ended. Over HTTP.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::clinic::{Clinic, Parties};
use crate::database::Database;

const OPENED: &str = "2026-03-02T08:00:00Z";

/// A client of a clinic with plans.
pub(crate) struct Plans {
    pub(crate) clinic: Clinic,
    pub(crate) parties: Parties,
    two: String,
    pub(crate) four: String,
    eight: String,
}

pub(crate) fn pounds(minor: i64) -> Value {
    json!({ "minor": minor, "currency": "GBP" })
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Plans {
    pub(crate) async fn open() -> Self {
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

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/clients/{}/{rest}", self.parties.client)
    }

    /// Subscribes the client, and gives the present month's start and end.
    pub(crate) async fn subscribe(&self, plan: &str) -> (String, String) {
        let body = json!({ "plan_id": plan });
        let shown = self.clinic.post(&self.path("subscription"), body).await;
        let current = &shown["current"];
        assert_eq!(current["plan"]["id"], plan);
        (text(&current["starts_at"]), text(&current["ends_at"]))
    }

    pub(crate) async fn pay(&self, invoice: &str, (start, end): (&str, &str), minor: i64) -> Value {
        let body = month(invoice, start, (start, end), minor);
        self.clinic
            .post(&self.path("subscription/months"), body)
            .await
    }

    /// A command that is refused, and leaves everything as it was, but for a line that keeps a conflict of two
    /// payments.
    pub(crate) async fn refused(
        &self,
        rest: &str,
        body: Value,
        status: StatusCode,
        code: &str,
    ) -> Value {
        let mut database = Database::open(&self.clinic).await;
        let before = database.dump().await;
        let admin = &self.clinic.admin;
        let answer = self.clinic.post_as(admin, &self.path(rest), &body).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(answer.body["code"], code, "{}", answer.body);
        let mut after = database.dump().await;
        if let "already_proven" | "key_conflict" = code {
            let is_new = |line: &String| !before.contains(line) && line.contains("conflict_kept");
            after.retain(|line| !is_new(line));
        }
        assert_eq!(after, before);
        answer.body
    }

    pub(crate) async fn available(&self) -> i64 {
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
    let nothing = plans.clinic.get(&plans.path("subscription")).await;
    assert_eq!(
        (&nothing["terms"], &nothing["version"]),
        (&json!([]), &json!(0))
    );
    let (start, end) = plans.subscribe(&plans.four).await;
    // The same wall time in London, where the clocks have changed meanwhile.
    assert!(end.starts_with("2026-04-02T07:"), "{end}");
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
    // A retry finds it entered. Another invoice for the same month is money that was taken twice.
    let path = plans.path("subscription/months");
    let again = async |invoice| {
        let body = month(invoice, &start, (&start, &end), 25_000);
        let admin = &plans.clinic.admin;
        plans.clinic.post_as(admin, &path, &body).await
    };
    let retried = again("in-1").await;
    assert_eq!((retried.status, &retried.body), (StatusCode::OK, &entered));
    let second = again("in-2").await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    assert_eq!(second.body["code"], "key_conflict");
    for (side, invoice) in [("stored", "in-1"), ("asked", "in-2")] {
        let said = second.body[side].as_str().unwrap();
        assert!(said.contains(invoice), "{said}");
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
    // What is left of a plan at its month's end goes over into the month of the next plan.
    let kinds = plans.clinic.ledger(&plans.parties).await;
    let expected = [
        "grant", "grant", "extend", "grant", "extend", "grant", "extend",
    ];
    assert_eq!(kinds, expected);

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
    assert_eq!(kinds, ["grant", "grant", "extend"]);
    plans.clinic.jump_to("2026-04-03T00:00:00Z");
    plans.clinic.tick().await;
    let kinds = plans.clinic.ledger(&plans.parties).await;
    assert_eq!(kinds, ["grant", "grant", "extend", "transfer"]);
    assert_eq!(plans.available().await, 12);

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
    let again = month("in-1", may.0, may, 25_000);
    plans
        .refused("subscription/months", again, conflict, "reversed")
        .await;
    // By another invoice it is paid for once more, and taken back once more.
    for invoice in ["in-2", "in-3"] {
        let paid = plans.pay(invoice, may, 25_000).await;
        assert_eq!(plans.available().await, 4);
        let body = month(invoice, may.0, may, 25_000);
        let (admin, path) = (&plans.clinic.admin, plans.path("subscription/months"));
        let retried = plans.clinic.post_as(admin, &path, &body).await;
        assert_eq!((retried.status, &retried.body), (StatusCode::OK, &paid));
        let back = json!({ "key": paid["key"], "reason": "typing_error" });
        plans.clinic.post(&plans.path("reversals"), back).await;
        assert_eq!(plans.available().await, 0);
    }
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
            "service_id": plans.parties.service, "amount": amount, "reason": "correction",
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
    // What is paid without money is said: a discount, a balance, and tax on top.
    let partly = |paid: i64, discount: i64, from_balance: i64, tax: i64| {
        json!({
            "service_id": consultation, "checkout": "cs_2", "paid": pounds(paid),
            "discount": pounds(discount), "from_balance": pounds(from_balance), "tax": pounds(tax),
        })
    };
    for wrong in [
        partly(7_999, 0, 0, 0),
        partly(8_000, 1, 0, 0),
        partly(8_000, 0, 0, 1),
    ] {
        plans.refused("purchases", wrong, invalid, "evidence").await;
    }
    plans
        .refused(
            "purchases",
            partly(8_001, -1, 0, 0),
            invalid,
            "invalid_value",
        )
        .await;
    let free = plans
        .clinic
        .post(&plans.path("purchases"), partly(0, 8_000, 0, 0))
        .await;
    let charge = &free["details"]["evidence"]["checkout"]["charge"];
    assert_eq!(charge["discount"]["minor"], 8_000);
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
    assert_eq!(balance["available"], 2);
}

/// The receipt or the invoice of one client, however it is typed, brings nothing to another, nor another
/// month to her.
#[tokio::test]
async fn a_proof_is_used_once_in_the_clinic() {
    let plans = Plans::open().await;
    let (start, end) = plans.subscribe(&plans.four).await;
    plans.pay("2026-0017", (&start, &end), 25_000).await;
    let conflict = StatusCode::CONFLICT;
    let next = plans.clinic.get(&plans.path("subscription")).await["current"].clone();
    assert_eq!(next["ends_at"], *end);
    let after = end.replace("2026-04-", "2026-05-");
    for typed in ["2026-0017", "2026.0017", "2026-0017."] {
        let april = month(typed, &end, (&end, &after), 25_000);
        let refused = plans
            .refused("subscription/months", april, conflict, "already_proven")
            .await;
        assert_eq!(refused["client_id"], plans.parties.client, "{refused}");
        assert!(text(&refused["stored"]).contains(&start), "{refused}");
        assert!(text(&refused["asked"]).contains(&end), "{refused}");
    }
    // Bought by one client; shown by another.
    let dora = plans
        .clinic
        .post("/clients", json!({ "name": "Dora", "zone": "UTC" }))
        .await;
    let dora = format!("/clients/{}", text(&dora["id"]));
    let buy = |checkout: &str| {
        json!({
            "service_id": plans.parties.service, "checkout": checkout, "paid": pounds(6_500),
        })
    };
    plans
        .clinic
        .post(&plans.path("purchases"), buy("R-1"))
        .await;
    for (typed, code) in [
        ("R-1", "key_conflict"),
        ("r-1", "already_proven"),
        ("R-1.", "already_proven"),
    ] {
        let path = format!("{dora}/purchases");
        let refused = plans
            .clinic
            .post_as(&plans.clinic.admin, &path, &buy(typed))
            .await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (conflict, &json!(code)),
            "{typed}"
        );
    }
    plans
        .refused("purchases", buy("r_1"), conflict, "already_proven")
        .await;
    assert_eq!(plans.available().await, 5);
    assert_eq!(
        plans.clinic.get(&format!("{dora}/balance")).await["available"],
        0
    );
}

/// The refusal of a second payment names both. `/conflicts` lists it once, until it is settled.
#[tokio::test]
async fn a_second_payment_is_kept_for_a_person() {
    let plans = Plans::open().await;
    let clinic = &plans.clinic;
    let (start, end) = plans.subscribe(&plans.four).await;
    plans.pay("in_1", (&start, &end), 25_000).await;
    let months = plans.path("subscription/months");
    let second = |invoice| month(invoice, &start, (&start, &end), 25_000);
    // Neither a retry of the first nor a trial is a conflict.
    let again = clinic
        .post_as(&clinic.admin, &months, &second("in_1"))
        .await;
    assert_eq!(again.status, StatusCode::OK);
    let trial = format!("{months}?dry_run=true");
    let tried = clinic.post_as(&clinic.admin, &trial, &second("in_2")).await;
    assert_eq!(tried.status, StatusCode::CONFLICT);
    assert_eq!(clinic.get("/conflicts").await["items"], json!([]));

    for invoice in ["in_2", "in_2", "in_3", "in_2"] {
        plans
            .refused(
                "subscription/months",
                second(invoice),
                StatusCode::CONFLICT,
                "key_conflict",
            )
            .await;
    }
    let kept = clinic.get("/conflicts").await["items"].clone();
    let kept = kept.as_array().unwrap();
    assert_eq!(kept.len(), 2, "{kept:?}");
    for (conflict, invoice) in kept.iter().zip(["in_2", "in_3"]) {
        assert!(text(&conflict["stored"]).contains("in_1"), "{conflict}");
        assert!(text(&conflict["asked"]).contains(invoice), "{conflict}");
        assert_eq!(conflict["client_id"], plans.parties.client);
        assert_eq!(conflict["settled_at"], Value::Null);
    }
    let page = clinic.get("/conflicts?limit=1").await;
    assert_eq!(page["items"][0], kept[0]);
    let next = format!("/conflicts?cursor={}", text(&page["next"]));
    assert_eq!(clinic.get(&next).await["items"], json!([kept[1]]));

    // Settled once; it is listed no more, and not kept anew.
    let settle = format!("/conflicts/{}/settle", text(&kept[0]["id"]));
    for _ in 0..2 {
        let settled = clinic.post(&settle, json!({})).await;
        assert_eq!(settled["version"], 2);
        assert_ne!(settled["settled_at"], Value::Null);
    }
    let refused = clinic
        .post_as(&clinic.admin, &months, &second("in_2"))
        .await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(clinic.get("/conflicts").await["items"], json!([kept[1]]));
    let all = clinic.get("/conflicts?settled=true").await["items"].clone();
    assert_eq!(all.as_array().unwrap().len(), 2);

    // Staff only, and only what is there.
    for token in [
        clinic.client_token(&plans.parties.client).await,
        clinic.therapist_token(&plans.parties.therapist).await,
    ] {
        let listed = clinic.get_as(&token, "/conflicts").await;
        assert_eq!(listed.status, StatusCode::NOT_FOUND);
        let settled = clinic.post_as(&token, &settle, &json!({})).await;
        assert_eq!(settled.status, StatusCode::NOT_FOUND);
    }
    let nowhere = format!("/conflicts/{}/settle", plans.parties.client);
    let missing = clinic.post_as(&clinic.admin, &nowhere, &json!({})).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
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
