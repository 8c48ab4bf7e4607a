"""The pages of the library: its list, each sheet with its versions, reviews, recalls and replacing older ones."""

import re

import pytest

from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.handouts.models import HandoutVersionReview
from tests.support import builders
from tests.support.staff_pages import StaffBrowser
from tests.web.assigned_handouts import count, given, opened


def test_the_library_is_shown_by_stage_and_narrowed_by_its_filter(app):
    _, _, desk = opened(app)
    page = desk.text("/handouts")
    assert page.index('id="h-any"') < page.index('id="h-steady"') < page.index('id="h-close"')
    assert "28 handouts" in page
    assert page.count("Not yet reviewed by a clinician") == 28
    narrowed = desk.text("/handouts?stage=contact&q=far")
    assert "When you live far apart" in narrowed
    assert "When sleep will not come" not in narrowed
    assert "No handout matches" in desk.text("/handouts?q=zebra")
    assert "Cuando" in desk.text("/handouts?language=es")
    assert "28 handouts" in desk.text("/handouts?stage=nowhere&language=xx")


def test_a_preview_shows_claims_sources_versions_and_who_has_it(app):
    team, made, desk = opened(app)
    given(team, made)
    page = desk.text("/handouts/better-nights")
    assert "<strong>REC-08</strong>" in page
    assert "Leslie Cane" in page
    assert "Ines Okafor" in page
    assert "Español" in page
    assert "first edition" in page.lower()
    assert "Clinician" not in page
    other = StaffBrowser(app, team["coach2"]).text("/handouts/better-nights")
    assert "Ines Okafor" not in other


def test_an_admin_reads_the_library_and_no_clients(app):
    team, made, _ = opened(app)
    given(team, made)
    desk = StaffBrowser(app, team["admin"])
    page = desk.text("/handouts/better-nights")
    assert "My clients who have it" not in page
    assert desk.get(f"/case/{made.number}/handouts").status_code == 403
    assert desk.get(f"/case/{made.number}/handouts/assign").status_code == 403


def test_editions_that_are_not_there_are_not_found(app):
    _, _, desk = opened(app)
    for path in (
        "/handouts/nothing-of-the-kind",
        "/handouts/better-nights?version=2",
        "/handouts/better-nights?version=99999999999999999999",
        "/handouts/better-nights?version=x",
        "/handouts/better-nights?language=xx",
        "/handouts/better-nights%00/pdf",
        "/handouts/nothing-of-the-kind/pdf",
    ):
        assert desk.get(path).status_code == 404, path


@pytest.mark.pdf
def test_a_pdf_is_an_attachment_with_a_neutral_name(app):
    _, _, desk = opened(app)
    answer = desk.get("/handouts/help-right-now/pdf?language=es")
    assert answer.status_code == 200
    assert answer.mimetype == "application/pdf"
    assert answer.data.startswith(b"%PDF-")
    assert (
        answer.headers["Content-Disposition"]
        == 'attachment; filename="numeros-que-conviene-guardar-1.pdf"'
    )
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.pdf
def test_large_print_is_a_link_beside_the_usual_one(app):
    _, _, desk = opened(app)
    page = desk.get("/handouts/better-nights").get_data(as_text=True)
    [link] = re.findall(r'href="(/handouts/better-nights/pdf[^"]*size=large[^"]*)"', page)
    answer = desk.get(link.replace("&amp;", "&"))
    assert answer.headers["Content-Disposition"].endswith('-large.pdf"')
    assert answer.data.startswith(b"%PDF-")


def test_a_supervisor_records_a_review_and_a_coach_may_not(app):
    team, _, coach = opened(app)
    path = "/handouts/better-nights"
    action = f"{path}/review?language=en&version=1"
    desk = StaffBrowser(app, team["supervisor"])
    empty = desk.send(path, action)
    assert empty.status_code == 422
    assert "name and licence." in empty.get_data(as_text=True)
    future = desk.send(path, action, clinician="Dr Anne Weber", reviewed_on="2999-01-01")
    assert future.status_code == 422
    assert "Dr Anne Weber" in future.get_data(as_text=True)
    form = desk.form(path, action)
    sent = form.fields | {"clinician": "Dr Anne Weber", "reviewed_on": "2026-01-10"}
    assert desk.post(form.action, sent).status_code == 303
    assert desk.post(form.action, sent).status_code == 303
    assert count(HandoutVersionReview) == 1
    assert "Dr Anne Weber" in coach.text(path)
    token = coach.form("/handouts/better-nights", "/sign-out").fields["csrf_token"][0]
    refused = coach.post(action, sent | {"csrf_token": token})
    assert refused.status_code == 403


