"""The notice above every form to write in: nobody reads it at once, and which numbers to call instead (SAFE-21)."""

from __future__ import annotations

import re
from html import unescape

import pytest
import sqlalchemy as sa

from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.handouts.library import library
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.practice.models import Practice
from tests.portal.crawler import portal_addresses
from tests.support import builders, portal_client, staff
from tests.support.staff_pages import forms_in

# Worksheets with every kind of field, in each language; the safety plan is print-only.
HANDOUTS = (("first-days-pause", "en"), ("my-reasons", "en"), ("better-nights", "es"))
# What is typed here only signs a client in; nobody reads it.
# Nobody can write to somebody in them.
SECRET_FORMS = {
    "/portal/sign-in",
    "/portal/card",
    "/portal/pin",
    "/portal/first",
    "/portal/change-pin",
}
WRITES = re.compile(r'<textarea|<input[^>]* type="(text|file|search)"')
UNWATCHED = {"en": "Nobody reads this straight away.", "es": "Nadie lee esto enseguida."}
NOTICE = re.compile(r'<div class="notice handout-notice">.*?</div></div>', re.DOTALL)


@pytest.fixture
def client(app):
    coach = staff.add("coach")
    visitor, found = portal_client.sign_in_client(app, coach, "Ines Okafor")
    builders.screen(coach, found.client_id)
    with transaction():
        for slug, language in HANDOUTS:
            assign_handout(
                coach, lock_case(coach, found.case_id), slug, language=language, message="", channel="portal",
                confirmed=True,
            )  # fmt: skip
    return visitor


def forms_with_text_fields(page, path):
    """Yield each form with text fields, other than for secrets, as its action and the HTML before it."""
    for form in re.finditer(r"<form\b.*?</form>", page, re.DOTALL):
        given = re.search(r'action="([^"]*)"', form[0])
        action = given[1] if given else path
        if WRITES.search(form[0]) and action not in SECRET_FORMS:
            yield action, page[: form.start()]


def phone_numbers(country):
    """Return the emergency number and the phone numbers of the crisis lines."""
    lines = [line for line in country.lines if line.phone and line.region is None]
    [emergency] = [line.phone for line in lines if line.kind == "emergency"]
    return emergency, [line.phone for line in lines if line.kind == "crisis"]


@pytest.mark.slow
def test_every_form_with_text_fields_shows_the_notice_in_every_country(app, client):
    for code in countries():
        with transaction() as session:
            session.execute(sa.update(Practice).values(country=code, region=None))
        assert check_notices(app, client, countries()[code]) == {
            f"/portal/h/{n}/{do}" for n in (1, 2, 3) for do in ("save", "upload")
        }


def check_notices(app, client, country):
    """Check the notice above each form with text fields, for a practice in this country; return the forms' actions."""
    emergency, crisis = phone_numbers(country)
    actions = set()
    for path in portal_addresses(app, [1, 2, 3]):
        page = unescape(client.get(path).get_data(as_text=True)) if ".pdf" not in path else ""
        for action, before in forms_with_text_fields(page, path):
            actions.add(action)
            notice = NOTICE.search(before)
            assert notice, f"{country.code}: {path}: {action}"
            language = re.search(r'<body class="portal"(?: lang="(\w+)")?>', before)[1] or "en"
            assert UNWATCHED[language] in notice[0]
            called = re.findall(r'href="tel:([^"]+)"', notice[0])
            assert called[0] == emergency.replace(" ", ""), f"{country.code}: {path}"
            assert not crisis or crisis[0] in notice[0], f"{country.code}: {path}"
    return actions


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_notice_after_a_rejected_form_is_still_shown(client):
    page = client.get("/portal/h/1").get_data(as_text=True)
    data = forms_in(page, "/portal/h/1", "/portal/h/1/save")[0].fields | {"idempotency_key": "one"}
    for action, more, status in (
        ("save", {"version": "0", "no_such_field": "x"}, 422),
        ("save", {"version": "9"}, 412),
        ("upload", {}, 422),
    ):
        answer = client.post(f"/portal/h/1/{action}", data=data | more)
        assert answer.status_code == status
        assert NOTICE.search(answer.get_data(as_text=True))


def test_every_library_handout_contains_the_crisis_block():
    """Paper and PDFs carry the numbers too, in every handout and language."""
    for handout in library().values():
        assert "{{crisis_block}}" in handout.body, handout.id
    assert {language for _, language in library()} == {language for _, language in HANDOUTS}
