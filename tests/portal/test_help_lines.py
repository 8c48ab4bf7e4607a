"""Whoever can write something here reads first that nobody watches, and whom to ring in their country (SAFE-21)."""

from __future__ import annotations

import re
from html import unescape

import pytest
import sqlalchemy as sa

from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.handouts.library import library
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.practice.models import Practice
from tests.portal.crawler import addresses
from tests.support import builders, portal_client, staff

# Sheets with every kind of field, in each language there is; the plan for the hardest moments is paper only.
HANDOUTS = (("first-days-pause", "en"), ("my-reasons", "en"), ("better-nights", "es"))
# Their words get somebody in and reach nobody.
SIGN_IN_FORMS = {"/portal/sign-in", "/portal/card", "/portal/pin", "/portal/first"}
WRITES = re.compile(r'<textarea|<input[^>]* type="(text|file|search)"')
UNWATCHED = {"en": "nobody is watching it", "es": "nadie lo está mirando"}
NOTICE = re.compile(r'<div class="notice handout-notice">.*?</div></div>', re.DOTALL)


@pytest.fixture
def client(app):
    coach = staff.add("coach")
    visitor, found = portal_client.inside(app, coach, "Ines Okafor")
    builders.screen(coach, found.client_id)
    with transaction():
        for slug, language in HANDOUTS:
            assign_handout(
                coach, found.case_id, slug, language=language, message="", channel="portal",
                confirmed=True,
            )  # fmt: skip
    return visitor


def forms_with_text_fields(page):
    """Give the forms of a page that take words, each with all that stands before it."""
    for form in re.finditer(r"<form\b.*?</form>", page, re.DOTALL):
        action = re.search(r'action="([^"]*)"', form[0])
        if WRITES.search(form[0]) and action[1] not in SIGN_IN_FORMS:
            yield action[1], page[: form.start()]


def phone_numbers(country):
    """Give the emergency number, and those of the crisis lines that answer a phone."""
    lines = [line for line in country.lines if line.phone and line.region is None]
    [emergency] = [line.phone for line in lines if line.kind == "emergency"]
    return emergency, [line.phone for line in lines if line.kind == "crisis"]


def test_every_form_with_text_fields_shows_the_notice_in_every_country(app, client):
    for code in countries():
        with transaction() as session:
            session.execute(sa.update(Practice).values(country=code, region=None))
        assert check_notices(app, client, countries()[code]) == {
            f"/portal/h/{n}/{do}" for n in (1, 2, 3) for do in ("save", "upload")
        }


def check_notices(app, client, country):
    """Look at every page as it stands in a country; give the forms that take words, each of which must say so."""
    emergency, crisis = phone_numbers(country)
    seen = set()
    for path in addresses(app, [1, 2, 3]):
        page = unescape(client.get(path).get_data(as_text=True)) if ".pdf" not in path else ""
        for action, before in forms_with_text_fields(page):
            seen.add(action)
            notice = NOTICE.search(before)
            assert notice, f"{country.code}: {path}: {action}"
            language = re.search(r'<body class="portal"(?: lang="(\w+)")?>', before)[1] or "en"
            assert UNWATCHED[language] in notice[0]
            rung = re.findall(r'href="tel:([^"]+)"', notice[0])
            assert rung[0] == emergency.replace(" ", ""), f"{country.code}: {path}"
            assert not crisis or crisis[0] in notice[0], f"{country.code}: {path}"
    return seen


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_notice_after_a_rejected_form_is_still_shown(client):
    page = client.get("/portal/h/1").get_data(as_text=True)
    data = {
        "csrf_token": re.search(r'name="csrf_token" value="([^"]+)"', page)[1],
        "idempotency_key": "one",
    }
    for action, more, status in (
        ("save", {"version": "0", "no_such_field": "x"}, 422),
        ("save", {"version": "9"}, 412),
        ("upload", {}, 422),
    ):
        answer = client.post(f"/portal/h/1/{action}", data=data | more)
        assert answer.status_code == status
        assert NOTICE.search(answer.get_data(as_text=True))


def test_every_library_handout_contains_the_crisis_block():
    """On paper there is nobody to write to, but the numbers stand there all the same, in every text and language."""
    for handout in library().values():
        assert "{{crisis_block}}" in handout.body, handout.id
    assert {language for _, language in library()} == {language for _, language in HANDOUTS}
