"""Merging a late form loses nothing: what each side changed is in a field or stands beside it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caseapp.core.clock import now
from caseapp.http.form_keys import FormKey, open_form_key, seal_form_key
from caseapp.http.form_merge import Base, form_value, merge

NAMES = ("name", "goal", "review_date", "channels")
# As `sent_texts` and `value_texts` return them: in order, without blank ones.
filled = st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True).map(sorted)
texts = st.dictionaries(st.sampled_from(NAMES), filled)


@settings(max_examples=40)
@given(first=texts, sent=texts, saved=texts)
def test_each_changed_text_is_in_its_field_or_beside_it(first, sent, saved):
    merged = merge(Base.of(first), sent, saved, names=NAMES)
    for name in NAMES:
        before, ours, theirs, found = (
            side.get(name, []) for side in (first, sent, saved, merged.texts)
        )
        assert found == (theirs if ours == before else ours)
        assert (name in merged.saved) == (before not in (ours, theirs) and ours != theirs)
        assert merged.saved.get(name, theirs) == theirs


@settings(max_examples=40)
@given(first=texts, sent=texts, saved=texts)
def test_fields_that_belong_together_come_from_one_side(first, sent, saved):
    group = ("goal", "review_date")
    merged = merge(Base.of(first), sent, saved, names=NAMES, coupled=(group,))
    found, *sides = ([side.get(name, []) for name in group] for side in (merged.texts, sent, saved))
    assert found in sides


@settings(max_examples=40)
@given(first=texts)
def test_checks_reveal_no_text_and_differ_from_form_to_form(first):
    one, other = Base.of(first), Base.of(first)
    assert not any(one.differs(name, first) for name in NAMES)
    assert all(one.checks[name] != other.checks[name] for name in first)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (False, ""),
        (True, "yes"),
        (7, "7"),
        (date(2026, 5, 14), "2026-05-14"),
        (datetime(2026, 5, 14, 9, 30, 17, tzinfo=UTC), "2026-05-14T10:30"),
        (("call", "post"), ["call", "post"]),
    ],
)
def test_value_of_a_record_is_shown_as_a_form_sends_it(value, shown):
    assert form_value(value, lambda: ZoneInfo("Europe/London")) == shown


def make_key(client_id=None):
    page = "/case/C-2026-0001/follow-ups"
    base = Base.of({"title": ["Ring"]})
    return FormKey(uuid4(), uuid4(), client_id, page, f"{page}?done=yes", now(), base)


def test_form_key_opens_as_it_was_sealed(app):
    for key in (make_key(), make_key(client_id=uuid4())):
        assert open_form_key(seal_form_key(key)) == key


@pytest.mark.parametrize("change", ["", "1", "1.", "9.abc", "1.é", "x" * 5000, "\uff11.abc"])
def test_form_key_that_is_not_ours_opens_as_nothing(app, change):
    assert open_form_key(change) is None


def test_form_key_that_was_changed_opens_as_nothing(app):
    sealed = seal_form_key(make_key())
    number, _, token = sealed.partition(".")
    for place in (0, len(token) // 2, len(token) - 3):
        other = "A" if token[place] != "A" else "B"
        assert open_form_key(f"{number}.{token[:place]}{other}{token[place + 1 :]}") is None
