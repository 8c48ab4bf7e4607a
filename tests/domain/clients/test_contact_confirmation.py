"""Nothing is sent to a client after something unsafe was recorded, until they confirm in person what is safe."""

from __future__ import annotations

import pytest

from caseapp.core import outbox
from caseapp.core.errors import Forbidden, RuleBroken, Stale, Unauthenticated
from caseapp.core.transaction import transaction
from caseapp.domain.auth import portal_codes
from caseapp.domain.auth.queries import find_client_session
from caseapp.domain.cases.operations import clear_case_flag
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.operations import confirm_contact, update_client
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.rules import UNSAFE_FLAGS, is_contact_frozen
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.operations import ensure_flag, set_manual_flag
from caseapp.domain.screening.queries import list_flags
from tests.domain.clients.portal_visitor import (
    choose_pin,
    come_in,
    list_audit_events_of,
    redeem,
    request_link,
)
from tests.support import builders, staff
from tests.support.portal_client import ADDRESS, EMAIL_AND_PORTAL, invited


def record_fear(coach, client_id):
    builders.screen(coach, client_id, fear_at_home="concern")


def set_flag(coach, client_id):
    with transaction():
        set_manual_flag(coach, lock_client(coach, client_id), "unsafe_delivery")


def confirm(coach, client_id):
    version = get_client_record(coach, client_id).version
    with transaction():
        confirm_contact(coach, lock_client(coach, client_id), version)


def invite(coach, client_id):
    with transaction():
        return portal_codes.invite_client(coach, lock_client(coach, client_id))


def is_frozen(coach, client_id):
    confirmed_at = get_client_record(coach, client_id).contact_confirmed_at
    return is_contact_frozen(get_safety_state(client_id).flags, confirmed_at)


@pytest.fixture(params=[record_fear, set_flag], ids=["fear recorded", "flag set by hand"])
def make_unsafe(request):
    return request.param


def test_link_asked_for_before_something_unsafe_was_recorded_is_not_sent(
    mailbox, coach, make_unsafe
):
    found = invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    mailbox.taken.clear()
    request_link(ADDRESS)
    make_unsafe(coach, found.client_id)
    assert outbox.sweep() == 1
    assert mailbox.taken == []
    confirm(coach, found.client_id)
    request_link(ADDRESS)
    assert outbox.sweep() == 1
    assert len(mailbox.tokens()) == 1


def test_link_mailed_before_something_unsafe_was_recorded_opens_nothing(
    mailbox, coach, make_unsafe
):
    found = invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    [token] = mailbox.tokens()
    make_unsafe(coach, found.client_id)
    with pytest.raises(Unauthenticated):
        come_in(token)
    confirm(coach, found.client_id)
    assert redeem(token).id == found.client_id


def test_card_and_session_work_as_before_when_something_unsafe_is_recorded(coach, make_unsafe):
    found = invited(coach)
    reference = choose_pin(redeem(found.card_code), found.start_code)
    make_unsafe(coach, found.client_id)
    assert find_client_session(reference)
    assert redeem(found.card_code).id == found.client_id


def test_invitation_is_refused_until_contact_is_confirmed(mailbox, coach, make_unsafe):
    client_id = builders.client(coach, safe=EMAIL_AND_PORTAL, email=ADDRESS)
    make_unsafe(coach, client_id)
    with pytest.raises(RuleBroken) as refused:
        invite(coach, client_id)
    [reason] = refused.value.reasons
    assert reason.code == "contact_frozen"
    assert "in person" in reason.way_out
    confirm(coach, client_id)
    assert invite(coach, client_id).mailed


def test_confirmation_ends_when_something_unsafe_is_recorded_again(coach, make_unsafe):
    client_id = builders.client(coach)
    make_unsafe(coach, client_id)
    confirm(coach, client_id)
    assert not is_frozen(coach, client_id)
    make_unsafe(coach, client_id)
    assert is_frozen(coach, client_id)


def test_confirmation_before_anything_unsafe_does_not_count(coach, make_unsafe):
    client_id = builders.client(coach)
    confirm(coach, client_id)
    make_unsafe(coach, client_id)
    assert is_frozen(coach, client_id)


@pytest.mark.parametrize(
    ("change", "frozen"),
    [
        ({"name": "Ines Weber"}, False),
        ({"safe": SafeContact(("portal",))}, False),
        ({"safe": SafeContact(("call", "portal"), "before 9:00")}, False),
        ({"safe": SafeContact(("call", "email", "portal"))}, True),
        ({"email": "other@example.test"}, True),
        ({"phone": "07700 900999"}, True),
    ],
)
def test_confirmation_covers_only_what_was_recorded(coach, change, frozen):
    client_id = builders.client(coach, "Ines Okafor", email=ADDRESS)
    set_flag(coach, client_id)
    confirm(coach, client_id)
    changed = builders.details(**{"name": "Ines Okafor", "email": ADDRESS} | change)
    version = get_client_record(coach, client_id).version
    with transaction():
        update_client(coach, lock_client(coach, client_id), changed, version)
    assert is_frozen(coach, client_id) == frozen


def test_confirmation_from_a_page_opened_before_something_unsafe_is_refused(coach, make_unsafe):
    client_id = builders.client(coach)
    set_flag(coach, client_id)
    opened = get_client_record(coach, client_id).version
    make_unsafe(coach, client_id)
    with pytest.raises(Stale), transaction():
        confirm_contact(coach, lock_client(coach, client_id), opened)
    assert is_frozen(coach, client_id)


@pytest.mark.parametrize("kind", sorted(UNSAFE_FLAGS))
def test_flag_is_cleared_only_after_contact_is_confirmed(app, kind):
    cast = staff.team()
    coach, supervisor = cast["coach"], cast["supervisor"]
    made = builders.case(coach)
    # By hand: a flag that an answer sets stays as long as the answer.
    with transaction():
        ensure_flag(coach, lock_client(coach, made.client_id), kind, source="person")
    flag = next(flag for flag in list_flags(coach, made.client_id) if flag.kind == kind).id

    def clear():
        with transaction():
            clear_case_flag(supervisor, lock_case(supervisor, made.case_id), flag, "They moved out")

    with pytest.raises(RuleBroken) as refused:
        clear()
    [reason] = refused.value.reasons
    assert reason.code == "contact_not_confirmed"
    assert reason.way_out
    confirm(coach, made.client_id)
    clear()
    assert kind not in get_safety_state(made.client_id).flags


def test_confirmation_says_who_and_when_and_is_logged(coach):
    client_id = builders.client(coach)
    set_flag(coach, client_id)
    confirm(coach, client_id)
    found = get_client_record(coach, client_id)
    assert found.contact_confirmed_by == coach.id
    [event] = [e for e in list_audit_events_of(client_id) if e.action == "contact.confirm"]
    assert event.details == {"how": "in_person"}
    assert abs((event.occurred_at - found.contact_confirmed_at).total_seconds()) < 60


def test_confirmation_by_an_admin_is_forbidden(app):
    cast = staff.team()
    client_id = builders.client(cast["coach"])
    locked_by = cast["coach"]
    with pytest.raises(Forbidden), transaction():
        confirm_contact(cast["admin"], lock_client(locked_by, client_id), 1)
