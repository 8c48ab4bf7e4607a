from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from caseapp.core import settings, vault

pytestmark = pytest.mark.usefixtures("session_app")

CLIENT, OTHER_CLIENT = uuid.UUID(int=1), uuid.UUID(int=2)
ROW, OTHER_ROW = uuid.UUID(int=3), uuid.UUID(int=4)
KEY = vault.DataKey(CLIENT, b"k" * 32)


@dataclass
class Row:
    id: uuid.UUID = ROW
    client_id: uuid.UUID = CLIENT
    words: bytes | None = None
    others: bytes | None = None
    __tablename__ = "things"


@pytest.fixture
def another_key_file(session_app):
    before = settings.active()
    settings.use(replace(before, vault_keys=(b"another key file, 32 bytes long!",)))
    yield
    settings.use(before)


@given(st.text())
def test_sealed_text_opens_where_it_belongs(text):
    row = Row()
    row.words = vault.seal(row, "words", text, KEY)
    assert vault.unseal_column(row, "words", KEY) == text
    if len(text) > 3:
        assert text.encode() not in row.words


def test_none_stays_none():
    row = Row()
    assert vault.seal(row, "words", None, KEY) is None
    assert vault.unseal_column(row, "words", KEY) is None
    assert vault.unseal_json(row, "words", KEY) is None


def test_sealed_json_round_trips():
    row = Row()
    data = {"channels": ["call"], "ünïcode": "ok", "n": 3, "none": None}
    row.words = vault.seal_json(row, "words", data, KEY)
    assert vault.unseal_json(row, "words", KEY) == data


@pytest.mark.parametrize(
    ("table", "column", "row_id", "key"),
    [
        ("other_things", "words", ROW, KEY),
        ("things", "others", ROW, KEY),
        ("things", "words", OTHER_ROW, KEY),
        ("things", "words", ROW, vault.DataKey(OTHER_CLIENT, KEY.secret)),
        ("things", "words", ROW, vault.DataKey(CLIENT, b"x" * 32)),
    ],
    ids=["another table", "another column", "another row", "another client", "another key"],
)
def test_moved_copy_does_not_open(table, column, row_id, key):
    sealed = vault.seal(Row(), "words", "afraid of going home", KEY)
    with pytest.raises(vault.SealBroken):
        vault.unseal_text(table, column, row_id, sealed, key)


def test_every_changed_byte_is_detected():
    sealed = vault.seal(Row(), "words", "short", KEY)
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(vault.SealBroken):
            vault.unseal_text("things", "words", ROW, changed, KEY)
    for length in range(len(sealed)):
        with pytest.raises(vault.SealBroken):
            vault.unseal_text("things", "words", ROW, sealed[:length], KEY)


def test_binding_has_the_stored_form():
    """Pin the stored form: changing it would make every record unreadable."""
    nonce = b"n" * 12
    binding = f"things\x1fwords\x1f{ROW.hex}\x1f{CLIENT.hex}".encode()
    stored = b"\x01" + nonce + AESGCM(KEY.secret).encrypt(nonce, b"from last year", binding)
    assert vault.unseal_text("things", "words", ROW, stored, KEY) == "from last year"


def test_same_text_is_sealed_differently_each_time():
    assert len({vault.seal(Row(), "words", "same", KEY) for _ in range(50)}) == 50


def test_wrapped_key_opens_for_its_client_only():
    wrapped = vault.new_wrapped_key(CLIENT)
    assert vault.unwrap_client_key(CLIENT, wrapped) == vault.unwrap_client_key(CLIENT, wrapped)
    with pytest.raises(vault.SealBroken):
        vault.unwrap_client_key(OTHER_CLIENT, wrapped)


def test_each_client_has_a_key():
    keys = {
        vault.unwrap_client_key(CLIENT, vault.new_wrapped_key(CLIENT)).secret for _ in range(20)
    }
    assert len(keys) == 20


def test_other_key_file_opens_nothing(request):
    wrapped = vault.new_wrapped_key(CLIENT)
    name, document = vault.wrapping_key_id(), vault.hash_document("words")
    [digest] = vault.keyed_digests("words")
    request.getfixturevalue("another_key_file")
    with pytest.raises(vault.SealBroken):
        vault.unwrap_client_key(CLIENT, wrapped)
    assert vault.wrapping_key_id() != name
    assert vault.hash_document("words") != document
    assert digest not in vault.keyed_digests("words")


def test_every_listed_vault_key_opens_and_the_first_one_wraps(session_app):
    before = settings.active()
    secret = vault.new_secret()
    by_old = vault.wrap_key(secret, b"place")
    [old] = vault.vault_key_ids()
    settings.use(replace(before, vault_keys=(b"new" * 11, *before.vault_keys)))
    try:
        by_new = vault.wrap_key(secret, b"place")
        assert vault.unwrap_key(by_old, b"place") == vault.unwrap_key(by_new, b"place") == secret
        assert vault.vault_key_ids()[1:] == (old,)
    finally:
        settings.use(before)
    with pytest.raises(vault.SealBroken):
        vault.unwrap_key(by_new, b"place")


def test_ring_key_gives_each_person_a_key_of_their_own():
    key = vault.RingKey("drafts", 1, b"r" * 32)
    first, again, other = map(key.for_person, (CLIENT, CLIENT, OTHER_CLIENT))
    assert first == again
    assert first.client_id == CLIENT
    assert len({first.secret, other.secret, key.secret}) == 3
    assert first.secret != vault.RingKey("drafts", 2, b"s" * 32).for_person(CLIENT).secret
    assert "rrrr" not in repr(key)


def test_key_repr_hides_the_secret():
    assert "kkkk" not in f"{KEY} {KEY!r}"
