"""A practice handout keeps what blocks its original and its stage, unless a clinician accepts less by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from caseapp.core.errors import Invalid, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.printing import get_packet
from caseapp.domain.assignments.queries import get_assignment_record
from caseapp.domain.assignments.reading import (
    get_handout_choice,
    get_reading_list,
    get_reading_list_item,
)
from caseapp.domain.authoring.comparison import compare_sources
from caseapp.domain.authoring.operations import (
    create_draft_from_version,
    publish_draft,
    save_draft,
    submit_for_review,
)
from caseapp.domain.authoring.queries import get_draft, list_revisions
from caseapp.domain.authoring.rules import find_problems
from caseapp.domain.authoring.schemas import Approval
from caseapp.domain.authoring.source import (
    DraftContent,
    build_source,
    copy_content,
    read_content,
    read_decision,
)
from caseapp.domain.bulk_assignments.queries import list_candidates
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.handouts import checks
from caseapp.domain.handouts.bars import get_bars, list_points_to_accept
from caseapp.domain.handouts.library import CHANNELS, CONTENTS, library, parse_draft, parse_handout
from caseapp.domain.handouts.operations import publish_version
from caseapp.domain.handouts.queries import get_handout_version
from caseapp.domain.handouts.schemas import NewReview
from caseapp.domain.practice.queries import today
from caseapp.domain.suitability.schemas import BLOCKED
from tests.domain.assignments.steps import assign, codes, reader
from tests.domain.authoring.steps import (
    KEY,
    NOTHING,
    build_content,
    create_saved_draft,
    create_submitted_draft,
    list_published_slugs,
)
from tests.support import builders

pytestmark = pytest.mark.usefixtures("on_release_day")

LIBRARY = library()
ALL = pytest.mark.parametrize("slug", [slug for slug, language in LIBRARY if language == "en"])
REACHING_OUT = LIBRARY["reaching-out", "en"]
DAY = date(2026, 11, 29)
EFFECTS = ("warn", "in_session", "block")


def lax(handout):
    """Return a handout's text as laxly as the editor allows: any stage, any hold, every channel, no warning, all no."""
    return replace(
        copy_content(handout, "Ours."),
        title="A few words",
        stage="steady",
        also_fits=(),
        hold_ok="safety",
        channels=CHANNELS,
        involves=NOTHING,
        warnings=(),
        review_date=today() + timedelta(days=180),
    )


def build(content, based_on=None):
    return parse_draft(build_source(content, replace(KEY, based_on=based_on), DAY, None))


def publish_as_before(handout):
    """Publish a lax handout as versions from before are: nothing says what it involves."""
    source = build_source(lax(handout), KEY, today(), None)
    before = "\n".join(
        line
        for line in source.splitlines()
        if not line.startswith(("involves:", *(f"  {content}:" for content in CONTENTS)))
    )
    old = parse_handout(before)
    assert old.involves is None
    with transaction():
        publish_version(old)
    return old.id


def submit_copy(team, slug, **changed):
    with transaction():
        draft_id = create_draft_from_version(team["supervisor"], slug, "en")
    content = lax(LIBRARY[slug, "en"])
    return submit(team, draft_id, replace(content, **changed))


def submit(team, draft_id, content):
    with transaction():
        version = save_draft(team["supervisor"], draft_id, content, 1)
    with transaction():
        submit_for_review(team["supervisor"], draft_id, version)
    return draft_id, version + 1


@pytest.mark.parametrize("copied", [True, False])
def test_lax_text_of_a_contact_handout_is_not_published_without_a_clinician(team, copied):
    if copied:
        draft_id, version = submit_copy(team, "reaching-out")
    else:
        draft_id, version = create_submitted_draft(team["supervisor"], lax(REACHING_OUT))
    with pytest.raises(Invalid) as refused, transaction():
        publish_draft(team["admin"], draft_id, version)
    [message] = refused.value.fields["clinician"]
    assert "even during a safety hold" in message
    assert "contact with the partner" in message
    assert "own-01" not in list_published_slugs()
    assert get_draft(team["admin"], draft_id).state == "in_review"


def test_copy_of_a_contact_handout_can_not_be_submitted_for_an_early_stage(team):
    with transaction():
        draft_id = create_draft_from_version(team["supervisor"], "reaching-out", "en")
    content = replace(copy_content(REACHING_OUT, "Ours."), stage="steady")
    with pytest.raises(Invalid) as refused:
        submit(team, draft_id, content)
    assert "stage" in refused.value.fields


