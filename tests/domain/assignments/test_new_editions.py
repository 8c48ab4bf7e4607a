"""What becomes of a given sheet when its edition is followed by a newer one, or recalled."""

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.eligibility import offers_for
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import replace_older
from caseapp.domain.assignments.queries import assignment_shown, older_holders, printable
from caseapp.domain.assignments.reading import reading, reading_list
from caseapp.domain.audit.models import AuditEntry
from caseapp.domain.cases.queries import case_head
from caseapp.domain.handouts import library as shelf
from caseapp.domain.handouts import queries
from caseapp.domain.handouts.operations import publish_library, recall
from caseapp.domain.handouts.queries import edition_of, library_list, versions_of
from caseapp.domain.practice.queries import today
from tests.domain.assignments.steps import codes, give, reader
from tests.support import builders

pytestmark = pytest.mark.both


def test_an_assignment_keeps_its_edition_when_a_new_one_is_published(team, made, monkeypatch):
    coach = team["coach"]
    old = give(coach, made)
    first = shelf.library()["better-nights", "en"]
    source = (
        first.source.replace("version: 1\nstatus", "version: 2\nstatus", 1)
        .replace(
            'change: "First edition."}',
            'change: "First edition."}\n  - {version: 2, date: 2026-12-01, change: "A clearer title."}',
            1,
        )
        .replace('title: "When sleep will not come"', 'title: "When sleep stays away"', 1)
    )
    second = shelf.parse(source)
    changed = shelf.library() | {("better-nights", "en"): second}
    monkeypatch.setattr("caseapp.domain.handouts.operations.library", lambda: changed)
    with transaction():
        assert publish_library() == 1
    assert edition_of("better-nights").handout.title == "When sleep stays away"
    assert assignment_shown(coach, old).title == "When sleep will not come"
    assert reading(reader(made), 1).edition == 1
    assert [v.handout.version for v in versions_of(coach, "better-nights")] == [2, 1, 1]
    queries._texts.pop(second.sha256)  # noqa: SLF001 - the next tests know only the library on disk


def test_a_recall_takes_an_edition_back_everywhere_at_once(team, made):
    coach = team["coach"]
    given = give(coach, made)
    paper = give(coach, made, channel="print")
    item = edition_of("better-nights")
    for who in (coach, reader(made)):
        with pytest.raises(Forbidden), transaction():
            recall(who, item.edition_id, "A number is wrong.")
    with transaction():
        recall(team["admin"], item.edition_id, "A number is wrong.")
    assert reading_list(reader(made)) == []
    with pytest.raises(RuleBroken) as refused:
        reading(reader(made), 1)
    assert codes(refused) == ["withdrawn"]
    with pytest.raises(RuleBroken) as refused:
        printable(coach, paper)
    assert codes(refused) == ["recalled"]
    assert assignment_shown(coach, given).state == "recalled"
    assert db.session.get(Assignment, given).withdrawn_at is None, "derived, not copied"
    listed = {(i.handout.id, i.handout.language) for i in library_list(coach)}
    assert ("better-nights", "en") not in listed
    assert ("better-nights", "es") in listed
    head = case_head(coach, made.case_id)
    assert "better-nights" not in {o.handout.id for o in offers_for(coach, head)}
    with pytest.raises(RuleBroken) as refused:
        give(coach, made, confirmed=True)
    assert codes(refused) == ["recalled"]
    with pytest.raises(RuleBroken) as refused, transaction():
        recall(team["supervisor"], item.edition_id, "Once more.")
    assert codes(refused) == ["already_recalled"]
    entry = db.session.scalars(
        sa.select(AuditEntry).where(AuditEntry.action == "handout.recall")
    ).one()
    assert entry.details == {"slug": "better-nights", "language": "en", "number": 1}


def test_older_versions_are_replaced_each_judged_anew(team, made, monkeypatch):
    coach = team["coach"]
    other = builders.case(coach, "Daniel Roth")
    builders.screen(coach, other.client_id)
    foreign = builders.case(team["coach2"], "Noor Haddad")
    builders.screen(team["coach2"], foreign.client_id)
    pause, later = (
        give(coach, made, "first-days-pause", due_on=today()),
        give(coach, other, "first-days-pause"),
    )
    theirs = give(team["coach2"], foreign, "first-days-pause")
    with transaction(), pytest.raises(RuleBroken) as refused:
        replace_older(coach, pause, line="")
    assert codes(refused) == ["already_newest"]
    builders.second_version(monkeypatch, "first-days-pause")
    newest = edition_of("first-days-pause")
    assert [h.client for h in older_holders(coach, newest, 10)] == ["Daniel Roth", "Ines Okafor"]
    with transaction():
        new = replace_older(coach, pause, line="A clearer one.")
    record = assignment_shown(coach, new)
    assert (record.edition, record.line, record.channel) == (2, "A clearer one.", "portal")
    assert record.due_on == today()
    assert assignment_shown(coach, pause).state == "withdrawn"
    assert [r.edition for r in reading_list(reader(made))] == [2]
    builders.screen(coach, other.client_id, fear_at_home="concern")
    with pytest.raises(RuleBroken) as refused, transaction():
        replace_older(coach, later, line="")
    assert "violence_flag" in codes(refused)
    assert assignment_shown(coach, later).withdrawn_at is None
    with pytest.raises(RuleBroken) as refused, transaction():
        replace_older(coach, pause, line="")
    assert codes(refused) == ["already_withdrawn"]
    with pytest.raises(NotFound), transaction():
        replace_older(coach, theirs, line="")
    actions = db.session.scalars(
        sa.select(AuditEntry.action).where(AuditEntry.object_id.in_([pause, new]))
    ).all()
    assert sorted(set(actions)) == ["assignment.make", "assignment.withdraw"]
