//! The PostgreSQL store against a server of its own.

#![allow(
    clippy::unwrap_used,
    reason = "what a test meets unexpectedly fails it"
)]

mod clock;
mod constraints;
mod contract;
mod crash;
mod faults;
mod opening;
mod order;
mod plans;
mod practice;
mod races;
mod silence;
mod zone_data;
