//! The report's text.

use std::collections::BTreeSet;
use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::Findings;
use crate::year::Run;
use crate::year::plan::{Year, counts};
use crate::{decimal, fewer};

/// The rows that booking 26 weekly sessions takes where every session is a row, as published.
const PUBLISHED: (u64, u64) = (1, 26);

/// The whole of it.
pub(super) fn text(at: DateTime<Utc>, life: &Year, all: &[Findings]) -> String {
    let mut text = String::new();
    head(&mut text, at, all);
    if let Some(shown) = all.last() {
        booking(&mut text, shown);
        edits(&mut text, shown);
        year(&mut text, life, shown);
    }
    for other in all.iter().rev().skip(1) {
        line(&mut text, &format!("# The same on {}\n", other.kind));
        booking_table(&mut text, other);
        edits(&mut text, other);
        year_table(&mut text, &other.runs);
    }
    text
}

/// Writing to a string does not fail.
fn line(text: &mut String, line: &str) {
    let _infallible = writeln!(text, "{line}");
}

fn head(text: &mut String, at: DateTime<Utc>, all: &[Findings]) {
    let versions = all.iter().flat_map(|one| &one.amplification.versions);
    let versions: Vec<&str> = versions.map(String::as_str).collect();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    line(text, "# What an intent saves\n");
    line(
        text,
        "One weekly booking is one row here. An eager scheduler writes it out: for every future date a\n\
         session, a slot and the placeholder of a meeting, a year ahead, topped up every week. This is what\n\
         both write, measured on real databases by\n",
    );
    line(text, "    cargo run --release -p benches --bin report\n");
    line(
        text,
        &format!(
            "on {} with {}, Standing {}, {cores} processors.{}\n",
            at.format("%-d %B %Y"),
            versions.join(" and "),
            env!("CARGO_PKG_VERSION"),
            if cfg!(debug_assertions) {
                " **Built without optimization: times are not those of a release.**"
            } else {
                ""
            },
        ),
    );
    line(
        text,
        "Rows are inserted, updated and deleted ones. PostgreSQL counts them itself, and must agree with what\n\
         the designs count, or there is no report; on SQLite the designs count, and triggers in the year.\n\
         Bytes are those of the write-ahead log. PostgreSQL counts its fsyncs, SQLite does not. Both designs\n\
         live in the same schema with the same constraints, commit with the same settings, and are measured in\n\
         turn in one run. A commit is flushed on PostgreSQL; on SQLite, with the settings of the store, at\n\
         checkpoints. A database begins with cold pages, each of which PostgreSQL logs whole when it is\n\
         first changed: the edits of both designs come soon after that, bookings are counted when it is over.\n\
         What the service's live meter says of an eager design is what this one writes, or there is no report\n\
         either. Times are of this machine; ratios travel better.\n",
    );
}

fn booking(text: &mut String, shown: &Findings) {
    line(
        text,
        &format!("# Booking a weekly series, {}\n", shown.kind),
    );
    line(text, "![Rows at booking](charts/rows_at_booking.svg)\n");
    booking_table(text, shown);
    let (ours, theirs) = PUBLISHED;
    line(
        text,
        &format!(
            "Published for such designs is about 96% fewer writes: {ours} row against {theirs}, which is {}%. The\n\
             schedule's rows for 26 weeks of sessions only, above, are that case: the booking's row, which\n\
             both write, counts there too.\n",
            fewer(ours, theirs)
        ),
    );
    line(text, "![Latency](charts/latency.svg)\n");
    line(text, "| booking | p50 | p90 | p99 | p50, ours = 1 |");
    line(text, "|---|---|---|---|---|");
    let first = shown
        .latencies
        .first()
        .map_or(1, |side| side.percentile(50));
    for side in &shown.latencies {
        let millis = |hundredths| decimal(side.percentile(hundredths), 1000, 2);
        line(
            text,
            &format!(
                "| {} | {} ms | {} ms | {} ms | {} |",
                side.side,
                millis(50),
                millis(90),
                millis(99),
                decimal(side.percentile(50), first, 2)
            ),
        );
    }
    line(text, "");
}

