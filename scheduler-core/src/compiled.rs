//! A recurrence set, compiled for questions.

use crate::epoch::{Day, Wall, split, to_wall};
use crate::instances::{Instance, Walk, Zoned};
use crate::rule::{Civil, Days, End, Expansion, Rule, Shape, Single, Step, Until, wall_until};
use crate::set::{Occurrence, RecurrenceSet, SetError};
use crate::whole::{Ruled, Whole};
use crate::window::ceiling;
use crate::zone::{END_OF_ZONE_DATA, Transitions};
use crate::{GapPolicy, Window, Zone};

use chrono::{DateTime, Utc};

/// A [`RecurrenceSet`], compiled: every question is answered by arithmetic, however far it reaches.
///
/// A common intent (one rule with one time a day, nothing deviating) is 32 bytes and owns no
/// memory beside them; what it cannot hold is boxed. Compiling it takes about a hundred nanoseconds,
/// and COUNT and UNTIL have become a last occurrence by then.
///
/// It runs over one sequence: what rule and additions generate, up to the set's end, without the
/// exclusions and what pauses cover, as instants in order, each instant once. An [`Instance`] of it is addressed by its recurrence-id.
/// Overrides do not change the sequence, not even where a pause covers them; [`overlapping`](Self::overlapping) applies them.
///
/// | question | method |
/// |---|---|
/// | what starts in a window, in order or in reverse | [`within`](Self::within) |
/// | what overlaps a window, in effect | [`overlapping`](Self::overlapping) |
/// | the neighbours of an instant | [`next_after`](Self::next_after), [`last_before`](Self::last_before) |
/// | the n-th, and how many before | [`nth`](Self::nth), [`rank`](Self::rank), [`count_in`](Self::count_in) |
/// | the end | [`ends`](Self::ends), [`is_empty`](Self::is_empty) |
///
/// Time zones are known through 2099. A window that reaches further is refused, and a sequence
/// that goes on there says so instead of ending: [`SetError::BeyondZoneData`].
///
/// ```
/// use scheduler_core::{RecurrenceSet, Window};
///
/// let set = RecurrenceSet::new("2026-03-02T18:00:00".parse()?, "Europe/London".parse()?, 50)?
///     .with_rule("FREQ=WEEKLY;BYDAY=MO;COUNT=520".parse()?);
/// let mondays = set.compile();
/// let year = Window::new("2030-01-01T00:00:00Z".parse()?, "2031-01-01T00:00:00Z".parse()?)?;
/// assert_eq!(mondays.count_in(year)?, 52);
/// let last = mondays.within(year)?.next_back().unwrap();
/// assert_eq!(last.recurrence_id.to_string(), "2030-12-30T18:00:00");
/// assert_eq!(mondays.nth(mondays.rank(last.start()))?, Some(last));
/// assert_eq!(mondays.ends().unwrap().start().to_rfc3339(), "2036-02-11T18:00:00+00:00");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Compiled(Body);

#[derive(Debug, Clone)]
enum Body {
    Plain(Plain),
    Whole(Box<Whole>),
}

/// One time a day on the days of one pattern, nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Plain {
    days: Days,
    first: Day,
    last: Day,
    time: u32,
    zone: Zone,
    minutes: u16,
}

/// The sequence of a set, wherever it is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sequence<'a> {
    Plain(Zoned<'a>),
    Whole(&'a Whole),
}

const _: () = assert!(size_of::<Compiled>() == 32);

impl Plain {
    #[inline]
    pub(crate) fn single(&self) -> Single<'_> {
        Single {
            days: &self.days,
            first: self.first,
            last: self.last,
            time: self.time,
        }
    }

    #[inline]
    pub(crate) fn zone(&self) -> Zone {
        self.zone
    }

    /// Seconds.
    #[inline]
    pub(crate) fn length(&self) -> i64 {
        60 * i64::from(self.minutes)
    }

    #[inline]
    fn zoned(&self) -> Zoned<'_> {
        Zoned {
            civil: Civil::Single(self.single()),
            table: self.zone.transitions(),
            omit: false,
            end: END_OF_ZONE_DATA.timestamp(),
        }
    }
}

