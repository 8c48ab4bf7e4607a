"""Draft content written as a source and read back: nothing that was typed is lost or escapes its field."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from caseapp.core.clock import now
from caseapp.domain.authoring.rules import find_problems
from caseapp.domain.authoring.schemas import DraftContentSchema, get_form_values
from caseapp.domain.authoring.source import HandoutKey, build_source, read_content
from caseapp.domain.handouts.library import library
from tests.domain.authoring.steps import KEY
from tests.support.depth import times


@pytest.mark.parametrize("key", [*library()], ids=".".join)
def test_every_library_handout_can_be_copied(session_app, key):
    handout = library()[key]
    copy_key = HandoutKey("own-01", key[1], key[0])
    source = build_source(read_content(handout.source), copy_key, handout.review_date, None)
    assert find_problems(source, handout.review_date) == {}
    loaded = DraftContentSchema().load(build_request(get_form_values(read_content(source))))
    assert replace(loaded, also_fits=handout.also_fits) == read_content(source)


def build_request(values):
    """Return form values as a browser sends them: rows by name, blank values left out."""
    sent = {name: value for name, value in values.items() if "." not in name and value != ""}
    for group in ("warnings", "involves", "two_minutes", "us"):
        prefix = f"{group}."
        sent[group] = {
            name.removeprefix(prefix): str(value)
            for name, value in values.items()
            if name.startswith(prefix)
        }
    return sent


PRINTABLE = st.characters(max_codepoint=0xFF, exclude_categories=["Cc", "Cf"])
WORDS = st.text(PRINTABLE | st.sampled_from("\n\t"), max_size=60)


@pytest.mark.slow
@pytest.mark.soak
@hypothesis_settings(
    max_examples=times(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(title=WORDS, because=WORDS, body=WORDS)
def test_typed_text_is_read_back_unchanged(session_app, title, because, body):
    """No typed text escapes its field in the source, whatever it means in YAML or as a marker."""
    content = DraftContentSchema().load(
        {
            "title": title,
            "body": body,
            "warnings": {"0.tag": "violence_flag", "0.because": because},
        }
    )
    assert read_content(build_source(content, KEY, now().date(), None)) == content
