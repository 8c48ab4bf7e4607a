from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.cases.queries import CaseFilter, list_cases
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.consent.models import Consent, ConsentText
from caseapp.domain.consent.operations import (
    mark_consent_in_error,
    publish_text,
    record_consent,
    withdraw_consent,
)
from caseapp.domain.consent.queries import list_consents, list_texts, lock_consent, lock_texts
from caseapp.domain.consent.schemas import ConsentWithdrawal, NewConsent, NewConsentText
from caseapp.domain.dashboard import listed_clients, queries
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.practice.queries import get_practice_info, today
from caseapp.domain.reports.queries import count_cases, list_report_rows
from caseapp.domain.reports.schemas import ReportFilter
from caseapp.domain.screening.current import get_safety_state
from tests.support import builders

pytestmark = pytest.mark.both
WORDS = "We keep notes about what you tell us, and you can see them."


def publish(actor, language="en-GB", *, is_translation=False):
    with transaction():
        new = NewConsentText(language, WORDS, is_translation)
        return publish_text(actor, lock_texts(actor), new)


def give(actor, client_id, text_id=None, *, days_ago=0):
    new = NewConsent(today() - timedelta(days=days_ago), "written", text_id)
    with transaction():
        return record_consent(actor, lock_client(actor, client_id), new)


def withdraw(actor, client_id, *, days_ago=0):
    new = ConsentWithdrawal(today() - timedelta(days=days_ago), "spoken", "She told Sam.")
    with transaction():
        return withdraw_consent(actor, lock_client(actor, client_id), new)


def stands(actor, client_id):
    db.session.rollback()
    found = get_client_record(actor, client_id)
    return found.consent_version, found.consent_withdrawn_on


def test_consent_is_kept_by_version_withdrawn_and_given_again(team):
    coach, supervisor = team["coach"], team["supervisor"]
    client_id = builders.client(coach)
    settings = get_practice_info().practice.version
    with at(now() - timedelta(days=4)):
        first, spanish = publish(supervisor), publish(team["admin"], "es", is_translation=True)
    second = publish(supervisor)
    db.session.rollback()
    practice = get_practice_info().practice
    assert (practice.consent_version, practice.version) == (2, settings)
    texts = [(one.version, one.language, one.id) for one in list_texts(coach)]
    assert texts == [(2, "en-GB", second), (1, "en-GB", first), (1, "es", spanish)]

    assert stands(coach, client_id) == (None, None)
    give(coach, client_id, second)
    give(coach, client_id, spanish, days_ago=3)
    for text_id, days_ago in ((second, 1), (first, 6)):
        with pytest.raises(Invalid):
            give(coach, client_id, text_id, days_ago=days_ago)
    with pytest.raises(Invalid):
        withdraw(coach, client_id, days_ago=1)
    assert stands(coach, client_id) == (2, None)
    withdraw(coach, client_id)
    assert stands(coach, client_id) == (2, today())
    with pytest.raises(Invalid):
        give(coach, client_id, second, days_ago=1)
    give(coach, client_id, first)
    assert stands(coach, client_id) == (1, None)

    first_page = list_consents(coach, client_id, None, 3)
    rest = list_consents(coach, client_id, first_page.next, 3)
    found = [(one.kind, one.version, one.language, one.words) for one in first_page.items]
    assert found == [
        ("given", 1, "en-GB", ""),
        ("withdrawn", None, None, "She told Sam."),
        ("given", 1, "es", ""),
    ]
    assert [(one.version, one.method) for one in rest.items] == [(2, "written")]


