"""Single sign-on with a real OpenID provider on loopback: signing in, linking, confirming, and every false answer."""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.cli import installation_checks
from caseapp.cli.check_result import FAULT, OK
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.sessions import ABSOLUTE_TIMEOUT, Assurance, Session
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.auth.devices import read_device
from caseapp.domain.auth.identities import find_identity
from caseapp.domain.auth.models import Credential
from caseapp.domain.practice.models import Practice
from caseapp.http import openid
from caseapp.http.devices import COOKIE as DEVICE_COOKIE
from tests.support import staff
from tests.support.openid_provider import (
    CLIENT_SECRET,
    NAME,
    START,
    SUBJECT,
    SampleProvider,
    go,
    link,
    query_of,
    shared_secret,
)
from tests.support.staff_pages import StaffBrowser

RETURN, ACCOUNT = openid.RETURN_PATH, "/account"
LINK, UNLINK = "/account/provider/link", "/account/provider/unlink"
DESK, COOKIE = "__Host-desk", "__Host-form"
LATER = timedelta(minutes=6)


@pytest.fixture
def coach(provider):
    """Give a coach who has linked the account that is signed in at the provider."""
    actor = staff.add("coach")
    link(actor, provider)
    return actor


def is_refused(browser, answer, status=400):
    text = answer.get_data(as_text=True)
    assert answer.status_code == status, text
    assert browser.get("/today").location == "/sign-in"
    return text


def session_of(actor):
    db.session.rollback()
    return db.session.scalars(
        sa.select(Session).where(Session.subject_id == actor.id).order_by(Session.id.desc())
    ).first()


@pytest.mark.both
def test_linked_account_signs_in_and_goes_on_where_it_was_meant_to(coach, provider, visitor):
    assert f"Sign in with {NAME}" in visitor.get("/sign-in").get_data(as_text=True)
    answer = go(visitor, provider, f"{START}?next=/handouts")
    assert (answer.status_code, answer.location) == (303, "/handouts")
    assert visitor.get("/handouts").status_code == 200
    # Strangers' tries at the password don't hold up this browser from now on.
    assert read_device(visitor.get_cookie(DEVICE_COOKIE).value).knows(coach.id.hex)
    found = session_of(coach)
    assert (found.method, found.assurance_level) == ("provider", Assurance.ONE_FACTOR)
    asked = provider.asked[-1]
    assert asked["scope"] == "openid"
    assert asked["code_challenge_method"] == "S256"
    assert {"state", "nonce", "code_challenge"} <= asked.keys()
    event = db.session.scalars(
        sa.select(AuditEvent).where(AuditEvent.action == "sign_in").order_by(AuditEvent.id.desc())
    ).first()
    assert (event.actor_id, event.details) == (coach.id, {"by": "provider"})
    assert "with single sign-on" in visitor.get(ACCOUNT).get_data(as_text=True)


def test_without_a_provider_nothing_of_it_is_there(app, visitor):
    assert "/sign-in/provider" not in visitor.get("/sign-in").get_data(as_text=True)
    assert visitor.get(START).status_code == visitor.get(RETURN).status_code == 404
    assert "Single sign-on" not in StaffBrowser(app, staff.add("coach")).text(ACCOUNT)


def test_account_that_nobody_has_linked_is_refused_whatever_its_address(provider, visitor):
    """The same address, confirmed by the provider, links nothing (VULN-27)."""
    staff.add("coach")
    provider.claims = {"email": "coach@practice.test", "email_verified": True}
    assert "No account here is linked" in is_refused(visitor, go(visitor, provider), 401)


def test_disabled_account_gets_nothing(coach, provider, visitor):
    with transaction():
        staff.disable("coach@practice.test")
    is_refused(visitor, go(visitor, provider), 401)


