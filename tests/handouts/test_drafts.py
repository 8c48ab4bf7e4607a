"""The practice's own handouts, through the operations: written, judged, approved by another, compared, hidden."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import nh3
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from caseapp.access.actions import Role
from caseapp.access.actor import Actor
from caseapp.assignments.offers import advice_for, offers_for
from caseapp.assignments.operations import assign
from caseapp.assignments.reading import reading_list
from caseapp.audit.models import AuditEntry
from caseapp.cases.queries import case_head
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken, Stale
from caseapp.core.fonts import missing_signs
from caseapp.core.transaction import transaction
from caseapp.handouts import checks
from caseapp.handouts.drafts import (
    approve_own,
    drop_own,
    save_own,
    send_back,
    send_own,
    start_edition,
    start_own,
    take_back,
)
from caseapp.handouts.editor import OwnTextSchema, form_values
from caseapp.handouts.history import changes
from caseapp.handouts.library import Contraindication, Field, claims, library, parse
from caseapp.handouts.models import DraftStep, Edition, HandoutDraft
from caseapp.handouts.operations import hide_handout, publish_library, recall, show_handout
from caseapp.handouts.own import BEGINNING, Name, OwnText, faults_in, source_of, text_in
from caseapp.handouts.queries import (
    draft_of,
    edition_of,
    library_list,
    newest_editions,
    steps_of,
    versions_of,
)
from caseapp.handouts.schemas import NewOwn
from caseapp.handouts.sheets import ALLOWED_TAGS, prose
from caseapp.practice.queries import today
from tests import build, people
from tests.together import together

PLACE = Field("my_walk", "Where I will walk", "text", (), 200, 3, required=False, sensitive=False)
NAME = Name("own-01", "en", None)


@pytest.fixture
def team(app):
    return people.team() | {"supervisor2": people.add("supervisor2", role="supervisor")}


def whole(title="An evening walk", **changed):
    """Give a text that passes every check."""
    text = OwnText(
        title=title,
        stage="steady",
        kind="worksheet",
        summary="A short walk each evening, alone or with a friend.",
        minutes=10,
        places=(PLACE,),
        review_date=today() + timedelta(days=180),
        change="First edition.",
        body=BEGINNING["en"].replace("Write here.", "Walk after supper.\n\n{{field:my_walk}}"),
    )
    return replace(text, **changed)


def started(actor, text=None, language="en"):
    """Start a draft and save a whole text in it; give its id and version."""
    with transaction():
        draft_id = start_own(actor, NewOwn("An evening walk", language))
    with transaction():
        version = save_own(actor, draft_id, text or whole(), 1)
    return draft_id, version


def sent(actor, text=None):
    draft_id, version = started(actor, text)
    with transaction():
        send_own(actor, draft_id, version)
    return draft_id, version + 1


def published(writer, approver, text=None):
    draft_id, version = sent(writer, text)
    with transaction():
        approve_own(approver, draft_id, version)
    return draft_of(writer, draft_id).slug


def own_edition(team, slug, *, change=None, language="en"):
    """Publish our own edition of a sheet of the library; give its name in addresses."""
    with transaction():
        draft_id = start_edition(team["supervisor"], slug, language)
    text = text_in(draft_of(team["supervisor"], draft_id).source)
    with transaction():
        version = save_own(
            team["supervisor"], draft_id, replace(text, **(change or {"title": "Ours"})), 1
        )
    with transaction():
        send_own(team["supervisor"], draft_id, version)
    with transaction():
        approve_own(team["admin"], draft_id, version + 1)
    return draft_of(team["supervisor"], draft_id).slug


def codes(refused):
    return [reason.code for reason in refused.value.reasons]


def listed():
    return {item.handout.id for item in newest_editions()}


def test_a_text_goes_from_desk_to_library_through_two_people(team):
    draft_id, version = sent(team["supervisor"])
    assert not any(slug.startswith("own-") for slug in listed())
    with transaction():
        approve_own(team["admin"], draft_id, version)
    item = edition_of("own-01")
    assert (item.handout.code, item.handout.version, item.handout.own) == ("P01", 1, True)
    assert item.handout.title == "An evening walk"
    assert "own-01" in {found.handout.id for found in library_list(team["coach"])}
    kinds = [step.kind for step in steps_of(draft_id)]
    assert kinds == ["started", "saved", "sent", "published"]
    assert steps_of(draft_id)[-1].sha256 == item.handout.sha256
    said = db.session.execute(
        sa.select(AuditEntry.action, AuditEntry.details).where(AuditEntry.object_id == draft_id)
    ).all()
    assert [(row.action, row.details["step"]) for row in said] == [
        ("handout.write", "started"),
        ("handout.write", "saved"),
        ("handout.write", "sent"),
        ("handout.approve", "published"),
    ]


def test_whoever_wrote_in_it_never_approves_it(team):
    draft_id, version = started(team["supervisor"])
    with transaction():
        version = save_own(team["admin"], draft_id, whole("Two walks"), version)
    with transaction():
        send_own(team["admin"], draft_id, version)
    for author in ("supervisor", "admin"):
        with pytest.raises(RuleBroken) as refused, transaction():
            approve_own(team[author], draft_id, version + 1)
        assert codes(refused) == ["second_person"]
    with pytest.raises(Forbidden), transaction():
        approve_own(team["coach"], draft_id, version + 1)
    with transaction():
        approve_own(team["supervisor2"], draft_id, version + 1)
    assert edition_of("own-01").handout.title == "Two walks"


def test_a_coach_neither_writes_nor_hides(team):
    draft_id, version = started(team["supervisor"])
    for attempt in (
        lambda: start_own(team["coach"], NewOwn("Mine", "en")),
        lambda: start_edition(team["coach"], "better-nights", "en"),
        lambda: save_own(team["coach"], draft_id, whole("Mine"), version),
        lambda: send_own(team["coach"], draft_id, version),
        lambda: drop_own(team["coach"], draft_id, version),
        lambda: hide_handout(team["coach"], "better-nights"),
        lambda: draft_of(team["coach"], draft_id),
        lambda: library_list(team["coach"], hidden=True),
    ):
        with pytest.raises(Forbidden), transaction():
            attempt()
    assert draft_of(team["admin"], draft_id).version == version


def test_approving_twice_and_a_stale_page_are_refused(team):
    draft_id, version = sent(team["supervisor"])
    with pytest.raises(Stale), transaction():
        approve_own(team["admin"], draft_id, version - 1)
    with transaction():
        approve_own(team["admin"], draft_id, version)
    with pytest.raises(RuleBroken) as refused, transaction():
        approve_own(team["supervisor2"], draft_id, version)
    assert codes(refused) == ["not_waiting"]
    assert len(versions_of(team["coach"], "own-01")) == 1


def test_two_who_approve_at_once_make_one_edition(app, team):
    draft_id, version = sent(team["supervisor"])
    db.session.remove()

    def go(number):
        with transaction():
            return approve_own((team["admin"], team["supervisor2"])[number], draft_id, version)

    found = together(app, 2, go)
    refused = [one for one in found if isinstance(one, Exception)]
    assert len(refused) == 1
    assert isinstance(refused[0], (Stale, RuleBroken))
    assert len(versions_of(team["coach"], "own-01")) == 1


def test_two_who_start_at_once_get_two_numbers(app, team):
    db.session.remove()

    def go(number):
        with transaction():
            return start_own((team["admin"], team["supervisor"])[number], NewOwn("Two", "en"))

    found = together(app, 2, go)
    assert len({draft_of(team["admin"], draft_id).slug for draft_id in found}) == 2


def test_while_it_waits_nobody_changes_it_and_an_author_takes_it_back(team):
    draft_id, version = sent(team["supervisor"])
    for attempt in (
        lambda: save_own(team["supervisor"], draft_id, whole("Other"), version),
        lambda: send_own(team["supervisor"], draft_id, version),
        lambda: drop_own(team["supervisor"], draft_id, version),
    ):
        with pytest.raises(RuleBroken) as refused, transaction():
            attempt()
        assert codes(refused) == ["waiting"]
    with pytest.raises(RuleBroken) as refused, transaction():
        take_back(team["admin"], draft_id, version)
    assert codes(refused) == ["not_the_author"]
    with transaction():
        take_back(team["supervisor"], draft_id, version)
    assert draft_of(team["supervisor"], draft_id).state == "draft"


def test_it_is_sent_back_with_a_reason_and_dropped_for_good(team):
    draft_id, version = sent(team["supervisor"])
    with transaction():
        send_back(team["admin"], draft_id, "Shorter, and kinder.", version)
    last = steps_of(draft_id)[-1]
    assert (last.kind, last.reason, last.by) == (
        "returned",
        "Shorter, and kinder.",
        team["admin"].id,
    )
    with pytest.raises(RuleBroken) as refused, transaction():
        send_back(team["admin"], draft_id, "Once more.", version + 1)
    assert codes(refused) == ["not_waiting"]
    with transaction():
        drop_own(team["supervisor"], draft_id, version + 1)
    with pytest.raises(RuleBroken) as refused, transaction():
        save_own(team["supervisor"], draft_id, whole("Other"), version + 2)
    assert codes(refused) == ["draft_done"]
    with transaction():
        later = start_own(team["supervisor"], NewOwn("Another", "en"))
    assert draft_of(team["supervisor"], later).slug == "own-02"


def test_two_windows_never_overwrite_each_other_and_the_same_text_is_saved_once(team):
    draft_id, version = started(team["supervisor"])
    with transaction():
        assert save_own(team["supervisor"], draft_id, whole(), version) == version
    with pytest.raises(Stale), transaction():
        save_own(team["admin"], draft_id, whole("From an old window"), version - 1)
    assert draft_of(team["admin"], draft_id).title == "An evening walk"
    assert len(steps_of(draft_id)) == 2


def test_the_next_version_goes_on_from_the_last(team):
    slug = published(team["supervisor"], team["admin"])
    with transaction():
        draft_id = start_edition(team["admin"], slug, "en")
    with pytest.raises(RuleBroken) as refused, transaction():
        start_edition(team["supervisor"], slug, "en")
    assert codes(refused) == ["draft_open"]
    with pytest.raises(Invalid) as bare, transaction():
        send_own(team["admin"], draft_id, 1)
    assert list(bare.value.fields) == ["change"]
    with transaction():
        save_own(team["admin"], draft_id, whole("A longer walk", change="Longer."), 1)
    with transaction():
        send_own(team["admin"], draft_id, 2)
    with transaction():
        approve_own(team["supervisor"], draft_id, 3)
    newest = edition_of(slug).handout
    assert (newest.version, newest.title) == (2, "A longer walk")
    assert [change for _, _, change in newest.history] == ["First edition.", "Longer."]
    assert len(versions_of(team["coach"], slug)) == 2


def test_publishing_the_library_leaves_our_own_alone(team):
    slug = published(team["supervisor"], team["admin"])
    with transaction():
        assert publish_library() == 0
    assert edition_of(slug).handout.own
    assert checks.faults(today()) == []
    assert not any(handout.own for handout in library().values())


def test_an_own_sheet_is_assigned_and_read_like_any_other(team):
    slug = published(team["supervisor"], team["admin"])
    made = build.case(team["coach"])
    build.screen(team["coach"], made.client_id)
    head = case_head(team["coach"], made.case_id)
    assert slug in {offer.handout.id for offer in offers_for(team["coach"], head)}
    with transaction():
        assign(team["coach"], made.case_id, slug, line="", channel="portal")
    client = Actor(made.client_id, Role.CLIENT, "Ines", "portal")
    assert [record.slug for record in reading_list(client)] == [slug]


def test_our_own_edition_keeps_what_the_library_says_of_it(team):
    slug = own_edition(team, "first-days-pause")
    ours, theirs = edition_of(slug).handout, library()["first-days-pause", "en"]
    assert ours.based_on == "first-days-pause"
    assert set(ours.claims) == set(theirs.claims)
    assert set(ours.sources) == set(theirs.sources)
    assert ours.contraindications == theirs.contraindications
    assert ours.body == theirs.body


@pytest.mark.parametrize("key", [*library()], ids=".".join)
def test_every_sheet_of_the_library_can_be_the_start_of_ours(the_app, key):
    theirs = library()[key]
    name = Name("own-01", key[1], key[0])
    source = source_of(text_in(theirs.source), name, theirs.review_date, None)
    assert faults_in(source, theirs.review_date) == {}
    again = OwnTextSchema().load(as_a_browser(form_values(text_in(source))))
    assert replace(again, also_fits=theirs.also_fits) == text_in(source)


def as_a_browser(values):
    """Send a form's values as a browser would: rows by name, blanks left out."""
    sent = {name: value for name, value in values.items() if "." not in name and value != ""}
    for group in ("warnings", "places"):
        begin = f"{group}."
        sent[group] = {
            name.removeprefix(begin): str(value)
            for name, value in values.items()
            if name.startswith(begin)
        }
    return sent