def test_the_sources_page_names_what_was_left_out(app):
    _, _, desk = opened(app)
    page = desk.text("/handouts/sources")
    assert page.count("What was left out, and why") == 14
    assert "Surprise dates and trips are left out" in page
    assert "K28" in page
    assert "Left out on purpose: " in page


def test_a_supervisor_recalls_a_version_and_a_coach_may_not(app):
    team, made, coach = opened(app)
    given(team, made)
    path, action = "/handouts/better-nights", "/handouts/better-nights/recall?language=en&version=1"
    assert "Recall version" not in coach.text(path)
    assert coach.post(action, coach.token | {"reason": "No reason."}).status_code == 403
    desk = StaffBrowser(app, team["supervisor"])
    asked = desk.text(f"{path}/recall?language=en&version=1")
    assert "1 client in the whole practice has this version." in asked
    assert "Ines Okafor" in asked
    assert coach.get(f"{path}/recall").status_code == 403
    admin = StaffBrowser(app, team["admin"]).text(f"{path}/recall")
    assert "1 client in the whole practice has" in admin
    assert "Ines Okafor" not in admin
    ask = f"{path}/recall?language=en&version=1"
    assert desk.send(ask, action).status_code == 422
    assert desk.send(ask, action, reason="A number is wrong.").status_code == 303
    again = desk.text(ask)
    assert "Version 1 was recalled on" in again
    assert "What happens" not in again
    page = coach.text(path)
    assert "Version 1 was recalled on" in page
    assert "A number is wrong." in page
    assert coach.get(f"{path}/pdf").status_code == 409
    assert "When sleep will not come" not in coach.text("/handouts")
    case = coach.text(f"/case/{made.number}/handouts")
    assert "Recalled" in case
    assert "The practice has recalled this version." in case
    assert "better-nights" not in coach.text(f"/case/{made.number}/handouts/assign?stage=all")


def test_older_versions_are_replaced_for_those_who_are_chosen(app, monkeypatch):
    team, made, desk = opened(app)
    path, slug = "/handouts/first-days-pause", "first-days-pause"
    action = f"{path}/replace?language=en"
    other, third = (
        builders.case(team["coach"], "Daniel Roth"),
        builders.case(team["coach2"], "Noor Haddad"),
    )
    for case in (other, third):
        builders.screen(team["coach"] if case is other else team["coach2"], case.client_id)
    ids = [str(given(team, one, slug)) for one in (made, other)]
    with transaction():
        theirs = assign_handout(team["coach2"], third.case_id, slug, message="", channel="portal")
    assert "older version" not in desk.text(path)
    builders.second_version(monkeypatch, slug)
    page = desk.text(path)
    assert "Version 1: 2 clients of your open cases" in page
    assert '2 of your clients have an older version. <a href="#h-older">' in page
    assert "Noor Haddad" not in page
    assert "Clients with an older version" not in desk.text(f"{path}?version=1")
    assert desk.send(path, action).status_code == 422
    builders.screen(team["coach"], other.client_id, fear_at_home="concern")
    form = desk.form(path, action).fields
    sent = desk.post(action, form | {"ids": [*ids, str(theirs)], "message": "A clearer one."})
    assert sent.status_code == 409
    page = sent.get_data(as_text=True)
    assert "Not replaced" in page
    assert "Daniel Roth: " in page
    assert "Version 1: 1 client of your open cases" in page
    assert count(Assignment) == 4
    again = desk.post(action, form | {"ids": ids[:1]})
    assert again.status_code == 303
    assert count(Assignment) == 4, "sent twice, replaced once"
    assert "A clearer one." in desk.text(f"/case/{made.number}/handouts")
    assert StaffBrowser(app, team["admin"]).get(path).status_code == 200
