//! The scheduler core from outside, in one binary: properties against naive oracles and recorded
//! data, then examples.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    reason = "in a test a panic is the answer, and its numbers are small"
)]

mod calendars;
mod corpora;
mod days;
mod density;
mod expansion_laws;
mod histories;
mod ical_export;
mod ical_files;
mod ical_forms;
mod ical_import;
mod ical_onsets;
mod ical_precedence;
mod ical_round_trip;
mod ical_set_laws;
mod ical_sets;
mod ical_until;
mod ical_zones;
mod machines;
mod naive;
mod planner;
mod proofs;
mod random;
mod rfc_examples;
mod rrule_oracle;
mod rule_text;
mod semantics;
mod series;
mod series_states;
mod set_laws;
mod settled_series;
mod slot_laws;
mod standing_laws;
mod text;
mod windows;
mod zone_corpus;
mod zone_laws;
mod zone_release;
