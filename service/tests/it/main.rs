//! The service from outside: HTTP in, JSON out, and what the database then holds, read by another
//! path than the store.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails")]

mod access;
mod bad_input;
mod clinic;
mod constraints;
mod crash;
mod database;
mod idempotency;
mod main_job;
mod messages;
mod operations;
mod properties;
mod rows_written;
mod walk;
