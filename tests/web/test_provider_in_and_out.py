"""The first and the last step with a real OpenID provider on loopback: accepting an invitation, and signing out."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.actor import Actor, operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import RuleBroken
from caseapp.core.permissions import Role
from caseapp.core.sessions import Session
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.auth.identities import NO_PASSWORD, find_identity, unlink_identity
from caseapp.domain.auth.models import Credential
from caseapp.domain.auth.operations import add_user
from caseapp.domain.auth.password_links import invite_again, make_reset_code
from caseapp.domain.auth.queries import get_account, list_able_to_sign_in
from caseapp.domain.practice.models import Practice
from caseapp.http import openid
from tests.support import staff
from tests.support.openid_provider import NAME, SUBJECT, go, link, query_of
from tests.support.staff_pages import StaffBrowser, forms_in

SIGN_OUT, END = "/sign-out/provider", "/account/sessions/end"
PAGE, SEND, ACCEPT = "/sign-in/password", "/sign-in/invitation", "/sign-in/provider/invitation"
ADDRESS = "ines@practice.test"


@pytest.fixture
def coach(provider):
    """Give a coach who has linked the account that is signed in at the provider."""
    actor = staff.add("coach")
    link(actor, provider)
    return actor


def session_of(actor):
    db.session.rollback()
    return db.session.scalars(
        sa.select(Session).where(Session.subject_id == actor.id).order_by(Session.id.desc())
    ).first()


@pytest.fixture
def invited(provider):
    """Give the id of somebody who is invited, and the code of the invitation."""
    with transaction():
        user = add_user(operator(), ADDRESS, "Ines Okafor", "supervisor", None)
        code = invite_again(operator(), user.id, by_mail=False)
        return user.id, code


def send(browser, code=""):
    """Send the code of an invitation, to accept it at the provider."""
    token = staff.csrf(browser.get(PAGE))
    return browser.post(SEND, data={"csrf_token": token, "code": code, "new_password": ""})


@pytest.mark.both
def test_invitation_is_accepted_at_the_provider_and_no_password_is_chosen(
    app, invited, provider, visitor
):
    """The invitation says whose account it is; the address that the provider names doesn't count."""
    with transaction():
        db.session.execute(sa.update(Practice).values(requires_single_sign_on=True))
    user_id, code = invited
    other = staff.add("coach")
    provider.claims = {"email": "coach@practice.test", "email_verified": True}
    assert f"Accept with {NAME}" in visitor.get(PAGE).get_data(as_text=True)
    assert send(visitor, "WRONG-CODE").status_code == 401
    # Nothing is remembered of it, so nothing leads on.
    assert visitor.get(ACCEPT).location == PAGE
    shown = send(visitor, code.lower()).get_data(as_text=True)
    assert f"Go to {NAME}" in shown
    assert ADDRESS in shown
    assert get_account(user_id).state == "invited"
    assert go(visitor, provider, ACCEPT).location == "/today"
    asked = provider.asked[-1]
    assert asked["prompt"] == "login"
    assert {"nonce", "code_challenge", "state"} <= asked.keys()
    assert visitor.get("/today").status_code == 200
    account = visitor.get("/account").get_data(as_text=True)
    assert "You have no password" in account
    assert "Unlink the account" not in account
    db.session.rollback()
    assert find_identity(user_id).subject == SUBJECT
    assert find_identity(other.id) is None
    assert get_account(user_id).state == "active"
    assert list_able_to_sign_in([user_id]) == {user_id}
    kinds = sa.select(Credential.kind).where(
        Credential.person_id == user_id, Credential.ended_at.is_(None)
    )
    assert [*db.session.scalars(kinds)] == ["identity"]
    details = sa.select(AuditEvent.details).where(AuditEvent.action == "identity.link")
    assert [*db.session.scalars(details)] == [{"identity": "linked", "by": "invitation"}]
    # It is used up, and they sign in there from now on, or choose a password with a code.
    assert send(app.test_client(), code).status_code == 401
    assert go(app.test_client(), provider).location == "/today"
    with transaction():
        assert make_reset_code(operator(), user_id, "forgotten")


@pytest.mark.both
def test_invitation_of_somebody_else_and_a_code_for_a_password_link_nothing(
    app, coach, invited, provider, visitor
):
    user_id, code = invited
    with transaction():
        reset = make_reset_code(operator(), coach.id, "forgotten")
    assert send(visitor, reset).status_code == 401
    send(visitor, code)
    # That account at the provider is the coach's.
    answer = go(visitor, provider, ACCEPT)
    assert answer.status_code == 409
    assert "already linked to somebody else" in answer.get_data(as_text=True)
    assert find_identity(user_id) is None
    # The invitation still works, and ends by another one on the way.
    provider.subject = "another"
    send(visitor, code)
    back = provider.authorize(visitor.get(ACCEPT).location)
    with transaction():
        invite_again(operator(), user_id, by_mail=False)
    assert visitor.get(back).status_code == 401
    assert find_identity(user_id) is None


@pytest.mark.both
def test_invitation_is_accepted_only_by_whoever_has_sent_its_form(invited, provider, visitor):
    """Links from outside lead to no provider, and change nothing about an invitation that is being accepted."""
    user_id, code = invited
    with transaction():
        foreign = add_user(operator(), "foreign@practice.test", "Ana Ruiz", "coach", None)
        theirs = invite_again(operator(), foreign.id, by_mail=False)
    visitor.get(f"{PAGE}/{theirs}")
    assert visitor.get(ACCEPT).location == PAGE
    assert not provider.asked
    send(visitor, code)
    visitor.get(f"{PAGE}/{theirs}")
    back = provider.authorize(visitor.get(ACCEPT).location)
    visitor.get(f"{PAGE}/{theirs}")
    assert visitor.get(back).location == "/today"
    assert find_identity(user_id).subject == SUBJECT
    assert find_identity(foreign.id) is None
    # It leads there once.
    assert visitor.get(ACCEPT).location == PAGE


