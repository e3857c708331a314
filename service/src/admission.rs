//! Who is served next when more is asked for than can be done at once.
//!
//! As many requests are worked on at once as there are places, as many as the database works on beside each
//! other. The others wait, and the next place goes to the caller whose requests have computed least of late, beyond
//! half a millisecond each. A quarter of the places is kept for callers who have used little; while such callers ask,
//! those who have used much keep half of the processors busy at most, and compute when no other thread wants the
//! processor, as all do who search. So whoever asks for short things does not wait for those who ask for long ones.
//! The queue is bounded, and so is what a client or a therapist may use of the service in the long run.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use std::sync::Arc;
//!
//! use standing::admission::{Admission, Caller};
//! use uuid::Uuid;
//!
//! let admission = Arc::new(Admission::new(4));
//! let caller = Caller { id: Uuid::nil(), is_limited: true };
//! let place = admission.enter(caller).await.unwrap();
//! place.run(async { /* the request */ }).await; // then the next in the queue begins
//! # }
//! ```

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use uuid::Uuid;

/// How many requests wait at most.
const WAITING_MAX: usize = 4_096;
/// How many requests of one limited caller are worked on and wait at most.
const OF_CALLER_MAX: usize = 64;
/// How long a request waits at most.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a limited caller may compute in the long run: this part of one processor's time.
const SHARE: u32 = 64;
/// Who has used less has used little: a search or two.
const LITTLE: Duration = Duration::from_millis(20);
/// What a request may compute without its being held against its caller: those who ask for short things may do so
/// often.
const SHORT: Duration = Duration::from_micros(500);
/// What a limited caller may compute at once, after a while of rest.
const BURST: Duration = Duration::from_secs(10);
/// What a request costs beside the time that it computes.
const REQUEST: Duration = Duration::from_micros(100);
/// How long those who have used much make way after somebody who has used little has asked.
const MAKES_WAY: Duration = Duration::from_secs(1);
/// How many callers are known before those at rest are forgotten.
const CALLERS_KEPT: usize = 1_024;

/// The places, and who waits for one.
#[derive(Debug)]
pub struct Admission(Mutex<State>);

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// Whose requests these are.
    pub id: Uuid,
    /// Whether they are limited: those of clients and therapists are, those of staff are not.
    pub is_limited: bool,
}

/// Why a request is not worked on. Nothing of it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The caller has used, or asks for, more than one caller may.
    #[error("these are too many requests for one caller: go on in {} s", .after.as_secs())]
    TooMany {
        /// When there is more again, whole seconds.
        after: Duration,
    },
    /// Too many wait already, or this one has waited too long.
    #[error("too many requests are waiting")]
    Full,
}

/// A request that is worked on. Its place is free once this is dropped.
#[derive(Debug)]
pub struct Place {
    admission: Arc<Admission>,
    caller: Caller,
    /// What the caller had used.
    used: Duration,
    /// What it has computed, in microseconds.
    computed: Arc<AtomicU64>,
    /// What of it is not held against the caller.
    free: Duration,
}

/// What a request knows of its place.
#[derive(Debug, Clone)]
struct Known {
    used: Duration,
    computed: Arc<AtomicU64>,
}

tokio::task_local! {
    /// The place of the request that is worked on.
    static PLACE: Known;
}

#[derive(Debug)]
struct State {
    free: usize,
    /// How many places there are for those who have used much.
    for_much: usize,
    /// And how many while others ask.
    beside_others: usize,
    /// How many of them they have.
    much: usize,
    /// When somebody who had used little last asked.
    others: Option<Instant>,
    callers: HashMap<Uuid, Usage>,
    waiting: Vec<Waiting>,
    /// The number of the next request that waits.
    next: u64,
}

/// What a caller has used of late, and how many requests of theirs are here.
#[derive(Debug)]
struct Usage {
    used: Duration,
    as_of: Instant,
    here: usize,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    caller: Caller,
    place: oneshot::Sender<Place>,
}

