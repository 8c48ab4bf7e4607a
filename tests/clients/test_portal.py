from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from caseapp.access.actions import Action, Role
from caseapp.access.actor import Actor
from caseapp.access.models import Session
from caseapp.audit.queries import LogFilter, entries
from caseapp.clients import portal
from caseapp.clients.models import PortalAccess
from caseapp.clients.operations import change_client
from caseapp.clients.queries import client_record
from caseapp.clients.schemas import SafeContact
from caseapp.core import outbox
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import (
    Forbidden,
    Invalid,
    NotFound,
    RuleBroken,
    TooManyAttempts,
    Unauthenticated,
)
from caseapp.core.outbox import OutboxRow
from caseapp.core.transaction import transaction
from tests import build, people
from tests.reader import ADDRESS, BANNED, BY_CARD, BY_MAIL, PIN, invited, letterbox
from tests.together import together

HOME = "192.0.2.7"


@pytest.fixture
def post(app):
    with letterbox() as found:
        yield found


@pytest.fixture
def coach(app):
    return people.add("coach")


def arrive(secret):
    """Redeem a secret and give the one who stands at the door."""
    return portal.client_signed_in(portal.redeem(secret, HOME)).actor


def sessions_of(client_id):
    db.session.rollback()
    return db.session.scalars(sa.select(Session).where(Session.subject_id == client_id)).all()


def access_row(client_id):
    db.session.rollback()
    return db.session.get(PortalAccess, client_id, populate_existing=True)


def say_safe(coach, client_id, *channels):
    """Change which ways are safe, as the coach does under Details."""
    found = client_record(coach, client_id)
    changed = build.details(
        found.name, called=found.called, email=found.email, safe=SafeContact(channels)
    )
    with transaction():
        change_client(coach, client_id, changed, found.version)


# Inviting


def test_with_a_safe_email_a_neutral_link_is_mailed(post, coach):
    found = invited(coach, "Ines Okafor", safe=BY_MAIL, address=ADDRESS, partner_name="Paul Okafor")
    assert found.card_code is None
    [letter] = post.letters()
    assert letter["To"] == ADDRESS
    assert letter["Subject"] == "Your reading list"
    assert letter.get_content_type() == "text/plain"
    words = f"{letter['Subject']} {letter['From']} {letter.get_content()}".lower()
    assert BANNED.findall(words.replace(ADDRESS, "")) == []
    assert "ines" not in words.replace(ADDRESS, "").split()
    assert letter.get_content().count("http") == 1
    assert "15 minutes" in letter.get_content()


@pytest.mark.parametrize("address", [None, ADDRESS])
def test_without_a_safe_email_there_is_a_card_and_no_mail(post, coach, address):
    found = invited(coach, safe=BY_CARD, address=address)
    assert len(found.card_code.replace("-", "")) == 16
    assert post.taken == []
    assert arrive(found.card_code.lower().replace("-", " ")).id == found.client_id


@pytest.mark.parametrize("channels", [("call", "email"), ("in_person",), ("in_person", "portal")])
def test_nobody_is_invited_where_the_portal_is_not_safe(post, coach, channels):
    client_id = build.client(coach, safe=SafeContact(channels), email=ADDRESS)
    with pytest.raises(RuleBroken) as refused, transaction():
        portal.invite(coach, client_id)
    assert refused.value.reasons[0].code == "portal_not_safe"
    assert refused.value.reasons[0].how
    assert access_row(client_id) is None


def test_only_the_care_team_invites(app):
    cast = people.team()
    client_id = build.client(cast["coach"], safe=BY_CARD)
    with pytest.raises(NotFound), transaction():
        portal.invite(cast["coach2"], client_id)
    with pytest.raises(Forbidden), transaction():
        portal.invite(cast["admin"], client_id)


def test_codes_are_kept_as_hashes_only(post, coach):
    found = invited(coach, safe=BY_CARD)
    mailed = invited(coach, safe=BY_MAIL, address=ADDRESS)
    for row in (access_row(found.client_id), access_row(mailed.client_id)):
        stored = " ".join(
            str(getattr(row, column.key)) for column in sa.inspect(PortalAccess).columns
        )
        for secret in (found.start_code, found.card_code, mailed.start_code, *post.tokens()):
            assert secret not in stored
            assert secret.replace("-", "") not in stored


def test_inviting_again_forgets_everything_before(post, coach):
    found = invited(coach, safe=BY_CARD)
    first = arrive(found.card_code)
    inside = portal.client_signed_in(portal.choose_pin(first, found.start_code, PIN)).actor
    with transaction():
        again = portal.invite(coach, found.client_id)
    assert all(session.ended_at for session in sessions_of(found.client_id))
    assert inside.session_id is not None
    with pytest.raises(Unauthenticated):
        portal.redeem(found.card_code, HOME)
    arriving = arrive(again.card_code)
    assert portal.next_step(arriving) is portal.Step.CHOOSE
    with pytest.raises(Invalid):
        portal.choose_pin(arriving, found.start_code, PIN)
    assert portal.choose_pin(arriving, again.start_code, PIN)


