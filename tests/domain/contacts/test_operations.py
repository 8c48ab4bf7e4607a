from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.core.vault import SHORTEST_SEAL
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.contacts.models import Contact
from caseapp.domain.contacts.operations import (
    BLOCK_SIZE,
    mark_contact_in_error,
    record_contact,
)
from caseapp.domain.contacts.queries import get_contact, list_contacts, lock_contact
from caseapp.domain.contacts.schemas import MAX_WORDS, NewContact
from caseapp.domain.dashboard import no_shows
from caseapp.domain.dashboard.case_page import get_case_overview
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.screening.current import get_safety_state
from tests.support import builders, followups

pytestmark = pytest.mark.both


def add(actor, client_id, kind, *, days_ago=0, **more):
    """Record what happened some days ago as if it were recorded then."""
    with at(now() - timedelta(days=days_ago)), transaction():
        return record_contact(actor, lock_client(actor, client_id), NewContact(kind, **more))


def mark(actor, entry_id, reason="It was another client."):
    with transaction():
        mark_contact_in_error(actor, lock_contact(actor, entry_id), reason)


def met(actor, made):
    db.session.rollback()
    return get_case_overview(actor, made.number, limit=10).page.met


def waiting(actor):
    db.session.rollback()
    return [found.client for found in get_today(actor).no_shows]


def test_entries_are_listed_by_page_newest_first_and_never_change(team):
    coach, made = team["coach"], builders.case(team["coach"])
    for days, kind in enumerate(("no_show", "cancelled", "attempt")):
        method = "message" if kind == "attempt" else None
        add(coach, made.client_id, kind, days_ago=days, method=method, words=f"Words {days}.")
    first = list_contacts(coach, made.client_id, None, 2)
    rest = list_contacts(coach, made.client_id, first.next, 2)
    found = [*first.items, *rest.items]
    assert [(one.kind, one.words) for one in found] == [
        ("no_show", "Words 0."),
        ("cancelled", "Words 1."),
        ("attempt", "Words 2."),
    ]
    assert (found[2].method, rest.next) == ("message", None)
    with pytest.raises(NotFound):
        list_contacts(team["coach2"], made.client_id, None, 2)
    with pytest.raises(Forbidden):
        list_contacts(team["admin"], made.client_id, None, 2)
    for change in (sa.update(Contact).values(kind="contact"), sa.delete(Contact)):
        db.session.rollback()
        with pytest.raises(DBAPIError, match=r"never change|append|refuse|change"):
            db.session.execute(change)
    db.session.rollback()


def test_entry_in_error_stays_with_its_reason_and_counts_nowhere(team):
    coach, made = team["coach"], builders.case(team["coach"])
    entry_id = add(coach, made.client_id, "contact", method="call")
    assert met(coach, made).contact is not None
    mark(team["supervisor"], entry_id)
    found = get_contact(coach, entry_id)
    assert (found.error_reason, found.in_error_by_name) == (
        "It was another client.",
        team["supervisor"].name,
    )
    assert met(coach, made).contact is None
    with pytest.raises(RuleBroken):
        mark(coach, entry_id)
    [listed] = list_contacts(coach, made.client_id, None, 10).items
    assert listed == found
    written = db.session.scalars(
        sa.select(AuditEvent.details).where(AuditEvent.action == "contact.write")
    ).all()
    assert [details or {} for details in written] == [{}, {"corrects": str(entry_id)}]


@pytest.mark.slow
def test_no_show_is_no_session_and_sessions_are_counted_by_signed_notes(team):
    coach, made = team["coach"], builders.case(team["coach"])
    add(coach, made.client_id, "no_show")
    builders.screen(coach, made.client_id)
    builders.draft(coach, made.case_id)
    found = met(coach, made)
    assert (found.session, found.sessions, found.minutes) == (None, 0, 0)
    assert found.no_show is not None
    [case] = get_today(coach).recent_cases
    assert (case.met.session, case.met.no_show) == (None, found.no_show)
    overview = get_case_overview(coach, made.number, limit=10)
    assert [mark.kind for mark in overview.trend.marks] == []
    builders.note(coach, made.case_id, days_ago=2)
    builders.note(coach, made.case_id, days_ago=1)
    found = met(coach, made)
    assert (found.sessions, found.minutes) == (2, 100)
    assert found.session is not None
    assert found.session < found.no_show
    overview = get_case_overview(coach, made.number, limit=10)
    assert [item.title for item in overview.timeline.items].count("Session") == 3


def test_followup_is_the_actors_own_and_due_in_a_day(team):
    coach, client_id = team["coach"], builders.client(team["coach"])
    add(coach, client_id, "no_show", follow_up=True)
    [task] = list_client_followups(coach, client_id)
    assert (task.title, task.assigned_to) == ("Get in touch after the no-show", coach.id)
    assert task.due_at == now() + timedelta(days=1)