# --- what keeps a text from being published ---

FAULTS = [
    ({"title": "x"}, "title", "between 3 and 120"),
    ({"stage": ""}, "stage", "choose one"),
    ({"minutes": None}, "minutes", "fill this in"),
    ({"minutes": 61}, "minutes", "less than or equal to 60"),
    ({"review_date": None}, "review_date", "fill this in"),
    ({"change": ""}, "change", "between 3 and 200"),
    ({"channels": ()}, "channels", "at least one way"),
    ({"kind": "safety-sheet"}, "alias", "neutral title"),
    ({"places": ()}, "body", "No field is named my_walk"),
    ({"places": (PLACE, replace(PLACE, id="twice"))}, "places", "stands twice"),
    ({"places": (replace(PLACE, label=""),)}, "places.0.label", "between 2 and 160"),
    ({"places": (replace(PLACE, type="choice"),)}, "places", "nothing to choose from"),
    ({"title": "Snow ☃ falls"}, "title", "☃ (U+2603)"),
    ({"title": "A \x07 bell"}, "title", "U+0007"),
    ({"places": (replace(PLACE, label="Walk \u4e00"),)}, "places", "U+4E00"),
    ({"title": "<b></b>" * 3}, None, ""),
]


@pytest.mark.parametrize(("changed", "place", "words"), FAULTS)
def test_a_fault_is_named_at_its_place(app, changed, place, words):
    found = faults_in(source_of(whole(**changed), NAME, today(), None), today())
    if place is None:
        # Markup is text here, so a title of tags is a title.
        assert found == {}
    else:
        assert words.lower() in " ".join(found[place]).lower()


