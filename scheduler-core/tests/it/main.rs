//! The crate's tests in one binary: one link.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    reason = "in a test a panic is the answer, and its numbers are small"
)]

mod corpora;
mod expansion_laws;
mod naive;
mod rfc_examples;
mod rrule_oracle;
mod semantics;
mod set_laws;
mod text;
mod zone_corpus;
mod zone_laws;