FALSE_CLAIMS = {
    "another nonce": {"nonce": "of-somebody-else"},
    "no nonce": {"nonce": None},
    "another audience": {"aud": "another-client"},
    "another audience and us as party": {"aud": "another-client", "azp": "caseapp"},
    "several audiences without a party": {"aud": ["caseapp", "another-client"]},
    "another party": {"aud": ["caseapp", "another-client"], "azp": "another-client"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://id.example.net"},
    "no issuer": {"iss": None},
    "expired": {"exp": 1_600_000_000},
    "no expiry": {"exp": None},
    "issued ahead": {"iat": 4_102_444_800},
    "not valid yet": {"nbf": 4_102_444_800},
    "signed in ahead": {"auth_time": 4_102_444_800},
    "no subject": {"sub": None},
    "empty subject": {"sub": ""},
    "long subject": {"sub": "1" * 256},
    "number as subject": {"sub": 7},
    "methods that are no list": {"amr": "mfa"},
    "methods that are no texts": {"amr": [{"mfa": True}]},
}


@pytest.mark.parametrize("claims", FALSE_CLAIMS.values(), ids=FALSE_CLAIMS)
def test_false_claim_is_refused(coach, provider, visitor, claims):
    provider.claims = claims
    is_refused(visitor, go(visitor, provider))
    provider.claims = {}
    assert go(visitor, provider).location == "/today"


def sign_with_another_key(provider):
    provider.sign_with = SampleProvider("").key


def sign_with_our_secret(provider):
    provider.algorithm, provider.sign_with = "HS256", shared_secret()


def sign_not(provider):
    provider.algorithm = "none"


@pytest.mark.parametrize("tamper", [sign_with_another_key, sign_with_our_secret, sign_not])
def test_false_signature_is_refused(coach, provider, visitor, tamper):
    tamper(provider)
    is_refused(visitor, go(visitor, provider))


def test_tampered_token_is_refused(coach, provider, visitor, monkeypatch):
    sent = openid.ProviderClient.parse_id_token

    def tamper(self, token, nonce, **options):
        head, body, signature = token["id_token"].split(".")
        return sent(
            self, token | {"id_token": f"{head}.{body[:-2]}AA.{signature}"}, nonce, **options
        )

    monkeypatch.setattr(openid.ProviderClient, "parse_id_token", tamper)
    is_refused(visitor, go(visitor, provider))


@pytest.mark.parametrize("changed", [{"state": "another"}, {"state": ""}, {"code": "made-up"}])
def test_answer_with_another_state_or_code_is_refused(coach, provider, visitor, changed):
    back = query_of(provider.authorize(visitor.get(START).location))
    is_refused(visitor, visitor.get(RETURN, query_string=back | changed))


def test_answer_is_accepted_once_and_only_in_the_browser_that_asked(coach, provider, visitor, app):
    back = provider.authorize(visitor.get(START).location)
    is_refused(app.test_client(), app.test_client().get(back))
    assert visitor.get(back).location == "/today"
    assert visitor.get(back).status_code == 400


def test_replayed_code_is_refused_by_the_provider(coach, provider, visitor, app):
    first = query_of(provider.authorize(visitor.get(START).location))
    assert visitor.get(RETURN, query_string=first).location == "/today"
    other = app.test_client()
    second = query_of(provider.authorize(other.get(START).location))
    is_refused(other, other.get(RETURN, query_string=second | {"code": first["code"]}))


def test_answer_after_ten_minutes_is_refused(coach, provider, visitor):
    back = provider.authorize(visitor.get(START).location)
    with at(now() + openid.PENDING_LIFETIME + timedelta(seconds=1)):
        is_refused(visitor, visitor.get(back))


def test_answer_of_another_issuer_is_refused(coach, provider, visitor):
    back = query_of(provider.authorize(visitor.get(START).location))
    is_refused(visitor, visitor.get(RETURN, query_string=back | {"iss": "https://id.example.net"}))


def test_cancelled_sign_in_says_so_and_repeats_no_word_of_the_address(provider, visitor):
    words = {"error": "access_denied", "error_description": "Call 0900 1234"}
    answer = visitor.get(RETURN, query_string=words)
    text = is_refused(visitor, answer)
    assert "You didn’t complete the sign-in" in text
    assert "0900" not in text


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/\\evil.example", "/portal", "/nowhere"]
)
def test_no_address_leads_to_another_site(coach, provider, visitor, target):
    assert go(visitor, provider, f"{START}?next={target}").location == "/today"