BODIES = [
    ("{{crisis_block}}", "", "there is no {{crisis_block}}"),
    ("## Stop and get help", "## Stop", "0 boxes"),
    ("## Stop and get help", "### Stop and get help", "belong in the section"),
    ("Walk after", "{{claims:XYZ-99}} Walk after", "no claim XYZ-99"),
    ("Walk after supper.", "{{ config }}", "stray marker {{ config }}"),
    ("Walk after supper.", "{{7*7}}", "stray marker {{7*7}}"),
    ("Walk after supper.", "{{self.__init__.__globals__}}", "stray marker"),
    ("Walk after supper.", "Walk {{nothing_of_ours}}.", "stray marker"),
    ("Walk after supper.", "\n{{nothing_of_ours}}\n", "nothing is named nothing_of_ours"),
    ("Walk after supper.", "I promise that I will not harm myself.", "no plan"),
    ("Walk after supper.", "Sign this no-suicide contract.", "no plan"),
    ("Say in two", "## Say in two", "before the first heading"),
]


@pytest.mark.parametrize(("old", "new", "words"), BODIES)
def test_a_fault_of_the_text_is_named(app, old, new, words):
    text = whole()
    assert old in text.body
    changed = replace(text, body=text.body.replace(old, new))
    found = faults_in(source_of(changed, NAME, today(), None), today())
    assert words in " ".join(found["body"]).lower().replace("xyz-99", "XYZ-99")


