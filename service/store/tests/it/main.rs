//! The store in memory keeps the contract, and the clinic's decisions keep theirs on it.

#![allow(
    clippy::unwrap_used,
    reason = "what a test meets unexpectedly fails it"
)]

mod never_worse;
mod offered;
mod reasons;
mod world;

use std::sync::Arc;

use store::Store;
use store::memory::MemoryStore;

async fn empty() -> (Arc<dyn Store>, ()) {
    let now = chrono::DateTime::UNIX_EPOCH;
    (Arc::new(MemoryStore::new(now)), ())
}

store::contract_suite!(empty());
