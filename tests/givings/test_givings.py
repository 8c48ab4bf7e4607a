"""One sheet to many: what is confirmed, what the job does with it, and what may happen in between."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.access.actions import Role
from caseapp.access.actor import operator
from caseapp.assignments.models import Assignment
from caseapp.assignments.operations import assign
from caseapp.assignments.queries import assignments_of
from caseapp.audit.models import AuditEntry
from caseapp.cases.models import Case
from caseapp.cases.queries import CaseFilter, case_head, case_heads, list_cases
from caseapp.clients.models import CareTeam
from caseapp.core import outbox
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken
from caseapp.core.outbox import TAKEN_FOR, OutboxRow
from caseapp.core.transaction import transaction
from caseapp.givings import operations as givings
from caseapp.givings.models import Giving, GivingItem
from caseapp.givings.operations import AT_ONCE, TRIES, begin_giving, carry_out
from caseapp.givings.queries import WORDS, candidates_for, giving_shown, in_words
from caseapp.givings.schemas import NewGiving
from caseapp.handouts.library import TAGS, library
from caseapp.handouts.operations import recall
from caseapp.handouts.queries import edition_of
from caseapp.screening.operations import raise_flag
from caseapp.users.models import User
from caseapp.users.operations import disable_user
from tests import build, people
from tests.desk import Statements
from tests.overview import bulk
from tests.together import together

SLUG = "better-nights"
NAMES = ("Ana Brandt", "Bo Castell", "Cy Dorn", "Di Ebner", "El Faro", "Fay Gould")


@pytest.fixture
def team(app, monkeypatch):
    # The test's own outbox hands nothing to a queue: each test delivers when it wants to.
    monkeypatch.setattr(outbox, "_hand_over", [])
    return people.team()


@pytest.fixture
def cases(team):
    made = [build.case(team["coach"], name) for name in NAMES]
    for one in made:
        build.screen(team["coach"], one.client_id)
    return made


def wish(cases, **changed):
    plain = {
        "edition": None,
        "language": "en",
        "channel": "print",
        "line": "For your evenings.",
        "due_on": None,
        "cases": tuple(getattr(one, "case_id", one) for one in cases),
        "confirmed": {},
    }
    return NewGiving(**(plain | changed))


def read(*cases, codes=("later_stage",)):
    """Confirm some cases for the reasons that stood beside them."""
    return {one.case_id: frozenset(codes) for one in cases}


def begin(actor, cases, slug=SLUG, **changed):
    with transaction():
        return begin_giving(actor, slug, wish(cases, **changed))


def states(actor, giving_id):
    db.session.rollback()
    shown = giving_shown(actor, giving_id)
    return {item.client: (item.state, [r.code for r in item.reasons]) for item in shown.items}


def deliver():
    """Deliver everything, also what a delivery puts behind itself."""
    while outbox.sweep():
        pass


def count(model, *where):
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(model).where(*where))


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
    build.screen(coach, held.client_id, fear_at_home="concern")
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
    build.screen(team["coach"], cases[0].client_id, fear_at_home="concern")
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
    foreign = build.case(team["coach2"], "Not Theirs")
    giving_id = begin(team["coach"], [*cases[:1], foreign])
    assert states(team["coach"], giving_id).keys() == {NAMES[0]}
    with pytest.raises(NotFound):
        begin(team["coach"], [foreign])
    for stranger in (team["coach2"], people.add("supervisor2", role="supervisor")):
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


def test_running_twice_gives_once(team, cases):
    giving_id = begin(team["coach"], cases)
    for _ in range(3):
        carry_out(giving_id, {"giving": giving_id.hex})
    assert count(Assignment) == 6
    deliver()
    assert count(Assignment) == 6


class Cut:
    """Cut the process off, as SIGKILL would, when it is about to store the nth assignment."""

    def __init__(self, nth):
        self.left = nth

    def __enter__(self):
        """Begin to listen."""
        sa.event.listen(db.engine, "before_cursor_execute", self._hear)

    def _hear(self, _connection, _cursor, statement, *_rest):
        if statement.startswith("INSERT INTO assignment "):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    def __exit__(self, *_fault):
        """Stop listening."""
        sa.event.remove(db.engine, "before_cursor_execute", self._hear)


def test_killed_half_way_it_continues_where_it_stopped(team, cases):
    coach = team["coach"]
    giving_id = begin(coach, cases)
    with Cut(3), pytest.raises(KeyboardInterrupt):
        outbox.sweep()
    assert count(Assignment) == 2
    assert giving_shown(coach, giving_id).waiting == 4
    assert outbox.sweep() == 0, "another worker leaves it alone for a while"
    with at(now() + TAKEN_FOR + timedelta(seconds=1)):
        assert outbox.sweep() == 1
    assert states(coach, giving_id) == dict.fromkeys(NAMES, ("given", []))
    assert count(Assignment) == 6


def test_two_workers_side_by_side_give_once(app, team, cases):
    giving_id = begin(team["coach"], cases)
    payload = {"giving": giving_id.hex}
    found = together(app, 2, lambda _number: carry_out(giving_id, payload))
    assert found == [None, None]
    assert count(Assignment) == 6
    assert states(team["coach"], giving_id) == dict.fromkeys(NAMES, ("given", []))


def test_two_givings_of_the_same_sheet_at_once_give_it_once(app, team, cases):
    ids = [begin(team["coach"], cases) for _ in range(2)]
    together(app, 2, lambda number: carry_out(ids[number], {"giving": ids[number].hex}))
    assert count(Assignment) == 6
    found = [states(team["coach"], one) for one in ids]
    for name in NAMES:
        assert sorted(one[name] for one in found) == [
            ("given", []),
            ("left_out", ["already_given"]),
        ]


def test_a_hold_or_flag_that_comes_in_between_stops_it_for_that_client(team, cases):
    coach = team["coach"]
    giving_id = begin(coach, cases[:3], "first-days-pause", channel="portal")
    build.screen(coach, cases[0].client_id, fear_at_home="concern")
    with transaction():
        raise_flag(coach, cases[1].client_id, "unsafe_delivery")
    deliver()
    found = states(coach, giving_id)
    assert found[NAMES[0]][0] == found[NAMES[1]][0] == "left_out"
    assert "hold_open" in found[NAMES[0]][1]
    assert found[NAMES[2]] == ("given", [])
    assert count(Assignment) == 1


def test_a_confirmation_covers_no_reason_that_comes_later(team, cases):
    coach = team["coach"]
    giving_id = begin(coach, cases[:2], "my-limits", confirmed=read(*cases[:2]))
    with transaction():
        raise_flag(coach, cases[0].client_id, "unsafe_delivery")
    deliver()
    found = states(coach, giving_id)
    state, codes = found[NAMES[0]]
    assert state == "left_out"
    assert codes[0] == "not_confirmed"
    assert len(codes) > 2
    assert found[NAMES[1]] == ("given", [])


def test_a_confirmation_covers_no_reason_that_came_before_it_was_sent(team, cases):
    coach = team["coach"]
    with transaction():
        raise_flag(coach, cases[0].client_id, "unsafe_delivery")
    giving_id = begin(coach, cases[:2], "my-limits", confirmed=read(*cases[:2]))
    found = states(coach, giving_id)
    assert found[NAMES[0]][0] == "left_out"
    assert found[NAMES[0]][1][0] == "not_confirmed"
    assert found[NAMES[1]] == ("waiting", [])


def test_a_recall_in_between_stops_it_for_all(team, cases):
    giving_id = begin(team["coach"], cases)
    with transaction():
        recall(team["supervisor"], edition_of(SLUG).edition_id, "A number is wrong.")
    deliver()
    found = states(team["coach"], giving_id)
    assert found == dict.fromkeys(NAMES, ("left_out", ["recalled"]))
    assert count(Assignment) == 0


@pytest.mark.parametrize("how", ["disabled", "no longer a coach"])
def test_the_job_has_the_rights_of_the_moment_it_runs(team, cases, how):
    giving_id = begin(team["coach"], cases)
    with transaction() as session:
        if how == "disabled":
            disable_user(operator(), people.email_of(team["coach"]))
        else:
            session.execute(
                sa.update(User).where(User.id == team["coach"].id).values(role=Role.ADMIN)
            )
    deliver()
    found = states(team["supervisor"], giving_id)
    assert found == dict.fromkeys(NAMES, ("left_out", ["sender_gone"]))
    assert count(Assignment) == 0


def test_a_case_that_left_the_coachs_care_or_was_closed_gets_nothing(team, cases):
    giving_id = begin(team["coach"], cases[:3])
    with transaction() as session:
        session.execute(sa.delete(CareTeam).where(CareTeam.client_id == cases[0].client_id))
        session.execute(sa.update(Case).where(Case.id == cases[1].case_id).values(status="closed"))
    deliver()
    db.session.rollback()
    found = {
        row.case_id: (row.state, row.reasons) for row in db.session.scalars(sa.select(GivingItem))
    }
    assert found[cases[0].case_id] == ("left_out", ["case_gone"])
    assert found[cases[1].case_id] == ("left_out", ["case_closed"])
    assert found[cases[2].case_id] == ("given", [])
    assert giving_shown(team["coach"], giving_id).left_out == 1


def test_one_case_that_fails_keeps_nobody_waiting_and_is_given_up_in_the_end(team, cases):
    coach = team["coach"]
    giving_id = begin(coach, cases[:3])
    with transaction() as session:
        session.execute(
            sa.update(Case).where(Case.id == cases[1].case_id).values(facts=b"\x01 not a seal")
        )
    moment = now()
    for tries in range(1, TRIES + 1):
        with at(moment):
            assert outbox.sweep() == 0
        assert states(coach, giving_id)[NAMES[0]] == ("given", [])
        assert states(coach, giving_id)[NAMES[2]] == ("given", [])
        assert count(GivingItem, GivingItem.tries == tries) == 1
        moment += timedelta(hours=2)
    assert states(coach, giving_id)[NAMES[1]] == ("left_out", ["fault"])
    with at(moment):
        assert outbox.sweep() == 1
    assert count(Assignment) == 2


def everyone(coach):
    return tuple(item.id for item in list_cases(coach, CaseFilter(), None, 500).items)


def test_looking_at_many_asks_as_much_as_looking_at_few(team):
    coach = team["coach"]
    item, counts = edition_of("help-right-now"), []
    for more, since in ((10, 0), (190, 10)):
        bulk.caseload(coach, more, since=since)
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
    build.screen(coach, cases[0].client_id, fear_at_home="concern", comment="Afraid at night.")
    build.screen(coach, cases[1].client_id, sleep="watch", days_ago=3)
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


def test_five_hundred_are_given_a_few_at_a_time_each_for_the_same_price(team):
    coach = team["coach"]
    bulk.caseload(coach, 500)
    giving_id = begin(coach, everyone(coach), "help-right-now")
    [row] = db.session.scalars(sa.select(OutboxRow.id)).all()
    with Statements() as heard:
        assert outbox.deliver(row)
    shown = giving_shown(coach, giving_id)
    assert (shown.given, shown.waiting) == (AT_ONCE, 500 - AT_ONCE)
    commits = sum(statement.startswith("UPDATE giving_item") for statement in heard.seen)
    assert commits == AT_ONCE
    assert len(heard.seen) <= 19 * AT_ONCE + 10
    deliver()
    db.session.rollback()
    shown = giving_shown(coach, giving_id)
    assert (shown.given, shown.waiting, shown.left_out) == (500, 0, 0)
    assert count(Assignment, Assignment.channel == "print") == 500


def test_nothing_is_locked_for_longer_than_one_case(team, cases):
    giving_id, heard = begin(team["coach"], cases), []

    def hear(_connection, _cursor, statement, *_rest):
        if statement.startswith("INSERT INTO assignment "):
            heard.append("give")

    def end(_connection):
        heard.append("commit")

    sa.event.listen(db.engine, "before_cursor_execute", hear)
    sa.event.listen(db.engine, "commit", end)
    try:
        carry_out(giving_id, {"giving": giving_id.hex})
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", hear)
        sa.event.remove(db.engine, "commit", end)
    given = heard[heard.index("give") :]
    assert given == ["give", "commit"] * len(cases)


def test_every_stored_reason_has_words():
    for handout in library().values():
        for tag in TAGS:
            if any(found.tag == tag for found in handout.contraindications):
                assert in_words(tag, handout).message.endswith((".", "!", "?", "”")), tag
    plain = library()["help-right-now", "en"]
    for code in WORDS:
        assert in_words(code, plain).message == WORDS[code]
        assert WORDS[code].endswith(".")


def test_the_job_is_known_to_the_outbox(the_app):
    assert outbox._handlers[givings.GIVE] is carry_out  # noqa: SLF001
