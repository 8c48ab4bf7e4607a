"""Handout pages: the library, versions, reviews, recalls and replacing older versions."""

import re
from html import unescape

import pytest

from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.assignments.schemas import CHANNEL_LABELS
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.handouts.bars import EFFECT_LABELS, HOLD_MARK_LABELS, TAG_LABELS
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.models import HandoutVersionReview
from tests.support import builders
from tests.support.bars_table import CODES, TABLE
from tests.support.staff_pages import StaffBrowser, forms_in
from tests.web.assigned_handouts import count, given, opened


def test_handout_list_groups_by_stage_and_filters(app):
    _, _, browser = opened(app)
    page = browser.text("/handouts")
    assert page.index('id="h-any"') < page.index('id="h-steady"') < page.index('id="h-close"')
    english = sum(language == "en" for _, language in library())
    assert f"{english} handouts" in page
    assert page.count("Not yet reviewed by a clinician") == english
    filtered = browser.text("/handouts?stage=contact&q=far")
    assert "When you live far apart" in filtered
    assert "When sleep won’t come" not in filtered
    assert "No handout matches" in browser.text("/handouts?q=zebra")
    assert "Cuando" in browser.text("/handouts?language=es")
    assert f"{english} handouts" in browser.text("/handouts?stage=nowhere&language=xx")


def test_handout_page_shows_claims_sources_versions_and_own_clients(app):
    team, made, browser = opened(app)
    given(team, made)
    page = browser.text("/handouts/better-nights")
    assert "<strong>REC-08</strong>" in page
    assert "Leslie Cane" in page
    assert "Ines Okafor" in page
    assert "Español" in page
    assert library()["better-nights", "en"].history[-1][2] in page
    assert "Clinician" not in page
    other = StaffBrowser(app, team["coach2"]).text("/handouts/better-nights")
    assert "Ines Okafor" not in other


@pytest.mark.parametrize("key", [*library()], ids=".".join)
def test_handout_page_says_exactly_when_the_handout_is_blocked_or_needs_caution(app, team, key):
    slug, language = key
    browser = StaffBrowser(app, team["coach"])
    page = browser.text(f"/handouts/{slug}?language={language}")
    shown = re.search(r'id="h-care".*?</ul>', page, re.DOTALL)[0]
    row = TABLE[slug]
    holds = {(): "none", ("care",): "care", ("care", "safety"): "safety"}[(*row["holds"],)]
    assert f"<strong>{HOLD_MARK_LABELS[holds]}.</strong>" in shown
    channels = row.get("channels", ["in_person", "print", "portal"])
    assert {c for c in CHANNEL_LABELS if CHANNEL_LABELS[c] in shown} == {*channels}
    conditions = {
        f"{TAG_LABELS[CODES[name]]}: {EFFECT_LABELS[effect].lower()}."
        for column, effect in (
            ("block", "block"),
            ("in_session", "in_session"),
            ("caution", "warn"),
        )
        for name in row.get(column, [])
    }
    assert {*re.findall(r"<li><strong>([^<]*: [^<]*)</strong>", unescape(shown))} == conditions


def test_handout_page_for_admin_shows_no_clients(app):
    team, made, _ = opened(app)
    given(team, made)
    browser = StaffBrowser(app, team["admin"])
    page = browser.text("/handouts/better-nights")
    assert "My clients who have it" not in page
    assert browser.get(f"/case/{made.number}/handouts").status_code == 403
    assert browser.get(f"/case/{made.number}/handouts/assign").status_code == 403


def test_handout_page_with_unknown_version_is_not_found(app):
    _, _, browser = opened(app)
    for path in (
        "/handouts/nothing-of-the-kind",
        "/handouts/better-nights?version=999",
        "/handouts/better-nights?version=99999999999999999999",
        f"/handouts/better-nights?version=000000001{'9' * 31}",
        "/handouts/better-nights?version=x",
        "/handouts/better-nights?language=xx",
        "/handouts/better-nights%00/pdf",
        "/handouts/nothing-of-the-kind/pdf",
    ):
        assert browser.get(path).status_code == 404, path