impl Compiled {
    /// Compiles a set; the same as [`RecurrenceSet::compile`].
    #[must_use]
    pub fn new(set: &RecurrenceSet) -> Self {
        let rules = set.rules();
        let steady = set.deviations().are_dates_empty() && set.gap_policy() == GapPolicy::Shift;
        let begins = set.deviations().ends.is_none_or(|ends| set.start() < ends);
        match rules {
            [] if steady && begins => Self(Body::Plain(once(set))),
            [rule] if steady => Self::of_one(set, rule),
            _ => Self(Body::Whole(Box::new(Whole::new(set)))),
        }
    }

    fn of_one(set: &RecurrenceSet, rule: &Rule) -> Self {
        let ruled = compile_rule(rule, set);
        match ruled.shape {
            Shape::Single {
                days,
                first,
                last,
                time,
            } => {
                let mut plain = Plain {
                    days,
                    first,
                    last,
                    time,
                    zone: set.zone(),
                    minutes: u16::try_from(set.minutes()).unwrap_or(u16::MAX),
                };
                if ruled.end < END_OF_ZONE_DATA.timestamp() {
                    // One time a day keeps its order across gaps of up to a day, so that an
                    // instant cuts it at a date.
                    match plain.zoned().prev(ruled.end) {
                        Some(last) => plain.last = split(to_wall(last.recurrence_id)).0,
                        None => return Self(Body::Whole(Box::new(Whole::empty(set)))),
                    }
                }
                Self(Body::Plain(plain))
            }
            shape => {
                let ruled = Ruled {
                    shape,
                    end: ruled.end,
                };
                Self(Body::Whole(Box::new(Whole::of_rule(set, ruled))))
            }
        }
    }

    #[inline]
    pub(crate) fn sequence(&self) -> Sequence<'_> {
        match &self.0 {
            Body::Plain(plain) => Sequence::Plain(plain.zoned()),
            Body::Whole(whole) => Sequence::Whole(whole),
        }
    }

    pub(crate) fn whole(&self) -> Option<&Whole> {
        match &self.0 {
            Body::Plain(_) => None,
            Body::Whole(whole) => Some(whole),
        }
    }

    #[inline]
    pub(crate) fn plain(&self) -> Option<&Plain> {
        match &self.0 {
            Body::Plain(plain) => Some(plain),
            Body::Whole(_) => None,
        }
    }

    /// Its zone.
    #[must_use]
    pub fn zone(&self) -> Zone {
        match &self.0 {
            Body::Plain(plain) => plain.zone,
            Body::Whole(whole) => whole.zone,
        }
    }

    /// The length of every occurrence that no override gives another.
    #[must_use]
    pub fn minutes(&self) -> u32 {
        match &self.0 {
            Body::Plain(plain) => u32::from(plain.minutes),
            Body::Whole(whole) => whole.minutes,
        }
    }

    /// Whether it owns no memory beside its own 32 bytes.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        matches!(&self.0, Body::Plain(plain) if plain.days.periods().is_none())
    }

    /// Whether the sequence has no instance at all, be it because the rule generates none or
    /// because every one is excluded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sequence().next(i64::MIN / 2).is_none() && !self.goes_on()
    }

    /// The instances that start in the window, in order; in reverse with `rev()`. It seeks: what
    /// lies before the window costs nothing.
    ///
    /// # Errors
    /// [`SetError::BeyondZoneData`].
    #[inline]
    pub fn within(&self, window: Window) -> Result<Instances<'_>, SetError> {
        known(window)?;
        let (from, to) = window.seconds();
        Ok(Instances {
            sequence: self.sequence(),
            from,
            to,
            begun: false,
            walk: None,
        })
    }

    /// The occurrences whose effective interval overlaps the window, by start: what was moved in
    /// is in, what was moved out is out, what straddles an edge is in. Cancelled ones are included
    /// and say so.
    ///
    /// # Errors
    /// [`SetError::BeyondZoneData`], [`SetError::TooManyOccurrences`].
    pub fn overlapping(&self, window: Window) -> Result<Vec<Occurrence>, SetError> {
        let mut found = Vec::new();
        self.each_overlapping(window, |due| {
            found.push(Occurrence::from(due));
        })?;
        Ok(found)
    }

    /// The first instance that starts after an instant.
    ///
    /// # Errors
    /// [`SetError::BeyondZoneData`] if it is not known whether there is one.
    pub fn next_after(&self, at: DateTime<Utc>) -> Result<Option<Instance>, SetError> {
        self.or_unknown(self.sequence().next(at.timestamp().saturating_add(1)))
    }

    /// The last instance that starts before an instant.
    ///
    /// # Errors
    /// [`SetError::BeyondZoneData`] if the instant is later than the zone data and the sequence
    /// goes on there.
    pub fn last_before(&self, at: DateTime<Utc>) -> Result<Option<Instance>, SetError> {
        if at > END_OF_ZONE_DATA && self.goes_on() {
            return Err(SetError::BeyondZoneData { end: at });
        }
        Ok(self.sequence().prev(ceiling(at)))
    }

    /// The instance with this rank; 0 is the first.
    ///
    /// # Errors
    /// [`SetError::BeyondZoneData`] if the sequence goes on past the zone data and has not come
    /// to it by then.
    pub fn nth(&self, n: u64) -> Result<Option<Instance>, SetError> {
        self.or_unknown(self.sequence().nth(n))
    }

    /// How many instances start before an instant, at most through the end of the zone data.
    #[must_use]
    pub fn rank(&self, at: DateTime<Utc>) -> u64 {
        self.sequence().rank(ceiling(at))
    }

    /// How many instances start in the window. One rule is counted without being expanded, also
    /// with additions and exclusions; several are merged, which takes as long as their number.
    ///
    /// # Errors
    /// [`SetError::BeyondZoneData`].
    pub fn count_in(&self, window: Window) -> Result<u64, SetError> {
        known(window)?;
        Ok(self.rank(window.end()) - self.rank(window.start()))
    }

    /// The last instance, if the sequence ends within the zone data.
    #[must_use]
    pub fn ends(&self) -> Option<Instance> {
        if self.goes_on() {
            return None;
        }
        self.sequence().prev(END_OF_ZONE_DATA.timestamp())
    }

    fn or_unknown(&self, found: Option<Instance>) -> Result<Option<Instance>, SetError> {
        match found {
            None if self.goes_on() => Err(SetError::BeyondZoneData {
                end: END_OF_ZONE_DATA,
            }),
            found => Ok(found),
        }
    }

    /// Whether it generates anything at or after the end of the zone data.
    pub(crate) fn goes_on(&self) -> bool {
        let wall = first_unknown(self.zone().transitions());
        match &self.0 {
            Body::Plain(plain) => plain.single().next(wall).is_some(),
            Body::Whole(whole) => whole.goes_on(wall),
        }
    }
}