def test_an_invitation_overtakes_a_pin_that_is_just_being_checked(coach, app):
    found = invited(coach)
    arriving = arrive(found.card_code)
    portal.choose_pin(arriving, found.start_code, PIN)
    waiting = arrive(found.card_code)
    with transaction():
        portal.invite(coach, found.client_id)
        db.session.execute(sa.update(PortalAccess).values(pin_hash=portal.hash_secret(PIN)))
    with pytest.raises(Unauthenticated):
        portal.enter_pin(waiting, PIN)
    assert all(session.ended_at for session in sessions_of(found.client_id))


# The link


def test_a_link_works_once(post, coach):
    found = invited(coach, safe=BY_MAIL, address=ADDRESS)
    [token] = post.tokens()
    assert arrive(token).id == found.client_id
    with pytest.raises(Unauthenticated):
        portal.redeem(token, HOME)
    assert len(sessions_of(found.client_id)) == 1


@pytest.mark.parametrize(("minutes", "works"), [(14, True), (15, False), (16, False)])
def test_a_link_lasts_fifteen_minutes(post, coach, minutes, works):
    moment = datetime(2026, 5, 14, 12, tzinfo=UTC)
    with at(moment):
        invited(coach, safe=BY_MAIL, address=ADDRESS)
    [token] = post.tokens()
    with at(moment + timedelta(minutes=minutes)):
        if works:
            assert portal.redeem(token, HOME)
        else:
            with pytest.raises(Unauthenticated):
                portal.redeem(token, HOME)


def test_only_the_newest_link_works(post, coach):
    invited(coach, safe=BY_MAIL, address=ADDRESS)
    portal.ask_for_link(f" {ADDRESS.upper()} ", HOME)
    outbox.sweep()
    old, new = post.tokens()
    with pytest.raises(Unauthenticated):
        portal.redeem(old, HOME)
    assert portal.redeem(new, HOME)


def test_of_fifty_at_once_one_gets_in(post, coach, app):
    found = invited(coach, safe=BY_MAIL, address=ADDRESS)
    [token] = post.tokens()
    db.session.rollback()
    answers = together(app, 50, lambda number: portal.redeem(token, f"192.0.2.{number}"))
    assert sum(isinstance(answer, str) for answer in answers) == 1
    assert sum(isinstance(answer, Unauthenticated) for answer in answers) == 49
    assert len(sessions_of(found.client_id)) == 1


@pytest.mark.parametrize("secret", ["", "-", "None", "x" * 43, "0" * 64, "ines@example.test"])
def test_no_other_text_opens_anything(post, coach, secret):
    invited(coach, safe=BY_CARD)
    invited(coach, safe=BY_MAIL, address=ADDRESS)
    with pytest.raises(Unauthenticated):
        portal.redeem(secret, HOME)


def test_guessing_cards_is_throttled(coach, app):
    found = invited(coach)
    for _ in range(8):
        with pytest.raises(Unauthenticated):
            portal.redeem("7KQ2-M9XD-7KQ2-M9XD", HOME)
    with pytest.raises(TooManyAttempts):
        portal.redeem(found.card_code, HOME)
    assert portal.redeem(found.card_code, "192.0.2.8")


# Safe contact is asked at the moment of use


def test_mail_ordered_before_email_became_unsafe_never_leaves(post, coach):
    client_id = build.client(coach, safe=BY_MAIL, email=ADDRESS)
    with transaction():
        portal.invite(coach, client_id)
    say_safe(coach, client_id, "call", "portal")
    assert outbox.sweep() == 1
    assert post.taken == []


def test_a_link_already_mailed_dies_when_email_becomes_unsafe(post, coach):
    found = invited(coach, safe=BY_MAIL, address=ADDRESS)
    say_safe(coach, found.client_id, "portal")
    with pytest.raises(Unauthenticated):
        portal.redeem(post.tokens()[0], HOME)
    assert sessions_of(found.client_id) == []


def test_a_client_inside_is_out_once_the_portal_is_not_safe(coach, app):
    found = invited(coach)
    reference = portal.choose_pin(arrive(found.card_code), found.start_code, PIN)
    assert portal.client_signed_in(reference)
    say_safe(coach, found.client_id, "call")
    assert portal.client_signed_in(reference) is None
    with pytest.raises(Unauthenticated):
        portal.redeem(found.card_code, HOME)