@pytest.mark.parametrize("path", ["/handouts//better-nights", "/portal//sign-in"])
def test_double_slash_leads_to_no_other_host(app, path):
    answer = app.test_client().get(path, headers={"Host": "evil.test"})
    assert (answer.status_code, answer.location) == (404, None)


@pytest.mark.pdf
def test_handout_pdf_is_attachment_with_neutral_name(app):
    _, _, browser = opened(app)
    answer = browser.get("/handouts/help-right-now/pdf?language=es")
    assert answer.status_code == 200
    assert answer.mimetype == "application/pdf"
    assert answer.data.startswith(b"%PDF-")
    version = library()["help-right-now", "es"].version
    assert (
        answer.headers["Content-Disposition"]
        == f'attachment; filename="numeros-que-conviene-guardar-{version}.pdf"'
    )
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.pdf
def test_handout_page_links_to_large_print(app):
    _, _, browser = opened(app)
    page = browser.get("/handouts/better-nights").get_data(as_text=True)
    [link] = re.findall(r'href="(/handouts/better-nights/pdf[^"]*size=large[^"]*)"', page)
    answer = browser.get(link.replace("&amp;", "&"))
    assert answer.headers["Content-Disposition"].endswith('-large.pdf"')
    assert answer.data.startswith(b"%PDF-")


@pytest.mark.slow
def test_record_review_by_supervisor_is_saved_once_and_by_coach_forbidden(app):
    team, _, coach = opened(app)
    path = "/handouts/better-nights"
    action = f"{path}/review"
    browser = StaffBrowser(app, team["supervisor"])
    empty = browser.send(path, action)
    assert empty.status_code == 422
    assert "name and licence, in 3 characters or more." in empty.get_data(as_text=True)
    future = browser.send(path, action, clinician="Dr Anne Weber", reviewed_on="2999-01-01")
    assert future.status_code == 422
    assert "Dr Anne Weber" in future.get_data(as_text=True)
    form = browser.form(path, action)
    sent = form.fields | {"clinician": "Dr Anne Weber", "reviewed_on": "2026-01-10"}
    assert browser.post(form.action, sent).status_code == 303
    assert browser.post(form.action, sent).status_code == 303
    assert count(HandoutVersionReview) == 1
    assert "Dr Anne Weber" in coach.text(path)
    token = coach.form("/handouts/better-nights", "/sign-out").fields["csrf_token"][0]
    refused = coach.post(action, sent | {"csrf_token": token})
    assert refused.status_code == 403


def test_review_is_about_the_version_that_the_page_showed(app, monkeypatch):
    team, _, _ = opened(app)
    path, action = "/handouts/first-days-pause", "/handouts/first-days-pause/review"
    browser = StaffBrowser(app, team["supervisor"])
    form = browser.form(path, action)
    shown = library()["first-days-pause", "en"].version
    builders.second_version(monkeypatch, "first-days-pause")
    wrong = browser.post(action, form.fields | {"clinician": "Dr Anne Weber"})
    assert wrong.status_code == 422
    again = forms_in(wrong.get_data(as_text=True), path, action)[0]
    assert again.fields["handout_version"] == [f"{shown}"]
    sent = browser.post(action, again.fields | {"reviewed_on": "2026-01-10"})
    assert (sent.status_code, sent.location) == (303, f"{path}?language=en&version={shown}")
    assert "Dr Anne Weber" in browser.text(sent.location)
    assert "Dr Anne Weber" not in browser.text(path)


def test_sources_page_shows_what_was_left_out(app):
    _, _, browser = opened(app)
    page = browser.text("/handouts/sources")
    assert page.count("What was left out, and why") == 14
    assert "Surprise dates and trips are left out" in page
    assert "K28" in page
    assert "Left out on purpose: " in page


