"""Invitations to the portal, and what happens when the portal or email is no longer safe."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken, Unauthenticated
from caseapp.core.transaction import transaction
from caseapp.domain.auth import portal_codes
from caseapp.domain.auth.credentials import hash_secret
from caseapp.domain.auth.models import PortalAccess, PortalInvitation
from caseapp.domain.auth.queries import find_client_session, get_sign_in_step
from caseapp.domain.auth.rules import SignInStep
from caseapp.domain.clients.operations import update_client
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.schemas import SafeContact
from tests.domain.clients.portal_visitor import (
    HOME,
    access_row,
    choose_pin,
    come_in,
    enter_pin,
    list_sessions,
    redeem,
    set_safe_channels,
)
from tests.support import builders, staff
from tests.support.portal_client import (
    ADDRESS,
    BANNED,
    CARD_ONLY,
    EMAIL_AND_PORTAL,
    PIN,
    invited,
    new_codes,
)


def test_invite_with_safe_email_mails_a_neutral_link(mailbox, coach):
    found = invited(
        coach, "Ines Okafor", safe=EMAIL_AND_PORTAL, address=ADDRESS, partner_name="Paul Okafor"
    )
    assert found.card_code is None
    [message] = mailbox.messages()
    assert message["To"] == ADDRESS
    assert message["Subject"] == "Your reading list"
    assert message.get_content_type() == "text/plain"
    text = f"{message['Subject']} {message['From']} {message.get_content()}".lower()
    assert BANNED.findall(text.replace(ADDRESS, "")) == []
    assert "ines" not in text.replace(ADDRESS, "").split()
    assert message.get_content().count("http") == 1
    assert "15 minutes" in message.get_content()


@pytest.mark.parametrize("address", [None, ADDRESS])
def test_invite_without_safe_email_creates_a_card(mailbox, coach, address):
    found = invited(coach, safe=CARD_ONLY, address=address)
    assert len(found.card_code.replace("-", "")) == 16
    assert mailbox.taken == []
    assert redeem(found.card_code.lower().replace("-", " ")).id == found.client_id


@pytest.mark.parametrize("channels", [("call", "email"), ("in_person",), ("in_person", "portal")])
def test_invite_when_the_portal_is_not_safe_is_rejected(mailbox, coach, channels):
    client_id = builders.client(coach, safe=SafeContact(channels), email=ADDRESS)
    with pytest.raises(RuleBroken) as refused, transaction():
        portal_codes.invite_client(coach, lock_client(coach, client_id))
    assert refused.value.reasons[0].code == "portal_not_safe"
    assert refused.value.reasons[0].way_out
    assert access_row(client_id) is None


def test_invite_by_someone_outside_the_care_team_fails(app):
    cast = staff.team()
    client_id = builders.client(cast["coach"], safe=CARD_ONLY)
    with pytest.raises(NotFound), transaction():
        portal_codes.invite_client(cast["coach2"], lock_client(cast["coach2"], client_id))
    with pytest.raises(Forbidden), transaction():
        portal_codes.invite_client(cast["admin"], lock_client(cast["admin"], client_id))


def test_codes_are_stored_as_hashes_only(mailbox, coach):
    found = invited(coach, safe=CARD_ONLY)
    mailed = invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    for row in (access_row(found.client_id), access_row(mailed.client_id)):
        stored = " ".join(
            str(getattr(row, column.key)) for column in sa.inspect(PortalAccess).columns
        )
        for secret in (found.start_code, found.card_code, mailed.start_code, *mailbox.tokens()):
            assert secret not in stored
            assert secret.replace("-", "") not in stored


def test_invite_again_ends_sessions_and_old_codes(mailbox, coach):
    found = invited(coach, safe=CARD_ONLY)
    first = redeem(found.card_code)
    inside = find_client_session(choose_pin(first, found.start_code, PIN)).actor
    again = new_codes(coach, found.client_id)
    assert all(session.ended_at for session in list_sessions(found.client_id))
    assert inside.session_id is not None
    with pytest.raises(Unauthenticated):
        come_in(found.card_code, HOME)
    arriving = redeem(again.card_code)
    assert get_sign_in_step(arriving) is SignInStep.CHOOSE_PIN
    with pytest.raises(Invalid):
        choose_pin(arriving, found.start_code, PIN)
    assert choose_pin(arriving, again.start_code, PIN)


@pytest.mark.slow
def test_nobody_holds_both_halves_of_what_replaces_a_pin(coach, app):
    found = invited(coach)
    choose_pin(redeem(found.card_code), found.start_code, PIN)
    colleague = staff.add("coach2")

    def make_card(actor):
        with transaction():
            return portal_codes.make_card(actor, lock_client(coach, found.client_id))

    with pytest.raises(Invalid), transaction():
        portal_codes.invite_client(coach, lock_client(coach, found.client_id))
    # Whether the new PIN is chosen in between or not.
    for reason in ("known", "lost"):
        with transaction():
            again = portal_codes.invite_client(coach, lock_client(coach, found.client_id), reason)
        assert (again.card_code, again.mailed) == (None, False)
        with pytest.raises(Unauthenticated):
            come_in(found.card_code, HOME)
        with pytest.raises(RuleBroken) as refused:
            make_card(coach)
        assert refused.value.reasons[0].code == "other_person_needed"
    card = make_card(colleague)
    with pytest.raises(RuleBroken) as refused:
        make_card(colleague)
    assert refused.value.reasons[0].code == "card_not_missing"
    assert choose_pin(redeem(card), again.start_code, PIN)
    # Where email is safe, the client alone reads the link.
    details = builders.details(safe=EMAIL_AND_PORTAL, email=ADDRESS)
    version = get_client_record(coach, found.client_id).version
    with transaction():
        update_client(coach, lock_client(coach, found.client_id), details, version)
    assert new_codes(coach, found.client_id).mailed


def test_codes_that_were_never_used_are_replaced_by_one_person(coach, app):
    found = invited(coach)
    assert new_codes(coach, found.client_id).card_code
    [first, second] = db.session.scalars(
        sa.select(PortalInvitation).order_by(PortalInvitation.created_at)
    )
    assert first.reason is None
    assert (second.card_by, second.reason is None) == (coach.id, False)


def test_invite_while_a_pin_is_checked_ends_that_sign_in(coach, app):
    found = invited(coach)
    arriving = redeem(found.card_code)
    choose_pin(arriving, found.start_code, PIN)
    waiting = redeem(found.card_code)
    with transaction():
        portal_codes.invite_client(coach, lock_client(coach, found.client_id), "known")
        db.session.execute(sa.update(PortalAccess).values(pin_hash=hash_secret(PIN)))
    with pytest.raises(Unauthenticated):
        enter_pin(waiting, PIN)
    assert all(session.ended_at for session in list_sessions(found.client_id))


def test_mail_requested_before_email_became_unsafe_is_not_sent(mailbox, coach):
    client_id = builders.client(coach, safe=EMAIL_AND_PORTAL, email=ADDRESS)
    with transaction():
        portal_codes.invite_client(coach, lock_client(coach, client_id))
    set_safe_channels(coach, client_id, "call", "portal")
    assert outbox.sweep() == 1
    assert mailbox.taken == []


def test_mailed_link_after_email_became_unsafe_is_rejected(mailbox, coach):
    found = invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    set_safe_channels(coach, found.client_id, "portal")
    with pytest.raises(Unauthenticated):
        come_in(mailbox.tokens()[0], HOME)
    assert list_sessions(found.client_id) == []


def test_session_ends_when_the_portal_becomes_unsafe(coach, app):
    found = invited(coach)
    reference = choose_pin(redeem(found.card_code), found.start_code, PIN)
    assert find_client_session(reference)
    set_safe_channels(coach, found.client_id, "call")
    assert find_client_session(reference) is None
    with pytest.raises(Unauthenticated):
        come_in(found.card_code, HOME)
