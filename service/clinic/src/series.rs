//! Changing a series: what is still to come of it, all of it or from a date on, and taking the last
//! change back.
//!
//! The intent machine decides what becomes of the intent and its sessions; here the credits and the
//! messages follow, and nothing is stored unless every time that is newly taken is free.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ledger_core::{Key, ReasonCode};
use scheduler_core::intent::{
    self, Edit, Edited, Event, Fate, Intent, IntentError, Opened, Record, SessionChange,
};
use scheduler_core::session::{self, Party, Session, SessionState};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{IntentId, SessionId, Window};

use crate::access::{Action, Actor, Principal, Resource, Role, allow, may_lift};
use crate::credit::{Posting, follow, grace_of, hold_of, take_back_forfeit};
use crate::free::{Ground, Had};
use crate::occurrence::refuse_far;
use crate::policy::{free_until, intent_due_at, is_late};
use crate::quota;
use crate::session_change::{due_at, fund_waiting};
use crate::{
    Change, Commit, Decision, Happened, History, Idempotent, Journal, Notification,
    NotificationKind, Refusal, Scope, Subject, View, reason,
};

/// What an edit has to see.
///
/// # Errors
/// [`Refusal::Invalid`] at the end of the zone data, [`Refusal::Quota`] if the rule is too dense for anybody.
pub fn scope(intent: IntentId, edit: &Edit, now: DateTime<Utc>) -> Result<Scope, Refusal> {
    if let Edit::Amend { changes, .. } | Edit::Split { changes, .. } = edit
        && let Some(rules) = &changes.rules
    {
        quota::check_rules(rules)?;
    }
    let therapist = match edit {
        Edit::Reassign { to, .. } => Some(*to),
        Edit::Amend { changes, .. } | Edit::Split { changes, .. } => changes.therapist,
        Edit::Pause(_) | Edit::Resume { .. } | Edit::End { .. } => None,
    };
    Ok(Scope::Series {
        intent,
        therapist,
        window: to_come(now)?,
        // Who laid a pause.
        history: matches!(edit, Edit::Resume { .. }),
    })
}

/// What taking the last change of a segment back has to see. Of one that nobody has changed since it
/// was split off, that is the split: its predecessor's change.
///
/// # Errors
/// [`Refusal::Invalid`] at the end of the zone data.
pub fn undo_scope(named: &Intent, now: DateTime<Utc>) -> Result<Scope, Refusal> {
    Ok(Scope::Series {
        intent: undo_of(named),
        therapist: None,
        window: to_come(now)?,
        history: true,
    })
}

/// The segment whose last change an undo takes back: of one that nobody has changed since it was split
/// off, the segment that it was split from.
#[must_use]
pub fn undo_of(named: &Intent) -> IntentId {
    let split_from = named.continues.filter(|_| named.version == 1);
    split_from.unwrap_or(named.id)
}

pub(crate) fn to_come(now: DateTime<Utc>) -> Result<Window, Refusal> {
    Window::new(now, END_OF_ZONE_DATA).map_err(|_| Refusal::Invalid {
        field: "now",
        value: now.to_string(),
        expected: "a time within the zone data",
    })
}