@pytest.mark.slow
def test_published_lax_text_is_refused_everywhere_at_once(team):
    coach, slug = team["coach"], publish_as_before(REACHING_OUT)
    made = builders.case(coach)
    builders.screen(coach, made.client_id)
    given = assign(coach, made, slug, channel="portal", confirmed=True)
    assert [record.slug for record in get_reading_list(reader(made))] == [slug]
    item = get_handout_version(slug)

    builders.screen(coach, made.client_id, fear_at_home="concern")
    assert get_reading_list(reader(made)) == []
    with pytest.raises(RuleBroken):
        get_reading_list_item(reader(made), 1)
    assert get_assignment_record(coach, given).blockers
    context = get_case_context(coach, made.case_id)
    [option] = [
        option for option in get_handout_choice(coach, context).options if option.handout.id == slug
    ]
    assert option.suitability.outcome == BLOCKED
    assert {reason.code for reason in option.suitability.reasons} >= {
        "hold_open",
        "violence_flag",
        "contact_block",
    }
    [candidate] = list_candidates(coach, item, "in_person", [made.case_id])
    assert candidate.outcome == BLOCKED
    for channel in CHANNELS:
        with pytest.raises(RuleBroken) as refused:
            assign(coach, made, slug, channel=channel, confirmed=True)
        assert "hold_open" in codes(refused)
    packet = get_packet(coach, context, [given])
    assert packet.records == ()
    assert [record.slug for record, _reasons in packet.left_out] == [slug]


def test_published_text_from_nothing_is_blocked_like_everything_that_it_might_involve(team):
    content = build_content(hold_ok="safety")
    source = build_source(content, KEY, today(), None)
    handout = replace(parse_handout(source), involves=None)
    bars = get_bars(handout)
    assert bars.involves == {*CONTENTS}
    assert bars.hold_ok == "none"
    assert {(bar.tag, bar.effect) for bar in bars.conditions} >= {
        ("contact_block", "block"),
        ("fear_unknown", "block"),
        ("fear_watch", "block"),
        ("safety_screen_unknown", "block"),
    }


@pytest.mark.slow
def test_flag_blocks_a_copy_whose_warning_was_removed(team):
    coach, content = team["coach"], copy_content(LIBRARY["my-reasons", "en"], "Ours.")
    with transaction():
        draft_id = create_draft_from_version(team["supervisor"], "my-reasons", "en")
    draft_id, version = submit(team, draft_id, replace(content, warnings=()))
    with transaction():
        publish_draft(team["admin"], draft_id, version)
    slug = get_draft(team["admin"], draft_id).slug
    made = builders.case(coach)
    builders.screen(coach, made.client_id)
    assign(coach, made, slug, channel="in_person", confirmed=True)
    other = builders.case(coach, "Daniel Roth")
    builders.screen(coach, other.client_id, fear_at_home="concern")
    with pytest.raises(RuleBroken) as refused:
        assign(coach, other, slug, channel="in_person", confirmed=True)
    assert "violence_flag" in codes(refused)


def test_stricter_copy_needs_no_clinician_and_keeps_what_it_inherits(team):
    original = LIBRARY["write-it-out", "en"]
    with transaction():
        draft_id = create_draft_from_version(team["supervisor"], original.id, "en")
    stricter = replace(
        copy_content(original, "Ours."),
        hold_ok="none",
        channels=("in_person",),
        involves=NOTHING | {"own_part": True},
    )
    draft_id, version = submit(team, draft_id, stricter)
    with transaction():
        publish_draft(team["admin"], draft_id, version)
    handout = get_handout_version(get_draft(team["admin"], draft_id).slug).handout
    assert handout.clinician is None
    bars = get_bars(handout)
    assert (bars.hold_ok, bars.channels) == ("none", ("in_person",))
    assert "fear_unknown" in {bar.tag for bar in bars.conditions}