def test_entry_recorded_in_error_is_kept_and_consent_follows_from_the_others(team):
    coach, client_id = team["coach"], builders.client(team["coach"])

    def mark(entry_id):
        with transaction():
            mark_consent_in_error(coach, lock_consent(coach, entry_id), "Another client.")

    text_id = publish(team["supervisor"])
    given = give(coach, client_id, text_id)
    withdrawn = withdraw(coach, client_id)
    mark(withdrawn)
    assert stands(coach, client_id) == (1, None)
    with pytest.raises(RuleBroken):
        mark(withdrawn)
    withdraw(coach, client_id)
    again = give(coach, client_id, text_id)
    mark(again)
    assert stands(coach, client_id) == (1, today())
    mark(given)
    assert stands(coach, client_id) == (None, today())
    logged = db.session.scalars(
        sa.select(AuditEvent.details)
        .where(AuditEvent.action == "consent.write")
        .order_by(AuditEvent.seq)
    ).all()
    assert [details for details in logged if details["kind"] == "in_error"] == [
        {"kind": "in_error", "corrects": str(entry), "version": version, "is_withdrawn": is_so}
        for entry, version, is_so in (
            (withdrawn, 1, False),
            (again, 1, True),
            (given, None, True),
        )
    ]
    found = list_consents(coach, client_id, None, 9).items
    assert [(one.kind, one.error_reason) for one in found] == [
        ("given", "Another client."),
        ("withdrawn", ""),
        ("withdrawn", "Another client."),
        ("given", "Another client."),
    ]
    with pytest.raises(NotFound), transaction():
        lock_consent(team["coach2"], given)


def test_only_those_who_see_the_client_record_and_nothing_changes_afterwards(team):
    coach, client_id = team["coach"], builders.client(team["coach"])
    with pytest.raises(Forbidden):
        publish(coach)
    text_id = publish(team["supervisor"])
    give(coach, client_id, text_id)
    with pytest.raises(NotFound):
        withdraw(team["coach2"], client_id)
    with pytest.raises(NotFound):
        list_consents(team["coach2"], client_id, None, 2)
    with pytest.raises(Forbidden):
        list_consents(team["admin"], client_id, None, 2)
    for change in (
        sa.update(Consent).values(kind="withdrawn"),
        sa.delete(Consent),
        sa.update(ConsentText).values(words="Another text."),
        sa.delete(ConsentText),
    ):
        db.session.rollback()
        with pytest.raises(DBAPIError, match=r"never change|append|refuse|change"):
            db.session.execute(change)
    db.session.rollback()


def test_withdrawal_older_than_the_newest_consent_is_refused_whatever_intake_says(team):
    coach = team["coach"]
    client_id = builders.client(coach, consent_on=None)
    give(coach, client_id, days_ago=2)
    give(coach, client_id, days_ago=5)
    with pytest.raises(Invalid):
        withdraw(coach, client_id, days_ago=3)
    withdraw(coach, client_id, days_ago=2)
    assert stands(coach, client_id)[1] == today() - timedelta(days=2)


@pytest.mark.slow
def test_today_lists_the_last_to_withdraw_though_others_were_created_since(team, monkeypatch):
    monkeypatch.setattr(listed_clients, "MAX_WITHDRAWN", 0)
    monkeypatch.setattr(listed_clients, "MAX_RECENT_CASES", 0)
    monkeypatch.setattr(queries, "MAX_WITHDRAWN", 1)
    coach = team["coach"]
    made = [builders.case(coach, consent_on=None) for _ in range(3)]
    for days_ago, one in enumerate(made):
        withdraw(coach, one.client_id, days_ago=days_ago)
    db.session.rollback()
    assert [one.number for one in get_today(coach).withdrawn] == [made[0].number]


@pytest.mark.slow
def test_withdrawal_is_shown_leaves_the_client_out_of_reports_and_stops_no_safety_work(team):
    coach, admin, made = team["coach"], team["admin"], builders.case(team["coach"])
    other = builders.case(coach, "Tom Vale")

    def exported():
        numbers = {
            row.number
            for row in list_report_rows(admin, ReportFilter(), {made.client_id, other.client_id})
        }
        assert count_cases(admin, ReportFilter()) == len(numbers)
        return numbers

    def marked():
        db.session.rollback()
        listed = list_cases(coach, CaseFilter(), None, 10).items
        found = {item.number for item in listed if item.consent_withdrawn_on}
        assert {one.number for one in get_today(coach).withdrawn} == found
        return found

    assert (exported(), marked()) == ({made.number, other.number}, set())
    withdraw(coach, made.client_id)
    assert (exported(), marked()) == ({other.number}, {made.number})
    builders.screen(coach, made.client_id, self_harm="urgent")
    db.session.rollback()
    assert get_safety_state(made.client_id).hold == "safety"
    give(coach, made.client_id)
    assert (exported(), marked()) == ({made.number, other.number}, set())
