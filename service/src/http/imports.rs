//! Bookings that come from another calendar.

use axum::Json;
use axum::extract::State;
use clinic::booking::{book_set, scope_from};
use clinic::calendar_file::to_come;
use clinic::{Subject, View};
use scheduler_core::ical::{self, Series};
use scheduler_core::intent::NewIntent;
use scheduler_core::{ClientId, IntentId, RecurrenceSet, ServiceId, TherapistId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Written;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::caller::Command;
use super::params::zone;
use super::preview::Instead;
use super::problem::Problem;
use crate::{App, random};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import))
}

/// An iCalendar file, and whose bookings it holds.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Import {
    therapist_id: Uuid,
    client_id: Uuid,
    service_id: Uuid,
    /// The zone of times that name none.
    #[schema(example = "Europe/London")]
    zone: String,
    /// The file's text.
    ics: String,
}

/// The most bookings that are made of one file: each looks at two whole calendars.
const BOOKINGS_MAX: usize = 200;

/// What became of a file.
#[derive(Debug, Serialize, ToSchema)]
struct Imported {
    /// By event: each segment of each of its series.
    bookings: Vec<ImportedBooking>,
    /// What of the file is not honoured as it stands.
    problems: Vec<ImportProblem>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ImportedBooking {
    uid: String,
    /// Which segment of the series, from 0: RANGE=THISANDFUTURE begins another.
    segment: usize,
    /// The booking that was made.
    intent_id: Option<Uuid>,
    /// Why none was.
    problem: Option<Value>,
    /// With `dry_run`, the difference that it would make.
    preview: Option<Value>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ImportProblem {
    uid: Option<String>,
    /// The line of the file; 0 if it is of no line.
    line: usize,
    property: String,
    value: String,
    problem: String,
    done: String,
}

impl From<&ical::Problem> for ImportProblem {
    fn from(problem: &ical::Problem) -> Self {
        Self {
            uid: problem.uid.clone(),
            line: problem.line,
            property: problem.property.clone(),
            value: problem.value.chars().take(200).collect(),
            problem: problem.reason.to_string(),
            done: problem.done.to_string(),
        }
    }
}

/// Make bookings of what is still to come in an iCalendar file, each for itself: one that is not free
/// does not hold up the others. What the file says and a booking cannot have is told. A file that
/// comes to more than 200 bookings is refused. With `dry_run`, each is tried as if it were the only
/// one, so two of a file that are in each other's way both show what they would do.
#[utoipa::path(post, path = "/imports", tag = "calendars", request_body = Import,
    responses((status = 200, body = Imported),
        (status = 422, description = "invalid_calendar: the text has no structure, or a limit")))]
async fn import(
    State(app): State<App>,
    command: Command<Import>,
) -> Result<Json<Imported>, Problem> {
    let floating = zone(&command.body.zone)?;
    let read = ical::parse(command.body.ics.as_bytes(), floating);
    let read =
        read.map_err(|error| Problem::unprocessable("invalid_calendar", "ics", error.to_string()))?;
    let mut imported = Imported {
        bookings: Vec::new(),
        problems: read.problems().iter().map(ImportProblem::from).collect(),
    };
    let now = app.clock.now();
    let mut wanted = Vec::new();
    for series in read.series().iter().filter(|series| !series.is_cancelled()) {
        match series.to_sets() {
            Err(problems) => {
                let problems = problems.iter().map(ImportProblem::from);
                imported.problems.extend(problems);
            }
            Ok(sets) => {
                let sets = sets.into_iter().enumerate();
                let coming = sets.filter(|(_, set)| set.first_from(now, |_| true).is_some());
                wanted.extend(coming.map(|(segment, set)| (series, segment, set)));
            }
        }
        if wanted.len() > BOOKINGS_MAX {
            let detail = format!("at most {BOOKINGS_MAX} bookings are made of one file");
            let problem = Problem::unprocessable("invalid_calendar", "ics", detail);
            return Err(problem.with("limit", BOOKINGS_MAX));
        }
    }
    for (series, segment, set) in &wanted {
        let made = one(&app, &command, series, *segment, set).await;
        imported.bookings.push(made);
    }
    Ok(Json(imported))
}

/// Books one set.
async fn one(
    app: &App,
    command: &Command<Import>,
    series: &Series,
    segment: usize,
    set: &RecurrenceSet,
) -> ImportedBooking {
    let uid = series.uid().to_owned();
    let (intent_id, problem, preview) = match book(app, command, &uid, segment, set).await {
        Ok(made) => (Some(made), None, None),
        Err(Instead::Problem(problem)) => (None, Some(problem.into_value()), None),
        Err(Instead::Preview(difference)) => (None, None, Some(difference)),
    };
    ImportedBooking {
        uid,
        segment,
        intent_id,
        problem,
        preview,
    }
}

async fn book(
    app: &App,
    command: &Command<Import>,
    uid: &str,
    segment: usize,
    set: &RecurrenceSet,
) -> Result<Uuid, Instead> {
    let request = command.part(app, &format!("{uid}\n{segment}"));
    let (principal, now) = (command.caller.0, request.at);
    let body = &command.body;
    let new = NewIntent {
        id: IntentId(random::id(now)),
        therapist: TherapistId(body.therapist_id),
        client: ClientId(body.client_id),
        service: ServiceId(body.service_id),
        set: to_come(set, now)?,
    };
    let start = new.set.zone().resolve(new.set.start()).0;
    let scope = scope_from(new.therapist, new.client, new.service, start)?;
    let decide = Box::new(move |view: &View| book_set(view, new, principal, now));
    match command.send(app, &request, scope, decide).await? {
        Written::Committed {
            subject: Some(Subject::Intent(id)),
            ..
        }
        | Written::Replayed(Subject::Intent(id)) => Ok(id.0),
        _ => Err(Problem::internal().into()),
    }
}
