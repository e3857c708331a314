//! A standing appointment in an application of your own: one value, no database, no clock.
//!
//! `cargo run -p examples --example embed_scheduler`

use scheduler_core::{RecurrenceSet, Window};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let set = RecurrenceSet::new("2026-01-06T18:00:00".parse()?, "Europe/London".parse()?, 50)?
        .with_rule("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU".parse()?);
    let march = Window::new(
        "2026-03-01T00:00:00Z".parse()?,
        "2026-05-01T00:00:00Z".parse()?,
    )?;
    for occurrence in set.overlapping(march)? {
        println!(
            "{} London is {}",
            occurrence.recurrence_id, occurrence.start
        );
    }
    Ok(())
}
