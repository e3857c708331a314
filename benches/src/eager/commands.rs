//! What is done with bookings: one transaction for each command, one statement for the rows of a table.

use chrono::{DateTime, TimeDelta, Utc};
use scheduler_core::{LocalDateTime, RecurrenceSet, Window};
use serde_json::json;
use uuid::Uuid;

use super::{Date, Eager, Standing};
use crate::database::Kind;
use crate::practice::{MINUTES, Wish, client, intent, service, therapist};

impl Eager {
    /// Makes a booking and writes its dates out.
    ///
    /// # Errors
    /// What the database says: a clash is a constraint's.
    pub async fn book(&mut self, wish: &Wish, now: DateTime<Utc>) -> anyhow::Result<()> {
        let set = RecurrenceSet::new(wish.first, wish.zone, MINUTES)?.with_rule(wish.rule.parse()?);
        let (first, _) = wish.zone.resolve(wish.first);
        let until = now.max(first) + self.ahead;
        let standing = Standing {
            wish: wish.clone(),
            set,
            until,
            held_until: now,
            is_over: false,
        };
        self.bookings.insert(wish.number, standing);
        let dates = self.dates(wish.number, first, until)?;
        self.begin().await?;
        let hex = |id: Uuid| id.simple().to_string();
        let first = match self.kind {
            Kind::Sqlite => wish.first.seconds().to_string(),
            Kind::Postgres => wish.first.to_string(),
        };
        let texts = [
            hex(intent(wish.number).0),
            hex(therapist(wish.therapist).0),
            hex(client(wish.client).0),
            hex(service().0),
            wish.zone.name().to_owned(),
            first,
            wish.rule.to_owned(),
            now.timestamp_micros().to_string(),
        ];
        self.schedule_rows += self.run(self.dialect.booking, &texts).await?;
        self.write_out(&dates).await?;
        let body = json!({ "dates": dates.len() });
        self.end("intent_created", wish.number, &body, now).await
    }

    /// What is done every week: the dates that have come into the year ahead are written out.
    ///
    /// # Errors
    /// What the database says.
    pub async fn top_up(&mut self, now: DateTime<Utc>) -> anyhow::Result<()> {
        let until = now + self.ahead;
        let mut dates = Vec::new();
        let going_on = self.bookings.values().filter(|one| !one.is_over);
        let behind = going_on.filter(|one| one.until < until);
        let behind: Vec<(u32, DateTime<Utc>)> =
            behind.map(|one| (one.wish.number, one.until)).collect();
        for (booking, from) in behind {
            dates.extend(self.dates(booking, from, until)?);
            if let Some(standing) = self.bookings.get_mut(&booking) {
                standing.until = until;
            }
        }
        if dates.is_empty() {
            return Ok(());
        }
        self.begin().await?;
        self.write_out(&dates).await?;
        let body = json!({ "dates": dates.len() });
        let first = dates[0].booking;
        self.end("topped_up", first, &body, now).await
    }

    /// Gives a whole series another wall time, and another weekday if that is on one.
    ///
    /// # Errors
    /// What the database says.
    pub async fn reschedule_series(
        &mut self,
        booking: u32,
        first: LocalDateTime,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let before = self.ahead(booking, now)?;
        let standing = self.standing(booking)?.clone();
        let set = standing.set.with_start(first);
        let window = Window::new(now, standing.until + TimeDelta::weeks(1))?;
        let starts: Vec<DateTime<Utc>> = {
            let compiled = set.compile();
            let starts = compiled.within(window)?.map(|one| one.start());
            starts.collect()
        };
        // The rows stay, date by date.
        let moved = before.iter().zip(starts);
        let moved: Vec<Date> = moved.map(|(date, start)| Date { start, ..*date }).collect();
        self.begin().await?;
        self.schedule_rows += self.touch_booking(booking).await?;
        self.each(self.dialect.move_to, &moved, None).await?;
        let body = json!({ "dates": moved.len() });
        self.end("series_amended", booking, &body, now).await
    }

    /// Calls off what is still to come of a series from an instant on.
    ///
    /// # Errors
    /// What the database says.
    pub async fn cancel_series(
        &mut self,
        booking: u32,
        from: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let dates = self.ahead(booking, from)?;
        if let Some(standing) = self.bookings.get_mut(&booking) {
            standing.is_over = true;
        }
        self.begin().await?;
        self.schedule_rows += self.touch_booking(booking).await?;
        self.each(self.dialect.call_off, &dates, None).await?;
        let body = json!({ "dates": dates.len() });
        self.end("series_ended", booking, &body, now).await
    }

    /// Calls dates off, as for a pause or a holiday.
    ///
    /// # Errors
    /// What the database says.
    pub async fn call_off(
        &mut self,
        kind: &str,
        dates: &[Date],
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let Some(first) = dates.first() else {
            return Ok(());
        };
        self.begin().await?;
        self.each(self.dialect.call_off, dates, None).await?;
        let body = json!({ "dates": dates.len() });
        self.end(kind, first.booking, &body, now).await
    }

    /// Gives one date another time.
    ///
    /// # Errors
    /// What the database says.
    pub async fn reschedule(
        &mut self,
        booking: u32,
        at: LocalDateTime,
        start: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let date = Date { booking, at, start };
        self.begin().await?;
        self.each(self.dialect.move_to, &[date], None).await?;
        let body = json!({ "to": start });
        self.end("session_rescheduled", booking, &body, now).await
    }

    /// Gives what is still to come of a series to another therapist.
    ///
    /// # Errors
    /// What the database says.
    pub async fn reassign(
        &mut self,
        booking: u32,
        to: u32,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let dates = self.ahead(booking, now)?;
        let to = therapist(to).0.simple().to_string();
        self.begin().await?;
        self.schedule_rows += self.touch_booking(booking).await?;
        self.each(self.dialect.reassign, &dates, Some(to)).await?;
        let body = json!({ "dates": dates.len() });
        self.end("series_reassigned", booking, &body, now).await
    }

    /// The service has moved a date's session: its slot and its meeting follow.
    ///
    /// # Errors
    /// What the database says.
    pub async fn follow(&mut self, date: Date) -> anyhow::Result<()> {
        self.each(&self.dialect.move_to[1..], &[date], None).await
    }

    /// The service has called dates off: their slots and meetings go.
    ///
    /// # Errors
    /// What the database says.
    pub async fn set_free(&mut self, dates: &[Date]) -> anyhow::Result<()> {
        self.each(&self.dialect.call_off[1..], dates, None).await
    }
}