/// Edits what is still to come of an intent.
///
/// # Errors
/// [`Refusal`] if it is not the principal's, there is no such reason, the intent machine refuses, or a
/// time is not free.
pub fn edit(
    view: &View,
    edit: &Edit,
    why: Option<&ReasonCode>,
    principal: Principal,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    view.authorize(principal, Action::Book)?;
    reason::check(view, why)?;
    let intent = view.intent()?;
    Refusal::check_version(expected, intent.version)?;
    refuse_what_staff_decides(edit, principal)?;
    if let Edit::Resume { from } = edit {
        let pauses = intent.set.deviations().pauses.iter();
        for ended in pauses.filter(|pause| pause.until.is_none_or(|until| *from < until)) {
            let laid = |event: &Event| match event {
                Event::Paused { pause } => pause.from == ended.from,
                _ => false,
            };
            may_lift_laid(&view.records, &[intent.id], laid, principal)?;
        }
    }
    if let Edit::Amend { changes, .. } | Edit::Split { changes, .. } = edit
        && let Some(service) = changes.service
    {
        view.service_of(service)?;
    }
    let own = view.sessions.iter();
    let own: Vec<Session> = own
        .filter(|session| session.intent == intent.id)
        .cloned()
        .collect();
    let Idempotent::Applied(edited) = intent::edit(intent, &own, edit, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    let kind = match edit {
        Edit::Amend { .. } => "series_amended",
        Edit::Split { .. } => "series_split",
        Edit::Reassign { .. } => "series_reassigned",
        Edit::Pause(_) => "series_paused",
        Edit::Resume { .. } => "series_resumed",
        Edit::End { .. } => "series_ended",
    };
    applied(view, edited, kind, why, principal, now)
}

/// Takes the last change of the named segment back, while nothing of it has happened. `expected` is
/// asked of what is named, which need not be what is changed ([`undo_scope`]).
///
/// # Errors
/// [`Refusal`] if it is not the principal's, there is no such reason, there is nothing to undo, or a
/// time is not free any more.
pub fn undo(
    view: &View,
    named: IntentId,
    why: Option<&ReasonCode>,
    principal: Principal,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    view.authorize(principal, Action::Book)?;
    reason::check(view, why)?;
    let intent = view.intent()?;
    let mut known = view.segments.iter().chain([intent]);
    let named = known.find(|segment| segment.id == named);
    let named = named.ok_or(Refusal::NotFound { what: "intent" })?;
    if !allow(principal, Action::Book, Resource::of(named)) {
        return Err(Refusal::NotFound { what: "intent" });
    }
    Refusal::check_version(expected, named.version)?;
    let last = intent::undoable(intent.id, &view.records);
    if named.id != intent.id {
        refuse_unless_split(view, named.id, last)?;
    }
    if let Some(change) = last {
        may_lift(principal, is_own(change, principal))?;
    }
    let edited = intent::undo(intent, &view.records, &view.sessions, now)?;
    applied(view, edited, "series_change_undone", why, principal, now)
}

/// Refuses to lift what others laid: by the last record of it, or by the beginning of the segments, if they
/// began so.
pub(crate) fn may_lift_laid(
    records: &[Record],
    from_the_start: &[IntentId],
    is_lifted: impl Fn(&Event) -> bool,
    principal: Principal,
) -> Result<(), Refusal> {
    let mut laid = records.iter().filter(|record| is_lifted(&record.event));
    let last = laid.next_back().or_else(|| {
        let began = |record: &&Record| {
            matches!(record.event, Event::Created(_)) && from_the_start.contains(&record.intent)
        };
        records.iter().find(began)
    });
    match last {
        Some(record) => may_lift(principal, is_own(record, principal)),
        None => Ok(()),
    }
}

/// Whether the principal did it.
pub(crate) fn is_own(record: &Record, principal: Principal) -> bool {
    record.cause.actor == Actor::Principal(principal).to_string()
}

/// A split can only be undone as the last change of what was split.
fn refuse_unless_split(view: &View, named: IntentId, last: Option<&Record>) -> Result<(), Refusal> {
    let split = |record: &Record| match &record.event {
        Event::Split {
            at, into, detached, ..
        } => (*into == named || detached.contains(&named)).then_some(*at),
        _ => None,
    };
    if last.and_then(split).is_some() {
        return Ok(());
    }
    let refusal = match view.records.iter().find_map(split) {
        Some(recurrence_id) => IntentError::Overtaken { recurrence_id },
        None => IntentError::NothingToUndo,
    };
    Err(refusal.into())
}

/// Therapists and clients say when they meet; the rest is the clinic's to decide.
fn refuse_what_staff_decides(edit: &Edit, principal: Principal) -> Result<(), Refusal> {
    let changes = match edit {
        _ if principal.role == Role::Admin => return Ok(()),
        Edit::Amend { changes, .. } | Edit::Split { changes, .. } => changes,
        Edit::Reassign { to, .. } => {
            return Err(staff_decides("therapist_id", to));
        }
        Edit::Pause(_) | Edit::Resume { .. } | Edit::End { .. } => return Ok(()),
    };
    if let Some(therapist) = changes.therapist {
        return Err(staff_decides("therapist_id", &therapist));
    }
    if let Some(service) = changes.service {
        return Err(staff_decides("service_id", &service));
    }
    match changes.minutes {
        Some(minutes) => Err(staff_decides("minutes", &minutes)),
        None => Ok(()),
    }
}

pub(crate) fn staff_decides(field: &'static str, value: &impl ToString) -> Refusal {
    Refusal::Invalid {
        field,
        value: value.to_string(),
        expected: "left as it is: the clinic's staff decides that",
    }
}

/// One session before and after.
struct Changed {
    before: Session,
    after: Session,
    rebound: bool,
}

/// The commit of an edit: segments, sessions, credits, messages.
fn applied(
    view: &View,
    edited: Edited,
    kind: &'static str,
    why: Option<&ReasonCode>,
    principal: Principal,
    now: DateTime<Utc>,
) -> Decision {
    let intent = view.intent()?;
    let Edited {
        event,
        opened,
        withdrawn,
        sessions,
    } = edited;
    let mut segments = vec![intent::evolve(intent.clone(), &event)];
    segments.extend(opened.iter().cloned().map(Opened::intent));
    for id in &withdrawn {
        let segment = view.segments.iter().find(|segment| segment.id == *id);
        let segment = segment.ok_or(Refusal::NotFound { what: "segment" })?;
        segments.push(intent::evolve(segment.clone(), &Event::Withdrawn));
    }
    let (changed, posting) = changed(view, &sessions, principal, now)?;
    refuse_taken(view, &event, &segments, &changed, principal, now)?;

    let subject = opened.first().map_or(intent.id, |goes_on| goes_on.id);
    let mut changes: Vec<Change> = Vec::new();
    for (index, mut segment) in segments.into_iter().enumerate() {
        let known = view.known(segment.id);
        let left = changed.iter().filter(|one| one.before.intent == segment.id);
        let left: Vec<_> = left.map(|one| one.before.recurrence_id).collect();
        let come = changed.iter().filter(|one| one.after.intent == segment.id);
        let come = come.map(|one| one.after.recurrence_id);
        let known = known.into_iter().filter(|at| !left.contains(at));
        let known = known.chain(come).collect();
        segment.next_due_at = intent_due_at(&segment, &known, now);
        let is_new = (1..=opened.len()).contains(&index);
        changes.push(if is_new {
            Change::NewIntent(segment)
        } else {
            Change::Intent(segment)
        });
    }
    // What is opened comes first: sessions refer to it.
    changes.sort_by_key(|change| !matches!(change, Change::NewIntent(_)));
    let version = changes.iter().find_map(|change| match change {
        Change::NewIntent(one) | Change::Intent(one) if one.id == subject => Some(one.version),
        _ => None,
    });
    changes.extend(handed_over(view, &opened, &withdrawn, now)?);
    let ids: Vec<SessionId> = changed.iter().map(|one| one.after.id).collect();
    changes.extend(in_order(changed, now));
    let funded = fund_waiting(view, posting, &ids, now, &mut changes)?;
    let happened = |intent, event| Happened { intent, event };
    let mut events = vec![happened(intent.id, event)];
    let created = opened.into_iter();
    events.extend(created.map(|one| happened(one.id, Event::Created(Box::new(one)))));
    events.extend(
        withdrawn
            .into_iter()
            .map(|id| happened(id, Event::Withdrawn)),
    );
    let journal = Journal {
        history: Some(History {
            series: intent.series,
            reason: why.cloned(),
            events,
        }),
        ..Journal::new(Subject::Intent(subject), version.unwrap_or(1), kind)
    };
    let body = serde_json::json!({ "sessions": ids, "funded": funded });
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal.with_body(body)),
        changes,
    }))
}

