"""Invitations: codes are shown once, in the response to the form, and nowhere else."""

import re

import pytest
import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.audit.security_events import count_event
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.auth.queries import find_portal_access
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.consent.operations import withdraw_consent
from caseapp.domain.consent.schemas import ConsentWithdrawal
from caseapp.domain.practice.queries import today
from caseapp.http.template_helpers import MESSAGES
from tests.support import builders
from tests.support.staff_pages import StaffBrowser


@pytest.fixture
def ines(team):
    return builders.case(team["coach"], "Ines Okafor")


@pytest.fixture
def address(ines):
    return f"/case/{ines.number}/invite"


def code(answer, name):
    found = re.search(rf'id="{name}">([^<]+)<', answer.get_data(as_text=True))
    return found and found[1]


def test_invite_without_safe_email_shows_start_code_and_card(coach, address):
    assert "Not invited" in coach.text(address)
    answer = coach.send(address)
    assert answer.status_code == 200
    assert code(answer, "start-code")
    assert code(answer, "card-code")
    assert 'class="print-card"' in answer.get_data(as_text=True)
    assert "coach" not in code(answer, "card-code").lower()


def test_invite_with_safe_email_shows_no_card(team, coach):
    made = builders.case(
        team["coach"],
        "Ruth Adeyemi",
        email="ruth@example.org",
        safe=SafeContact(("email", "portal")),
    )
    answer = coach.send(f"/case/{made.number}/invite")
    assert code(answer, "start-code")
    assert code(answer, "card-code") is None
    assert "print-card" not in answer.get_data(as_text=True)


def test_invitation_after_a_withdrawal_says_why_none_is_mailed(team, coach):
    safe = SafeContact(("email", "portal"))
    made = builders.case(team["coach"], "Ruth Adeyemi", email="ruth@example.org", safe=safe)
    withdrawn = ConsentWithdrawal(today(), "spoken", "She told Sam.")
    with transaction():
        withdraw_consent(team["coach"], lock_client(team["coach"], made.client_id), withdrawn)
    page = coach.text(f"/case/{made.number}/invite")
    assert "Ruth has withdrawn consent" in page
    assert "There is no safe email address" not in page
    assert code(coach.send(f"/case/{made.number}/invite"), "card-code")


def test_codes_are_in_no_header_and_on_no_later_page(coach, address):
    answer = coach.send(address)
    secrets = [code(answer, "start-code"), code(answer, "card-code")]
    assert "Location" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    for secret in secrets:
        assert all(secret not in header for _, header in answer.headers)
        assert secret not in coach.text(address)


def test_invite_form_sent_again_creates_no_new_codes(coach, ines, address):
    form = coach.form(address)
    coach.post(address, form.fields)
    db.session.rollback()
    before = find_portal_access(ines.client_id).start_code_hash
    again = coach.post(address, form.fields)
    assert again.status_code == 303
    assert MESSAGES["codes_shown"] in coach.text(address)
    db.session.rollback()
    assert find_portal_access(ines.client_id).start_code_hash == before


def test_wrong_pins_are_told_with_the_way_to_new_codes(coach, ines, address):
    coach.send(address)
    assert "wrong PIN" not in coach.text(address)
    count_event("pin", ines.client_id)
    assert "One wrong PIN or start code was entered in the last 30 days" in coach.text(address)
    count_event("start_code", ines.client_id)
    count_event("refused", ines.client_id)
    assert "2 wrong PINs or start codes were entered" in coach.text(address)
    assert code(coach.send(address, reason="known"), "start-code")


@pytest.mark.slow
def test_supervisor_makes_the_card_for_a_start_code_of_the_coach_and_lists_the_new_codes(
    app, team, coach, ines, address
):
    helen = StaffBrowser(app, team["supervisor"])
    assert "No new codes." in helen.text("/new-codes")
    coach.send(address)
    with transaction():
        db.session.execute(sa.update(PortalAccess).values(first_signed_in_at=now()))
    assert "Choose why the client needs new codes." in coach.send(address, reason="").text
    made = coach.send(address, reason="known")
    assert code(made, "start-code")
    assert code(made, "card-code") is None
    assert "Somebody else has to make the card" in made.text
    assert "Ask a colleague" in coach.text(address)
    own = coach.post(f"{address}/card", coach.token | coach.key_for(f"{address}/card"))
    assert own.status_code == 409
    listed = helen.text("/new-codes")
    assert f'href="{address}"' in helen.text(f"/new-codes?created_by={team['coach'].id}")
    assert "Somebody else may know the codes or the PIN" in listed
    assert "Card missing" in listed
    assert "No new codes." in helen.text(f"/new-codes?created_by={team['supervisor'].id}")
    card = helen.send(address, f"{address}/card")
    assert code(card, "card-code")
    assert code(card, "start-code") is None
    assert f"Card by {team['supervisor'].name}." in helen.text("/new-codes")
    assert coach.get("/new-codes").status_code == 403


def test_invite_when_the_portal_is_not_safe_is_rejected(team, coach):
    made = builders.case(team["coach"], "Ruth Adeyemi", safe=SafeContact(("call",)))
    address = f"/case/{made.number}/invite"
    assert "The client has not said that this is safe: Portal." in coach.text(address)
    answer = coach.post(address, coach.token | coach.key_for(address))
    assert answer.status_code == 409
    assert "tick Portal under Details" in answer.get_data(as_text=True)
    assert find_portal_access(made.client_id) is None


@pytest.mark.parametrize("sent", [{"form_key": None}, {"code": "1234"}])
def test_invite_with_a_foreign_form_creates_nothing(coach, ines, address, sent):
    assert coach.send(address, **sent).status_code == 422
    assert find_portal_access(ines.client_id) is None


def test_invite_by_someone_outside_the_care_team_fails(app, team, ines, address):
    for who, status in (("coach2", 404), ("admin", 403)):
        browser = StaffBrowser(app, team[who])
        fields = browser.token | browser.key_for(address)
        assert browser.post(address, fields).status_code == status
    assert find_portal_access(ines.client_id) is None
