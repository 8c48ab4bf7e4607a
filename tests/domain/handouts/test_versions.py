"""Tests of published handout versions: search, lookup, reviews and publication."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound
from caseapp.core.transaction import transaction
from caseapp.domain.handouts import library as handout_library
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.handouts.operations import publish_library, record_review
from caseapp.domain.handouts.queries import get_handout_version, list_handouts
from caseapp.domain.handouts.schemas import NewReview
from caseapp.domain.practice.queries import today


def test_list_handouts_searches_titles_and_summaries(team):
    coach = team["coach"]
    assert len(list_handouts(coach)) == len(handout_library.library())
    assert [i.handout.id for i in list_handouts(coach, q="sleep come", language="en")] == [
        "better-nights"
    ]
    assert [i.handout.id for i in list_handouts(coach, q="DUERMES sueño", language="es")] in (
        [],
        ["better-nights"],
    )
    assert list_handouts(coach, q="no such words here") == []
    assert {i.handout.language for i in list_handouts(coach, language="es")} == {"es"}


@pytest.mark.parametrize(
    ("slug", "language", "number"),
    [
        ("nothing", "en", None),
        ("better-nights", "xx", None),
        ("better-nights", "en", 9),
        ("A\0", "en", None),
    ],
)
def test_get_handout_version_that_does_not_exist_raises_not_found(team, slug, language, number):
    with pytest.raises(NotFound):
        get_handout_version(slug, language, number)


def test_record_review_applies_to_one_version_only(team):
    item = get_handout_version("better-nights")
    assert item.reviewed is None
    with transaction():
        record_review(
            team["supervisor"], item.handout_version_id, NewReview("Dr Anne Weber", today())
        )
    assert get_handout_version("better-nights").reviewed.clinician == "Dr Anne Weber"
    assert get_handout_version("better-nights", "es").reviewed is None
    with pytest.raises(Forbidden), transaction():
        record_review(team["coach"], item.handout_version_id, NewReview("Me", today()))
    with pytest.raises(Invalid), transaction():
        record_review(
            team["admin"],
            item.handout_version_id,
            NewReview("Dr Anne Weber", today() + timedelta(days=1)),
        )


def test_publish_library_with_changed_text_and_same_version_raises(app, monkeypatch):
    first = handout_library.library()["better-nights", "en"]
    changed = replace(first, source=first.source + "\n")
    monkeypatch.setattr(
        "caseapp.domain.handouts.operations.library",
        lambda: handout_library.library() | {("better-nights", "en"): changed},
    )
    before = db.session.scalar(sa.select(sa.func.count(HandoutVersion.id)))
    with (
        pytest.raises(handout_library.InvalidHandoutFile, match=f"version {first.version} did not"),
        transaction(),
    ):
        publish_library()
    assert db.session.scalar(sa.select(sa.func.count(HandoutVersion.id))) == before
