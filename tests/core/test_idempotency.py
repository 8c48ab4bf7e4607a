from __future__ import annotations

import uuid

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.errors import RuleBroken
from caseapp.core.idempotency import IdempotencyKey, run_idempotent
from caseapp.core.ids import new_id
from caseapp.core.transaction import transaction
from tests.support.concurrency import run_concurrently

pytestmark = pytest.mark.both(every_set=True)

WHO, SOMEBODY_ELSE = uuid.UUID(int=7), uuid.UUID(int=8)


def keep(key="k", content="c", who=WHO, scope="s", make=new_id):
    with transaction():
        return run_idempotent(who, scope, key, content, make)


def test_same_key_and_content_returns_the_same_record(app):
    assert keep() == keep()


def test_same_key_with_other_content_is_refused(app):
    keep(content={"a": 1, "b": 2})
    assert keep(content={"b": 2, "a": 1})
    with pytest.raises(RuleBroken) as refused:
        keep(content={"a": 1})
    assert refused.value.reasons[0].code == "idempotency_key_reused"


def test_keys_are_separate_per_subject_and_scope(app):
    assert len({keep(), keep(who=SOMEBODY_ELSE), keep(scope="other"), keep(key="other")}) == 4


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_every_call_creates(app, key):
    assert keep(key=key) != keep(key=key)


def test_failed_creation_leaves_its_key_unused(app):
    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        keep(make=fail)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(IdempotencyKey)) == 0
    assert keep()


def test_simultaneous_requests_create_one_record(app):
    made = []

    def make():
        made.append(new_id())
        return made[-1]

    answers = run_concurrently(app, 8, lambda _: keep(make=make))
    assert set(answers) == {made[0]}
    assert len(made) == 1
