"""Snippets: somebody's own, sealed, and put into a section of a draft."""

from uuid import UUID

import pytest
import sqlalchemy as sa

from caseapp.core.actor import operator
from caseapp.core.database import db
from caseapp.core.errors import NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.domain.notes.models import Snippet
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.notes.snippet_operations import delete_snippet, insert_snippet, save_snippet
from caseapp.domain.notes.snippet_queries import list_snippets
from caseapp.domain.notes.snippet_rules import add_snippet_text, list_new_snippet_blockers
from caseapp.domain.notes.snippet_schemas import MAX_SNIPPETS, SnippetRecord, SnippetText
from caseapp.domain.staffing.operations import disable_member
from caseapp.domain.staffing.queries import lock_member
from tests.domain.notes.test_plans import note
from tests.support import builders, staff


@pytest.mark.parametrize(
    ("kind", "section", "added"),
    [
        ("dap", "plan", {"plan": "Mine.\nBreathe."}),
        ("dap", None, {"data": "Breathe."}),
        ("free", "plan", {"text": "Breathe."}),
    ],
)
def test_snippet_goes_to_its_section_or_the_first_one(kind, section, added):
    snippet = SnippetRecord(UUID(int=1), "Breath", "Breathe.", section, 1)
    assert add_snippet_text(note(kind, plan="Mine."), snippet) == added


def test_number_of_snippets_is_limited():
    assert list_new_snippet_blockers(MAX_SNIPPETS - 1) == []
    [reason] = list_new_snippet_blockers(MAX_SNIPPETS)
    assert reason.code == "too_many_snippets"


@pytest.mark.slow
@pytest.mark.both
def test_snippets_are_their_owners_alone(team, monkeypatch):
    coach, supervisor = team["coach"], team["supervisor"]

    def save(actor, new, version=0):
        with transaction():
            return save_snippet(actor, new, version)

    snippet_id = save(coach, SnippetText("Sleep", "Slept."))
    save(coach, SnippetText("Rest", "Slept well.", "plan", snippet_id), 1)
    [found] = list_snippets(coach)
    assert (found.title, found.text, found.section, found.version) == (
        "Rest",
        "Slept well.",
        "plan",
        2,
    )
    with pytest.raises(Stale):
        save(coach, SnippetText("Old", "Old.", None, snippet_id), 1)
    assert list_snippets(supervisor) == []
    draft = builders.draft(supervisor, builders.case(coach).case_id)
    with pytest.raises(NotFound), transaction():
        insert_snippet(supervisor, lock_note(supervisor, draft), snippet_id, 1)
    with pytest.raises(NotFound), transaction():
        delete_snippet(supervisor, snippet_id)
    monkeypatch.setattr("caseapp.domain.notes.snippet_rules.MAX_SNIPPETS", 1)
    with pytest.raises(RuleBroken):
        save(coach, SnippetText("More", "More."))
    own = builders.draft(coach, builders.case(coach).case_id)
    with transaction():
        assert insert_snippet(coach, lock_note(coach, own), snippet_id, 1) == 2
        delete_snippet(coach, snippet_id)
    assert get_note(coach, own).sections["plan"] == "Keep the log.\nSlept well."
    assert list_snippets(coach) == []


@pytest.mark.slow
def test_snippets_are_deleted_with_a_disabled_account(team):
    owner = staff.add("coach3", role="coach")
    with transaction():
        save_snippet(owner, SnippetText("Sleep", "Slept."), 0)
        kept = save_snippet(team["coach"], SnippetText("Rest", "Rested."), 0)
    with transaction():
        disable_member(operator(), lock_member(owner.id), None)
    assert db.session.scalars(sa.select(Snippet.id)).all() == [kept]
