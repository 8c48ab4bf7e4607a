"""The history of a draft: steps that never change, and what each of them changed."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.authoring.comparison import changes, find_last_change
from caseapp.domain.authoring.queries import list_revisions
from caseapp.domain.authoring.source import build_source
from caseapp.domain.practice.queries import today
from tests.domain.authoring.steps import NAME, started, whole

pytestmark = pytest.mark.both


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE draft_step SET reason = 'x'",
        "DELETE FROM draft_step",
        "INSERT OR REPLACE INTO draft_step SELECT * FROM draft_step",
        "TRUNCATE draft_step",
    ],
)
def test_a_step_of_the_history_never_changes(team, statement):
    draft_id, _ = started(team["supervisor"])
    before = [(step.number, step.sha256) for step in list_revisions(draft_id)]
    with pytest.raises(sa.exc.DBAPIError), transaction() as session:
        session.execute(sa.text(statement))
    db.session.remove()
    assert [(step.number, step.sha256) for step in list_revisions(draft_id)] == before


def test_a_comparison_says_word_by_word_what_changed(app):
    old = build_source(whole(), NAME, today(), None)
    new = build_source(whole("A morning walk"), NAME, today(), None)
    assert changes(old, old) == []
    out, into, *rest = changes(old, new)
    assert (out.kind, into.kind) == ("out", "in")
    assert any(differs and "evening" in text for text, differs in out.pieces)
    assert any(differs and "morning" in text for text, differs in into.pieces)
    assert {change.kind for change in rest} == {"same"}
    assert {change.kind for change in changes(None, new)} == {"in"}


def of_body(body):
    return build_source(whole(body=body), NAME, today(), None)


def pieces(change):
    return [text for text, differs in change.pieces if differs]


def test_neighbouring_words_that_changed_are_marked_as_one(app):
    out, into = (
        change
        for change in changes(
            of_body("To ease. Connect before you correct."),
            of_body("To ease. Be kind first, and correct later."),
        )
        if change.kind != "same"
    )
    assert pieces(out) == ["Connect before you correct."]
    assert pieces(into) == ["Be kind first, and correct later."]
    for change in (out, into):
        assert "".join(text for text, _ in change.pieces).startswith("To ease. ")
    [less, _] = (
        change
        for change in changes(of_body("One two three"), of_body("One three"))
        if change.kind != "same"
    )
    assert pieces(less) == ["two"]


def test_what_a_section_rests_on_is_told_only_where_it_changed(app):
    old = of_body("## Walk {{claims:SMD-04 SMD-05}}\n\nA short walk.")
    words = of_body("## Walk {{claims:SMD-04 SMD-05}}\n\nA long walk.")
    told = " ".join(text for change in changes(old, words) for text, _ in change.pieces)
    assert "Heading: Walk" in told
    assert "#" not in told
    assert "claims" not in told
    assert "SMD" not in told
    basis = of_body("## Walk {{claims:SMD-05}}\n\nA short walk.")
    out, into = (change for change in changes(old, basis) if change.kind != "same")
    assert pieces(out) == ["SMD\N{NON-BREAKING HYPHEN}04,"]
    assert pieces(into) == []
    assert "".join(text for text, _ in into.pieces) == "Rests on: SMD\N{NON-BREAKING HYPHEN}05"


def said(old, new):
    """Give what a person reads of each line that changed, and the words in it that differ."""
    found = [change for change in changes(of_body(old), of_body(new)) if change.kind != "same"]
    return [("".join(text for text, _ in change.pieces), pieces(change)) for change in found]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (
            "**Go out** each day.",
            "**Go out** every day.",
            [("Go out each day.", ["each"]), ("Go out every day.", ["every"])],
        ),
        (
            "Go out now.",
            "Go **out** now.",
            [("Go out now.", ["out"]), ("Go out now. (emphasis put in)", ["out"])],
        ),
        (
            "*Go out* now.",
            "Go out now.",
            [("Go out now.", ["Go out"]), ("Go out now. (emphasis taken out)", ["Go out"])],
        ),
        (
            "_Go_ out.",
            "*Go* out.",
            [("Go out.", ["Go"]), ("Go out. (emphasis changed)", ["Go"])],
        ),
        (
            "Go **out** each day.",
            "Go out every day.",
            [("Go out each day.", ["each"]), ("Go out every day.", ["every"])],
        ),
        (
            "## Walk",
            "Walk",
            [("Heading: Walk", ["Heading:"]), ("Walk", [])],
        ),
        (
            "- Walk 2 * 3 times\n- my_walk",
            "- Walk 2 * 4 times\n- my_walk",
            [("• Walk 2 * 3 times", ["3"]), ("• Walk 2 * 4 times", ["4"])],
        ),
        (
            "One.\n\nTwo.",
            "One.\n\n### **Small** steps\n\n> Said once\n\nTwo.",
            [
                ("Smaller heading: Small steps", ["Smaller heading: Small steps"]),
                ("Quoted: Said once", ["Quoted: Said once"]),
            ],
        ),
    ],
)
def test_a_comparison_is_read_without_the_signs_of_its_file(app, old, new, wanted):
    assert said(old, new) == wanted


def test_a_history_opens_on_the_last_step_that_changed_what_one_reads(app):
    first, second = of_body("One."), of_body("Two.")
    dated = second.replace("review_date: ", "review_date:  ")
    assert dated != second
    assert find_last_change([first, second, second, dated]) == 1
    assert find_last_change([first, second, first]) == 2
    assert find_last_change([first, first]) == 0