@pytest.mark.slow
def test_recall_by_supervisor_withdraws_version_and_by_coach_is_forbidden(app):
    team, made, coach = opened(app)
    given(team, made)
    shown = library()["better-nights", "en"].version
    path, action = "/handouts/better-nights", "/handouts/better-nights/recall"
    assert "Recall version" not in coach.text(path)
    assert coach.post(action, coach.token | {"reason": "No reason."}).status_code == 403
    browser = StaffBrowser(app, team["supervisor"])
    confirm_page = browser.text(f"{path}/recall?language=en&version={shown}")
    assert "1 client in the whole practice has this version." in confirm_page
    assert "Ines Okafor" in confirm_page
    assert coach.get(f"{path}/recall").status_code == 403
    admin = StaffBrowser(app, team["admin"]).text(f"{path}/recall")
    assert "1 client in the whole practice has" in admin
    assert "Ines Okafor" not in admin
    recall_page = f"{path}/recall?language=en&version={shown}"
    assert browser.send(recall_page, recall_page).status_code == 422
    late = browser.form(recall_page, recall_page)
    sent = browser.send(recall_page, recall_page, reason="A number is wrong.")
    assert (sent.status_code, sent.location) == (303, f"{path}?language=en&version={shown}")
    refused = browser.post(late.action, late.fields | {"reason": "It is out of date."})
    assert refused.status_code == 409
    assert "already been recalled" in refused.get_data(as_text=True)
    assert "It is out of date." in refused.get_data(as_text=True)
    again = browser.text(recall_page)
    assert f"Version {shown} was recalled on" in again
    assert "What happens" not in again
    page = coach.text(path)
    assert f"Version {shown} was recalled on" in page
    assert "A number is wrong." in page
    assert coach.get(f"{path}/pdf").status_code == 409
    assert "When sleep won’t come" not in coach.text("/handouts")
    case = coach.text(f"/case/{made.number}/handouts")
    assert "Recalled" in case
    assert "The practice has recalled this version." in case
    assert "better-nights" not in coach.text(f"/case/{made.number}/handouts/assign?stage=all")


@pytest.mark.slow
def test_replace_assignments_replaces_chosen_clients_and_lists_blocked_ones(app, monkeypatch):
    team, made, browser = opened(app)
    path, slug = "/handouts/first-days-pause", "first-days-pause"
    action = f"{path}/replace"
    other, third = (
        builders.case(team["coach"], "Daniel Roth"),
        builders.case(team["coach2"], "Noor Haddad"),
    )
    for case in (other, third):
        builders.screen(team["coach"] if case is other else team["coach2"], case.client_id)
    ids = [str(given(team, one, slug)) for one in (made, other)]
    with transaction():
        theirs = assign_handout(
            team["coach2"],
            lock_case(team["coach2"], third.case_id),
            slug,
            message="",
            channel="portal",
        )
    assert "older version" not in browser.text(path)
    old = library()[slug, "en"].version
    builders.second_version(monkeypatch, slug)
    page = browser.text(path)
    assert f"Version {old}: 2 clients in your open cases" in page
    assert '2 of your clients have an older version. <a href="#h-older">' in page
    assert "Noor Haddad" not in page
    assert "Clients with an older version" not in browser.text(f"{path}?version={old}")
    assert browser.send(path, action).status_code == 422
    builders.screen(team["coach"], other.client_id, fear_at_home="concern")
    form = browser.form(path, action).fields
    sent = browser.post(action, form | {"ids": [*ids, str(theirs)], "message": "A clearer one."})
    assert sent.status_code == 409
    page = sent.get_data(as_text=True)
    assert "Not replaced" in page
    assert "Daniel Roth: " in page
    assert f"Version {old}: 1 client in your open cases" in page
    assert count(Assignment) == 4
    kept = form | {"ids": ids[:1], "message": "A clearer one."}
    assert browser.post("/drafts", kept).status_code == 204
    assert "A clearer one." in browser.text(path)
    again = browser.post(action, kept)
    assert again.status_code == 303
    assert "A clearer one." not in browser.text(path)
    assert count(Assignment) == 4, "the form was sent twice, but replaced once"
    assert "A clearer one." in browser.text(f"/case/{made.number}/handouts")
    assert StaffBrowser(app, team["admin"]).get(path).status_code == 200