impl Usage {
    /// What is left of it by now: it wears off at the rate at which a caller may use it.
    fn wear_off(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.as_of);
        self.used = self.used.saturating_sub(since / SHARE);
        self.as_of = now;
    }
}

impl Admission {
    /// With so many places, at least one.
    #[must_use]
    pub fn new(places: usize) -> Self {
        let free = places.max(1);
        let processors = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        Self(Mutex::new(State {
            free,
            for_much: (free - free / 4).max(1),
            beside_others: processors.get().div_ceil(2).min(free),
            much: 0,
            others: None,
            callers: HashMap::new(),
            waiting: Vec::new(),
            next: 0,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn enter(self: &Arc<Self>, caller: Caller) -> Result<Place, Refused> {
        let (number, place) = {
            let now = Instant::now();
            let mut state = self.state();
            state.admit(caller, now)?;
            if let Some(used) = state.take_place(caller.id, now) {
                return Ok(self.place(caller, used));
            }
            if state.waiting.len() >= WAITING_MAX {
                state.leave(caller.id);
                return Err(Refused::Full);
            }
            let (sender, place) = oneshot::channel();
            let number = state.next;
            state.next += 1;
            state.waiting.push(Waiting {
                number,
                caller,
                place: sender,
            });
            (number, place)
        };
        // Whoever stops waiting, or is dropped meanwhile, leaves the queue.
        let queued = Queued {
            admission: self,
            caller: caller.id,
            number,
        };
        let waited = tokio::time::timeout(PATIENCE, place).await;
        match waited {
            Ok(Ok(place)) => {
                std::mem::forget(queued);
                Ok(place)
            }
            _ => Err(Refused::Full),
        }
    }

    fn place(self: &Arc<Self>, caller: Caller, used: Duration) -> Place {
        Place {
            admission: self.clone(),
            caller,
            used,
            computed: Arc::default(),
            free: SHORT,
        }
    }
}

/// A request in the queue.
struct Queued<'a> {
    admission: &'a Arc<Admission>,
    caller: Uuid,
    number: u64,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        let waits = |one: &Waiting| one.number == self.number;
        // Otherwise it was just given a place, which is let go with the channel.
        if let Some(index) = state.waiting.iter().position(waits) {
            let gone = state.waiting.swap_remove(index);
            state.leave(self.caller);
            drop(state);
            drop(gone);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.admission.state();
        if let Some(usage) = state.callers.get_mut(&self.caller.id) {
            usage.wear_off(now);
            let computed = Duration::from_micros(self.computed.load(Ordering::Relaxed));
            usage.used += computed.saturating_sub(self.free) + REQUEST;
        }
        state.leave(self.caller.id);
        state.free += 1;
        state.much -= usize::from(is_much(self.used));
        let mut given = Vec::new();
        while let Some(next) = state.take_next(now) {
            given.push(next);
        }
        drop(state);
        for (next, used) in given {
            let place = self.admission.place(next.caller, used);
            // If nobody waits for it any more, it comes back and is dropped: the one after gets it.
            let _gone = next.place.send(place);
        }
    }
}

impl State {
    /// Counts a request in, if its caller may have one more.
    fn admit(&mut self, caller: Caller, now: Instant) -> Result<(), Refused> {
        if self.callers.len() >= CALLERS_KEPT {
            self.callers.retain(|_, usage| {
                usage.wear_off(now);
                usage.here > 0 || !usage.used.is_zero()
            });
        }
        let usage = self.callers.entry(caller.id).or_insert(Usage {
            used: Duration::ZERO,
            as_of: now,
            here: 0,
        });
        usage.wear_off(now);
        if caller.is_limited {
            if let Some(over) = usage.used.checked_sub(BURST) {
                let seconds = (over * SHARE).as_secs() + 1;
                let after = Duration::from_secs(seconds);
                return Err(Refused::TooMany { after });
            }
            if usage.here >= OF_CALLER_MAX {
                let after = Duration::from_secs(1);
                return Err(Refused::TooMany { after });
            }
        }
        usage.here += 1;
        Ok(())
    }

    /// Takes a place for a caller, if there is one at once, and says what they have used.
    fn take_place(&mut self, caller: Uuid, now: Instant) -> Option<Duration> {
        let used = self.callers.get(&caller).map(|usage| usage.used);
        let used = used.unwrap_or_default();
        if is_much(used) {
            let beside = self.others.is_some_and(|at| now < at + MAKES_WAY);
            let most = if beside {
                self.beside_others
            } else {
                self.for_much
            };
            if self.much >= most.min(self.for_much) {
                return None;
            }
        } else {
            self.others = Some(now);
        }
        self.free = self.free.checked_sub(1)?;
        self.much += usize::from(is_much(used));
        Some(used)
    }

    fn leave(&mut self, caller: Uuid) {
        if let Some(usage) = self.callers.get_mut(&caller) {
            usage.here = usage.here.saturating_sub(1);
        }
    }

    /// Of those who wait, the first of the caller who has used least.
    fn take_next(&mut self, now: Instant) -> Option<(Waiting, Duration)> {
        for one in &self.waiting {
            if let Some(usage) = self.callers.get_mut(&one.caller.id) {
                usage.wear_off(now);
            }
        }
        let callers = &self.callers;
        let used = |caller| {
            let usage = callers.get(caller);
            usage.map_or(Duration::ZERO, |usage| usage.used)
        };
        let waiting = self.waiting.iter().enumerate();
        let next = waiting.min_by_key(|(_, one)| (used(&one.caller.id), one.number));
        let (index, caller) = next.map(|(index, one)| (index, one.caller.id))?;
        let used = self.take_place(caller, now)?;
        Some((self.waiting.swap_remove(index), used))
    }
}

impl Place {
    /// For a part of a longer request: all that it computes is held against its caller.
    #[must_use]
    pub fn of_part(mut self) -> Self {
        self.free = Duration::ZERO;
        self
    }

    /// Works on the request, and lets the place go.
    pub async fn run<F: Future>(self, request: F) -> F::Output {
        let known = Known {
            used: self.used,
            computed: self.computed.clone(),
        };
        PLACE.scope(known, request).await
    }
}

/// Whether somebody who has used this has used much.
fn is_much(used: Duration) -> bool {
    used >= LITTLE
}

/// Whether the request that is worked on decides before it takes locks: one of a caller who has used much.
pub(crate) fn decides_ahead() -> bool {
    is_much(used())
}

/// What the caller of the request that is worked on had used.
fn used() -> Duration {
    PLACE.try_with(|place| place.used).unwrap_or_default()
}

/// Does what may take long without holding up the other work of this thread, and counts it. For a caller who has
/// used much it is done last, as [`compute_last`] does it.
pub fn compute<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if is_much(used()) {
        compute_last(work)
    } else {
        let (done, took) = aside(|| timed(work));
        count(took);
        done
    }
}

/// Does what takes long, such as a search, when no other thread of the process wants the processor, and counts it.
pub fn compute_last<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let (done, took) = aside(|| yielding(|| timed(work)));
    count(took);
    done
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let before = thread_time();
    (work(), thread_time().saturating_sub(before))
}

/// Counts what the request that is worked on has computed.
fn count(took: Duration) {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let _of_nobody = PLACE.try_with(|place| place.computed.fetch_add(micros, Ordering::Relaxed));
}

/// Does some work on a thread of its own, to which all others are preferred. One that gives way once does so for
/// good: a process may not take that back.
fn yielding<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let done = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            give_way();
            work()
        });
        thread.join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Has the other threads of this process preferred to this one. Elsewhere than on Linux a priority is the whole
/// process's.
#[cfg(target_os = "linux")]
fn give_way() {
    const LEAST: i32 = 19;
    let _as_before = rustix::process::setpriority_process(None, LEAST);
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

/// How long this thread has been on a processor.
#[cfg(unix)]
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(not(unix))]
fn thread_time() -> Duration {
    static BEGAN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    BEGAN.elapsed()
}

fn aside<T>(work: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Handle::try_current();
    let has_others = runtime.is_ok_and(|runtime| {
        runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread
    });
    if has_others {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

#[cfg(test)]
mod tests;
