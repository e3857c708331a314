//! Every step of every function of a store goes wrong once: a statement that is refused, a connection that is
//! lost, a caller who goes away.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;

use super::acts::{Running, acts};
use super::fixture::{Fixture, now};
use crate::memory::MemoryStore;
use crate::{Store, StoreError};

/// What goes wrong in the midst of a function of a store.
#[async_trait]
pub trait Fault: Sync {
    /// Runs a call of the store, and has its step of this number, from 0, go wrong, if it has so many.
    async fn strike(&self, step: u64, call: Running) -> Struck;

    /// The next step to strike. Where there are very many of them, not each.
    fn after(&self, step: u64) -> u64 {
        step + 1
    }

    /// Whether the caller may not know whether it was committed.
    fn is_silent(&self) -> bool;

    /// Waits until the database has done with what was struck.
    async fn settle(&self) {}
}

/// What came of a call.
#[derive(Debug)]
pub struct Struck {
    /// Its answer; none if the caller went away.
    pub answer: Option<Result<(), StoreError>>,
    /// Whether it has come to the step.
    pub reached: bool,
}

/// How often a fault has struck.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Functions of the store that were called, each with one set of arguments.
    pub calls: u64,
    /// Steps that went wrong.
    pub struck: u64,
    /// By name, the calls in which none did.
    pub untouched: Vec<String>,
}

/// The caller goes away when it has waited so often, and drops what it has called.
pub async fn dropped_at(step: u64, mut call: Running) -> Struck {
    let mut waited = 0;
    let answer = std::future::poll_fn(|context| match call.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending if waited == step => Poll::Ready(None),
        Poll::Pending => {
            waited += 1;
            Poll::Pending
        }
    });
    let answer = answer.await;
    Struck {
        reached: answer.is_none(),
        answer,
    }
}

/// Where two states differ: the lines that do, from shortly before they do.
fn difference(is: &str, was: &str) -> String {
    let differ = is.lines().zip(was.lines()).filter(|(is, was)| is != was);
    let shown = differ.map(|(is, was)| {
        let same = is
            .chars()
            .zip(was.chars())
            .take_while(|(is, was)| is == was);
        let from = same.count().saturating_sub(80);
        let from_there = |line: &str| line.chars().skip(from).take(240).collect::<String>();
        format!("\n+ {}\n- {}", from_there(is), from_there(was))
    });
    shown.collect()
}

/// How often somebody else's lock, that of a connection that was lost, is waited for.
const BUSY_MAX: u32 = 200;

/// Calls every function of a store, and has each of its steps go wrong once. Afterwards the store writes as
/// before, without being opened anew, and all of the call is stored or nothing: it is as a store in memory was
/// before the call, or as that was after it.
pub async fn what_goes_wrong_leaves_nothing_half_done(
    store: Arc<dyn Store>,
    fault: &dyn Fault,
) -> Tally {
    let oracle = Fixture::open(Arc::new(MemoryStore::new(now()))).await;
    let clinic = Fixture::open(store.clone()).await;
    let mut before = oracle.dump().await;
    assert_eq!(clinic.dump().await, before);
    let mut tally = Tally::default();
    for act in acts(&clinic) {
        act.run(oracle.store.clone()).await.unwrap();
        let after = oracle.dump().await;
        let (mut step, mut struck, mut busy) = (0, 0, 0);
        loop {
            let Struck { answer, reached } = fault.strike(step, act.run(store.clone())).await;
            if !reached && matches!(answer, Some(Err(StoreError::Busy))) && busy < BUSY_MAX {
                busy += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            let at = format!(
                "{} at step {step}, reached: {reached}: {answer:?}",
                act.name
            );
            fault.settle().await;
            let writes = store.probe_write().await;
            assert!(writes.is_ok(), "{at}, and then no more writes: {writes:?}");
            let answered = match &answer {
                Some(Ok(())) => true,
                Some(Err(StoreError::Unavailable(_))) => reached,
                Some(Err(_)) => false,
                None => true,
            };
            assert!(answered, "{at}");
            struck += u64::from(reached);
            // What changes nothing is looked at once, at its end.
            if before == after && reached {
                step = fault.after(step);
                continue;
            }
            let is = clinic.dump().await;
            let all = is == after;
            let nothing = is == before;
            let whole = match &answer {
                Some(Ok(())) => all,
                Some(Err(_)) => nothing || fault.is_silent() && all,
                None => nothing || all,
            };
            let than = if matches!(answer, Some(Ok(()))) {
                &after
            } else {
                &before
            };
            assert!(whole, "{at}:{}", difference(&is, than));
            if all || !reached {
                break;
            }
            step = fault.after(step);
        }
        tally.calls += 1;
        tally.struck += struck;
        if struck == 0 {
            tally.untouched.push(act.name.clone());
        }
        before = after;
    }
    tally
}