@pytest.mark.slow
def test_replaced_key_is_found_but_not_looked_for_at_will(coach, provider, visitor, app):
    def sign_in():
        return go(app.test_client(), provider).status_code

    assert sign_in() == 303
    provider.rotate()
    assert sign_in() == 400  # The keys were loaded just now.
    with at(now() + openid.KEYS_AFTER):
        assert sign_in() == 303
        provider.rotate(kid=provider.key.kid)
        loads = provider.loads.count("/jwks")
        assert [sign_in() for _ in range(3)] == [400] * 3
        assert provider.loads.count("/jwks") == loads
    with at(now() + 2 * openid.KEYS_AFTER):
        assert sign_in() == 303


def test_provider_that_is_down_is_said_calmly_and_asked_again_later(coach, provider, visitor):
    provider.is_down = True
    for _ in range(3):
        answer = visitor.get(START)
        assert answer.status_code == 503
        assert f"{NAME} can’t be reached right now" in answer.get_data(as_text=True)
    assert len(provider.loads) == 1
    provider.is_down = False
    with at(now() + openid.RETRY_AFTER):
        assert go(visitor, provider).location == "/today"


def test_provider_that_goes_down_on_the_way_is_said_calmly(coach, provider, visitor):
    back = provider.authorize(visitor.get(START).location)
    provider.is_down = True
    is_refused(visitor, visitor.get(back), 503)


FALSE_METADATA = {
    "another issuer": {"issuer": "https://id.example.net"},
    "token endpoint without TLS": {"token_endpoint": "ftp://127.0.0.1/token"},
    "no keys": {"jwks_uri": None},
    "no signatures": {"id_token_signing_alg_values_supported": ["none", "HS256"]},
    "no PKCE": {"code_challenge_methods_supported": ["plain"]},
}


@pytest.mark.parametrize("metadata", FALSE_METADATA.values(), ids=FALSE_METADATA)
def test_false_metadata_is_refused(provider, visitor, metadata):
    provider.metadata = metadata
    assert visitor.get(START).status_code == 503


def test_forty_starts_keep_the_cookie_small(provider, visitor):
    for _ in range(40):
        visitor.get(START)
    assert len(visitor.get_cookie(COOKIE).value) < 1024


def test_no_secret_is_logged_or_stored(coach, provider, visitor, logged):
    provider.claims = {"nonce": "of-somebody-else"}
    go(visitor, provider)
    provider.claims = {}
    assert go(visitor, provider).status_code == 303
    sent = [value for asked in provider.asked for value in asked.values() if len(value) > 15]
    lines = logged()
    assert "nonce" in lines
    assert not any(secret in lines for secret in [CLIENT_SECRET, SUBJECT, *sent])
    # The browser keeps that somebody has been there, and nothing of what was sent.
    payload = visitor.get_cookie(COOKIE).value.split(".")[0]
    kept = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert kept == {openid.VISITED_KEY: True}


@pytest.mark.slow
@pytest.mark.both
def test_account_is_linked_and_unlinked_by_its_owner(app, provider):
    own = StaffBrowser(app, staff.add("coach"))
    shown = own.send(ACCOUNT, LINK)
    assert f"Go to {NAME}" in shown.get_data(as_text=True)
    assert go(own.browser, provider, LINK).location == ACCOUNT
    assert "Account linked." in own.text(ACCOUNT)
    assert provider.asked[-1]["prompt"] == "login"
    found = find_identity(own.actor.id)
    assert (found.issuer, found.subject) == (provider.issuer, SUBJECT)
    assert go(app.test_client(), provider).location == "/today"
    assert own.send(ACCOUNT, UNLINK).location == ACCOUNT
    assert "Account unlinked." in own.text(ACCOUNT)
    is_refused(app.test_client(), go(app.test_client(), provider), 401)
    kept = db.session.scalars(sa.select(Credential).where(Credential.kind == "identity")).all()
    assert [(row.secret, row.lookup) for row in kept] == [(None, None)]
    codes = db.session.scalars(
        sa.select(AuditEvent.details).where(AuditEvent.action == "identity.link")
    ).all()
    assert codes == [{"identity": "linked"}, {"identity": "unlinked"}]