fn booking_table(text: &mut String, shown: &Findings) {
    let written = &shown.amplification;
    let Some(ours) = written.bookings().next() else {
        return;
    };
    line(
        text,
        "| | rows | fewer | of the schedule | fewer | log bytes | fewer | first after a checkpoint | its fsyncs | p50 |",
    );
    line(text, "|---|---|---|---|---|---|---|---|---|---|");
    for one in written.bookings() {
        let per = |total: u64| decimal(total, one.runs, 0);
        let saved = |ours: u64, theirs: u64| {
            if one.design == ours_name(written) {
                String::new()
            } else {
                format!("{}%", fewer(ours, theirs))
            }
        };
        let cold = written.cold.iter().find(|cold| cold.1 == one.design);
        line(
            text,
            &format!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} ms |",
                one.design,
                per(one.rows),
                saved(ours.rows, one.rows),
                per(one.schedule_rows),
                saved(ours.schedule_rows, one.schedule_rows),
                per(one.wal_bytes),
                saved(ours.wal_bytes, one.wal_bytes),
                cold.map_or(0, |cold| cold.2),
                one.syncs
                    .map_or_else(|| "-".to_owned(), |syncs| decimal(syncs, one.runs, 0)),
                decimal(one.p50, 1000, 2),
            ),
        );
    }
    line(text, "");
    line(text, "| after all bookings | tables | indexes |");
    line(text, "|---|---|---|");
    for (_, design, size) in &written.sizes {
        let kilo = |bytes: u64| decimal(bytes, 1000, 0);
        line(
            text,
            &format!(
                "| {design} | {} kB | {} kB |",
                kilo(size.tables),
                kilo(size.indexes)
            ),
        );
    }
    line(text, "");
}

fn ours_name(written: &crate::amplification::Amplification) -> &str {
    written.bookings().next().map_or("", |line| &line.design)
}

fn edits(text: &mut String, shown: &Findings) {
    line(text, &format!("# Changing it, {}\n", shown.kind));
    line(
        text,
        "| | | rows | of the schedule | statements | log bytes | p50 | p99 |",
    );
    line(text, "|---|---|---|---|---|---|---|---|");
    for one in &shown.amplification.lines {
        let per = |total: u64, digits| decimal(total, one.runs, digits);
        line(
            text,
            &format!(
                "| {} | {} | {} | {} | {} | {} | {} ms | {} ms |",
                one.command,
                one.design,
                per(one.rows, 1),
                per(one.schedule_rows, 1),
                per(one.statements, 1),
                per(one.wal_bytes, 0),
                decimal(one.p50, 1000, 2),
                decimal(one.p99, 1000, 2),
            ),
        );
    }
    line(text, "");
}

fn year(text: &mut String, life: &Year, shown: &Findings) {
    line(text, &format!("# A year of a practice, {}\n", shown.kind));
    line(text, "From a seed:\n");
    for (what, count) in counts(life) {
        line(text, &format!("- {what}: {count}"));
    }
    line(
        text,
        "\nBoth designs are told the same at the same times, keep the same ledger, send the same messages by\n\
         the same code, and end in the same attended sessions, or there is no report.\n",
    );
    year_table(text, &shown.runs);
    line(
        text,
        "What is written for each session that takes place, in the last column, is what just-in-time costs\n\
         later. It is kept low by writing once what could be written twice:\n\
         \n\
         - A reminder is not stored before it is due: the session's row names the next instant at which\n\
           somebody is to be told, a function of its times.\n\
         - A reminder, and the question how a session went, need no line in the journal: the message is the\n\
           record.\n\
         - A message is leased in the commit that writes it, if no earlier one to the same person or about\n\
           the same session waits: it is two rows, written and settled, and not three.\n\
         - A completed session's two ledger entries are one statement, with one rewrite of the account.\n\
         - A job's index holds only the rows that it looks for.\n",
    );
    line(text, "![Write-ahead log](charts/log_over_the_year.svg)\n");
    line(text, "![Table growth](charts/table_growth.svg)\n");
}

fn year_table(text: &mut String, runs: &[Run]) {
    let [ours, eager] = runs else { return };
    line(
        text,
        &format!(
            "| | {} | {} | fewer | {} for each session that took place |",
            ours.design, eager.design, ours.design
        ),
    );
    line(text, "|---|---|---|---|---|");
    let attended = ours.attended;
    let mut row = |what: &str, ours: u64, eager: u64| {
        let (fewer, each) = (fewer(ours, eager), decimal(ours, attended, 2));
        line(
            text,
            &format!("| {what} | {ours} | {eager} | {fewer}% | {each} |"),
        );
    };
    row(
        "**schedule rows**",
        ours.schedule_rows(),
        eager.schedule_rows(),
    );
    row("all rows", ours.all_rows(), eager.all_rows());
    row("log bytes", ours.wal_bytes, eager.wal_bytes);
    let tables: BTreeSet<&String> = ours.rows.keys().chain(eager.rows.keys()).collect();
    for table in tables {
        let of = |run: &Run| run.rows.get(table).copied().unwrap_or(0);
        row(&format!("rows of `{table}`"), of(ours), of(eager));
    }
    let (peak, theirs) = (ours.peak(), eager.peak());
    let fewer = fewer(peak, theirs);
    line(
        text,
        &format!("| peak of the schedule's tables, bytes | {peak} | {theirs} | {fewer}% | |"),
    );
    let seconds = |run: &Run| decimal(run.millis, 1000, 1);
    line(
        text,
        &format!(
            "| time of it all, seconds | {} | {} | | |",
            seconds(ours),
            seconds(eager)
        ),
    );
    line(
        text,
        &format!(
            "| attended sessions | {attended} | {} | | |\n",
            eager.attended
        ),
    );
}
