//! The clinic's service. It decides nothing: it authenticates, loads, asks a core, commits once,
//! and answers.

#![deny(missing_docs)]

pub mod clock;
pub mod demo;
pub mod http;
pub mod random;
pub mod serve;
pub mod web;
pub mod worker;

use std::sync::Arc;

use clinic::Principal;
use store::Store;

use crate::clock::Clock;

/// What every handler and job works with.
#[derive(Clone)]
pub struct App {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Clock,
    /// In the demo, who looks at its page and moves its clock. Nobody otherwise.
    pub demo: Option<Principal>,
}