def test_linking_needs_the_form_and_a_fresh_confirmation(app, provider):
    own = StaffBrowser(app, staff.add("coach"))
    assert own.get(LINK).location == ACCOUNT
    own.send(ACCOUNT, LINK)
    with at(now() + LATER):
        assert own.get(LINK).location == ACCOUNT
        assert own.send(ACCOUNT, LINK).status_code == 403
    assert find_identity(own.actor.id) is None


@pytest.mark.both
def test_account_of_somebody_else_is_not_linked(app, coach, provider):
    other = StaffBrowser(app, staff.add("coach2"))
    other.send(ACCOUNT, LINK)
    answer = go(other.browser, provider, LINK)
    assert answer.status_code == 409
    assert "already linked to somebody else" in answer.get_data(as_text=True)
    assert find_identity(other.actor.id) is None
    assert find_identity(coach.id).subject == SUBJECT


@pytest.mark.slow
def test_answer_to_linking_counts_only_in_its_session(app, provider):
    own = StaffBrowser(app, staff.add("coach"))
    own.send(ACCOUNT, LINK)
    back = provider.authorize(own.get(LINK).location)
    own.send("/today", "/sign-out")
    assert own.get(back).status_code == 400
    staff.sign_in(own.browser, own.actor)
    assert own.get(back).status_code == 400
    assert find_identity(own.actor.id) is None


def test_linking_another_account_replaces_the_first(app, coach, provider, visitor):
    own = StaffBrowser(app, coach)
    own.send(ACCOUNT, LINK)
    provider.subject = "another"
    assert go(own.browser, provider, LINK).location == ACCOUNT
    assert find_identity(coach.id).subject == "another"
    provider.subject = SUBJECT
    is_refused(visitor, go(visitor, provider), 401)


@pytest.mark.slow
def test_provider_confirms_and_the_words_are_back_in_the_form(app, provider):
    admin = StaffBrowser(app, staff.add("admin"))
    link(admin.actor, provider)
    staff.sign_in(admin.browser, admin.actor)
    form = admin.form("/settings").fields | {"tagline": "Coaching in hard times"}
    with at(now() + LATER):
        asked = admin.post("/settings", form)
        assert asked.status_code == 403
        way = re.search(r'href="(/account/provider/confirm[^"]+)"', asked.get_data(as_text=True))
        before = admin.browser.get_cookie(DESK).value
        assert go(admin.browser, provider, way[1]).location == "/settings"
        assert (provider.asked[-1]["prompt"], provider.asked[-1]["max_age"]) == ("login", "0")
        assert admin.browser.get_cookie(DESK).value != before
        assert "Coaching in hard times" in admin.text("/settings")
        assert admin.send("/settings").status_code == 303


@pytest.mark.parametrize(
    "told", [{"auth_time": None}, {"auth_time": 1_600_000_000}, {"sub": "another"}]
)
def test_confirmation_needs_a_new_sign_in_of_the_same_person(app, coach, provider, told):
    own = StaffBrowser(app, coach)
    provider.claims = told
    with at(now() + LATER):
        answer = go(own.browser, provider, "/account/provider/confirm")
        assert answer.status_code in {400, 401}
        assert session_of(coach).authenticated_at < now() - timedelta(minutes=5)


def test_old_sign_in_at_the_provider_has_to_be_confirmed(app, coach, provider, visitor):
    provider.signed_in_at = now() - timedelta(hours=2)
    assert go(visitor, provider).location == "/today"
    assert abs(session_of(coach).authenticated_at - provider.signed_in_at) < timedelta(seconds=1)
    provider.claims = {"auth_time": None}
    assert go(app.test_client(), provider).location == "/today"
    assert session_of(coach).authenticated_at == now() - ABSOLUTE_TIMEOUT


