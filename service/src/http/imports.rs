//! Bookings that come from another calendar.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use clinic::booking::{book_set, scope_of_set};
use clinic::calendar_file::to_come;
use clinic::{Subject, View};
use futures_util::stream::{self, Stream, StreamExt};
use scheduler_core::ical::{self, Effect, PROBLEMS_MAX};
use scheduler_core::intent::NewIntent;
use scheduler_core::{ClientId, IntentId, RecurrenceSet, ServiceId, TherapistId, Zone};
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
use crate::admission::compute_last;
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
    /// The zone of times that name none, and of those whose zone is not known.
    #[schema(example = "Europe/London")]
    zone: String,
    /// The IANA zones that some of the file's TZIDs mean, whatever the file defines: the answer to a
    /// problem that proposes one.
    #[serde(default)]
    #[schema(example = json!({"Customized Time Zone": "America/New_York"}))]
    zones: BTreeMap<String, String>,
    /// The file's text.
    ics: String,
}

/// The most bookings that are made of one file: each looks at two whole calendars.
const BOOKINGS_MAX: usize = 200;

/// What was imported from a file. Line by line, `bookings` is empty in the first line, and each follows in one of
/// its own.
#[derive(Debug, Serialize, ToSchema)]
struct Imported {
    /// How many events differ from the file.
    summary: Summary,
    /// By event: each segment of each of its series.
    bookings: Vec<ImportedBooking>,
    /// The problems that the file has, the worst first: what may take place at another time than the
    /// file says, then what is missing, then the rest. At most 1,000 are listed.
    problems: Vec<ImportProblem>,
}

/// How many events differ from the file.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Summary {
    /// Events that would take place at another time than the file says, or may.
    at_another_time: usize,
    /// Events with something missing: they do not take place, or a part of them is not known.
    missing: usize,
    /// Problems that are not listed.
    unlisted: usize,
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
    /// `other_time` if something may take place at another time than the file says, `missing` if
    /// something does not take place or is not known, `none` if everything is as the file says.
    effect: &'static str,
    /// How many events of the file it touches.
    events: usize,
}

impl From<&ical::Problem> for ImportProblem {
    fn from(problem: &ical::Problem) -> Self {
        Self {
            uid: problem.uid.clone(),
            line: problem.line,
            property: problem.property.clone(),
            value: problem.value.clone(),
            problem: problem.reason.to_string(),
            done: problem.done.to_string(),
            effect: match problem.effect() {
                Effect::OtherTime => "other_time",
                Effect::Missing => "missing",
                Effect::None => "none",
            },
            events: problem.events,
        }
    }
}

/// Make bookings of what is still to come in an iCalendar file, each for itself: one that is not free
/// does not hold up the others. What the file says and a booking cannot have is a problem. A file that
/// comes to more than 200 bookings is refused. With `dry_run`, each is tried as if it were the only
/// one, so two of a file that are in each other's way both show what they would do.
///
/// With `Accept: application/x-ndjson` the answer comes line by line: first all but the bookings, then each
/// booking as it is made. An import works for 10 seconds at most; what is left then has the problem
/// `not_tried`. Sent again, it goes on there.
#[utoipa::path(post, path = "/imports", tag = "calendars", request_body = Import,
    responses((status = 200, content((Imported = "application/json"), (Imported = "application/x-ndjson"))),
        (status = 422, description = "invalid_calendar: the text is no calendar, or reaches a limit")))]
async fn import(
    State(app): State<App>,
    headers: HeaderMap,
    command: Command<Import>,
) -> Result<Response, Problem> {
    let body = &command.body;
    let given = zone(&body.zone)?;
    let meant = body
        .zones
        .iter()
        .map(|(name, iana)| Ok((name.clone(), zone(iana)?)));
    let meant: BTreeMap<String, Zone> = meant.collect::<Result<_, Problem>>()?;
    let place = app.admission.enter(command.caller.asks()).await?;
    let read = async { compute_last(|| read(&body.ics, given, &meant, app.clock.now())) };
    let file = place.run(read).await?;
    let mut imported = Imported {
        summary: summary(&file.problems),
        bookings: Vec::new(),
        problems: file
            .problems
            .iter()
            .take(PROBLEMS_MAX)
            .map(ImportProblem::from)
            .collect(),
    };
    let by_line = headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept == NDJSON);
    let bookings = bookings(app, command, file.wanted);
    if by_line {
        let first = line(&imported);
        let lines = bookings.map(|booking| line(&booking));
        let body = Body::from_stream(stream::once(async { first }).chain(lines));
        return Ok(([(header::CONTENT_TYPE, NDJSON)], body).into_response());
    }
    imported.bookings = bookings.collect().await;
    Ok(Json(imported).into_response())
}

