"""A client is told who coaches them now: a day later, once, and only by ways that are safe for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import mail, outbox
from caseapp.core.actor import Actor
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.coach_changes import TOLD_AFTER, Coaching, derive_new_coach
from caseapp.domain.clients.codes import NEW_COACH_DAYS
from caseapp.domain.clients.models import ENDLESS, CareTeamMember
from caseapp.domain.clients.operations import confirm_contact
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.schemas import CHANNELS
from caseapp.domain.consent.operations import withdraw_consent
from caseapp.domain.consent.schemas import ConsentWithdrawal
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.practice.models import Practice
from caseapp.domain.practice.queries import today
from caseapp.domain.staffing.coach_news import COACH_NEWS, TELLING
from caseapp.domain.staffing.transfer_operations import accept_transfer, undo_transfer
from caseapp.portal.reading_list import get_new_coach_name
from tests.domain.clients.portal_visitor import set_safe_channels
from tests.domain.staffing.steps import give
from tests.domain.staffing.test_transfers import decide, offer
from tests.support import builders, portal_client

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ANA, BEN = new_id(), new_id()


def coachings(*periods):
    """Build the times of coaches: who, from and until which hour, and why."""
    return [
        Coaching(
            who,
            "Name",
            reason,
            START + begin * HOUR,
            ENDLESS if end is None else START + end * HOUR,
        )
        for who, begin, end, reason in periods
    ]


@pytest.mark.parametrize(
    ("periods", "who"),
    [
        ([(ANA, 0, None, "opened")], None),
        ([(ANA, 0, 5, "opened"), (BEN, 5, None, "handed_over")], BEN),
        ([(ANA, 0, 5, "opened"), (BEN, 5, None, "handed_over"), (ANA, 7, None, "opened")], BEN),
        # Given back before and after the client was told.
        (
            [(ANA, 0, 5, "opened"), (BEN, 5, 28, "handed_over"), (ANA, 28, None, "handed_over")],
            None,
        ),
        ([(ANA, 0, 5, "opened"), (BEN, 5, 29, "handed_over"), (ANA, 29, None, "handed_over")], ANA),
        (
            [
                (ANA, 0, 5, ""),
                (BEN, 5, 6, "handed_over"),
                (ANA, 6, 7, "handed_over"),
                (BEN, 7, None, "handed_over"),
            ],
            BEN,
        ),
        ([(ANA, 0, 5, "opened"), (BEN, 5, 30, "handed_over")], None),
    ],
)
def test_new_coach_is_whoever_was_given_the_client_and_is_not_just_back(periods, who):
    found = derive_new_coach(coachings(*periods), START + 40 * HOUR)
    assert (found.user_id if found else None) == who


def test_portal_says_so_from_a_day_later_for_some_weeks():
    [coach] = coachings((BEN, 0, None, "handed_over"))
    last = NEW_COACH_DAYS + 1
    for moment, shown in (
        (DAY - HOUR, False),
        (DAY, True),
        (last * DAY - HOUR, True),
        (last * DAY, False),
    ):
        assert coach.is_shown_at(START + moment) is shown, moment


def wish_it():
    with transaction():
        db.session.execute(sa.update(Practice).values(tells_new_coach=True))


def titles(coach, client_id):
    """List the titles of the follow-ups that a coach has about a client."""
    found = [
        one.title for one in list_client_followups(coach, client_id) if one.assigned_to == coach.id
    ]
    db.session.rollback()
    return found


def deliver_again():
    """Deliver the rows once more, as if the worker had been killed before it could note that it did."""
    with transaction():
        db.session.execute(
            sa.update(outbox.OutboxRow)
            .where(outbox.OutboxRow.kind == COACH_NEWS)
            .values(delivered_at=None, next_attempt_at=now())
        )
    outbox.sweep(kind=COACH_NEWS)


def deliver():
    """Deliver what is due a day later, and return the mails that left."""
    before = set(mail.mail_folder().glob("*.eml"))
    with at(now() + TOLD_AFTER):
        outbox.sweep(kind=COACH_NEWS)
    return set(mail.mail_folder().glob("*.eml")) - before


@pytest.mark.both
@pytest.mark.slow
def test_client_who_cannot_be_mailed_is_told_by_the_new_coach_once(app, team):
    coach, colleague = team["coach"], team["coach2"]
    browser, found = portal_client.sign_in_client(app, coach)
    offer(coach, coach, colleague, found)
    decide(accept_transfer, colleague, found)
    with at(now() + TOLD_AFTER):
        assert outbox.sweep(kind=COACH_NEWS) == 0, "the practice doesn’t want it"
    decide(undo_transfer, coach, found)
    wish_it()
    offer(coach, coach, colleague, found)
    decide(accept_transfer, colleague, found)
    decide(undo_transfer, coach, found)
    with at(now() + TOLD_AFTER):
        assert outbox.sweep(kind=COACH_NEWS) == 1
    assert titles(coach, found.client_id) == []
    assert "You now work with" not in browser.get("/portal").get_data(as_text=True)
    with at(now() + HOUR):
        offer(coach, coach, colleague, found)
        decide(accept_transfer, colleague, found)
    with at(now() + HOUR + TOLD_AFTER):
        outbox.sweep(kind=COACH_NEWS)
        deliver_again()
    assert titles(colleague, found.client_id) == [TELLING]
    # As if all this had been a day before, when the client’s session had not begun.
    with transaction():
        db.session.execute(sa.delete(CareTeamMember).where(CareTeamMember.user_id == coach.id))
        db.session.execute(
            sa.update(CareTeamMember)
            .where(CareTeamMember.user_id == colleague.id)
            .values(starts_at=now() - TOLD_AFTER)
        )
    first_name = colleague.name.split()[0]
    assert f"You now work with {first_name}." in browser.get("/portal").get_data(as_text=True)


@pytest.mark.slow
def test_client_is_mailed_only_while_that_is_safe(team):
    coach, colleague, supervisor = team["coach"], team["coach2"], team["supervisor"]
    wish_it()
    found = [
        portal_client.invited(coach, name, safe=portal_client.EMAIL_AND_PORTAL, address=address)
        for name, address in (
            ("Ines Okafor", "ines@example.test"),
            ("Tomasz Held", "t@example.test"),
        )
    ]
    with transaction():
        db.session.execute(sa.update(PortalAccess).values(pin_hash="chosen"))
    for one in found:
        give(supervisor, one, coach, colleague)
    builders.screen(colleague, found[1].client_id, fear_at_home="concern")
    [sent] = deliver()
    text = sent.read_text("utf-8")
    assert "To: ines@example.test" in text
    assert not any(word in text.lower() for word in ("coach", "/portal", "practice:", "okafor"))
    assert TELLING not in titles(colleague, found[0].client_id)
    # What is safe can change while the follow-up stands: it names no way.
    assert TELLING in titles(colleague, found[1].client_id)
    assert not any(label.lower() in TELLING.lower() for label in CHANNELS.values())


def end_coaching(_coach, _client_id):
    with transaction():
        db.session.execute(sa.update(Case).values(status="closed", closed_at=now()))


def withdraw(coach, client_id):
    with transaction():
        client = lock_client(coach, client_id)
        withdraw_consent(coach, client, ConsentWithdrawal(today(), "spoken", "She rang."))


def make_portal_unsafe(coach, client_id):
    set_safe_channels(coach, client_id, "email")
    version = get_client_record(coach, client_id).version
    with transaction():
        confirm_contact(coach, lock_client(coach, client_id), version)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "told", "is_shown"),
    [
        (end_coaching, [], False),
        (withdraw, [], True),
        # A mail would lead to a list that they can't open.
        (make_portal_unsafe, [TELLING], True),
    ],
)
def test_client_is_not_mailed_in_vain_or_against_their_will(team, change, told, is_shown):
    coach, colleague = team["coach"], team["coach2"]
    wish_it()
    found = portal_client.invited(
        coach, safe=portal_client.EMAIL_AND_PORTAL, address="ines@example.test"
    )
    with transaction():
        db.session.execute(sa.update(PortalAccess).values(pin_hash="chosen"))
    give(team["supervisor"], found, coach, colleague)
    change(colleague, found.client_id)
    assert deliver() == set()
    assert [one for one in titles(colleague, found.client_id) if "coach them now" in one] == told
    client = Actor(found.client_id, Role.CLIENT, "Ines", "portal")
    with at(now() + TOLD_AFTER):
        assert bool(get_new_coach_name(client)) is is_shown
