//! The rows that the acts write.

use chrono::TimeDelta;
use clinic::{Client, LeftOver, Plan, PlanId, Role, Service, Subscription, Term, Therapist};
use ledger_core::{CarryOver, Credits, Expiry};
use scheduler_core::intent::Intent;
use scheduler_core::session::{Session, SessionState};
use scheduler_core::{ClientId, ServiceId, TherapistId};

use crate::Token;
use crate::contract::fixture::{Fixture, id, now, sealed, stored, working_times};

/// What is written first and then changed.
pub(super) struct Rows {
    pub(super) intents: [Intent; 3],
    pub(super) sessions: [Session; 4],
    pub(super) service: Service,
    pub(super) plan: Plan,
    pub(super) subscription: Subscription,
    pub(super) therapist: Therapist,
    pub(super) client: Client,
    pub(super) token: Token,
}

impl Rows {
    pub(super) fn of(clinic: &Fixture) -> Self {
        let due = Some(now());
        let mut intents = [100, 101, 102].map(|number| clinic.intent(number));
        for intent in &mut intents[1..] {
            intent.next_due_at = due;
        }
        (intents[2].series, intents[2].continues) = (intents[0].id, Some(intents[0].id));
        let mut sessions = [100, 200, 300, -200].map(|at| clinic.session(&intents[0], at));
        sessions[1].state = SessionState::Unfunded;
        for session in &mut sessions[1..] {
            session.next_due_at = due;
        }
        let service = Service {
            id: ServiceId(id(20)),
            name: "consultation".to_owned(),
            minutes: 80,
            ..clinic.a_service()
        };
        let therapist = TherapistId(id(22));
        Self {
            plan: Plan {
                id: PlanId(id(21)),
                name: "four".to_owned(),
                service: service.id,
                credits: Credits(4),
                price: service.price,
                left_over: LeftOver {
                    expiry: Expiry::PeriodEnd,
                    rollover: CarryOver::AtMost(Credits(1)),
                    carry_over: CarryOver::All,
                    late_days: 3,
                },
                retired_at: None,
            },
            subscription: Subscription {
                client: clinic.clients[0],
                terms: vec![Term {
                    from: now(),
                    zone: "Europe/London".parse().unwrap(),
                    plan: Some(PlanId(id(21))),
                }],
                version: 1,
            },
            therapist: Therapist {
                id: therapist,
                person: Some(sealed(therapist.0, 1, 1)),
                times: working_times(),
            },
            client: Client {
                id: ClientId(id(23)),
                person: Some(sealed(id(23), 1, 1)),
                legal_hold: false,
                clear_zone: None,
                therapist: Some(therapist),
            },
            token: Token {
                id: id(24),
                secret: stored(24),
                clinic: clinic.principal.clinic,
                role: Role::Client(clinic.clients[1]),
                created_at: now(),
                ends_at: Some(now() + TimeDelta::days(9)),
            },
            intents,
            sessions,
            service,
        }
    }
}
