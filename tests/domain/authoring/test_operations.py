"""The practice's own handouts, through the operations: written, sent, approved by another, dropped."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.authoring.models import HandoutDraftRevision, HandoutDraft
from caseapp.domain.authoring.operations import (
    publish_draft,
    discard_draft,
    save_draft,
    return_draft,
    submit_for_review,
    create_draft_from_version,
    create_draft,
    withdraw_from_review,
)
from caseapp.domain.authoring.queries import get_draft, list_revisions
from caseapp.domain.authoring.schemas import NewDraft
from caseapp.domain.authoring.source import DraftContent, read_content
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.handouts.operations import hide_handout
from caseapp.domain.handouts.queries import get_handout_version, list_handouts, list_versions
from tests.domain.authoring.steps import codes, listed, published, sent, started, whole
from tests.support.concurrency import run_concurrently

pytestmark = [pytest.mark.both, pytest.mark.usefixtures("on_release_day")]


def test_a_text_goes_from_desk_to_library_through_two_people(team):
    draft_id, version = sent(team["supervisor"])
    assert not any(slug.startswith("own-") for slug in listed())
    with transaction():
        publish_draft(team["admin"], draft_id, version)
    item = get_handout_version("own-01")
    assert (item.handout.code, item.handout.version, item.handout.own) == ("P01", 1, True)
    assert item.handout.title == "An evening walk"
    assert "own-01" in {found.handout.id for found in list_handouts(team["coach"])}
    kinds = [step.kind for step in list_revisions(draft_id)]
    assert kinds == ["started", "saved", "sent", "published"]
    assert list_revisions(draft_id)[-1].sha256 == item.handout.sha256
    said = db.session.execute(
        sa.select(AuditEvent.action, AuditEvent.details)
        .where(AuditEvent.object_id == draft_id)
        .order_by(AuditEvent.id)
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
        version = save_draft(team["admin"], draft_id, whole("Two walks"), version)
    with transaction():
        submit_for_review(team["admin"], draft_id, version)
    for author in ("supervisor", "admin"):
        with pytest.raises(RuleBroken) as refused, transaction():
            publish_draft(team[author], draft_id, version + 1)
        assert codes(refused) == ["second_person"]
    with pytest.raises(Forbidden), transaction():
        publish_draft(team["coach"], draft_id, version + 1)
    with transaction():
        publish_draft(team["supervisor2"], draft_id, version + 1)
    assert get_handout_version("own-01").handout.title == "Two walks"


def test_a_coach_neither_writes_nor_hides(team):
    draft_id, version = started(team["supervisor"])
    for attempt in (
        lambda: create_draft(team["coach"], NewDraft("Mine", "en")),
        lambda: create_draft_from_version(team["coach"], "better-nights", "en"),
        lambda: save_draft(team["coach"], draft_id, whole("Mine"), version),
        lambda: submit_for_review(team["coach"], draft_id, version),
        lambda: discard_draft(team["coach"], draft_id, version),
        lambda: hide_handout(team["coach"], "better-nights"),
        lambda: get_draft(team["coach"], draft_id),
        lambda: list_handouts(team["coach"], hidden=True),
    ):
        with pytest.raises(Forbidden), transaction():
            attempt()
    assert get_draft(team["admin"], draft_id).version == version


def test_approving_twice_and_a_stale_page_are_refused(team):
    draft_id, version = sent(team["supervisor"])
    with pytest.raises(Stale), transaction():
        publish_draft(team["admin"], draft_id, version - 1)
    with transaction():
        publish_draft(team["admin"], draft_id, version)
    with pytest.raises(RuleBroken) as refused, transaction():
        publish_draft(team["supervisor2"], draft_id, version)
    assert codes(refused) == ["not_waiting"]
    assert len(list_versions(team["coach"], "own-01")) == 1


def test_two_who_approve_at_once_make_one_edition(app, team):
    draft_id, version = sent(team["supervisor"])
    db.session.remove()

    def go(number):
        with transaction():
            return publish_draft((team["admin"], team["supervisor2"])[number], draft_id, version)

    found = run_concurrently(app, 2, go)
    refused = [one for one in found if isinstance(one, Exception)]
    assert len(refused) == 1
    assert isinstance(refused[0], (Stale, RuleBroken))
    assert len(list_versions(team["coach"], "own-01")) == 1


def test_two_who_start_at_once_get_two_numbers(app, team):
    db.session.remove()

    def go(number):
        with transaction():
            return create_draft((team["admin"], team["supervisor"])[number], NewDraft("Two", "en"))

    found = run_concurrently(app, 2, go)
    assert len({get_draft(team["admin"], draft_id).slug for draft_id in found}) == 2


def test_while_it_waits_nobody_changes_it_and_an_author_takes_it_back(team):
    draft_id, version = sent(team["supervisor"])
    for attempt in (
        lambda: save_draft(team["supervisor"], draft_id, whole("Other"), version),
        lambda: submit_for_review(team["supervisor"], draft_id, version),
        lambda: discard_draft(team["supervisor"], draft_id, version),
    ):
        with pytest.raises(RuleBroken) as refused, transaction():
            attempt()
        assert codes(refused) == ["waiting"]
    with pytest.raises(RuleBroken) as refused, transaction():
        withdraw_from_review(team["admin"], draft_id, version)
    assert codes(refused) == ["not_the_author"]
    with transaction():
        withdraw_from_review(team["supervisor"], draft_id, version)
    assert get_draft(team["supervisor"], draft_id).state == "draft"


def test_it_is_sent_back_with_a_reason_and_dropped_for_good(team):
    draft_id, version = sent(team["supervisor"])
    with transaction():
        return_draft(team["admin"], draft_id, "Shorter, and kinder.", version)
    last = list_revisions(draft_id)[-1]
    assert (last.kind, last.reason, last.by) == (
        "returned",
        "Shorter, and kinder.",
        team["admin"].id,
    )
    with pytest.raises(RuleBroken) as refused, transaction():
        return_draft(team["admin"], draft_id, "Once more.", version + 1)
    assert codes(refused) == ["not_waiting"]
    with transaction():
        discard_draft(team["supervisor"], draft_id, version + 1)
    with pytest.raises(RuleBroken) as refused, transaction():
        save_draft(team["supervisor"], draft_id, whole("Other"), version + 2)
    assert codes(refused) == ["draft_done"]
    with transaction():
        later = create_draft(team["supervisor"], NewDraft("Another", "en"))
    assert get_draft(team["supervisor"], later).slug == "own-02"


def test_an_unfinished_text_is_kept_and_not_sent(team):
    draft_id, version = started(team["supervisor"], DraftContent(title="Half", body="Half a"))
    assert read_content(get_draft(team["supervisor"], draft_id).source).body == "Half a"
    with pytest.raises(Invalid) as refused, transaction():
        submit_for_review(team["supervisor"], draft_id, version)
    assert {"stage", "kind", "summary"} <= refused.value.fields.keys()
    assert get_draft(team["supervisor"], draft_id).state == "draft"


def test_two_windows_never_overwrite_each_other_and_the_same_text_is_saved_once(team):
    draft_id, version = started(team["supervisor"])
    with transaction():
        assert save_draft(team["supervisor"], draft_id, whole(), version) == version
    with pytest.raises(Stale), transaction():
        save_draft(team["admin"], draft_id, whole("From an old window"), version - 1)
    assert get_draft(team["admin"], draft_id).title == "An evening walk"
    assert len(list_revisions(draft_id)) == 2


def test_the_next_version_goes_on_from_the_last(team):
    slug = published(team["supervisor"], team["admin"])
    with transaction():
        draft_id = create_draft_from_version(team["admin"], slug, "en")
    with pytest.raises(RuleBroken) as refused, transaction():
        create_draft_from_version(team["supervisor"], slug, "en")
    assert codes(refused) == ["draft_open"]
    with pytest.raises(Invalid) as bare, transaction():
        submit_for_review(team["admin"], draft_id, 1)
    assert list(bare.value.fields) == ["change"]
    with transaction():
        save_draft(team["admin"], draft_id, whole("A longer walk", change="Longer."), 1)
    with transaction():
        submit_for_review(team["admin"], draft_id, 2)
    with transaction():
        publish_draft(team["supervisor"], draft_id, 3)
    newest = get_handout_version(slug).handout
    assert (newest.version, newest.title) == (2, "A longer walk")
    assert [change for _, _, change in newest.history] == ["First edition.", "Longer."]
    assert len(list_versions(team["coach"], slug)) == 2


def test_approving_hides_the_original_in_the_same_step_or_does_nothing(team):
    with transaction():
        draft_id = create_draft_from_version(team["supervisor"], "first-days-pause", "en")
    with transaction():
        submit_for_review(team["supervisor"], draft_id, 1)
    with transaction():
        publish_draft(team["admin"], draft_id, 2, hide_original=True)
    assert "first-days-pause" not in listed()
    with transaction():
        draft_id = create_draft_from_version(team["supervisor"], "help-right-now", "en")
    with transaction():
        submit_for_review(team["supervisor"], draft_id, 1)
    counted = db.session.scalar(sa.select(sa.func.count()).select_from(HandoutVersion))
    with pytest.raises(RuleBroken) as refused, transaction():
        publish_draft(team["admin"], draft_id, 2, hide_original=True)
    assert codes(refused) == ["safety_sheet"]
    assert db.session.scalar(sa.select(sa.func.count()).select_from(HandoutVersion)) == counted
    assert db.session.get(HandoutDraft, draft_id).state == "waiting"
    assert (
        db.session.scalar(
            sa.select(sa.func.count()).where(
                HandoutDraftRevision.draft_id == draft_id, HandoutDraftRevision.kind == "published"
            )
        )
        == 0
    )
