//! How far a client's credits reach: what the calendar asks for, and what the ledger has.

use chrono::{DateTime, Utc};
use ledger_core::Account;
use scheduler_core::ServiceId;
use scheduler_core::calendar::Item;
use scheduler_core::forecast::Credits;
use scheduler_core::session::SessionState;

/// When appointments of a service start that no credit is held for yet, in order.
pub fn to_be_funded<'a>(
    calendar: &'a [Item<'a>],
    service: ServiceId,
) -> impl Iterator<Item = DateTime<Utc>> + 'a {
    let asks = move |item: &&Item<'_>| match item {
        Item::Session(session) => {
            session.service == service && session.state == SessionState::Unfunded
        }
        Item::Virtual { intent, occurrence } => intent.service == service && !occurrence.cancelled,
    };
    calendar.iter().filter(asks).map(Item::start)
}

/// The credits that are free to pay for a service, by the appointments that they are good for.
#[must_use]
pub fn credits(account: &Account, service: ServiceId) -> Vec<Credits> {
    let service = ledger_core::ServiceId(service.0);
    let lots = account.lots().iter().filter(|lot| lot.service == service);
    lots.flat_map(|lot| {
        let parts = account.good_until(lot).into_iter();
        parts.filter_map(|(count, until)| {
            Some(Credits {
                count: u32::try_from(count.0).ok()?,
                from: lot.effective_at,
                until,
            })
        })
    })
    .collect()
}
