"""What a handout inherits: an older version has the bars of the library today, a copy those of its original."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caseapp.domain.handouts.bars import get_bars, list_laxer_statements
from caseapp.domain.handouts.library import CHANNELS, library
from caseapp.domain.practice.queries import HelpLines
from caseapp.domain.suitability.rules import delivery_blockers
from caseapp.domain.suitability.schemas import Situation

LIBRARY = library()
ALL = pytest.mark.parametrize("key", [*LIBRARY], ids=".".join)


def before(handout):
    """Return a handout as it could have been published before there were any bars at all."""
    return replace(
        handout, version=1, hold_ok="safety", involves=None, contraindications=(), channels=CHANNELS
    )


def effects(handout):
    return {(bar.tag, bar.effect) for bar in get_bars(handout).conditions}


@ALL
def test_older_version_has_all_bars_of_the_library_today(key):
    today = LIBRARY[key]
    old, now = get_bars(before(today)), get_bars(today)
    assert (old.hold_ok, old.channels, old.involves) == (now.hold_ok, now.channels, now.involves)
    assert effects(before(today)) == effects(today)


@ALL
def test_copy_without_warnings_has_all_bars_of_its_original(key):
    original = LIBRARY[key]
    copy = replace(before(original), id="own-01", code="P01", based_on=original.id)
    assert effects(copy) == effects(original)
    assert get_bars(copy).hold_ok == get_bars(original).hold_ok
    assert get_bars(copy).channels == original.channels
    assert not {*get_bars(copy).channels} - {*original.channels}


def test_stricter_copy_keeps_its_own_bars_beside_the_inherited():
    original = LIBRARY["small-joys-journal", "en"]
    stricter = replace(
        original,
        id="own-01",
        code="P01",
        based_on=original.id,
        hold_ok="none",
        channels=("in_person",),
        contraindications=(replace(original.contraindications[0], effect="block"),),
    )
    bars = get_bars(stricter)
    assert (bars.hold_ok, bars.channels) == ("none", ("in_person",))
    others = {(bar.tag, bar.effect) for bar in original.contraindications[1:]}
    assert effects(stricter) == {("violence_flag", "block"), *others}
    assert list_laxer_statements(stricter) == []


def test_copy_in_another_language_follows_the_english_original():
    original = LIBRARY["reaching-out", "en"]
    copy = replace(
        before(original), id="own-01", code="P01", based_on=original.id, language="es", stage="any"
    )
    assert effects(copy) == effects(original)


def test_assignment_by_a_channel_that_is_no_longer_allowed_is_suspended():
    old = replace(before(LIBRARY["a-private-check", "en"]), body="Read it together.")
    no_lines = HelpLines((), None, stale=False)
    [reason] = delivery_blockers(old, "portal", Situation(), no_lines)
    assert reason.code == "channel_not_available"
    assert delivery_blockers(old, "in_person", Situation(), no_lines) == ()


def test_copy_that_is_moved_to_another_stage_has_the_bars_of_both():
    original = LIBRARY["better-nights", "en"]
    copy = replace(original, id="own-01", code="P01", based_on=original.id)
    assert get_bars(copy).hold_ok == "safety"
    assert get_bars(replace(copy, stage="steady")).hold_ok == "care"
    moved = get_bars(replace(copy, stage="contact"))
    assert moved.hold_ok == "none"
    assert ("contact_block", "block") in {(bar.tag, bar.effect) for bar in moved.conditions}
