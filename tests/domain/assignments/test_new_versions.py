"""Assignments whose handout version is followed by a newer one, or recalled."""

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import replace_assignment
from caseapp.domain.assignments.queries import (
    get_assignment_record,
    get_printable_assignment,
    list_clients_with_older_version,
    lock_assignment,
)
from caseapp.domain.assignments.reading import (
    get_handout_choice,
    get_reading_list,
    get_reading_list_item,
)
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.handouts import library as library_module
from caseapp.domain.handouts import queries
from caseapp.domain.handouts.operations import publish_library, recall
from caseapp.domain.handouts.queries import get_handout_version, list_handouts, list_versions
from caseapp.domain.practice.queries import today
from tests.domain.assignments.steps import assign, codes, reader
from tests.support import builders

pytestmark = pytest.mark.both


def test_publish_new_version_leaves_assignments_on_the_old_one(team, made, monkeypatch):
    coach = team["coach"]
    old = assign(coach, made)
    first = library_module.library()["better-nights", "en"]
    source = builders.write_second_version("better-nights").source.replace(
        'title: "When sleep won’t come"', 'title: "When sleep stays away"', 1
    )
    second = library_module.parse_handout(source)
    changed = library_module.library() | {("better-nights", "en"): second}
    monkeypatch.setattr("caseapp.domain.handouts.operations.library", lambda: changed)
    with transaction():
        assert publish_library() == 1
    assert get_handout_version("better-nights").handout.title == "When sleep stays away"
    assert get_assignment_record(coach, old).title == "When sleep won’t come"
    assert get_reading_list_item(reader(made), 1).handout_version == first.version
    assert [v.handout.version for v in list_versions(coach, "better-nights")] == [
        second.version,
        first.version,
        library_module.library()["better-nights", "es"].version,
    ]
    queries._texts.pop(second.sha256)  # noqa: SLF001 - the next tests know only the library on disk


def test_recall_withdraws_the_version_from_every_client(team, made):
    coach = team["coach"]
    given = assign(coach, made)
    paper = assign(coach, made, channel="print")
    item = get_handout_version("better-nights")
    for who in (coach, reader(made)):
        with pytest.raises(Forbidden), transaction():
            recall(who, item.handout_version_id, "A number is wrong.")
    with transaction():
        recall(team["admin"], item.handout_version_id, "A number is wrong.")
    assert get_reading_list(reader(made)) == []
    with pytest.raises(RuleBroken) as refused:
        get_reading_list_item(reader(made), 1)
    assert codes(refused) == ["not_available"]
    with pytest.raises(RuleBroken) as refused:
        get_printable_assignment(coach, paper)
    assert codes(refused) == ["recalled"]
    assert get_assignment_record(coach, given).state == "recalled"
    assert db.session.get(Assignment, given).withdrawn_at is None, "derived, not copied"
    listed = {(i.handout.id, i.handout.language) for i in list_handouts(coach)}
    assert ("better-nights", "en") not in listed
    assert ("better-nights", "es") in listed
    context = get_case_context(coach, made.case_id)
    assert "better-nights" not in {o.handout.id for o in get_handout_choice(coach, context).options}
    with pytest.raises(RuleBroken) as refused:
        assign(coach, made, confirmed=True)
    assert codes(refused) == ["recalled"]
    with pytest.raises(RuleBroken) as refused, transaction():
        recall(team["supervisor"], item.handout_version_id, "Once more.")
    assert codes(refused) == ["already_recalled"]
    entry = db.session.scalars(
        sa.select(AuditEvent).where(AuditEvent.action == "handout.recall")
    ).one()
    assert entry.details == {
        "slug": "better-nights",
        "language": "en",
        "number": item.handout.version,
    }


@pytest.mark.slow
def test_replace_assignment_assesses_the_newest_version_again(team, made, monkeypatch):
    coach = team["coach"]
    other = builders.case(coach, "Daniel Roth")
    builders.screen(coach, other.client_id)
    foreign = builders.case(team["coach2"], "Noor Haddad")
    builders.screen(team["coach2"], foreign.client_id)
    pause, later = (
        assign(coach, made, "first-days-pause", due_on=today()),
        assign(coach, other, "first-days-pause"),
    )
    theirs = assign(team["coach2"], foreign, "first-days-pause")
    with transaction(), pytest.raises(RuleBroken) as refused:
        replace_assignment(coach, lock_assignment(coach, pause), message="")
    assert codes(refused) == ["already_newest"]
    builders.second_version(monkeypatch, "first-days-pause")
    newest = get_handout_version("first-days-pause")
    assert [h.client for h in list_clients_with_older_version(coach, newest, 10)] == [
        "Daniel Roth",
        "Ines Okafor",
    ]
    with transaction():
        new = replace_assignment(coach, lock_assignment(coach, pause), message="A clearer one.")
    record = get_assignment_record(coach, new)
    assert (record.handout_version, record.message, record.channel) == (
        newest.handout.version,
        "A clearer one.",
        "portal",
    )
    assert record.due_on == today()
    assert get_assignment_record(coach, pause).state == "withdrawn"
    assert [r.handout_version for r in get_reading_list(reader(made))] == [newest.handout.version]
    builders.screen(coach, other.client_id, fear_at_home="concern")
    with pytest.raises(RuleBroken) as refused, transaction():
        replace_assignment(coach, lock_assignment(coach, later), message="")
    assert "violence_flag" in codes(refused)
    assert get_assignment_record(coach, later).withdrawn_at is None
    with pytest.raises(RuleBroken) as refused, transaction():
        replace_assignment(coach, lock_assignment(coach, pause), message="")
    assert codes(refused) == ["already_withdrawn"]
    with pytest.raises(NotFound), transaction():
        replace_assignment(coach, lock_assignment(coach, theirs), message="")
    actions = db.session.scalars(
        sa.select(AuditEvent.action).where(AuditEvent.object_id.in_([pause, new]))
    ).all()
    assert sorted(set(actions)) == ["assignment.create", "assignment.withdraw"]
