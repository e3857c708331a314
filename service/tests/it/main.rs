//! The service from outside: HTTP in, JSON out, and what the database then holds, read by another
//! path than the store.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails")]

mod access;
mod anchored;
mod audit;
mod availability;
mod backend;
mod bad_input;
mod believed;
mod calendars;
mod clinic;
mod crash;
mod credits;
mod database;
mod erased;
mod erasure;
mod forged;
mod found;
mod hostile;
mod idempotency;
mod law;
mod main_job;
mod messages;
mod on_postgres;
mod operations;
mod plans;
mod process;
mod processes;
mod properties;
mod races;
mod reasons;
mod reassignment;
mod restart;
mod rows_written;
mod sealed;
mod sealed_zone;
mod sending;
mod series;
mod series_credits;
mod series_properties;
mod series_tried;
mod service;
mod upgrade;
mod walk;
mod whole;
mod zoneinfo;
