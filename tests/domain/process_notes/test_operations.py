"""REC-03: a process note is its author's: nobody else opens it, in whichever way they came to it."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from caseapp.core import reads
from caseapp.core.actor import operator
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, InsufficientScope, NotFound, Stale
from caseapp.core.permissions import SCOPES
from caseapp.core.transaction import transaction
from caseapp.core.vault import SHORTEST_SEAL, DataKey, SealBroken
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.process_notes.models import ProcessNote
from caseapp.domain.process_notes.operations import BLOCK_SIZE, save_process_note
from caseapp.domain.process_notes.queries import get_process_note, lock_process_note
from caseapp.domain.process_notes.rules import require_writer
from caseapp.domain.process_notes.schemas import ProcessNoteRecord
from caseapp.domain.staffing.operations import hand_over
from caseapp.domain.users.models import User
from tests.support import builders

pytestmark = pytest.mark.both

WORDS = "I dread these sessions.  \n“Why?”\n"


@pytest.fixture
def made(team):
    return builders.case(team["coach"])


def save(actor, made, words, version=0):
    with transaction():
        save_process_note(actor, lock_process_note(actor, made.number), words, version)


def find(actor, made):
    db.session.rollback()
    found = get_process_note(actor, get_case_context(actor, made.case_id))
    return found.words, found.version


def update(**values):
    with transaction() as session:
        session.execute(sa.update(ProcessNote).values(values))


def test_each_reads_and_changes_only_their_own(team, made):
    coach, supervisor = team["coach"], team["supervisor"]
    save(coach, made, WORDS)
    assert find(coach, made) == (WORDS, 1)
    assert find(supervisor, made) == ("", 0)
    save(supervisor, made, "She dreads them.")
    save(coach, made, WORDS, 1)
    assert find(coach, made) == (WORDS, 1)
    for early in (0, 2):
        with pytest.raises(Stale):
            save(coach, made, "Another window.", early)
    save(coach, made, "", 1)
    assert (find(coach, made), find(supervisor, made)) == (("", 2), ("She dreads them.", 1))
    assert WORDS not in repr(ProcessNoteRecord(WORDS))
    with pytest.raises(NotFound):
        save(team["coach2"], made, "Not theirs.")
    events = sa.select(AuditEvent.id).where(AuditEvent.object_kind.contains("process"))
    assert db.session.scalars(events).all() == []
    # A refused save shows the page again, so it is a read; one that was accepted is none.
    with reads.collecting() as found, pytest.raises(Stale):
        save(coach, made, "Too late.", 1)
    assert ({*found.opened}, found.changed) == ({made.client_id}, set())
    with reads.collecting() as found:
        save(coach, made, WORDS, 2)
    assert found.changed == {made.client_id}


def test_no_token_and_no_admin_opens_any(team):
    token = replace(team["coach"], via="api", scopes=frozenset(SCOPES))
    for actor, error in (
        (token, InsufficientScope),
        (team["admin"], Forbidden),
        (operator(), Forbidden),
    ):
        with pytest.raises(error):
            require_writer(actor)


def test_who_takes_over_reads_nothing_and_whoever_comes_back_reads_their_own(team, made):
    coach, heir, supervisor = team["coach"], team["coach2"], team["supervisor"]
    save(coach, made, WORDS)
    with transaction() as session:
        session.execute(
            sa.update(User).where(User.id == heir.id).values(supervisor_id=supervisor.id)
        )
    for leaver, taker in ((coach, heir), (heir, coach)):
        with transaction():
            hand_over(supervisor, lock_client(supervisor, made.client_id), leaver.id, taker.id)
        with pytest.raises(NotFound):
            find(leaver, made)
        assert find(taker, made) == ((WORDS, 1) if taker is coach else ("", 0))


def test_stored_note_opens_for_its_author_and_its_client_alone(team, made):
    coach, supervisor = team["coach"], team["supervisor"]
    save(coach, made, WORDS)
    update(author_id=supervisor.id)
    with pytest.raises(SealBroken):
        find(supervisor, made)
    update(author_id=coach.id)
    assert find(coach, made) == (WORDS, 1)
    case = get_case_context(coach, made.case_id)
    with pytest.raises(SealBroken):
        get_process_note(coach, replace(case, key=DataKey(made.client_id, bytes(32))))


def test_stored_length_is_the_same_for_a_word_and_for_pages(team, made):
    lengths = set()
    for version, words in enumerate(("Odd.", "“Why?” " * 1000)):
        save(team["coach"], made, words, version)
        lengths.add(len(db.session.scalars(sa.select(ProcessNote.content)).one()))
    assert lengths == {BLOCK_SIZE + SHORTEST_SEAL}