/// A client whose last booking with their own therapist goes to another one goes along: the other therapist sees
/// them from then on. Taking that back gives the client back.
fn handed_over(
    view: &View,
    opened: &[Opened],
    withdrawn: &[IntentId],
    now: DateTime<Utc>,
) -> Result<Option<Change>, Refusal> {
    let (intent, client) = (view.intent()?, view.client()?);
    let segments = view.segments.iter();
    let mut taken_back = segments.filter(|one| withdrawn.contains(&one.id));
    let (from, to) = match (opened.first(), taken_back.next()) {
        (Some(opened), _) => (intent.therapist, opened.therapist),
        (None, Some(taken_back)) => (taken_back.therapist, intent.therapist),
        (None, None) => return Ok(None),
    };
    let is_other = |one: &Intent| {
        let is_open = one.set.over_at().is_none_or(|over| over > now);
        is_open && one.series != intent.series && (one.client, one.therapist) == (client.id, from)
    };
    let goes_along = from != to && client.therapist == Some(from);
    let is_last = !view.intents.iter().any(is_other);
    Ok((goes_along && is_last).then_some(Change::Assigned(client.id, Some(to))))
}

/// The sessions after an edit, and the credits that follow them.
fn changed(
    view: &View,
    fates: &[SessionChange],
    principal: Principal,
    now: DateTime<Utc>,
) -> Result<(Vec<Changed>, Posting), Refusal> {
    let mut posting = Posting::of(view.account()?);
    let mut changed: BTreeMap<SessionId, Changed> = BTreeMap::new();
    for &SessionChange { session: id, fate } in fates {
        let before = view.sessions.iter().find(|session| session.id == id);
        let before = before.ok_or(Refusal::NotFound { what: "session" })?;
        let one = changed.entry(id).or_insert_with(|| Changed {
            before: before.clone(),
            after: before.clone(),
            rebound: false,
        });
        let party = principal.party();
        let late = is_late(one.before.starts_at, view.service()?, party, now);
        if let Fate::Rebind(to) = fate
            && late
            && one.before.state.is_live()
            && to.starts_at != one.before.starts_at
        {
            let free_until = free_until(one.before.starts_at, view.service()?);
            return Err(Refusal::TooLateToReschedule { free_until, now });
        }
        if let Fate::Rebind(to) = fate {
            refuse_far(view, &one.before, to.starts_at, party)?;
        }
        for command in commands(one, fate, party, late) {
            let Idempotent::Applied(event) = session::decide(&one.after, &command, now)? else {
                continue;
            };
            if event == session::Event::Reopened {
                posting = take_back_forfeit(view, posting, &one.after, principal, now)?;
            }
            posting = follow(view, posting, &one.after, &event, now)?;
            one.after = session::evolve(one.after.clone(), &event);
            one.rebound |= matches!(event, session::Event::Rebound { .. });
        }
        let service = view.service_of(one.after.service)?;
        one.after.next_due_at = due_at(&one.after, service, now);
    }
    let mut changed: Vec<Changed> = changed.into_values().collect();
    let posting = fund_reopened(view, posting, &mut changed, principal, now)?;
    Ok((changed, posting))
}

