"""The revisions of a draft, which can't be changed, and the comparison of two sources."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.authoring.comparison import compare_sources, find_last_change
from caseapp.domain.authoring.queries import list_revisions
from caseapp.domain.authoring.source import build_source
from caseapp.domain.practice.queries import today
from tests.domain.authoring.steps import KEY, build_content, create_saved_draft

pytestmark = pytest.mark.both


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE handout_draft_revision SET reason = 'x'",
        "DELETE FROM handout_draft_revision",
        "INSERT OR REPLACE INTO handout_draft_revision SELECT * FROM handout_draft_revision",
        "TRUNCATE handout_draft_revision",
    ],
)
def test_revision_cannot_be_changed_or_deleted(team, statement):
    draft_id, _ = create_saved_draft(team["supervisor"])
    before = [(revision.number, revision.sha256) for revision in list_revisions(draft_id)]
    with pytest.raises(sa.exc.DBAPIError), transaction() as session:
        session.execute(sa.text(statement))
    db.session.remove()
    assert [(revision.number, revision.sha256) for revision in list_revisions(draft_id)] == before


def test_comparison_marks_each_changed_word(app):
    old = build_source(build_content(), KEY, today(), None)
    new = build_source(build_content("A morning walk"), KEY, today(), None)
    assert compare_sources(old, old) == []
    removed, added, *rest = compare_sources(old, new)
    assert (removed.kind, added.kind) == ("removed", "added")
    assert any(differs and "evening" in text for text, differs in removed.pieces)
    assert any(differs and "morning" in text for text, differs in added.pieces)
    assert {line.kind for line in rest} == {"unchanged"}
    assert {line.kind for line in compare_sources(None, new)} == {"added"}


def build_body(body):
    return build_source(build_content(body=body), KEY, today(), None)


def differing_pieces(line):
    return [text for text, differs in line.pieces if differs]


def test_adjacent_changed_words_are_marked_as_one_piece(app):
    removed, added = (
        line
        for line in compare_sources(
            build_body("To ease. Connect before you correct."),
            build_body("To ease. Be kind first, and correct later."),
        )
        if line.kind != "unchanged"
    )
    assert differing_pieces(removed) == ["Connect before you correct."]
    assert differing_pieces(added) == ["Be kind first, and correct later."]
    for line in (removed, added):
        assert "".join(text for text, _ in line.pieces).startswith("To ease. ")
    [shorter, _] = (
        line
        for line in compare_sources(build_body("One two three"), build_body("One three"))
        if line.kind != "unchanged"
    )
    assert differing_pieces(shorter) == ["two"]


def test_claims_of_a_section_are_shown_only_where_they_changed(app):
    old = build_body("## Walk {{claims:SMD-04 SMD-05}}\n\nA short walk.")
    words = build_body("## Walk {{claims:SMD-04 SMD-05}}\n\nA long walk.")
    shown = " ".join(text for line in compare_sources(old, words) for text, _ in line.pieces)
    assert "Heading: Walk" in shown
    assert "#" not in shown
    assert "claims" not in shown
    assert "SMD" not in shown
    basis = build_body("## Walk {{claims:SMD-05}}\n\nA short walk.")
    removed, added = (line for line in compare_sources(old, basis) if line.kind != "unchanged")
    assert differing_pieces(removed) == ["SMD\N{NON-BREAKING HYPHEN}04,"]
    assert differing_pieces(added) == []
    assert "".join(text for text, _ in added.pieces) == "Based on: SMD\N{NON-BREAKING HYPHEN}05"


def describe_changes(old, new):
    """Return the text of each changed line and the words in it that differ."""
    found = [
        line
        for line in compare_sources(build_body(old), build_body(new))
        if line.kind != "unchanged"
    ]
    return [("".join(text for text, _ in line.pieces), differing_pieces(line)) for line in found]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "**Go out** each day.",
            "**Go out** every day.",
            [("Go out each day.", ["each"]), ("Go out every day.", ["every"])],
        ),
        (
            "Go out now.",
            "Go **out** now.",
            [("Go out now.", ["out"]), ("Go out now. (emphasis added)", ["out"])],
        ),
        (
            "*Go out* now.",
            "Go out now.",
            [("Go out now.", ["Go out"]), ("Go out now. (emphasis removed)", ["Go out"])],
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
                ("Quote: Said once", ["Quote: Said once"]),
            ],
        ),
    ],
)
def test_comparison_shows_no_markdown(app, old, new, expected):
    assert describe_changes(old, new) == expected


def test_last_change_is_the_last_revision_with_a_readable_change(app):
    first, second = build_body("One."), build_body("Two.")
    dated = second.replace("review_date: ", "review_date:  ")
    assert dated != second
    assert find_last_change([first, second, second, dated]) == 1
    assert find_last_change([first, second, first]) == 2
    assert find_last_change([first, first]) == 0