const NDJSON: &str = "application/x-ndjson";

/// A value as a line.
fn line(value: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(value).map(|text| text + "\n")
}

/// How long an import may take in all, its waiting for others included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes the bookings one after another. Each waits for a place of its own, so that an import holds up nobody
/// for longer than one booking does.
fn bookings(
    app: App,
    command: Command<Import>,
    wanted: Vec<Wanted>,
) -> impl Stream<Item = ImportedBooking> {
    let began = Instant::now();
    let rest = (app, command, wanted.into_iter());
    stream::unfold(rest, move |(app, command, mut wanted)| async move {
        let next = wanted.next()?;
        let made = if began.elapsed() < PATIENCE {
            match app.admission.enter(command.caller.asks()).await {
                Ok(place) => place.of_part().run(book(&app, &command, &next)).await,
                Err(refused) => Err(Problem::from(refused).into()),
            }
        } else {
            let detail = "the import has taken its time: send it again, and it goes on here";
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_tried", detail).into())
        };
        Some((shown(next, made), (app, command, wanted)))
    })
}

/// A file, read.
struct File {
    wanted: Vec<Wanted>,
    /// In the order of what they do.
    problems: Vec<ical::Problem>,
}

/// A booking to be made.
struct Wanted {
    uid: String,
    segment: usize,
    set: RecurrenceSet,
}

/// Reads a file, and makes sets of what is still to come in it.
fn read(
    text: &str,
    given: Zone,
    meant: &BTreeMap<String, Zone>,
    now: DateTime<Utc>,
) -> Result<File, Problem> {
    let calendar = ical::parse_with(text.as_bytes(), given, meant);
    let calendar = calendar
        .map_err(|error| Problem::unprocessable("invalid_calendar", "ics", error.to_string()))?;
    let mut file = File {
        wanted: Vec::new(),
        problems: calendar.problems().to_vec(),
    };
    for series in calendar
        .series()
        .iter()
        .filter(|series| !series.is_cancelled())
    {
        match series.to_sets() {
            Err(problems) => file.problems.extend(problems),
            Ok(sets) => {
                let sets = sets.into_iter().enumerate();
                let coming = sets.filter(|(_, set)| set.first_from(now, |_| true).is_some());
                file.wanted.extend(coming.map(|(segment, set)| Wanted {
                    uid: series.uid().to_owned(),
                    segment,
                    set,
                }));
            }
        }
        if file.wanted.len() > BOOKINGS_MAX {
            let detail = format!("at most {BOOKINGS_MAX} bookings are made of one file");
            let problem = Problem::unprocessable("invalid_calendar", "ics", detail);
            return Err(problem.with("limit", BOOKINGS_MAX));
        }
    }
    file.problems.sort_by_key(ical::Problem::effect);
    Ok(file)
}

fn summary(problems: &[ical::Problem]) -> Summary {
    let events = |effect: Effect| {
        let those = problems.iter().filter(|problem| problem.effect() == effect);
        those.map(|problem| problem.events).sum()
    };
    Summary {
        at_another_time: events(Effect::OtherTime),
        missing: events(Effect::Missing),
        unlisted: problems.len().saturating_sub(PROBLEMS_MAX),
    }
}

/// What became of one set.
fn shown(wanted: Wanted, made: Result<Uuid, Instead>) -> ImportedBooking {
    let (intent_id, problem, preview) = match made {
        Ok(made) => (Some(made), None, None),
        Err(Instead::Problem(problem)) => (None, Some(problem.into_value()), None),
        Err(Instead::Preview(difference)) => (None, None, Some(difference)),
    };
    ImportedBooking {
        uid: wanted.uid,
        segment: wanted.segment,
        intent_id,
        problem,
        preview,
    }
}

/// Books one set.
async fn book(app: &App, command: &Command<Import>, wanted: &Wanted) -> Result<Uuid, Instead> {
    let Wanted { uid, segment, set } = wanted;
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
    let scope = scope_of_set(&new)?;
    let decide = Box::new(move |view: &View| book_set(view, new.clone(), principal, now));
    match command.send(app, &request, scope, decide).await? {
        Written::Committed {
            subject: Some(Subject::Intent(id)),
            ..
        }
        | Written::Replayed(Subject::Intent(id)) => Ok(id.0),
        _ => Err(Problem::internal().into()),
    }
}