def test_a_claim_that_was_left_out_on_purpose_may_not_come_back(app):
    left_out = next(claim.id for claim in claims().values() if claim.use == "X")
    text = replace(
        whole(), body=whole().body.replace("heading", f"heading {{{{claims:{left_out}}}}}")
    )
    found = faults_in(source_of(text, NAME, today(), None), today())
    assert "left out on purpose" in " ".join(found["body"])


def test_an_unfinished_text_is_kept_and_not_sent(team):
    draft_id, version = started(team["supervisor"], OwnText(title="Half", body="Half a"))
    assert text_in(draft_of(team["supervisor"], draft_id).source).body == "Half a"
    with pytest.raises(Invalid) as refused, transaction():
        send_own(team["supervisor"], draft_id, version)
    assert {"stage", "kind", "summary"} <= refused.value.fields.keys()
    assert draft_of(team["supervisor"], draft_id).state == "draft"


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=60)


@how(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=WORDS, because=WORDS, label=WORDS, option=WORDS, body=WORDS)
def test_whatever_is_typed_comes_back_as_it_was(the_app, title, because, label, option, body):
    """No word of a person's breaks out of its place in the source, whatever YAML or a marker would make of it."""
    text = OwnTextSchema().load(
        {
            "title": title,
            "body": body,
            "warnings": {"0.tag": "violence_flag", "0.because": because},
            "places": {"0.label": label, "0.id": "x1", "0.options": option},
        }
    )
    assert text_in(source_of(text, NAME, now().date(), None)) == text


