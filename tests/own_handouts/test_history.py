"""The history of a draft: steps that never change, and what each of them changed."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.own_handouts.differences import changes
from caseapp.own_handouts.queries import steps_of
from caseapp.own_handouts.texts import source_of
from caseapp.practice.queries import today
from tests.own_handouts.drafts import NAME, started, whole


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
    before = [(step.number, step.sha256) for step in steps_of(draft_id)]
    with pytest.raises(sa.exc.DBAPIError), transaction() as session:
        session.execute(sa.text(statement))
    db.session.remove()
    assert [(step.number, step.sha256) for step in steps_of(draft_id)] == before


def test_a_comparison_says_word_by_word_what_changed(app):
    old = source_of(whole(), NAME, today(), None)
    new = source_of(whole("A morning walk"), NAME, today(), None)
    assert changes(old, old) == []
    out, into, *rest = changes(old, new)
    assert (out.kind, into.kind) == ("out", "in")
    assert any(differs and "evening" in text for text, differs in out.pieces)
    assert any(differs and "morning" in text for text, differs in into.pieces)
    assert {change.kind for change in rest} == {"same"}
    assert {change.kind for change in changes(None, new)} == {"in"}
