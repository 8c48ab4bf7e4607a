"""Operations on drafts: create, save, review, publish and discard."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.authoring.models import HandoutDraft, HandoutDraftRevision
from caseapp.domain.authoring.operations import (
    create_draft,
    create_draft_from_version,
    discard_draft,
    publish_draft,
    return_draft,
    save_draft,
    submit_for_review,
    withdraw_from_review,
)
from caseapp.domain.authoring.queries import get_draft, list_revisions
from caseapp.domain.authoring.schemas import Approval, NewDraft
from caseapp.domain.authoring.source import DraftContent, read_content
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.handouts.operations import hide_handout
from caseapp.domain.handouts.queries import get_handout_version, list_handouts, list_versions
from tests.domain.authoring.steps import (
    build_content,
    create_saved_draft,
    create_submitted_draft,
    list_published_slugs,
    publish_new_handout,
    reason_codes,
)
from tests.support.concurrency import run_concurrently

pytestmark = pytest.mark.usefixtures("on_release_day")


def test_draft_is_published_after_approval_by_a_second_person(team):
    draft_id, version = create_submitted_draft(team["supervisor"])
    assert not any(slug.startswith("own-") for slug in list_published_slugs())
    with transaction():
        publish_draft(team["admin"], draft_id, version)
    item = get_handout_version("own-01")
    assert (item.handout.code, item.handout.version, item.handout.is_practice_handout) == (
        "P01",
        1,
        True,
    )
    assert item.handout.title == "An evening walk"
    assert "own-01" in {found.handout.id for found in list_handouts(team["coach"])}
    kinds = [revision.kind for revision in list_revisions(draft_id)]
    assert kinds == ["created", "saved", "submitted", "published"]
    assert list_revisions(draft_id)[-1].sha256 == item.handout.sha256
    events = db.session.execute(
        sa.select(AuditEvent.action, AuditEvent.details)
        .where(AuditEvent.object_id == draft_id)
        .order_by(AuditEvent.id)
    ).all()
    assert [(row.action, row.details["revision"]) for row in events] == [
        ("handout.write", "created"),
        ("handout.write", "saved"),
        ("handout.write", "submitted"),
        ("handout.approve", "published"),
    ]


def test_author_cannot_publish_the_draft(team):
    """A second person has to approve it (VULN-19)."""
    draft_id, version = create_saved_draft(team["supervisor"])
    with transaction():
        version = save_draft(team["admin"], draft_id, build_content("Two walks"), version)
    with transaction():
        submit_for_review(team["admin"], draft_id, version)
    for author in ("supervisor", "admin"):
        with pytest.raises(RuleBroken) as refused, transaction():
            publish_draft(team[author], draft_id, version + 1)
        assert reason_codes(refused) == ["second_person"]
    with pytest.raises(Forbidden), transaction():
        publish_draft(team["coach"], draft_id, version + 1)
    with transaction():
        publish_draft(team["supervisor2"], draft_id, version + 1)
    assert get_handout_version("own-01").handout.title == "Two walks"


def test_coach_cannot_write_or_hide_handouts(team):
    draft_id, version = create_saved_draft(team["supervisor"])
    for attempt in (
        lambda: create_draft(team["coach"], NewDraft("Mine", "en")),
        lambda: create_draft_from_version(team["coach"], "better-nights", "en"),
        lambda: save_draft(team["coach"], draft_id, build_content("Mine"), version),
        lambda: submit_for_review(team["coach"], draft_id, version),
        lambda: discard_draft(team["coach"], draft_id, version),
        lambda: hide_handout(team["coach"], "better-nights"),
        lambda: get_draft(team["coach"], draft_id),
        lambda: list_handouts(team["coach"], hidden=True),
    ):
        with pytest.raises(Forbidden), transaction():
            attempt()
    assert get_draft(team["admin"], draft_id).version == version


def test_publish_with_stale_version_or_twice_is_refused(team):
    draft_id, version = create_submitted_draft(team["supervisor"])
    with pytest.raises(Stale), transaction():
        publish_draft(team["admin"], draft_id, version - 1)
    with transaction():
        publish_draft(team["admin"], draft_id, version)
    with pytest.raises(RuleBroken) as refused, transaction():
        publish_draft(team["supervisor2"], draft_id, version)
    assert reason_codes(refused) == ["not_in_review"]
    assert len(list_versions(team["coach"], "own-01")) == 1


@pytest.mark.both
def test_concurrent_approvals_publish_one_version(app, team):
    draft_id, version = create_submitted_draft(team["supervisor"])
    db.session.remove()

    def go(number):
        with transaction():
            return publish_draft((team["admin"], team["supervisor2"])[number], draft_id, version)

    found = run_concurrently(app, 2, go)
    refused = [one for one in found if isinstance(one, Exception)]
    assert len(refused) == 1
    assert isinstance(refused[0], (Stale, RuleBroken))
    assert len(list_versions(team["coach"], "own-01")) == 1


@pytest.mark.both
def test_concurrent_creates_get_different_slugs(app, team):
    db.session.remove()

    def go(number):
        with transaction():
            return create_draft((team["admin"], team["supervisor"])[number], NewDraft("Two", "en"))

    found = run_concurrently(app, 2, go)
    assert len({get_draft(team["admin"], draft_id).slug for draft_id in found}) == 2


def test_draft_in_review_is_read_only_until_an_author_withdraws_it(team):
    draft_id, version = create_submitted_draft(team["supervisor"])
    for attempt in (
        lambda: save_draft(team["supervisor"], draft_id, build_content("Other"), version),
        lambda: submit_for_review(team["supervisor"], draft_id, version),
        lambda: discard_draft(team["supervisor"], draft_id, version),
    ):
        with pytest.raises(RuleBroken) as refused, transaction():
            attempt()
        assert reason_codes(refused) == ["in_review"]
    with pytest.raises(RuleBroken) as refused, transaction():
        withdraw_from_review(team["admin"], draft_id, version)
    assert reason_codes(refused) == ["not_an_author"]
    with transaction():
        withdraw_from_review(team["supervisor"], draft_id, version)
    assert get_draft(team["supervisor"], draft_id).state == "draft"


def test_draft_is_returned_with_a_reason_and_can_be_discarded(team):
    draft_id, version = create_submitted_draft(team["supervisor"])
    with transaction():
        return_draft(team["admin"], draft_id, "Shorter, and kinder.", version)
    last = list_revisions(draft_id)[-1]
    assert (last.kind, last.reason, last.recorded_by) == (
        "returned",
        "Shorter, and kinder.",
        team["admin"].id,
    )
    with pytest.raises(RuleBroken) as refused, transaction():
        return_draft(team["admin"], draft_id, "Once more.", version + 1)
    assert reason_codes(refused) == ["not_in_review"]
    with transaction():
        discard_draft(team["supervisor"], draft_id, version + 1)
    with pytest.raises(RuleBroken) as refused, transaction():
        save_draft(team["supervisor"], draft_id, build_content("Other"), version + 2)
    assert reason_codes(refused) == ["draft_closed"]
    with transaction():
        later = create_draft(team["supervisor"], NewDraft("Another", "en"))
    assert get_draft(team["supervisor"], later).slug == "own-02"


def test_unfinished_draft_is_saved_but_cannot_be_submitted(team):
    draft_id, version = create_saved_draft(
        team["supervisor"], DraftContent(title="Half", body="Half a")
    )
    assert read_content(get_draft(team["supervisor"], draft_id).source).body == "Half a"
    with pytest.raises(Invalid) as refused, transaction():
        submit_for_review(team["supervisor"], draft_id, version)
    assert {"stage", "kind", "summary"} <= refused.value.fields.keys()
    assert get_draft(team["supervisor"], draft_id).state == "draft"


def test_stale_save_is_refused_and_unchanged_content_is_not_saved_again(team):
    draft_id, version = create_saved_draft(team["supervisor"])
    with transaction():
        assert save_draft(team["supervisor"], draft_id, build_content(), version) == version
    with pytest.raises(Stale), transaction():
        save_draft(team["admin"], draft_id, build_content("From an old window"), version - 1)
    assert get_draft(team["admin"], draft_id).title == "An evening walk"
    assert len(list_revisions(draft_id)) == 2


def test_next_version_continues_from_the_published_one(team):
    slug = publish_new_handout(team["supervisor"], team["admin"])
    with transaction():
        draft_id = create_draft_from_version(team["admin"], slug, "en")
    with pytest.raises(RuleBroken) as refused, transaction():
        create_draft_from_version(team["supervisor"], slug, "en")
    assert reason_codes(refused) == ["draft_open"]
    with pytest.raises(Invalid) as incomplete, transaction():
        submit_for_review(team["admin"], draft_id, 1)
    assert list(incomplete.value.fields) == ["change"]
    with transaction():
        save_draft(team["admin"], draft_id, build_content("A longer walk", change="Longer."), 1)
    with transaction():
        submit_for_review(team["admin"], draft_id, 2)
    with transaction():
        publish_draft(team["supervisor"], draft_id, 3)
    newest = get_handout_version(slug).handout
    assert (newest.version, newest.title) == (2, "A longer walk")
    assert [change for _, _, change in newest.history] == ["First version.", "Longer."]
    assert len(list_versions(team["coach"], slug)) == 2


def test_publish_hides_the_original_in_one_transaction_or_does_nothing(team):
    with transaction():
        draft_id = create_draft_from_version(team["supervisor"], "first-days-pause", "en")
    with transaction():
        submit_for_review(team["supervisor"], draft_id, 1)
    with transaction():
        publish_draft(team["admin"], draft_id, 2, Approval(hide_original=True))
    assert "first-days-pause" not in list_published_slugs()
    with transaction():
        draft_id = create_draft_from_version(team["supervisor"], "help-right-now", "en")
    with transaction():
        submit_for_review(team["supervisor"], draft_id, 1)
    version_count = db.session.scalar(sa.select(sa.func.count()).select_from(HandoutVersion))
    with pytest.raises(RuleBroken) as refused, transaction():
        publish_draft(team["admin"], draft_id, 2, Approval(hide_original=True))
    assert reason_codes(refused) == ["safety_handout"]
    assert (
        db.session.scalar(sa.select(sa.func.count()).select_from(HandoutVersion)) == version_count
    )
    assert db.session.get(HandoutDraft, draft_id).state == "in_review"
    assert (
        db.session.scalar(
            sa.select(sa.func.count()).where(
                HandoutDraftRevision.draft_id == draft_id, HandoutDraftRevision.kind == "published"
            )
        )
        == 0
    )