def test_asking_for_a_link_says_and_does_the_same_for_everybody(post, coach):
    invited(coach, safe=BY_MAIL, address=ADDRESS)
    invited(coach, safe=BY_CARD, address="card@example.test")
    build.client(coach, safe=BY_MAIL, email="never.invited@example.test")
    post.taken.clear()
    for address in (
        ADDRESS,
        "card@example.test",
        "never.invited@example.test",
        "nobody@example.test",
    ):
        before = db.session.scalar(sa.select(sa.func.count()).select_from(OutboxRow))
        assert portal.ask_for_link(address, HOME) is None
        db.session.rollback()
        rows = db.session.scalars(sa.select(OutboxRow).order_by(OutboxRow.id)).all()
        assert len(rows) == before + 1
        assert set(rows[-1].payload) == {"email", "until"}
        assert address not in str(rows[-1].payload)
    outbox.sweep()
    assert [letter["To"] for letter in post.letters()] == [ADDRESS]


def test_nobody_can_flood_a_letterbox(post, coach):
    invited(coach, safe=BY_MAIL, address=ADDRESS)
    for _ in range(4):
        portal.ask_for_link(ADDRESS, HOME)
    with pytest.raises(TooManyAttempts):
        portal.ask_for_link(ADDRESS, HOME)
    for number in range(8):
        portal.ask_for_link(ADDRESS, f"198.51.100.{number}")
    with pytest.raises(TooManyAttempts):
        portal.ask_for_link(ADDRESS, "198.51.100.99")


# The outbox


def test_a_refusing_server_is_tried_again_and_the_newer_link_works(post, coach):
    moment = datetime(2026, 5, 14, 12, tzinfo=UTC)
    client_id = build.client(coach, safe=BY_MAIL, email=ADDRESS)
    post.refusing = True
    with at(moment):
        with transaction():
            portal.invite(coach, client_id)
        assert outbox.sweep() == 0
    post.refusing = False
    with at(moment + timedelta(hours=3)):
        assert outbox.sweep() == 1
        [token] = post.tokens()
        assert portal.redeem(token, HOME)
        assert outbox.sweep() == 0
    assert len(post.taken) == 1


def test_a_link_asked_for_hours_ago_no_longer_leaves(post, coach):
    invited(coach, safe=BY_MAIL, address=ADDRESS)
    post.taken.clear()
    post.refusing = True
    portal.ask_for_link(ADDRESS, HOME)
    assert outbox.sweep() == 0
    post.refusing = False
    with at(now() + timedelta(hours=3)):
        assert outbox.sweep() == 1
    assert post.taken == []


def test_two_workers_send_one_mail(post, coach, app):
    client_id = build.client(coach, safe=BY_MAIL, email=ADDRESS)
    with transaction():
        portal.invite(coach, client_id)
    db.session.rollback()
    together(app, 6, lambda _: outbox.sweep())
    assert len(post.taken) == 1


# The PIN


def test_a_link_alone_reads_nothing(coach, app):
    arriving = arrive(invited(coach).card_code)
    assert arriving.role is Role.ARRIVING
    assert not arriving.may(Action.PORTAL_READ)
    assert not arriving.may(Action.PORTAL_MARK)
    with pytest.raises(RuleBroken), transaction():
        portal.enter_first_time(arriving)


def test_the_first_time_leads_past_the_page_about_safety(coach, app):
    found = invited(coach)
    arriving = arrive(found.card_code)
    assert portal.next_step(arriving) is portal.Step.CHOOSE
    reference = portal.choose_pin(arriving, found.start_code.lower(), PIN)
    almost = portal.client_signed_in(reference).actor
    assert almost.role is Role.ARRIVING
    assert portal.next_step(almost) is portal.Step.READ_FIRST
    with transaction():
        portal.enter_first_time(almost)
    assert portal.client_signed_in(reference).actor.role is Role.CLIENT
    later = arrive(found.card_code)
    assert portal.next_step(later) is portal.Step.PIN
    assert portal.client_signed_in(portal.enter_pin(later, PIN)).actor.role is Role.CLIENT


def test_a_reference_known_before_the_pin_opens_nothing_after_it(coach, app):
    found = invited(coach)
    before = portal.redeem(found.card_code, HOME)
    portal.choose_pin(portal.client_signed_in(before).actor, found.start_code, PIN)
    assert portal.client_signed_in(before) is None


@pytest.mark.parametrize(
    "pin", ["", "12345", "1234567", "12a456", "١٢٣٤٥٦", "111111", "121212", "123456", "654321"]
)
def test_a_pin_that_is_easy_costs_no_try(coach, app, pin):
    found = invited(coach)
    arriving = arrive(found.card_code)
    with pytest.raises(Invalid) as refused:
        portal.choose_pin(arriving, found.start_code, pin)
    assert set(refused.value.fields) == {"pin"}
    assert access_row(found.client_id).wrong_tries == 0