/// Sessions that came back have their own credits again: from those that got them meanwhile, who take
/// another or wait for one, or from the lot. What was undone must not have cost them their place.
fn fund_reopened(
    view: &View,
    mut posting: Posting,
    changed: &mut Vec<Changed>,
    principal: Principal,
    now: DateTime<Utc>,
) -> Result<Posting, Refusal> {
    let reopened = |one: &Changed| {
        let is_new = one.before.hold_generation < one.after.hold_generation;
        is_new && one.after.state == SessionState::Unfunded
    };
    let mut heirs: Vec<(u64, Changed)> = Vec::new();
    let ids: Vec<SessionId> = changed.iter().map(|one| one.after.id).collect();
    for one in changed.iter_mut().filter(|one| reopened(one)) {
        let is_other = |id| !ids.contains(&id) && heirs.iter().all(|(_, heir)| heir.after.id != id);
        for (since, heir) in heirs_of(view, &posting, &one.before, is_other, now) {
            posting = posting.give_up(&heir, now)?;
            let waits = decided(heir.clone(), &session::Command::Unfund, now)?;
            let changed = Changed {
                before: heir,
                after: waits,
                rebound: false,
            };
            heirs.push((since, changed));
        }
        let (next, held) = posting.restore(view, &one.before, &one.after, principal, now)?;
        posting = next;
        one.funded(view, held, now)?;
    }
    heirs.sort_by_key(|(since, _)| *since);
    for (_, mut heir) in heirs {
        let (next, held) = posting.hold(&heir.after, now)?;
        posting = next;
        heir.funded(view, held, now)?;
        changed.push(heir);
    }
    Ok(posting)
}