@how(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("<>&\"'/=![]()*_`#-\\n abimgsvgonerrorstyle{}%"), max_size=80))
def test_what_was_made_safe_once_stays_as_it_is(the_app, text):
    made = prose(text)
    assert nh3.clean(str(made), tags=ALLOWED_TAGS, attributes={}) == str(made)


def test_signs_that_do_not_print_are_found(the_app):
    assert missing_signs("Señor, “quoted”, one\ntwo\tthree") == []
    assert missing_signs("☃ and 一") == ["☃", "一"]


# --- history ---


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


# --- hiding ---


def test_a_hidden_sheet_leaves_every_list_and_what_was_given_stays(team):
    made = build.case(team["coach"])
    build.screen(team["coach"], made.client_id, work="watch")
    head = case_head(team["coach"], made.case_id)
    with transaction():
        given_id = assign(
            team["coach"],
            made.case_id,
            "keep-the-day-running",
            line="",
            channel="portal",
            confirmed=True,
        )
    with transaction():
        hide_handout(team["supervisor"], "keep-the-day-running")
    assert given_id
    assert "keep-the-day-running" not in listed()
    assert "keep-the-day-running" not in {o.handout.id for o in offers_for(team["coach"], head)}
    hidden = library_list(team["admin"], hidden=True)
    assert {item.handout.id for item in hidden} == {"keep-the-day-running"}
    other = build.case(team["coach"])
    build.screen(team["coach"], other.client_id)
    with pytest.raises(RuleBroken) as refused, transaction():
        assign(team["coach"], other.case_id, "keep-the-day-running", line="", channel="print")
    assert codes(refused) == ["hidden"]
    client = Actor(made.client_id, Role.CLIENT, "Ines", "portal")
    assert [record.slug for record in reading_list(client)] == ["keep-the-day-running"]
    with pytest.raises(RuleBroken), transaction():
        hide_handout(team["admin"], "keep-the-day-running")
    with transaction():
        show_handout(team["admin"], "keep-the-day-running")
    assert "keep-the-day-running" in listed()
    with pytest.raises(RuleBroken), transaction():
        show_handout(team["admin"], "keep-the-day-running")
    with pytest.raises(NotFound), transaction():
        hide_handout(team["admin"], "no-such-sheet")