@pytest.mark.slow
def test_no_show_during_a_hold_waits_for_the_coach_and_changes_nothing_about_the_hold(team):
    coach, supervisor = team["coach"], team["supervisor"]
    held, calm = builders.case(coach, "Tomasz Held"), builders.case(coach, "Ines Calm")
    with at(now() - timedelta(hours=3)):
        builders.screen(coach, held.client_id, fear_at_home=2)
    before = list_client_followups(coach, held.client_id), get_safety_state(held.client_id).holds
    db.session.rollback()
    for made in (held, calm):
        add(coach, made.client_id, "no_show")
    assert waiting(coach) == waiting(supervisor) == ["Tomasz Held"]
    assert waiting(team["coach2"]) == []
    assert (
        list_client_followups(coach, held.client_id),
        get_safety_state(held.client_id).holds,
    ) == before
    # An attempt reaches nobody.
    with at(now() + timedelta(minutes=1)):
        add(coach, held.client_id, "attempt", method="call")
        assert waiting(coach) == ["Tomasz Held"]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["contact", "session", "screening", "follow-up", "error"])
def test_no_show_waits_until_somebody_is_in_contact(team, what):
    coach = team["coach"]
    made = builders.case(coach, "Tomasz Held")
    with at(now() - timedelta(hours=30)):
        builders.screen(coach, made.client_id, fear_at_home=2)
    entry_id = add(coach, made.client_id, "no_show", happened_at=now() - timedelta(hours=2))
    assert waiting(coach) == ["Tomasz Held"]
    if what == "contact":
        add(coach, made.client_id, "contact", method="call")
    elif what == "session":
        builders.note(coach, made.case_id)
    elif what == "screening":
        builders.screen(coach, made.client_id, fear_at_home=2)
    elif what == "error":
        mark(coach, entry_id)
    else:
        [task] = followups.find_tasks(made.client_id, "safety_24h")
        followups.complete(coach, task.id, "reached", "He is with his sister.")
    assert waiting(coach) == []


@pytest.mark.slow
@pytest.mark.parametrize("what", ["contact", "session"])
def test_contact_in_the_minute_of_a_no_show_counts_as_after_it(team, what):
    coach = team["coach"]
    made = builders.case(coach, "Tomasz Held")
    minute = (now() - timedelta(hours=2)).replace(second=0, microsecond=0)
    with at(minute - timedelta(hours=3)):
        builders.screen(coach, made.client_id, fear_at_home=2)
    with at(minute.replace(second=40)):
        add(coach, made.client_id, "no_show")
    assert waiting(coach) == ["Tomasz Held"]
    assert met(coach, made).no_show == minute
    if what == "contact":
        add(coach, made.client_id, "contact", method="call", happened_at=minute)
    else:
        builders.note(coach, made.case_id, started_at=minute)
    assert waiting(coach) == []
    assert met(coach, made).no_show is None


@pytest.mark.slow
def test_each_client_who_did_not_come_is_looked_at_once(team, monkeypatch):
    monkeypatch.setattr(no_shows, "MAX_NO_SHOWS", 2)
    coach = team["coach"]
    held = builders.case(coach, "Tomasz Held")
    with at(now() - timedelta(days=9)):
        builders.screen(coach, held.client_id, fear_at_home=2)
    add(coach, held.client_id, "no_show", days_ago=8)
    calm = [builders.client(coach, "Ines Calm"), builders.client(coach, "Mei Calm")]
    for client_id in calm:
        for _ in range(3):
            add(coach, client_id, "no_show")
    # Those of whom nothing about safety was ever recorded are not looked at.
    assert waiting(coach) == waiting(team["supervisor"]) == ["Tomasz Held"]
    for client_id in calm:
        builders.screen(coach, client_id, days_ago=1)
    assert waiting(coach) == ["Tomasz Held"]
    assert get_today(coach).more_no_shows
    mark(coach, add(coach, calm[0], "no_show"))
    add(coach, calm[0], "contact", method="call")
    assert waiting(team["supervisor"]) == ["Tomasz Held"]
    assert not get_today(team["supervisor"]).more_no_shows


@pytest.mark.slow
def test_contact_with_somebody_else_answers_no_no_show(team):
    coach = team["coach"]
    held, other = builders.case(coach, "Tomasz Held"), builders.case(coach, "Ines Calm")
    with at(now() - timedelta(hours=30)):
        builders.screen(coach, held.client_id, fear_at_home=2)
    add(coach, held.client_id, "no_show", days_ago=1)
    add(coach, other.client_id, "contact", method="call")
    builders.note(coach, other.case_id)
    assert waiting(coach) == waiting(team["supervisor"]) == ["Tomasz Held"]


def test_length_of_what_is_sealed_tells_nothing_about_the_words(team):
    coach, client_id = team["coach"], builders.client(team["coach"])
    for words in ("", "a" * MAX_WORDS, "\N{BELL}" * MAX_WORDS, "\a" * MAX_WORDS, '"' * MAX_WORDS):
        entry_id = add(coach, client_id, "contact", method="call", words=words)
        assert get_contact(coach, entry_id).words == words
    mark(coach, entry_id, "\N{BELL}" * MAX_WORDS)
    assert {*db.session.scalars(sa.select(sa.func.length(Contact.content)))} == {
        SHORTEST_SEAL + BLOCK_SIZE
    }
