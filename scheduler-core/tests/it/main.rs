//! The scheduler core from outside: properties against naive oracles, then examples.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails")]

mod conflicts;
mod machines;
mod planner;
mod random;
mod text;
mod windows;