impl Changed {
    /// The session has a credit, or waits for one.
    fn funded(&mut self, view: &View, held: bool, now: DateTime<Utc>) -> Result<(), Refusal> {
        if held {
            self.after = decided(self.after.clone(), &session::Command::Fund, now)?;
        }
        let service = view.service_of(self.after.service)?;
        self.after.next_due_at = due_at(&self.after, service, now);
        Ok(())
    }
}

/// A session after what is asked of it.
fn decided(
    session: Session,
    command: &session::Command,
    now: DateTime<Utc>,
) -> Result<Session, Refusal> {
    Ok(match session::decide(&session, command, now)? {
        Idempotent::Applied(event) => session::evolve(session, &event),
        Idempotent::AlreadyApplied => session,
    })
}

/// The sessions whose credit may come from the cancellation of another one, each with the number of the
/// entry that holds it: those that need an extension since then, and, if no credit of the lot is free, the
/// last to hold one.
fn heirs_of(
    view: &View,
    posting: &Posting,
    called_off: &Session,
    is_other: impl Fn(SessionId) -> bool,
    now: DateTime<Utc>,
) -> Vec<(u64, Session)> {
    let account = posting.account();
    let hold = hold_of(called_off);
    let key = Key::release(hold);
    let released = view.entries.iter().find(|entry| entry.key == key);
    let lot = released.and_then(|entry| account.lot(entry.body.allocation().first()?.lot));
    let (Some(released), Some(lot)) = (released, lot) else {
        return Vec::new();
    };
    let is_free = account.lots().iter().any(|other| {
        let since = other.brought.is_some_and(|one| one.seq > released.seq);
        let is_own = other.number == lot.number || (since && other.root() == lot.root());
        is_own && other.balance.available.is_positive()
    });
    let got_it = |other: &Session| {
        let open = account.hold(hold_of(other))?;
        let since = open.since.filter(|since| *since > released.seq)?;
        let held = account.lot(open.allocation.first()?.lot)?;
        let moved = held.brought.and_then(|one| one.extension) == Some(grace_of(hold));
        (held.root() == lot.root()).then_some((since, open.extended.is_some() || moved))
    };
    let others = view.sessions.iter().filter(|other| {
        other.client == called_off.client
            && other.service == called_off.service
            && other.state == SessionState::Scheduled
            && other.starts_at > now
            && is_other(other.id)
    });
    let mut heirs: Vec<_> = others
        .filter_map(|other| Some((got_it(other)?, other.clone())))
        .collect();
    let last = heirs.iter().map(|((since, _), _)| *since).max();
    let is_last = |since| !is_free && Some(since) == last;
    heirs.retain(|((since, by_grace), _)| *by_grace || is_last(*since));
    let heirs = heirs.into_iter();
    heirs.map(|((since, _), heir)| (since, heir)).collect()
}

/// What is asked of a session. One that becomes another service's is paid for anew: the credit that
/// is held for it is the old one's.
fn commands(one: &Changed, fate: Fate, party: Party, late: bool) -> Vec<session::Command> {
    let command = fate.command(party, late);
    match fate {
        Fate::Rebind(to)
            if to.service != one.after.service && one.after.state == SessionState::Scheduled =>
        {
            let call_off = session::Command::CallOff {
                by: Party::Clinic,
                late: false,
            };
            vec![call_off, command, session::Command::Reopen]
        }
        _ => vec![command],
    }
}

