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
SHEETS = (("first-days-pause", "en"), ("my-reasons", "en"), ("better-nights", "es"))
# Their words get somebody in and reach nobody.
AT_THE_DOOR = {"/portal/sign-in", "/portal/card", "/portal/pin", "/portal/first"}
WRITES = re.compile(r'<textarea|<input[^>]* type="(text|file|search)"')
UNWATCHED = {"en": "nobody is watching it", "es": "nadie lo está mirando"}
NOTICE = re.compile(r'<div class="notice handout-notice">.*?</div></div>', re.DOTALL)


@pytest.fixture
def client(app):
    coach = staff.add("coach")
    visitor, found = portal_client.inside(app, coach, "Ines Okafor")
    builders.screen(coach, found.client_id)
    with transaction():
        for slug, language in SHEETS:
            assign_handout(
                coach, found.case_id, slug, language=language, message="", channel="portal",
                confirmed=True,
            )  # fmt: skip
    return visitor


def forms_to_write_in(page):
    """Give the forms of a page that take words, each with all that stands before it."""
    for form in re.finditer(r"<form\b.*?</form>", page, re.DOTALL):
        action = re.search(r'action="([^"]*)"', form[0])
        if WRITES.search(form[0]) and action[1] not in AT_THE_DOOR:
            yield action[1], page[: form.start()]


def numbers_of(country):
    """Give the emergency number, and those of the crisis lines that answer a phone."""
    lines = [line for line in country.lines if line.phone and line.region is None]
    [emergency] = [line.phone for line in lines if line.kind == "emergency"]
    return emergency, [line.phone for line in lines if line.kind == "crisis"]


def test_every_form_that_takes_words_says_so_in_every_country(app, client):
    for code in countries():
        with transaction() as session:
            session.execute(sa.update(Practice).values(country=code, region=None))
        assert forms_with_notice(app, client, countries()[code]) == {
            f"/portal/h/{n}/{do}" for n in (1, 2, 3) for do in ("save", "upload")
        }


def forms_with_notice(app, client, country):
    """Look at every page as it stands in a country; give the forms that take words, each of which must say so."""
    emergency, crisis = numbers_of(country)
    seen = set()
    for path in addresses(app, [1, 2, 3]):
        page = unescape(client.get(path).get_data(as_text=True)) if ".pdf" not in path else ""
        for action, before in forms_to_write_in(page):
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
def test_it_stays_there_when_something_was_not_taken(client):
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


def test_every_plan_and_sheet_bears_the_numbers_of_the_day():
    """On paper there is nobody to write to, but the numbers stand there all the same, in every text and language."""
    for handout in library().values():
        assert "{{crisis_block}}" in handout.body, handout.id
    assert {language for _, language in library()} == {language for _, language in SHEETS}
