use std::rc::Rc;

use super::regimes::Regimes;
use crate::Zone;
use crate::calendar::Pattern;
use crate::rule::Beat;

/// Where a candidate may clash: stretches of its starts, in Unix seconds. Outside of them it does
/// not.
pub(super) struct Suspects<'a> {
    candidate: &'a Pattern,
    /// Of the candidate's starts.
    span: (i64, i64),
    /// How far apart two starts can be, of which one block overlaps the other.
    reach: i64,
    /// What was worked out for each zone so far.
    known: Vec<(Zone, Rc<Regimes>)>,
    /// Whether two beats met, or could not be compared.
    pub(super) met: bool,
}

impl<'a> Suspects<'a> {
    pub(super) fn new(candidate: &'a Pattern, span: (i64, i64), reach: i64) -> Self {
        Self {
            candidate,
            span,
            reach,
            known: Vec::new(),
            met: false,
        }
    }

    /// Where it may clash with another set.
    pub(super) fn with_pattern(&mut self, other: &Pattern) -> Vec<(i64, i64)> {
        let mut found = self.extras();
        let around = |at: &i64| (at - self.reach, at + self.reach + 1);
        found.extend(other.extras.iter().map(around));
        if let Some((first, last)) = other.life {
            let life = (first - self.reach, last + self.reach + 1);
            let candidate = self.candidate;
            let own = candidate.beats.as_deref();
            self.periodic(own, other.beats.as_deref(), other.zone(), life, &mut found);
        }
        self.merged(found)
    }

    /// Where it may be out of what a zone's week leaves open: its own beats without buffers, and
    /// what is closed.
    pub(super) fn with_week(
        &mut self,
        own: Option<&[Beat]>,
        closed: Beat,
        zone: Zone,
    ) -> Vec<(i64, i64)> {
        let mut found = self.extras();
        let span = self.span;
        self.periodic(own, Some(&[closed]), zone, span, &mut found);
        self.merged(found)
    }

    /// Where it may overlap itself.
    pub(super) fn with_itself(&mut self) -> Vec<(i64, i64)> {
        let around = |at: &i64| (at - self.reach, at + self.reach + 1);
        let mut found: Vec<(i64, i64)> = self.candidate.extras.iter().map(around).collect();
        let meets = match &self.candidate.beats {
            Some(beats) => beats.iter().enumerate().any(|(index, beat)| {
                beat.meets_itself() || beats[..index].iter().any(|other| other.meets(beat, 0))
            }),
            None => true,
        };
        if meets {
            self.met = true;
            found.extend(self.candidate.life.map(|(first, last)| (first, last + 1)));
        }
        let zone = self.candidate.zone();
        found.extend(&self.regimes(zone).changes);
        self.merged(found)
    }

    /// The stretches in order, joined, and clipped to the span.
    pub(super) fn merged(&self, mut found: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
        for window in &mut found {
            *window = (window.0.max(self.span.0), window.1.min(self.span.1));
        }
        found.retain(|window| window.0 < window.1);
        found.sort_unstable();
        found.dedup_by(|next, merged| {
            let touches = next.0 <= merged.1;
            if touches {
                merged.1 = merged.1.max(next.1);
            }
            touches
        });
        found
    }

    fn extras(&self) -> Vec<(i64, i64)> {
        let extras = self.candidate.extras.iter();
        extras.map(|at| (*at, at + 1)).collect()
    }

    fn periodic(
        &mut self,
        own: Option<&[Beat]>,
        other: Option<&[Beat]>,
        zone: Zone,
        life: (i64, i64),
        found: &mut Vec<(i64, i64)>,
    ) {
        let Some((first, last)) = self.candidate.life else {
            return;
        };
        let common = (
            first.max(life.0).max(self.span.0),
            (last + 1).min(life.1).min(self.span.1),
        );
        if common.0 >= common.1 {
            return;
        }
        let clip = |(from, to): (i64, i64)| (from.max(common.0), to.min(common.1));
        let (Some(own), Some(other)) = (own, other) else {
            self.met = true;
            found.push(common);
            return;
        };
        let regimes = self.regimes(zone);
        for &ahead in &regimes.aheads {
            let meet = |beat: &Beat| other.iter().any(|other| beat.meets(other, ahead));
            if own.iter().any(meet) {
                self.met = true;
                found.extend(regimes.with(ahead).map(clip));
            }
        }
        found.extend(regimes.changes.iter().map(|change| clip(*change)));
    }

    fn regimes(&mut self, zone: Zone) -> Rc<Regimes> {
        if let Some((_, known)) = self.known.iter().find(|known| known.0 == zone) {
            return Rc::clone(known);
        }
        let made = Regimes::new(self.candidate, zone, self.span, self.reach);
        let made = Rc::new(made);
        self.known.push((zone, Rc::clone(&made)));
        made
    }
}
