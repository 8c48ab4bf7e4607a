"""What the editor holds, as a source and back: nothing that was typed is lost or breaks out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from caseapp.core.clock import now
from caseapp.domain.authoring.rules import find_problems
from caseapp.domain.authoring.schemas import DraftContentSchema, get_form_values
from caseapp.domain.authoring.source import HandoutKey, build_source, read_content
from caseapp.domain.handouts.library import library
from tests.domain.authoring.steps import NAME
from tests.support.depth import times


@pytest.mark.parametrize("key", [*library()], ids=".".join)
def test_every_sheet_of_the_library_can_be_the_start_of_ours(the_app, key):
    theirs = library()[key]
    name = HandoutKey("own-01", key[1], key[0])
    source = build_source(read_content(theirs.source), name, theirs.review_date, None)
    assert find_problems(source, theirs.review_date) == {}
    again = DraftContentSchema().load(as_a_browser(get_form_values(read_content(source))))
    assert replace(again, also_fits=theirs.also_fits) == read_content(source)


def as_a_browser(values):
    """Send a form's values as a browser would: rows by name, blanks left out."""
    sent = {name: value for name, value in values.items() if "." not in name and value != ""}
    for group in ("warnings", "answer_fields"):
        begin = f"{group}."
        sent[group] = {
            name.removeprefix(begin): str(value)
            for name, value in values.items()
            if name.startswith(begin)
        }
    return sent


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=60)


@pytest.mark.soak
@how(
    max_examples=times(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(title=WORDS, because=WORDS, label=WORDS, option=WORDS, body=WORDS)
def test_whatever_is_typed_comes_back_as_it_was(the_app, title, because, label, option, body):
    """No word of a person's breaks out of its place in the source, whatever YAML or a marker would make of it."""
    text = DraftContentSchema().load(
        {
            "title": title,
            "body": body,
            "warnings": {"0.tag": "violence_flag", "0.because": because},
            "answer_fields": {"0.label": label, "0.id": "x1", "0.options": option},
        }
    )
    assert read_content(build_source(text, NAME, now().date(), None)) == text
