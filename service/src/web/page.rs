//! What the page shows, gathered.

use askama::Template;
use chrono::{DateTime, Days, NaiveDate, Utc};
use clinic::{ClinicId, Person, Service, Therapist, eager};
use scheduler_core::calendar::{Item, calendar};
use scheduler_core::intent::Intent;
use scheduler_core::{LocalDateTime, TherapistId, Window, Zone};
use store::{Page as Rows, Whose};

use crate::App;
use crate::http::Problem;
use crate::people::{self, Listed};
use crate::vault::VaultError;

/// How many days of a therapist's calendar are shown.
const SHOWN_DAYS: u64 = 14;
/// What both store for the booking itself: the booking and a line of the journal.
const ROWS_PER_BOOKING: u64 = 2;

/// The page `/`.
#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct Page {
    now: String,
    weeks: Vec<Week>,
    clients: Vec<ClientRow>,
    meter: Meter,
}

/// A therapist's days, two weeks from today: the first is within the horizon, the second is not.
struct Week {
    therapist: String,
    zone: String,
    days: Vec<Day>,
}

struct Day {
    name: String,
    is_today: bool,
    items: Vec<Appointment>,
}

struct Appointment {
    time: String,
    client: String,
    service: String,
    state: &'static str,
    moved: bool,
    title: String,
}

struct ClientRow {
    name: String,
    rules: Vec<String>,
    available: i64,
    held: i64,
    used: i64,
    forfeited: i64,
}

/// Rows written by us against rows an eager scheduler would have written for the same bookings.
struct Meter {
    bookings: u64,
    booking_rows: u64,
    eager_rows: u64,
    all_rows: u64,
    saved_percent: String,
    ours_width: u64,
}

pub(super) async fn load(app: &App, clinic: ClinicId) -> Result<Page, Problem> {
    let now = app.clock.now();
    let rows = Rows {
        after: None,
        limit: store::PAGE_MAX,
    };
    let therapists = people::therapists(app, clinic, rows).await?;
    let clients = people::clients(app, clinic, rows).await?;
    let services = app.store.services(clinic, rows).await?;
    let intents = app.store.intents(clinic, Whose::Clinic, rows).await?;

    let client_name = |id| {
        let found = clients.iter().find(|(client, _)| client.id == id);
        found.map_or_else(String::new, |(_, person)| name(person))
    };
    let mut weeks = Vec::new();
    for therapist in &therapists {
        weeks.push(week(app, clinic, therapist, &services, &client_name, now).await?);
    }
    let mut client_rows = Vec::new();
    for (client, person) in &clients {
        let account = app.store.account(clinic, client.id).await?;
        let balance = account.map(|account| account.balance()).unwrap_or_default();
        let theirs = intents.iter().filter(|intent| intent.client == client.id);
        client_rows.push(ClientRow {
            name: name(person),
            rules: theirs.map(rule_text).collect(),
            available: balance.available.0,
            held: balance.held.0,
            used: balance.used.0,
            forfeited: balance.forfeited.0,
        });
    }
    Ok(Page {
        now: now.format("%A %-d %B %Y, %H:%M UTC").to_string(),
        weeks,
        clients: client_rows,
        meter: meter(app, clinic, &intents, now).await?,
    })
}

async fn week(
    app: &App,
    clinic: ClinicId,
    (therapist, person): &Listed<Therapist>,
    services: &[Service],
    client_name: &impl Fn(scheduler_core::ClientId) -> String,
    now: DateTime<Utc>,
) -> Result<Week, Problem> {
    let zone = therapist.times.zone();
    let today = zone.local(now).date();
    let window = shown_window(zone, today).ok_or_else(Problem::internal)?;
    let rows = app
        .store
        .calendar(clinic, whose(therapist.id), window)
        .await?;
    let items = calendar(&rows.intents, &rows.sessions, window).map_err(clinic::Refusal::from)?;
    let mut days: Vec<Day> = (0..SHOWN_DAYS)
        .filter_map(|offset| today.checked_add_days(Days::new(offset)))
        .map(|date| Day {
            name: date.format("%a %-d %b").to_string(),
            is_today: date == today,
            items: Vec::new(),
        })
        .collect();
    for item in &items {
        let local = zone.local(item.start());
        let offset = usize::try_from((local.date() - today).num_days()).ok();
        if let Some(day) = offset.and_then(|offset| days.get_mut(offset)) {
            day.items
                .push(appointment(item, local, services, client_name));
        }
    }
    Ok(Week {
        therapist: name(person),
        zone: zone.to_string(),
        days,
    })
}

