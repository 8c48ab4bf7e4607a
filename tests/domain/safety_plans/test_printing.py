"""A plan on paper: one page, in the order of its steps, with current help lines and without names (SAFE-07)."""

from __future__ import annotations

import io
from dataclasses import replace

import pikepdf
import pytest

from caseapp.core.errors import NotFound
from caseapp.domain.clients.queries import get_client_record
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.safety_plans.codes import FORMS, MAX_LENGTH, MAX_LINES, SAFETY
from caseapp.domain.safety_plans.printing import plan_pdf
from caseapp.domain.safety_plans.queries import list_plan_versions
from tests.support import builders, safety_plans
from tests.support.pdf_checks import extract_text, list_handout_problems

LINE = "Call Anne on 01632 960123, then Ben on 01632 960987, and walk.\n"
LONG = "We walk to the lake and back. " * 20
TITLES = {"en-GB": "My plan", "es": "Mi plan"}


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def ines(coach):
    return builders.client(coach, "Ines Okafor")


def newest(coach, ines, kind=SAFETY):
    safety_plans.write(coach, ines, kind)
    return list_plan_versions(coach, ines)[0]


def full(kind, text):
    return dict.fromkeys((step.key for step in FORMS[kind].steps), text[:MAX_LENGTH].strip())


@pytest.mark.pdf
@pytest.mark.slow
@pytest.mark.parametrize("paper", ["A4", "Letter"])
@pytest.mark.parametrize("text", [LINE * MAX_LINES, LONG], ids=["lines", "sentences"])
@pytest.mark.parametrize("kind", FORMS)
def test_fullest_plan_fits_on_one_page(coach, ines, kind, text, paper):
    plan = replace(newest(coach, ines, kind), answers=full(kind, text))
    info, client = get_practice_info(), get_client_record(coach, ines)
    info.practice.paper = paper
    for language, title in TITLES.items():
        content = plan_pdf(plan, replace(client, language=language), info, discreet=False)
        with pikepdf.open(io.BytesIO(content)) as document:
            assert len(document.pages) == 1
        assert list_handout_problems(content, language=language, title=title) == []


@pytest.mark.pdf
@pytest.mark.parametrize("kind", FORMS)
def test_steps_are_printed_in_their_order(coach, ines, kind):
    plan, client = newest(coach, ines, kind), get_client_record(coach, ines)
    text = extract_text(plan_pdf(plan, client, get_practice_info(), discreet=False))
    found = [text.index(f"{safety_plans.TEXT} {n}") for n, _ in enumerate(FORMS[kind].steps, 1)]
    assert found == sorted(found)
    assert "999" in text
    assert "coach" in text
    assert "Ines" not in text


@pytest.mark.pdf
def test_discreet_copy_does_not_say_who_made_it(coach, ines):
    plan, client = newest(coach, ines), get_client_record(coach, ines)
    text = extract_text(plan_pdf(plan, client, get_practice_info(), discreet=True))
    assert "My plan" in text
    assert "coach" not in text
    assert "clinician" not in text


def test_there_is_no_page_without_a_plan(coach, ines):
    client = get_client_record(coach, ines)
    with pytest.raises(NotFound):
        plan_pdf(None, client, get_practice_info(), discreet=False)
