//! What the product is for, counted by triggers on every table.

use crate::clinic::Clinic;
use crate::database::Database;

#[tokio::test]
async fn an_unbounded_weekly_booking_is_two_rows_and_reading_a_year_is_none() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    let mut database = Database::open(&clinic).await;
    database.count_rows_written().await;

    let intent = clinic
        .book(
            &parties,
            "2026-03-02T18:00:00",
            Some("FREQ=WEEKLY;BYDAY=MO"),
        )
        .await;
    assert_eq!(database.rows_written().await, 2);

    let year = "from=2026-03-02T00:00:00Z&to=2027-03-01T00:00:00Z";
    let listed = clinic
        .get(&format!("/intents/{intent}/occurrences?{year}"))
        .await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 52);
    let listed = clinic
        .get(&format!(
            "/therapists/{}/sessions?{year}",
            parties.therapist
        ))
        .await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 52);
    assert_eq!(database.rows_written().await, 2);

    // The count that the meter shows is the count of the triggers.
    clinic.grant(&parties, 3).await;
    clinic.pass(24 * 8).await;
    let metered = clinic
        .app
        .store
        .meter(clinic::ClinicId::FIRST)
        .await
        .unwrap();
    let before = ["therapist_registered", "client_registered", "service_added"];
    let metered = metered.iter().filter(|line| !before.contains(&&*line.kind));
    let metered: u64 = metered.map(|line| line.rows).sum();
    assert_eq!(
        i64::try_from(metered).unwrap(),
        database.rows_written().await
    );
}