fn name(person: &Result<Option<Person>, VaultError>) -> String {
    let name = match person {
        Ok(person) => person.as_ref().map_or("erased", Person::name),
        Err(_) => "cannot be read",
    };
    name.to_owned()
}

fn whose(therapist: TherapistId) -> Whose {
    Whose::Therapist(therapist)
}

fn shown_window(zone: Zone, today: NaiveDate) -> Option<Window> {
    let midnight = |date: NaiveDate| {
        let local = LocalDateTime::try_from(date.and_hms_opt(0, 0, 0)?).ok()?;
        Some(zone.resolve(local).0)
    };
    let end = today.checked_add_days(Days::new(SHOWN_DAYS))?;
    Window::new(midnight(today)?, midnight(end)?).ok()
}

fn appointment(
    item: &Item<'_>,
    local: LocalDateTime,
    services: &[Service],
    client_name: &impl Fn(scheduler_core::ClientId) -> String,
) -> Appointment {
    let (client, service, state, moved) = match item {
        Item::Virtual { intent, occurrence } => {
            let state = if occurrence.cancelled {
                "cancelled"
            } else {
                "virtual"
            };
            (intent.client, intent.service, state, occurrence.moved)
        }
        Item::Session(session) => {
            let state = session.state.name();
            (session.client, session.service, state, session.is_moved())
        }
    };
    let service = services.iter().find(|known| known.id == service);
    let minutes = (item.end() - item.start()).num_minutes();
    Appointment {
        time: local.time().format("%H:%M").to_string(),
        client: client_name(client),
        service: service.map_or_else(String::new, |service| service.name.clone()),
        state,
        moved,
        title: format!("{minutes} minutes, recurrence-id {}", item.address().1),
    }
}

fn rule_text(intent: &Intent) -> String {
    let set = &intent.set;
    let rule = set
        .rule()
        .map_or_else(|| "once".to_owned(), ToString::to_string);
    format!("{rule} from {} {}", set.start(), set.zone())
}

async fn meter(
    app: &App,
    clinic: ClinicId,
    intents: &[Intent],
    now: DateTime<Utc>,
) -> Result<Meter, Problem> {
    let metered = app.store.meter(clinic).await?;
    let of = |kind: &'static str| metered.iter().filter(move |line| line.kind == kind);
    let bookings: u64 = of("intent_created").map(|line| line.commands).sum();
    let booking_rows: u64 = of("intent_created").map(|line| line.rows).sum();
    let directory = ["therapist_registered", "client_registered", "service_added"];
    let all_rows = metered
        .iter()
        .filter(|line| !directory.contains(&&*line.kind));
    let all_rows: u64 = all_rows.map(|line| line.rows).sum();
    let mut eager_rows = bookings * ROWS_PER_BOOKING;
    for intent in intents {
        eager_rows += eager::rows_of_dates(&intent.set, now);
    }
    let percent = |part: u64| (part * 1000).checked_div(eager_rows).unwrap_or(0);
    let saved = 1000_u64.saturating_sub(percent(booking_rows));
    Ok(Meter {
        bookings,
        booking_rows,
        eager_rows,
        all_rows,
        saved_percent: format!("{}.{}", saved / 10, saved % 10),
        ours_width: percent(all_rows).min(1000) / 10,
    })
}