def test_five_wrong_tries_and_then_only_the_coach(coach, app):
    found = invited(coach)
    portal.choose_pin(arrive(found.card_code), found.start_code, PIN)
    arriving = arrive(found.card_code)
    left = []
    for _ in range(portal.TRIES):
        with pytest.raises(Invalid) as refused:
            portal.enter_pin(arriving, "000000")
        left.append(refused.value.fields["pin"][0])
    assert "4 tries" in left[0]
    assert "One try" in left[3]
    assert "last" in left[4]
    with pytest.raises(RuleBroken) as closed:
        portal.enter_pin(arriving, PIN)
    assert closed.value.reasons[0].code == "locked"
    assert portal.next_step(arrive(found.card_code)) is portal.Step.CLOSED
    with transaction():
        again = portal.invite(coach, found.client_id)
    arriving = arrive(again.card_code)
    assert portal.choose_pin(arriving, again.start_code, PIN)


def test_wrong_start_codes_and_pins_share_the_five_tries(coach, app):
    found = invited(coach)
    arriving = arrive(found.card_code)
    for _ in range(4):
        with pytest.raises(Invalid):
            portal.choose_pin(arriving, "2222-2222", PIN)
    with pytest.raises(Invalid):
        portal.enter_pin(arriving, PIN)
    with pytest.raises(RuleBroken):
        portal.choose_pin(arriving, found.start_code, PIN)


def test_tries_sent_together_all_count(coach, app):
    found = invited(coach)
    portal.choose_pin(arrive(found.card_code), found.start_code, PIN)
    arriving = arrive(found.card_code)
    answers = together(app, 12, lambda _: portal.enter_pin(arriving, "000000"))
    assert sum(isinstance(answer, Invalid) for answer in answers) == portal.TRIES
    assert sum(isinstance(answer, RuleBroken) for answer in answers) == 12 - portal.TRIES


def test_a_right_try_clears_the_count(coach, app):
    found = invited(coach)
    portal.choose_pin(arrive(found.card_code), found.start_code, PIN)
    arriving = arrive(found.card_code)
    for _ in range(4):
        with pytest.raises(Invalid):
            portal.enter_pin(arriving, "000000")
    portal.enter_pin(arriving, PIN)
    assert access_row(found.client_id).wrong_tries == 0


def test_a_start_code_works_once_also_for_two_at_the_same_moment(coach, app):
    found = invited(coach)
    at_the_door = [arrive(found.card_code), arrive(found.card_code)]
    db.session.rollback()
    answers = together(
        app,
        2,
        lambda number: portal.choose_pin(at_the_door[number], found.start_code, f"48291{number}"),
    )
    assert sum(isinstance(answer, str) for answer in answers) == 1
    assert sum(isinstance(answer, Invalid) for answer in answers) == 1


def test_a_pin_is_kept_as_argon2id(coach, app):
    found = invited(coach)
    portal.choose_pin(arrive(found.card_code), found.start_code, PIN)
    row = access_row(found.client_id)
    assert row.pin_hash.startswith("$argon2id$")
    assert row.start_code_hash is None


def test_staff_have_no_pin(coach, app):
    for call in (
        lambda: portal.enter_pin(coach, PIN),
        lambda: portal.choose_pin(coach, "2222", PIN),
    ):
        with pytest.raises(Forbidden):
            call()


# Leaving


def test_leaving_ends_the_session_and_is_recorded(coach, app):
    found = invited(coach)
    reference = portal.choose_pin(arrive(found.card_code), found.start_code, PIN)
    with transaction():
        portal.leave(portal.client_signed_in(reference).actor)
    assert portal.client_signed_in(reference) is None
    assert _log(found.client_id)[0].action == "session.end"


def test_leave_now_works_while_the_audit_log_does_not(coach, app):
    found = invited(coach)
    reference = portal.choose_pin(arrive(found.card_code), found.start_code, PIN)
    with transaction() as session:
        session.execute(sa.text("ALTER TABLE audit_entry RENAME TO away"))
    portal.leave_now(reference)
    assert portal.client_signed_in(reference) is None


def test_leave_now_is_recorded_once(coach, app):
    found = invited(coach)
    reference = portal.choose_pin(arrive(found.card_code), found.start_code, PIN)
    portal.leave_now(reference)
    portal.leave_now(reference)
    portal.leave_now("unknown")
    assert [entry.action for entry in _log(found.client_id)].count("session.end") == 1


def _log(client_id):
    admin = Actor(client_id, Role.ADMIN, "Ade", "web")
    db.session.rollback()
    return entries(admin, LogFilter(client_id=client_id), None, 100).items