/// What the client is told of a session, if anything.
fn told(one: &Changed, now: DateTime<Utc>) -> Option<Notification> {
    let Changed { before, after, .. } = one;
    let was_on = before.state.is_live();
    let kind = match after.state {
        SessionState::Cancelled { .. } if was_on => NotificationKind::Cancelled,
        SessionState::Scheduled if !was_on => NotificationKind::Scheduled,
        SessionState::Unfunded if before.state != SessionState::Unfunded => {
            NotificationKind::Unfunded
        }
        SessionState::Scheduled
            if (before.starts_at, before.therapist) != (after.starts_at, after.therapist) =>
        {
            NotificationKind::Rescheduled
        }
        _ => return None,
    };
    Some(Notification::to_client(kind, after, now))
}

/// The sessions' rows in an order in which none takes time that another has not left yet, each with
/// what the client is told. Where they are in each other's way in a circle, one leaves first.
fn in_order(changed: Vec<Changed>, now: DateTime<Utc>) -> Vec<Change> {
    let with_notice = changed.into_iter().map(|one| {
        let told = told(&one, now);
        (one, told)
    });
    let mut rest: Vec<(Changed, Option<Notification>)> = with_notice.collect();
    let mut rows = Vec::new();
    while !rest.is_empty() {
        let in_the_way = |one: &Session, other: &Session| {
            one.id != other.id
                && other.state.is_live()
                && other.starts_at < one.ends_at
                && one.starts_at < other.ends_at
        };
        let is_free = |(one, _): &(Changed, _)| {
            let mut others = rest.iter();
            let taken = others.any(|(other, _)| in_the_way(&one.after, &other.before));
            !(one.after.state.is_live() && taken)
        };
        if let Some(next) = rest.iter().position(is_free) {
            let (one, told) = rest.remove(next);
            rows.push(if one.rebound {
                Change::Rebound(one.after)
            } else {
                Change::Session(one.after)
            });
            rows.extend(told.map(Change::Notify));
        } else if let Some((one, _)) = rest.iter_mut().find(|(one, _)| one.before.state.is_live()) {
            let called_off = session::Event::CalledOff {
                by: Party::Clinic,
                late: false,
            };
            one.before = session::evolve(one.before.clone(), &called_off);
            rows.push(Change::Session(one.before.clone()));
        }
    }
    rows
}

/// Refuses an edit that takes time that is not free, or that is not offered to a client. What
/// keeps its time keeps it, whatever the therapist's hours are by now.
fn refuse_taken(
    view: &View,
    event: &Event,
    segments: &[Intent],
    changed: &[Changed],
    principal: Principal,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let before = view.intent()?;
    let after: Vec<Session> = changed.iter().map(|one| one.after.clone()).collect();
    if let Event::Split { .. } = event {
        quota::check(view, segments, principal, now)?;
    }
    let ground = Ground::new(view, segments, &after)?;
    let is_moved = matches!(event, Event::Split { .. });
    let mut found = Vec::new();
    for segment in segments {
        let takes_time = match event {
            Event::Resumed { .. } | Event::Undone { .. } => segment.id == before.id,
            Event::Split { .. } => segment.id != before.id,
            _ => false,
        };
        if !takes_time {
            continue;
        }
        let changed = |was: &&Intent| segments.iter().any(|after| after.id == was.id);
        let was = view.segments.iter().chain([before]).filter(changed);
        let was = was.filter(|was| was.therapist == segment.therapist);
        let had = Had::by(was.map(|was| &was.set));
        if is_moved {
            let service = view.service_of(segment.service)?;
            found.extend(ground.new_refused(service, segment, &had, principal, now)?);
        }
        found.extend(ground.clashes(segment, &had, now)?);
    }
    for Changed { before, after, .. } in changed {
        let stays = before.state.is_live()
            && before.therapist == after.therapist
            && before.starts_at <= after.starts_at
            && after.ends_at <= before.ends_at;
        if after.state.is_live() && !stays {
            let address = (after.intent, after.recurrence_id);
            let time = (after.starts_at, after.ends_at);
            if is_moved {
                let service = view.service_of(after.service)?;
                found.extend(ground.offered(service, address.1, time, principal, now)?);
            }
            found.extend(ground.clashes_of_one(address, after.service, time, now)?);
        }
    }
    ground.check(found, principal)
}
