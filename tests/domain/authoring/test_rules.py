"""Problems that prevent a draft from being published, by form field."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caseapp.domain.authoring.rules import find_problems
from caseapp.domain.authoring.source import build_source
from caseapp.domain.handouts.provenance import claims
from caseapp.domain.practice.queries import today
from tests.domain.authoring.steps import FIELD, KEY, build_content

PROBLEMS = [
    ({"title": "x"}, "title", "3 to 120"),
    ({"stage": ""}, "stage", "choose one"),
    ({"minutes": None}, "minutes", "fill this in"),
    ({"minutes": 61}, "minutes", "1 to 60"),
    ({"review_date": None}, "review_date", "fill this in"),
    ({"change": ""}, "change", "3 to 200"),
    ({"channels": ()}, "channels", "at least one way"),
    ({"kind": "safety-sheet"}, "alias", "neutral title"),
    ({"title": "Snow ☃ falls"}, "title", "☃ (U+2603)"),
    ({"title": "A \x07 bell"}, "title", "U+0007"),
    ({"title": "<b></b>" * 3}, None, ""),
    ({"title": "- - -"}, "title", "at least one letter or digit"),
    ({"change": "....."}, "change", "at least one letter or digit"),
]


@pytest.mark.parametrize(("changed", "field", "words"), PROBLEMS)
def test_problem_is_listed_at_its_form_field(app, changed, field, words):
    found = find_problems(build_source(build_content(**changed), KEY, today(), None), today())
    if field is None:
        # Markup is plain text here, so tags are a valid title.
        assert found == {}
    else:
        assert words.lower() in " ".join(found[field]).lower()


BODIES = [
    ("{{crisis_block}}", "", "there is no {{crisis_block}}"),
    ("## Stop and get help", "## Stop", "there are 0 “stop and get help” sections"),
    ("## Stop and get help", "### Stop and get help", "in the section that says when to stop"),
    ("Walk after", "{{claims:XYZ-99}} Walk after", "no claim XYZ-99"),
    ("Walk after supper.", "{{ config }}", "unknown marker {{ config }}"),
    ("Walk after supper.", "{{7*7}}", "unknown marker {{7*7}}"),
    ("Walk after supper.", "{{self.__init__.__globals__}}", "unknown marker"),
    ("Walk after supper.", "Walk {{nothing_of_ours}}.", "unknown marker"),
    ("Walk after supper.", "\n{{nothing_of_ours}}\n", "no block is named nothing_of_ours"),
    ("Walk after supper.", "I promise that I will not harm myself.", "promise not to harm oneself"),
    ("Walk after supper.", "Sign this no-suicide contract.", "promise not to harm oneself"),
    ("Say in two", "## Say in two", "before the first heading"),
    ("Where I will walk", "Walk \u4e00", "u+4e00"),
    ("Where I will walk", "…", "at least one letter or digit"),
    ("Where I will walk", "x" * 161, "more than 160 characters"),
    (FIELD, f"{FIELD}\n\n{FIELD}", "two fields are named my_walk"),
    (FIELD, f"{FIELD}\n\n{FIELD.replace('my_walk', 'again')}", "is used twice"),
    (FIELD, "::: ticks mine\nMine\n:::", "needs 2 to 9 items"),
    (FIELD, "::: choice mine\nMine\n:::", "there is no such kind"),
    (FIELD, "::: text mine\nMine", "isn’t closed"),
    (FIELD, "::: ticks mine\nMine\n- One → 7\n- Two\n:::", "leads to part 7"),
]


@pytest.mark.parametrize(("old", "new", "words"), BODIES)
def test_problem_of_the_body_is_listed_at_body(app, old, new, words):
    content = build_content()
    assert old in content.body
    changed = replace(content, body=content.body.replace(old, new))
    found = find_problems(build_source(changed, KEY, today(), None), today())
    assert words in " ".join(found["body"]).lower().replace("xyz-99", "XYZ-99")


def test_claim_left_out_on_purpose_is_a_problem(app):
    left_out = next(claim.id for claim in claims().values() if claim.use == "X")
    content = replace(
        build_content(),
        body=build_content().body.replace("heading", f"heading {{{{claims:{left_out}}}}}"),
    )
    found = find_problems(build_source(content, KEY, today(), None), today())
    assert "left out on purpose" in " ".join(found["body"])
