from datetime import timedelta

import pytest

from caseapp.core.errors import RuleBroken
from caseapp.domain.clients.queries import LockedClient
from caseapp.domain.contacts.codes import FOLLOWUP_TITLES, HAS_METHOD, KIND_LABELS
from caseapp.domain.contacts.queries import LockedContact
from caseapp.domain.contacts.rules import check_error, derive_followup, find_contact_faults
from caseapp.domain.contacts.schemas import ContactRecord, NewContact
from caseapp.domain.dashboard.schemas import LastMet
from tests.support.contexts import CLIENT, COACH, KEY, NOW

LATER, EARLIER = NOW + timedelta(minutes=1), NOW - timedelta(days=1)


def test_each_kind_can_be_recorded_with_what_is_needed_alone():
    for kind in KIND_LABELS:
        method = "call" if kind in HAS_METHOD else None
        assert find_contact_faults(NewContact(kind, method=method), NOW) == {}


@pytest.mark.parametrize(
    ("new", "field"),
    [
        (NewContact("contact"), "method"),
        (NewContact("attempt"), "method"),
        (NewContact("no_show", method="call"), "method"),
        (NewContact("cancelled", method="video"), "method"),
        (NewContact("no_show", cancelled_by="client"), "cancelled_by"),
        (NewContact("no_show", LATER), "happened_at"),
        (NewContact("contact", method="call", follow_up=True), "follow_up"),
    ],
)
def test_what_does_not_belong_to_a_kind_is_named(new, field):
    assert [*find_contact_faults(new, NOW)] == [field]


def test_followup_of_every_kind_but_contact_is_due_in_a_day():
    assert FOLLOWUP_TITLES.keys() == KIND_LABELS.keys() - {"contact"}
    for kind, title in FOLLOWUP_TITLES.items():
        found = derive_followup(kind, NOW)
        assert (found.title, found.due_at) == (title, NOW + timedelta(days=1))


def entry(in_error_at=None):
    record = ContactRecord(
        id=CLIENT,
        client_id=CLIENT,
        kind="no_show",
        happened_at=NOW,
        method=None,
        cancelled_by=None,
        words="",
        recorded_at=NOW,
        recorded_by=COACH,
        recorded_by_name="Ada",
        in_error_at=in_error_at,
    )
    return LockedContact(record, LockedClient(None, KEY))


def test_entry_is_marked_as_recorded_in_error_only_once():
    check_error(entry())
    with pytest.raises(RuleBroken) as refused:
        check_error(entry(NOW))
    assert [reason.code for reason in refused.value.reasons] == ["already_in_error"]


@pytest.mark.parametrize(
    ("session", "contact", "no_show", "shown"),
    [
        (None, None, None, (None, None)),
        (NOW, None, None, (NOW, None)),
        (EARLIER, NOW, None, (NOW, None)),
        (NOW, EARLIER, None, (NOW, None)),
        (EARLIER, None, NOW, (EARLIER, NOW)),
        (None, None, NOW, (None, NOW)),
        (EARLIER, NOW, EARLIER, (NOW, None)),
        (None, NOW, NOW, (NOW, None)),
        (NOW, None, NOW, (NOW, None)),
    ],
)
def test_last_contact_is_the_newest_of_session_and_contact_and_ends_a_no_show(
    session, contact, no_show, shown
):
    met = LastMet(session, contact, no_show)
    assert (met.contact, met.no_show) == shown
