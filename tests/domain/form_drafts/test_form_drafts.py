"""The words of forms that were not sent: found again by their author only, for a while only."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import settings, vault
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.transaction import transaction
from caseapp.domain.form_drafts.codes import (
    CLIENT_RETENTION,
    MAX_BYTES,
    MAX_DRAFTS,
    STAFF_RETENTION,
)
from caseapp.domain.form_drafts.models import FormDraft
from caseapp.domain.form_drafts.operations import forget_form_drafts, save_form_draft
from caseapp.domain.form_drafts.queries import list_form_drafts
from caseapp.domain.keys.models import ClientKey, KeyRing
from caseapp.domain.keys.operations import rewrap_client_keys, rewrap_ring
from caseapp.domain.keys.queries import load_ring
from caseapp.jobs import delete_expired
from caseapp.jobs.expired_drafts import delete_expired_drafts
from tests.support import builders
from tests.support.concurrency import run_concurrently

pytestmark = pytest.mark.both

PATH, FORM = "/case/C-2026-0001/stage", "/case/C-2026-0001/move"
WORDS = {"reason": ["She asked for it – “now”."], "met": ["one", "two"], "empty": [""]}
SECOND = timedelta(seconds=1)


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def author(coach):
    return coach.id


@pytest.fixture
def client_id(coach):
    return builders.client(coach)


def save(author, words=WORDS, *, path=PATH, form=FORM, client_id=None, opened_at=None):
    with transaction():
        return save_form_draft(author, path, form, client_id, words, opened_at or now())


def find(author, path=PATH, form=FORM):
    db.session.rollback()
    found = list_form_drafts(author, path).get(form)
    return found and found.words


def forget(author, opened_until, form=FORM):
    with transaction():
        forget_form_drafts(author, form, opened_until)


def erase_client_key(client_id):
    with transaction() as session:
        session.execute(sa.delete(ClientKey).where(ClientKey.client_id == client_id))


def count():
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(FormDraft))


def test_words_of_every_form_of_a_page_are_found_again(author, client_id):
    assert save(author)
    assert save(author, {"reason": ["About a client"]}, form="/close", client_id=client_id)
    assert save(author, path="/another", form="/other")
    assert {form: found.words for form, found in list_form_drafts(author, PATH).items()} == {
        FORM: WORDS,
        "/close": {"reason": ["About a client"]},
    }


def test_nobody_else_finds_the_words(author, client_id):
    save(author)
    save(author, form="/close", client_id=client_id)
    assert list_form_drafts(client_id, PATH) == {}
    assert list_form_drafts(new_id(), PATH) == {}


@pytest.mark.parametrize("about", ["a client", "nobody"])
def test_words_moved_to_another_author_do_not_open(author, client_id, about):
    save(author, client_id=client_id if about == "a client" else None)
    other = new_id()
    with transaction() as session:
        session.execute(sa.update(FormDraft).values(author_id=other))
    with pytest.raises(vault.SealBroken):
        find(other)


def test_later_words_of_the_same_window_replace_earlier_ones(author, client_id):
    opened = now()
    save(author, opened_at=opened)
    with at(now() + SECOND):
        save(author, {"reason": ["Later"]}, opened_at=opened, client_id=client_id)
    assert find(author) == {"reason": ["Later"]}
    assert count() == 1


def test_two_windows_with_one_form_keep_their_words_apart(author):
    first, second = now(), now() + SECOND
    with at(second):
        save(author, {"reason": ["Second"]}, opened_at=second)
    with at(second + SECOND):
        save(author, {"reason": ["First, typed last"]}, opened_at=first)
    assert find(author) == {"reason": ["First, typed last"]}
    forget(author, first)
    assert find(author) == {"reason": ["Second"]}
    forget(author, second)
    assert find(author) is None


def test_forgetting_a_form_covers_every_page_with_it_and_no_other_form(author):
    save(author)
    save(author, path="/another")
    save(author, form="/close")
    forget(author, now())
    assert find(author) is None
    assert find(author, path="/another") is None
    assert find(author, form="/close") == WORDS


def test_words_about_a_client_go_with_the_clients_key(author, client_id):
    save(author, client_id=client_id)
    save(author, form="/close")
    erase_client_key(client_id)
    assert find(author) is None
    assert not save(author, client_id=client_id)
    assert delete_expired_drafts() == 1
    assert find(author, form="/close") == WORDS


def test_too_much_text_is_not_kept_and_what_was_kept_stays(author):
    opened = now()
    most = {"reason": ["x" * (MAX_BYTES - len('{"reason": [""]}'))]}
    assert save(author, most, opened_at=opened)
    assert not save(author, {"reason": ["x" * MAX_BYTES]}, opened_at=opened)
    # Counted in bytes: each of these characters takes three.
    assert not save(author, {"reason": ["–" * (MAX_BYTES // 3)]}, opened_at=opened)
    assert find(author) == most


def test_address_longer_than_the_column_is_not_kept(author):
    assert save(author, path="/" * 200, form="/" * 200)
    assert not save(author, path="/" * 201)
    assert not save(author, form="/" * 201)


@pytest.mark.slow
def test_oldest_drafts_give_way_to_the_newest(author, client_id):
    save(client_id, client_id=client_id)
    start = now()
    for number in range(MAX_DRAFTS + 2):
        with at(start + number * SECOND):
            save(author, form=f"/{number}")
    assert [find(author, form=f"/{number}") for number in (0, 1, 2)] == [None, None, WORDS]
    assert count() == MAX_DRAFTS + 1


@pytest.mark.parametrize("about", ["a client", "nobody"])
def test_words_of_staff_are_kept_for_a_week(author, client_id, about):
    save(author, client_id=client_id if about == "a client" else None)
    until = now() + STAFF_RETENTION
    with at(until - SECOND):
        assert find(author) == WORDS
        assert delete_expired_drafts() == 0
        save(author, form="/close")
    with at(until):
        assert find(author) is None
        assert delete_expired_drafts() == 1
        assert find(author, form="/close") == WORDS


def test_words_of_a_client_are_kept_for_a_day(client_id):
    save(client_id, client_id=client_id)
    until = now() + CLIENT_RETENTION
    with at(until - SECOND):
        assert find(client_id) == WORDS
        assert delete_expired_drafts() == 0
    with at(until):
        assert find(client_id) is None
        assert delete_expired_drafts() == 1


def test_hourly_job_deletes_words_whose_time_is_over(author):
    save(author)
    with at(now() + STAFF_RETENTION):
        delete_expired()
    assert count() == 0


def test_words_open_after_every_key_was_wrapped_anew(app, author, client_id):
    save(author)
    save(author, form="/close", client_id=client_id)
    before = settings.active()
    settings.use(replace(before, vault_keys=(bytes(range(100, 132)), *before.vault_keys)))
    try:
        with transaction():
            rewrap_ring()
            rewrap_client_keys(None)
        settings.use(replace(before, vault_keys=settings.active().vault_keys[:1]))
        load_ring()
        assert find(author) == WORDS
        assert find(author, form="/close") == WORDS
    finally:
        settings.use(before)


def test_words_open_after_their_key_of_the_ring_was_retired(author):
    save(author)
    with transaction() as session:
        session.execute(
            sa.update(KeyRing).where(KeyRing.purpose == "drafts").values(retired_at=now())
        )
        wrapped = vault.wrap_key(vault.new_secret(), vault.ring_key_binding("drafts", 2))
        session.add(
            KeyRing(
                purpose="drafts",
                number=2,
                wrapped=wrapped,
                wrapped_by=vault.wrapping_key_id(),
                created_at=now(),
            )
        )
    load_ring()
    save(author, {"reason": ["Under the new key"]}, form="/close")
    assert find(author) == WORDS
    assert find(author, form="/close") == {"reason": ["Under the new key"]}


def test_words_saved_at_once_for_one_form_do_not_collide(app, author):
    opened = now()

    def save_one(number):
        return save(author, {"reason": [str(number)]}, opened_at=opened)

    assert run_concurrently(app, 4, save_one) == [True] * 4
    assert find(author)["reason"][0] in "0123"
    assert count() == 1