/// The first wall time of a zone that is past the zone data, whose last offset it has.
pub(crate) fn first_unknown(table: &Transitions) -> Wall {
    let end = END_OF_ZONE_DATA.timestamp();
    end + table.spans()[table.at(end)].shift
}

fn once(set: &RecurrenceSet) -> Plain {
    let (day, time) = split(to_wall(set.start()));
    Plain {
        days: Days::Step(Step {
            origin: day,
            every: 1,
        }),
        first: day,
        last: day,
        time,
        zone: set.zone(),
        minutes: u16::try_from(set.minutes()).unwrap_or(u16::MAX),
    }
}

/// Compiles one rule of a set. An UNTIL with Z is an instant and becomes the end; the others, and
/// the end of the set, cut wall times.
pub(crate) fn compile_rule(rule: &Rule, set: &RecurrenceSet) -> Ruled {
    let mut end = END_OF_ZONE_DATA.timestamp();
    let wall = match rule.end() {
        End::Until(Until::Instant(until)) => {
            end = end.min(until.timestamp() + 1);
            None
        }
        End::Until(until) => Some(wall_until(until)),
        _ => None,
    };
    let shape = Expansion::through(rule, set.start(), wall).into_shape();
    let shape = match set.deviations().ends {
        Some(ends) => shape.until(to_wall(ends) - 1),
        None => shape,
    };
    Ruled { shape, end }
}

#[inline]
fn known(window: Window) -> Result<(), SetError> {
    if window.seconds().1 > END_OF_ZONE_DATA.timestamp() {
        return Err(SetError::BeyondZoneData { end: window.end() });
    }
    Ok(())
}

