"""Races of the words of an old page of a client with the end of the key that they are sealed to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.ids import new_id
from caseapp.core.transaction import transaction
from caseapp.domain.auth.credentials import stretch_pin
from caseapp.domain.clients.queries import take_client_lock
from caseapp.domain.form_drafts.models import FormDraft
from caseapp.domain.form_drafts.operations import save_form_draft
from caseapp.domain.keys.models import WritingKey
from caseapp.domain.keys.writing import close_writing_key, create_writing_key, move_writing
from caseapp.http.form_keys import FormKey, lock_own_words
from caseapp.http.form_merge import Base
from tests.guarantees.races.race import Race, Team, count
from tests.support import builders, portal_client

if TYPE_CHECKING:
    from uuid import UUID

PAGE, FORM = "/portal/h/1", "/portal/h/1/save"
WORDS = {"answer_what_happened": ["Not even saved."]}


def words_of_an_old_page(team: Team) -> Race:
    """Keep the words of a page whose key goes with the earlier PIN: they are sealed to the new key, or not kept."""
    client_id = builders.steady_case(team["coach"]).client_id
    closed = portal_client.reader(client_id).writing
    assert closed is not None
    key = FormKey(new_id(), client_id, client_id, FORM, PAGE, now(), Base("", {}))
    with transaction():
        take_client_lock(client_id)
        assert keep(key)
        close_writing_key(client_id, None)
        current = create_writing_key(client_id, stretch_pin("739182"))

    def enter_earlier_pin() -> None:
        take_client_lock(client_id)
        assert move_writing(client_id, closed, current)

    return Race(enter_earlier_pin, lambda: keep(key), holds=lambda: all_open(client_id))


def keep(key: FormKey) -> bool:
    """Keep the words of a form as its interface does."""
    lock_own_words(key)
    return save_form_draft(key.person_id, PAGE, FORM, key.client_id, WORDS, key.opened_at)


def all_open(client_id: UUID) -> bool:
    """Tell whether a draft is left, and everything is sealed to the client's open key."""
    is_open = sa.select(WritingKey.id).where(WritingKey.closed_at.is_(None))
    own = FormDraft.client_id == client_id
    return (
        count(FormDraft, own) == count(FormDraft, own, FormDraft.writing_key_id.in_(is_open)) == 1
    )


MORE_DRAFTS = {"words of an old page": words_of_an_old_page}