def test_whoever_has_no_password_confirms_at_the_provider_and_keeps_the_account(
    app, invited, provider, visitor
):
    user_id, code = invited
    send(visitor, code)
    go(visitor, provider, ACCEPT)
    actor = Actor(user_id, Role.SUPERVISOR, "Ines Okafor", "web")
    own = StaffBrowser(app, actor)
    with at(now() + timedelta(minutes=6)):
        asked = own.send("/account", "/account/provider/link")
        assert asked.status_code == 403
        text = asked.get_data(as_text=True)
    assert "/account/provider/confirm" in text
    assert "confirm_password" not in text
    with pytest.raises(RuleBroken) as refused, transaction():
        unlink_identity(actor)
    assert refused.value.reasons == (NO_PASSWORD,)


def sign_out_of(browser):
    """Sign out of the staff pages and return the sign-in page that follows."""
    sent = {"csrf_token": staff.csrf(browser.get("/today"))}
    answer = browser.post("/sign-out", data=sent)
    assert (answer.status_code, answer.location) == (303, "/sign-in")
    return browser.get("/sign-in")


@pytest.mark.both
def test_signing_out_ends_our_session_and_offers_to_sign_out_at_the_provider(
    coach, provider, visitor
):
    """OpenID Connect RP-Initiated Logout 1.0, without an ID token, since none is kept."""
    provider.metadata = {"end_session_endpoint": f"{provider.issuer}/sign-out?from=menu"}
    go(visitor, provider)
    # While somebody is signed in here, nothing leads to signing out there.
    assert visitor.get(SIGN_OUT).location == "/today"
    shown = sign_out_of(visitor)
    assert session_of(coach).ended_at is not None
    assert f"Sign out at {NAME}" in shown.get_data(as_text=True)
    assert "Refresh" not in shown.headers
    answer = visitor.get(SIGN_OUT)
    assert answer.location.startswith(f"{provider.issuer}/sign-out?from=menu&")
    assert query_of(answer.location) == {
        "from": "menu",
        "client_id": "caseapp",
        "post_logout_redirect_uri": openid.return_address().removesuffix(openid.RETURN_PATH)
        + "/sign-in",
    }
    # The offer is made once.
    assert SIGN_OUT not in visitor.get("/sign-in").get_data(as_text=True)


@pytest.mark.both
def test_signing_out_after_confirming_at_the_provider_offers_to_sign_out_there(
    coach, provider, visitor
):
    provider.metadata = {"end_session_endpoint": f"{provider.issuer}/sign-out"}
    staff.sign_in(visitor, coach)
    assert go(visitor, provider, "/account/provider/confirm").location == "/account"
    assert SIGN_OUT in sign_out_of(visitor).get_data(as_text=True)
    # Whoever comes next by a password has nothing to do with it.
    staff.sign_in(visitor, coach)
    assert SIGN_OUT not in sign_out_of(visitor).get_data(as_text=True)


@pytest.mark.parametrize("by_provider", [True, False])
def test_ending_this_session_on_the_account_page_offers_to_sign_out_there(
    app, coach, provider, visitor, by_provider
):
    provider.metadata = {"end_session_endpoint": f"{provider.issuer}/sign-out"}
    other = app.test_client()
    staff.sign_in(other, coach)
    elsewhere = session_of(coach).id
    if by_provider:
        go(visitor, provider)
    else:
        staff.sign_in(visitor, coach)
        go(visitor, provider, "/account/provider/confirm")
    own = session_of(coach).id
    for session_id in (elsewhere, own):
        text = visitor.get("/account").get_data(as_text=True)
        form = forms_in(text, "/account", END)[0].fields | {"session_id": str(session_id)}
        assert visitor.post(END, data=form).status_code == 303
    assert SIGN_OUT in visitor.get("/sign-in").get_data(as_text=True)
    assert SIGN_OUT not in other.get("/sign-in").get_data(as_text=True)


def test_practice_can_have_signing_out_lead_on_to_the_provider(app, coach, provider, visitor):
    admin = StaffBrowser(app, staff.add("admin"))
    assert admin.send("/settings", signs_out_at_provider="yes").status_code == 303
    provider.metadata = {"end_session_endpoint": f"{provider.issuer}/sign-out"}
    go(visitor, provider)
    assert sign_out_of(visitor).headers["Refresh"] == f"0; url={SIGN_OUT}"


@pytest.mark.parametrize(
    "told", [{}, {"end_session_endpoint": "ftp://127.0.0.1/out"}, {"end_session_endpoint": 7}]
)
def test_provider_without_a_way_to_sign_out_is_left_out(coach, provider, visitor, told):
    provider.metadata = told
    go(visitor, provider)
    assert SIGN_OUT not in sign_out_of(visitor).get_data(as_text=True)
    assert visitor.get(SIGN_OUT).location == "/sign-in"


def test_provider_that_is_down_and_a_password_sign_out_here_alone(coach, provider, visitor):
    provider.metadata = {"end_session_endpoint": f"{provider.issuer}/sign-out"}
    staff.sign_in(visitor, coach)
    assert SIGN_OUT not in sign_out_of(visitor).get_data(as_text=True)
    go(visitor, provider)
    # With another name its metadata are loaded again.
    provider.is_down = True
    provider.use(name="Other ID")
    assert SIGN_OUT not in sign_out_of(visitor).get_data(as_text=True)
    assert session_of(coach).ended_at is not None
