from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound
from caseapp.core.transaction import transaction
from caseapp.core.vault import SHORTEST_SEAL
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.disclosures.models import Disclosure
from caseapp.domain.disclosures.operations import BLOCK_SIZE, record_disclosure
from caseapp.domain.disclosures.queries import list_disclosures
from caseapp.domain.disclosures.rules import EARLIEST, find_disclosure_faults
from caseapp.domain.disclosures.schemas import MAX_RECIPIENT, MAX_WORDS, NewDisclosure
from caseapp.domain.practice.queries import today
from tests.support import builders
from tests.support.contexts import TODAY


def given(day, recipient="Dr Lam", what="Two notes.", why="She asked."):
    return NewDisclosure(day, recipient, what, why)


def test_disclosure_is_not_in_the_future_nor_in_another_age():
    for day in (TODAY, EARLIEST):
        assert find_disclosure_faults(given(day), TODAY) == {}
    for day in (TODAY + timedelta(days=1), EARLIEST - timedelta(days=1), date(26, 5, 14)):
        assert {*find_disclosure_faults(given(day), TODAY)} == {"disclosed_on"}


@pytest.mark.both
def test_entries_are_listed_newest_first_never_change_and_have_one_length(team):
    coach, client_id = team["coach"], builders.client(team["coach"])

    def add(actor, new):
        with transaction():
            return record_disclosure(actor, lock_client(actor, client_id), new)

    add(coach, given(today()))
    longest = "\u0001" * MAX_WORDS
    add(team["supervisor"], given(today(), "\u0001" * MAX_RECIPIENT, longest, longest))
    with pytest.raises(Invalid):
        add(coach, given(today() + timedelta(days=1)))
    first = list_disclosures(coach, client_id, None, 1)
    rest = list_disclosures(coach, client_id, first.next, 1)
    assert [first.items[0].what, rest.items[0].what] == [longest, "Two notes."]
    assert rest.items[0].recorded_by == coach.id
    lengths = {len(row) for row in db.session.scalars(sa.select(Disclosure.content))}
    assert lengths == {BLOCK_SIZE + SHORTEST_SEAL}
    with pytest.raises(NotFound):
        list_disclosures(team["coach2"], client_id, None, 2)
    with pytest.raises(Forbidden):
        list_disclosures(team["admin"], client_id, None, 2)
    for change in (sa.update(Disclosure).values(disclosed_on=today()), sa.delete(Disclosure)):
        db.session.rollback()
        with pytest.raises(DBAPIError, match=r"never change|append|refuse|change"):
            db.session.execute(change)
    db.session.rollback()
