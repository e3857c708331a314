//! Lists what an iCalendar file has in a window: one JSON object per occurrence.
//!
//! ```text
//! cargo run -q -p examples --example ics_between -- calendar.ics 2026-03-01 2026-04-01T00:00:00Z
//! {"uid":"a","recurrence_id":"2026-03-02T18:00:00Z","start":"2026-03-02T18:00:00Z","end":"2026-03-02T18:50:00Z","summary":"Session"}
//! ```

use std::io::{self, BufWriter, Read, Write};
use std::process::ExitCode;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use scheduler_core::{Window, Zone, ical};
use serde::Serialize;

const HELP: &str = "\
ics_between [--zone ZONE] FILE FROM TO

Prints every occurrence of an iCalendar FILE (- is standard input) that overlaps the window
[FROM, TO), one JSON object a line, by start, then uid, then recurrence_id:

  {\"uid\", \"recurrence_id\", \"start\", \"end\", \"summary\"}

FROM and TO are instants like 2026-03-01T18:00:00Z or dates like 2026-03-01, their midnight in UTC.
Times are printed in UTC; all-day events as dates, and the window is taken in days of UTC for them.
Cancelled occurrences do not take place and are not printed. Times without a time zone are in the
file's X-WR-TIMEZONE, else in --zone (UTC).

Problems, things that the file says and that cannot be honoured exactly, go to standard error, one
a line.
Exit codes: 0 printed (with or without such lines), 1 no calendar or no answer, 2 wrong arguments.
";

#[derive(Serialize)]
struct Line<'a> {
    uid: &'a str,
    recurrence_id: String,
    start: String,
    end: String,
    summary: Option<&'a str>,
}

struct Arguments {
    file: String,
    window: Window,
    zone: Zone,
}

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if given
        .iter()
        .any(|argument| argument == "--help" || argument == "-h")
    {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let arguments = match arguments(&given) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("{why}; see --help");
            return ExitCode::from(2);
        }
    };
    match print(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{}: {why}", arguments.file);
            ExitCode::FAILURE
        }
    }
}

fn arguments(given: &[String]) -> Result<Arguments, String> {
    let (zone, rest) = match given {
        [flag, zone, rest @ ..] if flag == "--zone" => (zone.as_str(), rest),
        rest => ("UTC", rest),
    };
    let zone = zone.parse().map_err(|error| format!("--zone: {error}"))?;
    let [file, from, to] = rest else {
        return Err(format!("3 arguments are wanted, {} are given", rest.len()));
    };
    let window = Window::new(moment(from)?, moment(to)?).map_err(|error| error.to_string())?;
    Ok(Arguments {
        file: file.clone(),
        window,
        zone,
    })
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d");
    date.map(|date| date.and_time(NaiveTime::MIN).and_utc())
        .map_err(|_| format!("{text:?} is neither a date nor an RFC 3339 instant"))
}

fn print(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut text = Vec::new();
    if arguments.file == "-" {
        io::stdin().lock().read_to_end(&mut text)?;
    } else {
        text = std::fs::read(&arguments.file)?;
    }
    let calendar = ical::parse(&text, arguments.zone)?;
    for problem in calendar.problems() {
        eprintln!("{problem}");
    }
    let found = calendar.between(arguments.window)?;
    let mut out = BufWriter::new(io::stdout().lock());
    for occurrence in found.iter().filter(|found| !found.is_cancelled) {
        let line = Line {
            uid: occurrence.uid,
            recurrence_id: occurrence.recurrence_id.to_string(),
            start: occurrence.start.to_string(),
            end: occurrence.end.to_string(),
            summary: occurrence.summary,
        };
        serde_json::to_writer(&mut out, &line)?;
        writeln!(out)?;
    }
    Ok(out.flush()?)
}
