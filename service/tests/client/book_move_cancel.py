"""Books, moves and cancels with a client that openapi-python-client has generated, and with nothing else.

    scripts/fuzz-api --client-only

runs it against a demo whose clock stands at 2026-03-02T08:00:00Z.
"""

import datetime
import itertools
import sys
import uuid
from http import HTTPStatus

from standing_client import AuthenticatedClient
from standing_client.api.clients import clients_list
from standing_client.api.intents import intents_create, intents_show
from standing_client.api.occurrences import (
    occurrences_cancel,
    occurrences_list,
    occurrences_reschedule,
    occurrences_show,
    occurrences_skip,
)
from standing_client.api.services import services_list
from standing_client.api.therapists import therapists_busy, therapists_list, therapists_sessions
from standing_client.models import (
    BusyList,
    ClientList,
    HoursDay,
    Intent,
    NewIntent,
    NewTime,
    Nothing,
    Occurrence,
    OccurrenceList,
    Preview,
    Problem,
    ServiceList,
    TherapistList,
)

ZONE = "Europe/London"
FIRST = "2026-03-06T19:00:00"
SECOND = "2026-03-13T19:00:00"
THIRD = "2026-03-20T19:00:00"
HOUR = datetime.timedelta(hours=1)
# The clocks of the zone change in it.
WINDOW = {"from_": datetime.datetime.fromisoformat("2026-03-01T00:00:00+00:00"),
          "to": datetime.datetime.fromisoformat("2026-04-05T00:00:00+00:00")}


def expect(kind, answer):
    """The answer, if it is of this kind."""
    assert isinstance(answer, kind), f"{kind.__name__} was expected: {answer}"[:1000]
    return answer


def main(url: str, token: str) -> None:
    client = AuthenticatedClient(base_url=url, token=token)

    stranger = AuthenticatedClient(base_url=url, token="nobody")
    refused = therapists_list.sync_detailed(client=stranger)
    assert refused.status_code == HTTPStatus.UNAUTHORIZED
    assert expect(Problem, refused.parsed).code == "unauthorized"

    therapists = expect(TherapistList, therapists_list.sync(client=client)).items
    services = expect(ServiceList, services_list.sync(client=client)).items
    clients = expect(ClientList, clients_list.sync(client=client)).items
    service = min(services, key=lambda one: one.minutes)
    assert isinstance(service.id, uuid.UUID) and 1 <= service.minutes <= 1440, service
    therapist = next(one for one in therapists if one.zone == ZONE)
    assert isinstance(therapist.version, int), therapist
    assert any(one.day == HoursDay.FR and one.to >= "20:00" for one in therapist.hours), therapist
    own = [one for one in clients if one.therapist_id == therapist.id]
    of = min(own, key=lambda one: one.name)
    print(f"   {len(therapists)} therapists, {len(services)} services, {len(clients)} clients")

    wish = NewIntent(
        therapist_id=therapist.id,
        client_id=of.id,
        service_id=service.id,
        starts_local=FIRST,
        zone=ZONE,
        rule="FREQ=WEEKLY;BYDAY=FR",
    )
    tried = expect(Preview, intents_create.sync(client=client, body=wish, dry_run=True))
    assert tried.dry_run is True
    key = f"client-{uuid.uuid4()}"
    made = intents_create.sync_detailed(client=client, body=wish, idempotency_key=key)
    assert made.status_code == HTTPStatus.CREATED, made.content
    intent = expect(Intent, made.parsed)
    assert intent.starts_local == FIRST and intent.minutes == service.minutes, intent
    assert made.headers["etag"] == f'"{intent.version}"'
    again = intents_create.sync_detailed(client=client, body=wish, idempotency_key=key)
    assert expect(Intent, again.parsed).id == intent.id
    assert again.headers["idempotent-replayed"] == "true"
    print(f"   booked once: {intent.id}")

    clash = intents_create.sync_detailed(client=client, body=wish)
    assert clash.status_code == HTTPStatus.CONFLICT
    assert expect(Problem, clash.parsed).code == "clash"
    assert clash.parsed["clashes"], "the clashes are in the answer"

    second = expect(Occurrence, occurrences_show.sync(intent.id, SECOND, client=client))
    assert second.state == "virtual" and second.materialized is False, second
    earlier = NewTime(starts_local="2026-03-13T17:00:00")
    stale = occurrences_reschedule.sync(
        intent.id, SECOND, client=client, body=earlier, if_match=str(second.version + 7)
    )
    assert expect(Problem, stale).code == "stale_version"
    moved = occurrences_reschedule.sync(
        intent.id, SECOND, client=client, body=earlier, if_match=str(second.version)
    )
    moved = expect(Occurrence, moved)
    assert moved.moved and moved.recurrence_id == SECOND and moved.starts_local == earlier.starts_local
    assert moved.starts_at == second.starts_at - 2 * HOUR, moved
    skipped = expect(Occurrence, occurrences_skip.sync(intent.id, THIRD, client=client, body=Nothing()))
    assert skipped.state == "skipped", skipped
    cancelled = expect(Occurrence, occurrences_cancel.sync(intent.id, FIRST, client=client))
    assert cancelled.state == "cancelled", cancelled
    after = expect(Intent, intents_show.sync(intent.id, client=client))
    assert after.exclusions == [THIRD] and after.version > intent.version, after
    print("   one is moved, one skipped, one cancelled")

    calendar = expect(OccurrenceList, occurrences_list.sync(intent.id, client=client, **WINDOW))
    told = [(one.recurrence_id, one.state, one.starts_at.isoformat()) for one in calendar.items]
    assert told == [
        (FIRST, "cancelled", "2026-03-06T19:00:00+00:00"),
        (SECOND, "virtual", "2026-03-13T17:00:00+00:00"),
        ("2026-03-27T19:00:00", "virtual", "2026-03-27T19:00:00+00:00"),
        ("2026-04-03T19:00:00", "virtual", "2026-04-03T18:00:00+00:00"),
    ], told
    all_of = expect(OccurrenceList, therapists_sessions.sync(therapist.id, client=client, **WINDOW))
    taken = [
        one for one in all_of.items if one.state in ("virtual", "scheduled", "unfunded")
    ]
    busy = expect(BusyList, therapists_busy.sync(therapist.id, client=client, **WINDOW)).items
    assert all(one.starts_at < one.ends_at for one in busy)
    assert all(before.ends_at < after.starts_at for before, after in itertools.pairwise(busy))
    for one in taken:
        assert any(b.starts_at <= one.starts_at and one.ends_at <= b.ends_at for b in busy), one
    free = cancelled.starts_at
    assert not any(b.starts_at <= free < b.ends_at for b in busy), free
    print(f"   {len(all_of.items)} appointments, {len(busy)} stretches of time")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
