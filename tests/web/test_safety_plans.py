"""The pages of a client's safety plans: writing one, its versions, its review, the portal, and the page to print."""

from __future__ import annotations

from datetime import timedelta

import pytest

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.practice.queries import today
from caseapp.domain.safety_plans.codes import EXIT, FORMS, SAFETY
from caseapp.domain.safety_plans.queries import get_plan_id, list_plan_versions
from tests.support import builders, safety_plans
from tests.support.pdf_checks import extract_text
from tests.support.staff_pages import StaffBrowser


@pytest.fixture
def coach(app, team):
    return StaffBrowser(app, team["coach"])


@pytest.fixture
def made(coach):
    found = builders.case(coach.actor, "Ines Okafor")
    builders.screen(coach.actor, found.client_id)
    return found


def address(coach, made, kind=SAFETY):
    with transaction():
        key = lock_client(coach.actor, made.client_id).key
    return f"/case/{made.number}/plan/{get_plan_id(kind, key)}"


def versions(coach, made):
    db.session.rollback()
    return list_plan_versions(coach.actor, made.client_id)


@pytest.mark.parametrize("kind", FORMS)
def test_plan_is_written_and_changed_on_its_page(coach, made, kind):
    page = address(coach, made, kind)
    answer = coach.send(page, **safety_plans.answers(kind))
    assert (answer.status_code, answer.location) == (303, page)
    assert "Plan saved." in coach.text(page)
    assert coach.send(page, copies="My sister", note="She moved").status_code == 303
    newest, first = versions(coach, made)
    assert (newest.number, newest.kind, newest.note) == (2, kind, "She moved")
    assert newest.answers == first.answers | {"copies": "My sister"}
    text = coach.text(page)
    assert "Text changed" in text
    assert first.answers["copies"] in text


def test_missing_steps_are_named_and_nothing_is_lost(coach, made):
    page = address(coach, made)
    answer = coach.send(page, matters="The garden")
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "The garden" in text
    assert 'href="#warning_signs"' in text
    assert versions(coach, made) == []


def test_too_long_a_step_is_refused(coach, made):
    answer = coach.send(address(coach, made), **safety_plans.answers() | {"people": "x\n" * 7})
    assert answer.status_code == 422
    assert "Shorten this to 5 lines." in answer.get_data(as_text=True)


def test_newer_version_is_shown_beside_what_was_typed(coach, made):
    page = address(coach, made)
    safety_plans.write(coach.actor, made.client_id)
    form = coach.form(page)
    safety_plans.write(coach.actor, made.client_id, text="Ring Ben.")
    answer = coach.post(form.action, form.fields | {"people": "Ring Cara."})
    assert answer.status_code == 412
    assert "Ring Cara." in answer.get_data(as_text=True)
    assert "Ring Ben. 4" in answer.get_data(as_text=True)
    assert len(versions(coach, made)) == 2


def test_review_is_recorded_with_the_next_day(coach, made):
    page = address(coach, made)
    safety_plans.write(coach.actor, made.client_id)
    day = today() + timedelta(days=30)
    assert coach.send(page, f"{page}/review", next_review_on=str(day)).status_code == 303
    assert [one.change for one in versions(coach, made)] == ["reviewed", "written"]
    assert versions(coach, made)[0].review_on == day


@pytest.mark.slow
def test_plan_is_shown_in_the_portal_only_with_the_tick(coach, made):
    page = address(coach, made)
    safety_plans.write(coach.actor, made.client_id)
    assert coach.send(page, f"{page}/portal").status_code == 422
    assert coach.send(page, f"{page}/portal", wished="yes").status_code == 303
    assert versions(coach, made)[0].shown_on == today()
    assert coach.send(page, f"{page}/portal/remove").status_code == 303
    assert versions(coach, made)[0].shown_on is None


def test_exit_plan_has_no_form_for_the_portal(coach, made):
    page = address(coach, made, EXIT)
    safety_plans.write(coach.actor, made.client_id, EXIT)
    text = coach.text(page)
    assert f'action="{page}/portal"' not in text
    assert "never shown in the portal" in text


def test_plan_that_is_hidden_now_says_why(coach, made):
    page = address(coach, made)
    safety_plans.write(coach.actor, made.client_id)
    safety_plans.show(coach.actor, made.client_id)
    builders.screen(coach.actor, made.client_id, fear_at_home="concern")
    text = coach.text(page)
    assert "Hidden now" in text
    assert "fear nobody at home" in text


def test_addresses_do_not_tell_which_plan_it_is(coach, made):
    text = coach.text(f"/case/{made.number}/plan")
    for kind in FORMS:
        page = address(coach, made, kind)
        assert page in text
        assert kind not in page


def test_hold_page_and_case_page_lead_to_the_plan(coach, made):
    builders.screen(coach.actor, made.client_id, fear_at_home="concern")
    plans = f"/case/{made.number}/plan"
    for page in (f"/case/{made.number}", f"/case/{made.number}/hold"):
        assert f'href="{plans}"' in coach.text(page)
    assert coach.text(plans).count("Required by the hold") == 1


@pytest.mark.slow
def test_required_action_on_the_hold_page_waits_for_the_plan(coach, made):
    builders.screen(coach.actor, made.client_id, self_harm="concern")
    hold = f"/case/{made.number}/hold"
    [task] = [
        one.id
        for one in list_client_followups(coach.actor, made.client_id, open_only=True)
        if one.kind == "safety_plan"
    ]
    sent = {"result": "done", "method": "call", "note": "Made together."}
    refused = coach.send(hold, f"{hold}/follow-ups/{task}", **sent)
    assert refused.status_code == 409
    assert "Made together." in refused.get_data(as_text=True)
    safety_plans.write(coach.actor, made.client_id)
    assert coach.send(hold, f"{hold}/follow-ups/{task}", **sent).status_code == 303


@pytest.mark.pdf
@pytest.mark.parametrize("kind", FORMS)
def test_page_to_print_has_the_plan_and_no_names(coach, made, kind):
    safety_plans.write(coach.actor, made.client_id, kind)
    answer = coach.get(f"{address(coach, made, kind)}/plan.pdf")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="plan.pdf"'
    text = extract_text(answer.data)
    for step in FORMS[kind].steps:
        assert " ".join(str(step.label).split()) in " ".join(text.split())
    assert "not been reviewed by a clinician" in " ".join(text.split())
    assert "Ines" not in text
    assert coach.actor.name.split()[-1] not in text


def test_plan_that_is_not_written_has_no_page_to_print(coach, made):
    assert coach.get(f"{address(coach, made)}/plan.pdf").status_code == 404