impl<'a> Sequence<'a> {
    /// The rule that is the whole sequence.
    #[inline]
    fn steady(self) -> Option<Zoned<'a>> {
        match self {
            Self::Plain(zoned) => Some(zoned),
            Self::Whole(whole) => whole.steady(),
        }
    }

    #[inline]
    pub(crate) fn next(self, unix: i64) -> Option<Instance> {
        match self {
            Self::Plain(zoned) => zoned.next(unix),
            Self::Whole(whole) => whole.next(unix),
        }
    }

    #[inline]
    pub(crate) fn prev(self, unix: i64) -> Option<Instance> {
        match self {
            Self::Plain(zoned) => zoned.prev(unix),
            Self::Whole(whole) => whole.prev(unix),
        }
    }

    fn rank(self, unix: i64) -> u64 {
        match self {
            Self::Plain(zoned) => zoned.rank(unix),
            Self::Whole(whole) => whole.rank(unix),
        }
    }

    fn nth(self, n: u64) -> Option<Instance> {
        match self {
            Self::Plain(zoned) => zoned.nth(n),
            Self::Whole(whole) => whole.nth(n),
        }
    }

    #[inline]
    pub(crate) fn run(self, from: i64, to: i64, f: impl FnMut(Instance)) {
        match self {
            Self::Plain(zoned) => zoned.run(from, to, f),
            Self::Whole(whole) => whole.run(from, to, f),
        }
    }
}

/// The instances of a [`Compiled`] set that start in a window, forward and in reverse.
///
/// It holds nothing but the window that is left: [`rest`](Self::rest) saves it by value, and
/// [`Compiled::within`] resumes there, in another process if need be. A loop over all of it
/// (`for_each`, `fold`, `sum`) runs from clock change to clock change and is the fastest.
#[derive(Debug, Clone, Copy)]
pub struct Instances<'a> {
    sequence: Sequence<'a>,
    from: i64,
    to: i64,
    /// Whether one was given: a way on is worth finding from the second on, which a short window
    /// does not have.
    begun: bool,
    /// The way on from the last one given, where it is known.
    walk: Option<Walk<'a>>,
}

impl<'a> Instances<'a> {
    /// The instances of one rule from one instant to another, in Unix seconds.
    pub(crate) fn new(rule: Zoned<'a>, from: i64, to: i64) -> Self {
        Self {
            sequence: Sequence::Plain(rule),
            from,
            to,
            begun: false,
            walk: None,
        }
    }
}

impl Instances<'_> {
    /// What is left of the window, `None` when there is nothing.
    #[must_use]
    pub fn rest(&self) -> Option<Window> {
        let start = DateTime::from_timestamp(self.from, 0)?;
        Window::new(start, DateTime::from_timestamp(self.to, 0)?).ok()
    }
}

impl Instances<'_> {
    /// The next one by a search, which also finds the way on from it.
    fn seek(&mut self) -> Option<Instance> {
        let found;
        (found, self.walk) = match self.sequence.steady().filter(|_| self.begun) {
            Some(zoned) => zoned.first_in(self.from, self.to),
            None => (
                self.sequence
                    .next(self.from)
                    .filter(|found| found.unix < self.to),
                None,
            ),
        };
        self.from = found.map_or(self.to, |found| found.unix + 1);
        self.begun = true;
        found
    }
}

impl Iterator for Instances<'_> {
    type Item = Instance;

    #[inline]
    fn next(&mut self) -> Option<Instance> {
        if let Some(found) = self.walk.as_mut().and_then(Walk::next) {
            self.from = found.unix + 1;
            return Some(found);
        }
        self.seek()
    }

    #[inline]
    fn fold<B, F: FnMut(B, Instance) -> B>(self, init: B, mut f: F) -> B {
        let mut folded = Some(init);
        self.sequence.run(self.from, self.to, |found| {
            folded = folded.take().map(|value| f(value, found));
        });
        folded.expect("it is put back each time it is taken")
    }
}

impl DoubleEndedIterator for Instances<'_> {
    fn next_back(&mut self) -> Option<Instance> {
        match self
            .sequence
            .prev(self.to)
            .filter(|found| found.unix >= self.from)
        {
            Some(found) => {
                self.to = found.unix;
                self.walk = None;
                Some(found)
            }
            None => {
                self.to = self.from;
                None
            }
        }
    }
}
