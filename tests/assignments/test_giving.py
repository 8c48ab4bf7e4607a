"""Giving, opening, reading, withdrawing: through the operations, on both databases."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from caseapp.access.actions import Action, Role
from caseapp.access.actor import Actor
from caseapp.assignments.models import Assignment
from caseapp.assignments.offers import advice_for, offers_for
from caseapp.assignments.operations import (
    assign,
    assign_several,
    mark_read,
    replace_older,
    withdraw,
)
from caseapp.assignments.queries import (
    assignment_shown,
    assignments_of,
    given_together,
    holders_of,
    older_holders,
    printable,
)
from caseapp.assignments.reading import reading, reading_list
from caseapp.assignments.schemas import NewAssignment
from caseapp.audit.models import AuditEntry
from caseapp.audit.operations import record_read
from caseapp.cases.queries import case_head
from caseapp.clients.schemas import SafeContact
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.handouts import library as shelf
from caseapp.handouts import queries
from caseapp.handouts.models import Edition
from caseapp.handouts.operations import publish_library, recall, record_review
from caseapp.handouts.queries import edition_of, library_list, versions_of
from caseapp.handouts.schemas import NewReview
from caseapp.practice.queries import today
from caseapp.screening.operations import raise_flag
from tests import build, people
from tests.desk import Statements


@pytest.fixture
def team(app):
    return people.team()


@pytest.fixture
def made(team):
    made = build.case(team["coach"], "Ines Okafor")
    build.screen(team["coach"], made.client_id)
    return made


def give(actor, made, slug="better-nights", *, channel="portal", line="", **more):
    with transaction():
        return assign(actor, made.case_id, slug, line=line, channel=channel, **more)


def flag(actor, made, kind):
    with transaction():
        raise_flag(actor, made.client_id, kind)


def reader(made):
    return Actor(made.client_id, Role.CLIENT, "Ines", "portal")


def codes(refused):
    return [reason.code for reason in refused.value.reasons]


def test_an_assignment_keeps_edition_line_levels_and_a_number_of_its_own(team, made):
    coach = team["coach"]
    build.screen(coach, made.client_id, sleep="watch")
    first = give(coach, made, line="Try the worry note first.")
    give(coach, made, "keep-the-day-running")
    newest, oldest = assignments_of(coach, case_head(coach, made.case_id))
    assert (oldest.id, oldest.place, newest.place) == (first, 1, 2)
    assert oldest.line == "Try the worry note first."
    assert oldest.levels["sleep"] == 1
    assert (oldest.slug, oldest.edition, oldest.stage) == ("better-nights", 1, "steady")
    assert oldest.stopped == ()
    stored = db.session.get(Assignment, first)
    assert b"worry" not in stored.line


def test_places_count_for_each_client_alone(team, made):
    other = build.case(team["coach"], "Daniel Roth")
    build.screen(team["coach"], other.client_id)
    give(team["coach"], made)
    give(team["coach"], other)
    assert [record.place for record in reading_list(reader(other))] == [1]


def test_a_refusal_names_every_reason_and_changes_nothing(team, made):
    build.screen(team["coach"], made.client_id, fear_at_home="concern")
    with pytest.raises(RuleBroken) as refused:
        give(team["coach"], made, "reaching-out", confirmed=True)
    assert {"hold_open", "contact_block", "violence_flag"} <= set(codes(refused))
    assert db.session.scalar(sa.select(sa.func.count(Assignment.id))) == 0


def test_care_asks_for_a_confirmation(team, made):
    with pytest.raises(RuleBroken) as refused:
        give(team["coach"], made, "my-limits")
    assert codes(refused) == ["confirm_needed", "later_stage"]
    assert give(team["coach"], made, "my-limits", confirmed=True)


def test_several_are_given_all_or_none(team, made):
    coach = team["coach"]
    wanted = NewAssignment(
        ("better-nights", "my-limits"), "portal", "Both help.", "en", confirmed=False
    )
    with pytest.raises(RuleBroken) as refused, transaction():
        assign_several(coach, made.case_id, wanted)
    assert refused.value.reasons[0].message.startswith("My limits")
    assert reading_list(reader(made)) == []
    with transaction():
        assert len(assign_several(coach, made.case_id, replace(wanted, confirmed=True))) == 2
    assert [r.line for r in reading_list(reader(made))] == ["Both help.", "Both help."]


SATURDAY = datetime(2026, 11, 21, 10, tzinfo=UTC)


def test_a_pack_is_spread_over_the_weeks_and_leaves_out_what_does_not_suit(team):
    coach = team["coach"]
    with at(SATURDAY - timedelta(hours=1)):
        made = build.case(coach, "Ines Okafor")
        build.screen(coach, made.client_id, sleep="watch")
        give(coach, made, "running-on-empty", channel="print")
    with at(SATURDAY):
        pack = NewAssignment(
            ("my-reasons", "better-nights", "reaching-out", "hold-back-list", "first-days-pause"),
            "portal", "In this order.", "en", confirmed=True, spread=True,
        )  # fmt: skip
        flag(coach, made, "contact_block")
        with transaction():
            ids = assign_several(coach, made.case_id, pack)
        head = case_head(coach, made.case_id)
        given = given_together(coach, head, ids[-1])
        assert [(r.slug, r.week) for r in given] == [
            ("my-reasons", date(2026, 11, 30)),
            ("better-nights", None),
            ("hold-back-list", date(2026, 12, 7)),
            ("first-days-pause", date(2026, 12, 7)),
        ]
        assert [r.place for r in given] == [2, 3, 4, 5]
        logged = db.session.scalars(
            sa.select(AuditEntry.details).where(AuditEntry.action == "assignment.make")
        ).all()
        assert [entry["due_on"] for entry in logged].count("2026-12-07") == 2
        assert advice_for(coach, head).reading.open == 20, "later weeks are not this week's reading"
        with pytest.raises(RuleBroken) as refused, transaction():
            assign_several(coach, made.case_id, replace(pack, slugs=("reaching-out", "my-reasons")))
        assert set(codes(refused)) == {"contact_block", "already_given"}
    other = case_head(coach, build.case(coach, "Daniel Roth").case_id)
    with pytest.raises(NotFound):
        given_together(coach, other, ids[0])


def test_a_day_is_within_reach(team, made):
    coach = team["coach"]
    with at(SATURDAY):
        for day in (date(2026, 11, 15), date(2027, 5, 23)):
            with pytest.raises(Invalid):
                give(coach, made, due_on=day)
        given = give(coach, made, due_on=date(2026, 11, 16))
        assert assignment_shown(coach, given).week == date(2026, 11, 16)


def test_the_same_sheet_is_not_given_twice_in_the_same_way(team, made):
    give(team["coach"], made)
    with pytest.raises(RuleBroken) as refused:
        give(team["coach"], made)
    assert codes(refused) == ["already_given"]
    assert give(team["coach"], made, channel="print")
    assert give(team["coach"], made, language="es")


@pytest.mark.parametrize("channel", ["portal", "print"])
def test_in_session_sheets_do_not_leave_the_room(team, made, channel):
    build.screen(team["coach"], made.client_id, self_harm="watch")
    with pytest.raises(RuleBroken) as refused:
        give(team["coach"], made, "my-safety-plan", channel=channel, confirmed=True)
    assert codes(refused) == ["in_session_only"]
    assert give(team["coach"], made, "my-safety-plan", channel="in_person", confirmed=True)


def test_a_client_to_be_met_only_in_person_gets_nothing_through_the_portal(team):
    made = build.case(team["coach"], "Noor Haddad", safe=SafeContact(("in_person",)))
    build.screen(team["coach"], made.client_id)
    with pytest.raises(RuleBroken) as refused:
        give(team["coach"], made, confirmed=True)
    assert codes(refused) == ["by_hand_only"]
    assert give(team["coach"], made, channel="print", confirmed=True)


def test_a_flag_raised_later_pauses_what_was_given(team, made):
    coach, client = team["coach"], reader(made)
    give(coach, made, "first-days-pause")
    give(coach, made, "better-nights")
    assert len(reading_list(client)) == 2
    build.screen(coach, made.client_id, sleep="concern")
    assert [record.slug for record in reading_list(client)] == ["better-nights", "first-days-pause"]
    build.screen(coach, made.client_id, self_harm="concern")
    assert [record.slug for record in reading_list(client)] == ["better-nights"]
    with pytest.raises(RuleBroken) as refused:
        reading(client, 1)
    assert codes(refused) == ["resting"]
    assert "hold" not in str([(r.message, r.how) for r in refused.value.reasons])
    with pytest.raises(RuleBroken), transaction():
        mark_read(client, 1)
    paused = assignments_of(coach, case_head(coach, made.case_id))[1]
    assert paused.state == "stopped"
    assert paused.stopped[0].code == "hold_open"
    with pytest.raises(RuleBroken) as no_reprint:
        printable(coach, paused.id)
    assert codes(no_reprint) == ["hold_open"]
    assert paused.opened_at is None


def test_nothing_in_the_portal_once_no_way_is_safe(team, made):
    give(team["coach"], made)
    build.screen(team["coach"], made.client_id, fear_at_home="concern")
    assert reading_list(reader(made)) == []


def test_a_contact_sheet_goes_stale_with_its_screening(team):
    coach = team["coach"]
    facts = {"spouse_contact_wish": "open", "spouse_willingness": "agreed"}
    made = build.case(coach, facts=facts)
    build.screen(coach, made.client_id)
    give(coach, made, "reaching-out", confirmed=True)
    client = reader(made)
    assert reading(client, 1).slug == "reaching-out"
    with at(now() + timedelta(days=15)):
        assert reading_list(client) == []
        build.screen(coach, made.client_id)
        assert reading(client, 1).slug == "reaching-out"


def test_a_client_opens_and_marks_once(team, made):
    give(team["coach"], made)
    client = reader(made)
    given = reading(client, 1)
    assert given.state == "given"
    with at(now() - timedelta(minutes=5)):
        record_read(client, Action.PORTAL_READ, "assignment", given.id, client.id)
    opened = reading(client, 1)
    assert opened.state == "opened"
    with transaction():
        mark_read(client, 1)
    with transaction():
        mark_read(client, 1)
    record = reading(client, 1)
    assert record.opened_at == opened.opened_at
    assert record.read_at > record.opened_at
    marks = db.session.scalars(
        sa.select(AuditEntry.details).where(AuditEntry.action == "portal.mark")
    ).all()
    assert marks == [{"read": True}]


def test_a_client_reads_only_their_own_and_only_what_is_in_the_portal(team, made):
    give(team["coach"], made, channel="print")
    with pytest.raises(NotFound):
        reading(reader(made), 1)
    other = build.case(team["coach"], "Daniel Roth")
    build.screen(team["coach"], other.client_id)
    give(team["coach"], other)
    with pytest.raises(NotFound):
        reading(reader(made), 2)
    assert reading(reader(other), 1).client_id == other.client_id


def test_withdrawing_takes_it_from_the_portal_and_keeps_the_record(team, made):
    coach = team["coach"]
    given = give(coach, made)
    with pytest.raises(Stale), transaction():
        withdraw(coach, given, 7)
    with transaction():
        withdraw(coach, given, 1)
    assert reading_list(reader(made)) == []
    with pytest.raises(RuleBroken) as refused:
        reading(reader(made), 1)
    assert codes(refused) == ["withdrawn"]
    assert assignment_shown(coach, given).state == "withdrawn"
    with pytest.raises(RuleBroken), transaction():
        withdraw(coach, given, 2)
    assert give(coach, made)


def test_staff_mark_only_what_went_over_the_table(team, made):
    coach = team["coach"]
    paper, portal = give(coach, made, channel="print"), give(coach, made)
    with transaction():
        mark_read(coach, paper)
    assert assignment_shown(coach, paper).read_at
    with pytest.raises(RuleBroken) as refused, transaction():
        mark_read(coach, portal)
    assert codes(refused) == ["client_marks_it"]


def test_other_peoples_assignments_look_missing(team, made):
    given = give(team["coach"], made)
    stranger = team["coach2"]
    for attempt in (
        lambda: assignment_shown(stranger, given),
        lambda: withdraw(stranger, given, 1),
        lambda: mark_read(stranger, given),
        lambda: assign(stranger, made.case_id, "better-nights", line="", channel="portal"),
    ):
        with pytest.raises(NotFound), transaction():
            attempt()
    assert holders_of(stranger, "better-nights", None, 25).items == []
    assert [h.client for h in holders_of(team["coach"], "better-nights", None, 25).items] == [
        "Ines Okafor"
    ]
    with pytest.raises(Forbidden):
        holders_of(team["admin"], "better-nights", None, 25)


def test_a_closed_case_gets_nothing_new(team, made):
    from caseapp.cases.operations import close_case
    from caseapp.cases.schemas import Closing

    with transaction():
        close_case(
            team["coach"],
            made.case_id,
            Closing("other", "decision", "done", "", follow_up_consent=False, follow_up_on=None),
            1,
        )
    with pytest.raises(RuleBroken) as refused:
        give(team["coach"], made)
    assert codes(refused) == ["case_closed"]


def test_offers_say_what_suits_and_what_is_there_already(team, made):
    coach = team["coach"]
    give(coach, made)
    offers = {o.handout.id: o for o in offers_for(coach, case_head(coach, made.case_id))}
    assert len(offers) == 28
    assert offers["better-nights"].given
    assert offers["better-nights"].verdict.outcome == "give"
    assert offers["light-time-together"].verdict.outcome == "refuse"
    assert offers["my-limits"].verdict.outcome == "careful"
    steady = offers_for(coach, case_head(coach, made.case_id), "steady")
    assert {o.handout.id for o in steady} > {"first-days-pause", "better-nights"}
    assert all(o.handout.fits("steady") for o in steady)


def test_the_next_best_follow_what_is_there_and_how_the_client_is(team, made):
    coach = team["coach"]

    def proposed():
        found = advice_for(coach, case_head(coach, made.case_id))
        return found.reading, [s.offer.handout.id for s in found.suggestions]

    reading, slugs = proposed()
    assert (reading.budget, reading.open) == (60, 0)
    assert slugs == ["help-right-now", "first-days-pause", "hold-back-list"]
    given = give(coach, made, "first-days-pause")
    give(coach, made, "help-right-now", language="es")
    give(coach, made, "keep-the-day-running", channel="in_person")
    reading, slugs = proposed()
    assert reading.open == 20
    assert slugs == ["hold-back-list", "running-on-empty"]
    with transaction():
        mark_read(reader(made), 1)
    build.screen(coach, made.client_id, sleep="watch")
    reading, slugs = proposed()
    assert (reading.budget, reading.open) == (30, 0)
    assert slugs == ["better-nights", "hold-back-list", "running-on-empty"]
    with transaction():
        withdraw(coach, given, 2)
    assert "first-days-pause" in proposed()[1]
    give(coach, made, "hold-back-list")
    build.screen(coach, made.client_id, fear_at_home="concern")
    held = advice_for(coach, case_head(coach, made.case_id))
    assert held.reading.open == 0, "what is stopped is not waiting to be read"
    assert "refuse" not in {s.offer.verdict.outcome for s in held.suggestions}
    assert held.suggestions[0].offer.handout.id == "a-private-check"
    with pytest.raises(Forbidden):
        advice_for(team["admin"], case_head(coach, made.case_id))


def test_offers_and_lists_take_a_fixed_number_of_statements(team, made):
    coach = team["coach"]
    head = case_head(coach, made.case_id)
    with Statements() as few:
        offers_for(coach, head)
        advice_for(coach, head)
        assignments_of(coach, head)
    for slug in ("better-nights", "help-right-now", "keep-the-day-running"):
        give(coach, made, slug)
    head = case_head(coach, made.case_id)
    with Statements() as many:
        offers_for(coach, head)
        advice_for(coach, head)
        assignments_of(coach, head)
    assert len(many.seen) == len(few.seen)


def test_a_sheet_whose_help_lines_are_missing_is_refused(team, made):
    from caseapp.practice.operations import change_practice
    from caseapp.practice.schemas import PracticeChange

    change = PracticeChange(
        name="Our practice",
        tagline="",
        contact="",
        country="US",
        region=None,
        zone="Europe/London",
        paper="A4",
        paper_code=False,
        exit_url="https://example.org/",
    )
    with transaction():
        change_practice(team["admin"], change, 1)
    with pytest.raises(RuleBroken) as refused:
        give(team["coach"], made, "enough-to-eat")
    assert codes(refused) == ["help_lines_empty"]
    assert "eating disorder" in refused.value.message


def test_the_library_is_searched_in_titles_and_summaries(team):
    coach = team["coach"]
    assert len(library_list(coach)) == 34
    assert [i.handout.id for i in library_list(coach, q="sleep come", language="en")] == [
        "better-nights"
    ]
    assert [i.handout.id for i in library_list(coach, q="DUERMES sueño", language="es")] in (
        [],
        ["better-nights"],
    )
    assert library_list(coach, q="no such words here") == []
    assert {i.handout.language for i in library_list(coach, language="es")} == {"es"}


@pytest.mark.parametrize(
    ("slug", "language", "number"),
    [
        ("nothing", "en", None),
        ("better-nights", "xx", None),
        ("better-nights", "en", 9),
        ("A\0", "en", None),
    ],
)
def test_an_edition_that_is_not_there(team, slug, language, number):
    with pytest.raises(NotFound):
        edition_of(slug, language, number)


def test_a_review_belongs_to_one_edition(team):
    item = edition_of("better-nights")
    assert item.reviewed is None
    with transaction():
        record_review(team["supervisor"], item.edition_id, NewReview("Dr Anne Weber", today()))
    assert edition_of("better-nights").reviewed.clinician == "Dr Anne Weber"
    assert edition_of("better-nights", "es").reviewed is None
    with pytest.raises(Forbidden), transaction():
        record_review(team["coach"], item.edition_id, NewReview("Me", today()))
    with pytest.raises(Invalid), transaction():
        record_review(
            team["admin"], item.edition_id, NewReview("Dr Anne Weber", today() + timedelta(days=1))
        )


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
    monkeypatch.setattr("caseapp.handouts.operations.library", lambda: changed)
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
    other = build.case(coach, "Daniel Roth")
    build.screen(coach, other.client_id)
    foreign = build.case(team["coach2"], "Noor Haddad")
    build.screen(team["coach2"], foreign.client_id)
    pause, later = (
        give(coach, made, "first-days-pause", due_on=today()),
        give(coach, other, "first-days-pause"),
    )
    theirs = give(team["coach2"], foreign, "first-days-pause")
    with transaction(), pytest.raises(RuleBroken) as refused:
        replace_older(coach, pause, line="")
    assert codes(refused) == ["already_newest"]
    build.second_version(monkeypatch, "first-days-pause")
    newest = edition_of("first-days-pause")
    assert [h.client for h in older_holders(coach, newest, 10)] == ["Daniel Roth", "Ines Okafor"]
    with transaction():
        new = replace_older(coach, pause, line="A clearer one.")
    record = assignment_shown(coach, new)
    assert (record.edition, record.line, record.channel) == (2, "A clearer one.", "portal")
    assert record.due_on == today()
    assert assignment_shown(coach, pause).state == "withdrawn"
    assert [r.edition for r in reading_list(reader(made))] == [2]
    build.screen(coach, other.client_id, fear_at_home="concern")
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


def test_a_text_that_changed_without_a_new_number_is_refused(app, monkeypatch):
    first = shelf.library()["better-nights", "en"]
    forged = replace(first, source=first.source + "\n")
    monkeypatch.setattr(
        "caseapp.handouts.operations.library",
        lambda: shelf.library() | {("better-nights", "en"): forged},
    )
    before = db.session.scalar(sa.select(sa.func.count(Edition.id)))
    with pytest.raises(shelf.BrokenHandout, match="version 1 did not"), transaction():
        publish_library()
    assert db.session.scalar(sa.select(sa.func.count(Edition.id))) == before
