"""One sheet to many: who gets it, who is left out and why, and what a look at many costs."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken
from caseapp.core.outbox import OutboxRow
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import assign
from caseapp.domain.assignments.queries import assignments_of
from caseapp.domain.audit.models import AuditEntry
from caseapp.domain.bulk_assignments.models import Giving, GivingItem
from caseapp.domain.bulk_assignments.operations import begin_giving
from caseapp.domain.bulk_assignments.queries import WORDS, candidates_for, giving_shown, in_words
from caseapp.domain.cases.queries import case_head, case_heads
from caseapp.domain.clients.models import CareTeam
from caseapp.domain.handouts.library import TAGS, library
from caseapp.domain.handouts.queries import edition_of
from caseapp.domain.screening.operations import raise_flag
from tests.domain.bulk_assignments.steps import (
    NAMES,
    SLUG,
    begin,
    count,
    deliver,
    everyone,
    read,
    states,
    wish,
)
from tests.domain.dashboard import bulk_rows
from tests.support import builders, staff
from tests.support.staff_pages import Statements

pytestmark = pytest.mark.both


def test_everybody_who_may_gets_it_once(team, cases):
    coach = team["coach"]
    giving_id = begin(coach, cases)
    assert count(Assignment) == 0
    assert not giving_shown(coach, giving_id).done
    deliver()
    assert states(coach, giving_id) == dict.fromkeys(NAMES, ("given", []))
    shown = giving_shown(coach, giving_id)
    assert (shown.done, shown.given, shown.waiting, shown.left_out) == (True, 6, 0, 0)
    for one in cases:
        [given] = assignments_of(coach, case_head(coach, one.case_id))
        assert (given.slug, given.channel, given.line) == (SLUG, "print", "For your evenings.")
        assert given.assigned_by == coach.id
    assert db.session.scalars(sa.select(GivingItem.line)).all() == [None] * 6
    made = db.session.scalars(
        sa.select(AuditEntry.via).where(AuditEntry.object_kind == "assignment")
    ).all()
    assert made == ["job"] * 6
    asked = db.session.scalar(sa.select(AuditEntry).where(AuditEntry.object_kind == "giving"))
    assert (asked.details["cases"], asked.client_id) == (6, None)


def test_the_line_is_sealed_under_each_clients_key_while_it_waits(team, cases):
    begin(team["coach"], cases, line="Try the worry note.")
    lines = db.session.scalars(sa.select(GivingItem.line)).all()
    assert len(set(lines)) == 6
    assert not any(b"worry" in line for line in lines)


def test_who_may_not_get_it_is_left_out_from_the_start(team, cases):
    coach, sheet = team["coach"], "my-limits"
    held, has_it, unsure, sure = cases[0], cases[1], cases[2], cases[3]
    builders.screen(coach, held.client_id, fear_at_home="concern")
    with transaction():
        assign(coach, has_it.case_id, sheet, line="", channel="print", confirmed=True)
    giving_id = begin(
        coach,
        [held, has_it, unsure, sure],
        sheet,
        confirmed=read(sure, held, has_it),
    )
    found = states(coach, giving_id)
    assert found[NAMES[0]][0] == "left_out"
    assert "hold_open" in found[NAMES[0]][1]
    assert found[NAMES[1]] == ("left_out", ["already_given"])
    assert found[NAMES[2]] == ("left_out", ["not_confirmed", "later_stage"])
    assert found[NAMES[3]] == ("waiting", [])
    deliver()
    assert states(coach, giving_id)[NAMES[3]] == ("given", [])
    assert count(Assignment) == 2


def test_nothing_is_made_when_nobody_is_left(team, cases):
    builders.screen(team["coach"], cases[0].client_id, fear_at_home="concern")
    with pytest.raises(RuleBroken) as refused:
        begin(team["coach"], cases[:1], "reaching-out")
    codes = [reason.code for reason in refused.value.reasons]
    assert codes[0] == "nobody_left"
    assert "hold_open" in codes
    assert (count(Giving), count(GivingItem), count(OutboxRow)) == (0, 0, 0)


def test_what_is_wrong_with_the_wish_is_said(team, cases):
    coach = team["coach"]
    with pytest.raises(Invalid) as odd:
        begin(coach, cases, due_on=(now() - timedelta(days=30)).date())
    assert odd.value.fields.keys() == {"due_on"}
    with pytest.raises(RuleBroken) as old:
        begin(coach, cases, edition=7)
    assert [reason.code for reason in old.value.reasons] == ["edition_changed"]
    with pytest.raises(NotFound):
        begin(coach, cases, "no-such-sheet")
    with pytest.raises(Forbidden):
        begin(team["admin"], cases)
    assert count(Giving) == 0


def test_cases_of_others_count_as_not_chosen(team, cases):
    foreign = builders.case(team["coach2"], "Not Theirs")
    giving_id = begin(team["coach"], [*cases[:1], foreign])
    assert states(team["coach"], giving_id).keys() == {NAMES[0]}
    with pytest.raises(NotFound):
        begin(team["coach"], [foreign])
    for stranger in (team["coach2"], staff.add("supervisor2", role="supervisor")):
        with pytest.raises(NotFound):
            giving_shown(stranger, giving_id)
    with pytest.raises(Forbidden):
        giving_shown(team["admin"], giving_id)


def test_a_supervisor_sees_it_and_of_it_only_cases_they_may_see(team, cases):
    giving_id = begin(team["coach"], cases)
    assert states(team["supervisor"], giving_id).keys() == set(NAMES)
    with transaction() as session:
        session.execute(sa.delete(CareTeam).where(CareTeam.client_id == cases[0].client_id))
    assert states(team["supervisor"], giving_id).keys() == set(NAMES[1:])
    assert states(team["coach"], giving_id).keys() == set(NAMES[1:])


def test_a_confirmation_covers_no_reason_that_came_before_it_was_sent(team, cases):
    coach = team["coach"]
    with transaction():
        raise_flag(coach, cases[0].client_id, "unsafe_delivery")
    giving_id = begin(coach, cases[:2], "my-limits", confirmed=read(*cases[:2]))
    found = states(coach, giving_id)
    assert found[NAMES[0]][0] == "left_out"
    assert found[NAMES[0]][1][0] == "not_confirmed"
    assert found[NAMES[1]] == ("waiting", [])


def test_looking_at_many_asks_as_much_as_looking_at_few(team):
    coach = team["coach"]
    item, counts = edition_of("help-right-now"), []
    for more, since in ((10, 0), (190, 10)):
        bulk_rows.caseload(coach, more, since=since)
        ids = everyone(coach)
        db.session.rollback()
        with Statements() as looking:
            assert len(candidates_for(coach, item, "print", ids)) == len(ids)
        with Statements() as beginning, transaction():
            begin_giving(coach, "help-right-now", wish(ids))
        counts.append((len(looking.seen), len(beginning.seen)))
    assert counts[0] == counts[1]
    assert counts[0] <= (8, 16)


def test_many_heads_are_the_same_as_single_ones(team, cases):
    coach = team["coach"]
    builders.screen(coach, cases[0].client_id, fear_at_home="concern", comment="Afraid at night.")
    builders.screen(coach, cases[1].client_id, sleep="watch", days_ago=3)
    with transaction():
        raise_flag(coach, cases[2].client_id, "unsafe_delivery")
    found = case_heads(coach, [one.case_id for one in cases])
    assert [head.case.id for head in found] == [one.case_id for one in cases][::-1]
    for head in found:
        single = case_head(coach, head.case.id)
        assert (head.client, head.key, head.coach) == (single.client, single.key, single.coach)
        for name in ("hold", "flags", "last", "recent", "safety_known", "level"):
            assert getattr(head.safety, name) == getattr(single.safety, name)
    assert case_heads(team["coach2"], [one.case_id for one in cases]) == []


def test_every_stored_reason_has_words():
    for handout in library().values():
        for tag in TAGS:
            if any(found.tag == tag for found in handout.contraindications):
                assert in_words(tag, handout).message.endswith((".", "!", "?", "”")), tag
    plain = library()["help-right-now", "en"]
    for code in WORDS:
        assert in_words(code, plain).message == WORDS[code]
        assert WORDS[code].endswith(".")