def safety_sheets():
    return sorted({h.id for h in library().values() if h.kind == "safety-sheet"})


@pytest.mark.parametrize("slug", safety_sheets())
def test_a_safety_sheet_stays_unless_ours_stands_in_for_it(team, slug):
    with pytest.raises(RuleBroken) as refused, transaction():
        hide_handout(team["admin"], slug)
    assert codes(refused) == ["safety_sheet"]
    assert slug in listed()


def test_a_safety_sheet_comes_back_when_ours_is_gone(team):
    languages = ["en", "es"]
    ours = [own_edition(team, "help-right-now", language=language) for language in languages[:1]]
    with pytest.raises(RuleBroken) as refused, transaction():
        hide_handout(team["admin"], "help-right-now")
    assert "Español" in refused.value.reasons[0].message
    ours += [own_edition(team, "help-right-now", language=language) for language in languages[1:]]
    with transaction():
        hide_handout(team["admin"], "help-right-now")
    assert "help-right-now" not in listed()
    with transaction():
        recall(team["admin"], edition_of(ours[0]).edition_id, "It names a wrong door.")
    assert "help-right-now" in listed()
    assert not edition_of("help-right-now").hidden


def test_a_stand_in_has_to_serve_the_same_holds(team):
    for language in ("en", "es"):
        own_edition(
            team, "help-right-now", change={"hold_ok": "none", "title": "Ours"}, language=language
        )
    with pytest.raises(RuleBroken) as refused, transaction():
        hide_handout(team["admin"], "help-right-now")
    assert codes(refused) == ["safety_sheet"]


def test_approving_hides_the_original_in_the_same_step_or_does_nothing(team):
    with transaction():
        draft_id = start_edition(team["supervisor"], "first-days-pause", "en")
    with transaction():
        send_own(team["supervisor"], draft_id, 1)
    with transaction():
        approve_own(team["admin"], draft_id, 2, hide_original=True)
    assert "first-days-pause" not in listed()
    with transaction():
        draft_id = start_edition(team["supervisor"], "help-right-now", "en")
    with transaction():
        send_own(team["supervisor"], draft_id, 1)
    counted = db.session.scalar(sa.select(sa.func.count()).select_from(Edition))
    with pytest.raises(RuleBroken) as refused, transaction():
        approve_own(team["admin"], draft_id, 2, hide_original=True)
    assert codes(refused) == ["safety_sheet"]
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Edition)) == counted
    assert db.session.get(HandoutDraft, draft_id).state == "waiting"
    assert (
        db.session.scalar(
            sa.select(sa.func.count()).where(
                DraftStep.draft_id == draft_id, DraftStep.kind == "published"
            )
        )
        == 0
    )


def test_our_own_edition_answers_where_the_hidden_sheet_did(team):
    made = build.case(team["coach"])
    build.screen(team["coach"], made.client_id, household="concern")
    slug = own_edition(team, "keep-the-day-running")
    head = case_head(team["coach"], made.case_id)

    def proposed():
        return [found.offer.handout.id for found in advice_for(team["coach"], head).suggestions]

    assert "keep-the-day-running" in proposed()
    with transaction():
        hide_handout(team["admin"], "keep-the-day-running")
    assert proposed()[:2] == ["help-right-now", slug]


def test_a_warning_of_ours_is_heeded(team):
    warned = (
        Contraindication("violence_flag", "block", "Not with fear at home.", "a-private-check"),
    )
    slug = published(team["supervisor"], team["admin"], whole(warnings=warned))
    assert parse(edition_of(slug).handout.source).contraindications == warned
    made = build.case(team["coach"])
    build.screen(team["coach"], made.client_id, fear_at_home="concern")
    with pytest.raises(RuleBroken) as refused, transaction():
        assign(team["coach"], made.case_id, slug, line="", channel="in_person")
    assert "violence_flag" in codes(refused) or "hold_open" in codes(refused)