@pytest.mark.slow
def test_clinician_accepts_by_name_and_only_what_was_laxer(team):
    original = LIBRARY["small-joys-journal", "en"]
    changed = {"hold_ok": "safety", "stage": "rebuild", "channels": ("in_person", "print")}
    draft_id, version = submit_copy(team, original.id, **changed)
    approval = Approval(review=NewReview("Dr Anne Weber, licence 12", today()))
    late = Approval(review=NewReview("Dr Anne Weber", today() + timedelta(days=1)))
    with pytest.raises(Invalid) as refused, transaction():
        publish_draft(team["admin"], draft_id, version, late)
    assert "reviewed_on" in refused.value.fields
    with transaction():
        publish_draft(team["admin"], draft_id, version, approval)
    draft = get_draft(team["admin"], draft_id)
    item = get_handout_version(draft.slug)
    assert item.reviewed.clinician == "Dr Anne Weber, licence 12"
    assert item.handout.clinician.accepted == ("hold_ok",)
    bars = get_bars(item.handout)
    assert bars.hold_ok == "safety"
    inherited = [(bar.tag, bar.effect) for bar in original.contraindications]
    assert [(bar.tag, bar.effect) for bar in bars.conditions] == inherited
    assert checks.list_problems(today()) == []
    last = list_revisions(draft_id)[-1]
    assert read_decision(last.source).name == "Dr Anne Weber, licence 12"
    lines = compare_sources(list_revisions(draft_id)[-2].source, last.source)
    assert any("Dr Anne Weber" in text for line in lines for text, _ in line.pieces)
    with transaction():
        following = create_draft_from_version(team["supervisor"], draft.slug, "en")
    source = get_draft(team["admin"], following).source
    assert read_decision(source) is None
    next_text = replace(read_content(source), change="A clearer line.")
    assert list_points_to_accept(build(next_text, original.id))


def test_clinician_of_a_handout_that_is_not_laxer_is_recorded_as_its_review(team):
    draft_id, version = create_submitted_draft(team["supervisor"])
    approval = Approval(review=NewReview("Dr Anne Weber", today()))
    with transaction():
        publish_draft(team["admin"], draft_id, version, approval)
    item = get_handout_version(get_draft(team["admin"], draft_id).slug)
    assert item.reviewed.clinician == "Dr Anne Weber"
    assert item.handout.clinician is None


@pytest.mark.parametrize("content", CONTENTS)
def test_draft_that_leaves_out_what_it_involves_can_not_be_submitted(team, content):
    unanswered = {name: answer for name, answer in NOTHING.items() if name != content}
    draft_id, _version = create_saved_draft(team["supervisor"], build_content(involves=unanswered))
    problems = find_problems(get_draft(team["supervisor"], draft_id).source, today())
    assert [*problems] == [f"involves.{content}"]


def test_text_from_nothing_is_used_in_no_hold_without_a_clinician(team):
    for hold_ok in ("care", "safety"):
        points = list_points_to_accept(build(build_content(hold_ok=hold_ok)))
        assert [point.code for point in points] == ["hold_ok"]
    assert list_points_to_accept(build(build_content())) == []


def test_check_reports_a_published_handout_that_is_laxer_than_what_it_inherits(team):
    publish_as_before(REACHING_OUT)
    found = [line for line in checks.list_problems(today()) if "own-01" in line]
    assert any("even during a safety hold" in line for line in found)
    assert any("doesn’t say what it involves" in line for line in found)


def laxer_contents(content: DraftContent):
    """Yield the content with one thing laxer at a time, with a code for it."""
    for mark in ("care", "safety"):
        if ("none", "care", "safety").index(mark) > ("none", "care", "safety").index(
            content.hold_ok
        ):
            yield "hold_ok", replace(content, hold_ok=mark)
    for channel in CHANNELS:
        if channel not in content.channels:
            yield channel, replace(content, channels=(*content.channels, channel))
    for name, answer in content.involves.items():
        if answer:
            yield name, replace(content, involves={**content.involves, name: False})
    for row, warning in enumerate(content.warnings):
        rest = (*content.warnings[:row], *content.warnings[row + 1 :])
        yield None, replace(content, warnings=rest)
        for effect in EFFECTS[: EFFECTS.index(warning.effect)]:
            weaker = (*rest, replace(warning, effect=effect))
            yield warning.tag, replace(content, warnings=weaker)


def allowed_more(bars, original):
    """Tell whether bars leave open anything that the original's bars close."""
    marks = ("none", "care", "safety")
    effects = {bar.tag: EFFECTS.index(bar.effect) for bar in bars.conditions}
    return (
        marks.index(bars.hold_ok) > marks.index(original.hold_ok)
        or bool({*bars.channels} - {*original.channels})
        or any(effects.get(bar.tag, -1) < EFFECTS.index(bar.effect) for bar in original.conditions)
    )


@pytest.mark.slow
@ALL
@pytest.mark.parametrize("named", [True, False])
def test_copy_with_anything_laxer_allows_no_more_than_its_original(slug, named):
    """With the name of its original or only with its text: each way of being laxer is without effect."""
    original = LIBRARY[slug, "en"]
    content = read_content(original.source)
    for code, laxer in laxer_contents(content):
        handout = build(laxer, slug if named else None)
        assert not allowed_more(get_bars(handout), get_bars(original)), code
        if code is not None and handout.stage not in {"contact", "reconnect", "repair"}:
            points = {point.code for point in list_points_to_accept(handout)}
            assert code in points or find_problems(handout.source, DAY), code
