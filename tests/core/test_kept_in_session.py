"""A kept query runs once for each request, and again whenever a change may have made its result wrong."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.transaction import separate_transaction, transaction
from caseapp.domain.practice.models import Practice
from caseapp.domain.practice.queries import get_practice, get_practice_info
from tests.support.staff_pages import Statements

pytestmark = pytest.mark.both


def count_statements():
    with Statements() as statements:
        get_practice_info()
    return len(statements.seen)


def test_kept_query_runs_once_in_a_session(app):
    assert (count_statements(), count_statements()) == (1, 0)
    db.session.remove()
    assert count_statements() == 1


def test_kept_query_runs_again_in_a_transaction_and_after_it(app):
    get_practice_info()
    with transaction():
        assert (count_statements(), count_statements()) == (1, 0)
    assert (count_statements(), count_statements()) == (1, 0)


def test_kept_query_runs_again_after_a_change_in_the_transaction(app):
    with transaction() as session:
        get_practice_info()
        get_practice().name = "New name"
        session.flush()
        assert get_practice_info().practice.name == "New name"


def test_kept_query_runs_again_after_a_rollback(app):
    with pytest.raises(LookupError), transaction() as session:
        get_practice().name = "Never"
        session.flush()
        get_practice_info()
        raise LookupError
    assert get_practice_info().practice.name != "Never"
    db.session.rollback()
    assert count_statements() == 1


def test_kept_query_survives_the_record_of_a_read(app):
    get_practice_info()
    with separate_transaction() as connection:
        connection.execute(sa.update(Practice).values(tagline="Theirs"))
    assert count_statements() == 0