def test_required_factor_is_set_up_after_confirming_at_the_provider(app, coach, provider, visitor):
    """Where the password is refused, whoever must have a factor and has none can still confirm who they are."""
    required = sa.update(Practice).values(
        second_factor_roles=["coach"], requires_single_sign_on=True
    )
    with transaction() as session:
        session.execute(required)
    provider.signed_in_at = now() - timedelta(hours=2)
    go(visitor, provider)
    assert visitor.get("/today").location == "/account/second-factor"
    # A new key or passkey that is begun before would be lost on the way.
    first = "First confirm that it’s you"
    assert first in visitor.get("/account/second-factor").get_data(as_text=True)
    provider.signed_in_at = None
    answer = go(visitor, provider, "/account/provider/confirm?next=/account/second-factor")
    assert answer.location == "/account/second-factor"
    assert now() - session_of(coach).authenticated_at < timedelta(minutes=1)
    assert first not in visitor.get(answer.location).get_data(as_text=True)


@pytest.mark.parametrize("told", [{"amr": ["pwd", "mfa"]}, {"acr": "mfa"}])
def test_second_factor_at_the_provider_counts_if_the_operator_says_so(
    app, coach, provider, told, visitor
):
    staff.set_up_app(coach)
    with transaction():
        db.session.execute(sa.update(Practice).values(second_factor_roles=["coach"]))
    provider.claims = told
    assert go(visitor, provider).location == "/today"
    assert session_of(coach).assurance_level == Assurance.TWO_FACTORS
    provider.use(factor_values=frozenset())
    other = app.test_client()
    assert go(other, provider, f"{START}?next=/handouts").location == "/sign-in/code?next=/handouts"
    assert session_of(coach).assurance_level == Assurance.WAITS
    assert other.get("/today").location == "/sign-in"
    assert staff.enter_code(other, "/sign-in/code").location == "/today"


def test_whoever_has_a_second_factor_confirms_with_both(app, coach, provider):
    own = StaffBrowser(app, coach)
    staff.set_up_app(coach)
    staff.sign_in(own.browser, coach)
    staff.enter_code(own.browser, "/sign-in/code")
    answer = go(own.browser, provider, "/account/provider/confirm")
    assert answer.status_code == 409
    provider.claims = {"amr": ["mfa"]}
    assert go(own.browser, provider, "/account/provider/confirm").status_code == 303


@pytest.mark.slow
@pytest.mark.both
def test_practice_that_requires_it_refuses_the_password_of_those_who_have_linked(
    app, coach, provider, visitor
):
    own, other = StaffBrowser(app, coach), staff.add("coach2")
    with transaction():
        db.session.execute(sa.update(Practice).values(requires_single_sign_on=True))
    token = staff.csrf(visitor.get("/sign-in"))
    # Whoever guesses passwords doesn't learn which one is right.
    right, wrong = (
        visitor.post(
            "/sign-in", data={"csrf_token": token, "email": "coach@practice.test", "password": text}
        )
        for text in (staff.PASSWORD, "wrong")
    )
    # The token of the form names its second.
    right_page, wrong_page = (
        answer.get_data(as_text=True).replace(staff.csrf(answer), "") for answer in (right, wrong)
    )
    assert right_page == wrong_page
    assert (right.status_code, wrong.status_code) == (401, 401)
    assert f"linked your account at {NAME}" in right.get_data(as_text=True)
    assert staff.sign_in(visitor, other).status_code == 303
    assert UNLINK not in own.text(ACCOUNT)
    assert own.post(UNLINK, own.token | own.key_for(UNLINK)).status_code == 409
    with at(now() + LATER):
        asked = own.send(ACCOUNT, LINK)
        assert asked.status_code == 403
        assert "confirm_password" not in asked.get_data(as_text=True)
    assert go(app.test_client(), provider).location == "/today"


def test_practice_sets_whether_it_is_required(app, provider):
    admin = StaffBrowser(app, staff.add("admin"))
    assert admin.send("/settings", requires_single_sign_on="yes").status_code == 303
    assert db.session.scalar(sa.select(Practice.requires_single_sign_on))
    assert admin.send("/settings").status_code == 303
    assert db.session.scalar(sa.select(Practice.requires_single_sign_on))


def test_check_says_whether_the_provider_can_be_used(provider):
    assert {result.level for result in installation_checks.check_provider()} == {OK}
    provider.metadata = {"issuer": "https://id.example.net"}
    provider.use(name="Other ID")
    [result] = installation_checks.check_provider()
    assert result.level == FAULT
    assert "names a different issuer" in result.text
