"""The page The protocol shows every rule with where it comes from, and the pages that ask questions lead to it."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import date

import pytest

from caseapp.domain.handouts.provenance import claims
from caseapp.domain.protocol.data import SignOff
from caseapp.domain.protocol.file import PROTOCOL
from caseapp.web import protocol as page_module
from tests.support import builders, staff
from tests.support.staff_pages import StaffBrowser


@pytest.fixture
def coach_browser(app):
    team = staff.team()
    return StaffBrowser(app, team["coach"]), team["coach"]


def read(browser):
    return html.unescape(browser.text("/protocol"))


def texts_of(rule):
    """Return what a rule says in words."""
    for value in vars(rule).values():
        if isinstance(value, str) and " " in value:
            yield value
        elif isinstance(value, tuple):
            yield from (text for text in value if isinstance(text, str) and " " in text)


def test_page_shows_every_rule_with_its_origin(coach_browser):
    page = read(coach_browser[0])
    missing = [text for rule in PROTOCOL.rules for text in texts_of(rule) if text not in page]
    assert missing == []
    assert page.count("Awaiting sign-off.") == len(PROTOCOL.rules)
    origins = re.findall(r'<p class="origin">(.*?)</p>', page, re.DOTALL)
    shown = sorted(
        sorted(
            [
                *re.findall(r'href="#([A-Z]{3}-\d\d)"', text),
                *(["clinical"] if "Clinical common sense." in text else []),
                *(["product"] if "Our own proposal." in text else []),
            ]
        )
        for text in origins
    )
    assert shown == sorted(sorted(rule.provenance) for rule in PROTOCOL.rules)


def test_every_cited_claim_is_explained_on_the_page(coach_browser):
    page = read(coach_browser[0])
    cited = {claim for rule in PROTOCOL.rules for claim in rule.claims}
    assert set(re.findall(r'href="#([A-Z]{3}-\d\d)"', page)) == cited
    assert set(re.findall(r'<div id="([A-Z]{3}-\d\d)"', page)) == cited
    assert all(claims()[claim].text in page for claim in cited)


def test_signed_rule_shows_who_signed_it_and_when(coach_browser, monkeypatch):
    signed = replace(
        PROTOCOL.items[0], sign_off=SignOff("Dr Ada Brook", date(2026, 12, 1), "a" * 12)
    )
    found = replace(PROTOCOL, items=(signed, *PROTOCOL.items[1:]))
    monkeypatch.setattr(page_module, "PROTOCOL", found)
    page = read(coach_browser[0])
    assert "Signed by Dr Ada Brook on 1 December 2026." in page
    assert page.count("Awaiting sign-off.") == len(PROTOCOL.rules) - 1
    assert f"{found.unsigned} of {len(found.rules)} rules" in page


@pytest.mark.slow
def test_pages_that_ask_or_hold_lead_to_the_protocol(coach_browser):
    browser, coach = coach_browser
    case = builders.case(coach)
    builders.screen(coach, case.client_id, self_harm="concern")
    note = builders.draft(coach, case.case_id)
    for path in (
        f"/case/{case.number}/screening",
        f"/case/{case.number}/hold",
        f"/note/{note}",
        "/help/levels",
    ):
        assert 'href="/protocol"' in browser.text(path), path
    assert f"version {PROTOCOL.version}" in browser.text(f"/case/{case.number}/screening")


def test_protocol_is_not_shown_to_strangers(app):
    assert app.test_client().get("/protocol").status_code == 303
