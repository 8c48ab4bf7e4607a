"""What keeps a text from being published, each fault at its place in the editor."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caseapp.domain.authoring.rules import find_problems
from caseapp.domain.authoring.source import build_source
from caseapp.domain.handouts.library import claims
from caseapp.domain.practice.queries import today
from tests.domain.authoring.steps import NAME, PLACE, whole

FAULTS = [
    ({"title": "x"}, "title", "between 3 and 120"),
    ({"stage": ""}, "stage", "choose one"),
    ({"minutes": None}, "minutes", "fill this in"),
    ({"minutes": 61}, "minutes", "less than or equal to 60"),
    ({"review_date": None}, "review_date", "fill this in"),
    ({"change": ""}, "change", "between 3 and 200"),
    ({"channels": ()}, "channels", "at least one way"),
    ({"kind": "safety-sheet"}, "alias", "neutral title"),
    ({"answer_fields": ()}, "body", "No field is named my_walk"),
    ({"answer_fields": (PLACE, replace(PLACE, id="twice"))}, "answer_fields", "stands twice"),
    ({"answer_fields": (replace(PLACE, label=""),)}, "answer_fields.0.label", "between 2 and 160"),
    ({"answer_fields": (replace(PLACE, type="choice"),)}, "answer_fields", "nothing to choose from"),
    ({"title": "Snow ☃ falls"}, "title", "☃ (U+2603)"),
    ({"title": "A \x07 bell"}, "title", "U+0007"),
    ({"answer_fields": (replace(PLACE, label="Walk \u4e00"),)}, "answer_fields", "U+4E00"),
    ({"title": "<b></b>" * 3}, None, ""),
]


@pytest.mark.parametrize(("changed", "place", "words"), FAULTS)
def test_a_fault_is_named_at_its_place(app, changed, place, words):
    found = find_problems(build_source(whole(**changed), NAME, today(), None), today())
    if place is None:
        # Markup is text here, so a title of tags is a title.
        assert found == {}
    else:
        assert words.lower() in " ".join(found[place]).lower()


BODIES = [
    ("{{crisis_block}}", "", "there is no {{crisis_block}}"),
    ("## Stop and get help", "## Stop", "0 boxes"),
    ("## Stop and get help", "### Stop and get help", "belong in the section"),
    ("Walk after", "{{claims:XYZ-99}} Walk after", "no claim XYZ-99"),
    ("Walk after supper.", "{{ config }}", "stray marker {{ config }}"),
    ("Walk after supper.", "{{7*7}}", "stray marker {{7*7}}"),
    ("Walk after supper.", "{{self.__init__.__globals__}}", "stray marker"),
    ("Walk after supper.", "Walk {{nothing_of_ours}}.", "stray marker"),
    ("Walk after supper.", "\n{{nothing_of_ours}}\n", "nothing is named nothing_of_ours"),
    ("Walk after supper.", "I promise that I will not harm myself.", "no plan"),
    ("Walk after supper.", "Sign this no-suicide contract.", "no plan"),
    ("Say in two", "## Say in two", "before the first heading"),
]


@pytest.mark.parametrize(("old", "new", "words"), BODIES)
def test_a_fault_of_the_text_is_named(app, old, new, words):
    text = whole()
    assert old in text.body
    changed = replace(text, body=text.body.replace(old, new))
    found = find_problems(build_source(changed, NAME, today(), None), today())
    assert words in " ".join(found["body"]).lower().replace("xyz-99", "XYZ-99")


def test_a_claim_that_was_left_out_on_purpose_may_not_come_back(app):
    left_out = next(claim.id for claim in claims().values() if claim.use == "X")
    text = replace(
        whole(), body=whole().body.replace("heading", f"heading {{{{claims:{left_out}}}}}")
    )
    found = find_problems(build_source(text, NAME, today(), None), today())
    assert "left out on purpose" in " ".join(found["body"])
