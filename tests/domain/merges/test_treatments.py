"""Every table that is about a client says what a merge does with it."""

from __future__ import annotations

import sqlalchemy as sa

from caseapp.domain.merges.operations import BY_HAND, OWN_KEYS
from caseapp.domain.merges.treatments import TREATMENTS, Treatment
from caseapp.domain.models import METADATA

UNNAMED = {"session", "viewer_mark"}
"""Tables about a client that the database doesn't know as such."""


def about_clients() -> set[str]:
    """Find the tables that name a client, or refer to a row of a table that does."""
    found = {"client"} | {name for name, table in METADATA.tables.items() if "client_id" in table.c}
    while True:
        more = {
            name
            for name, table in METADATA.tables.items()
            for key in table.foreign_keys
            if key.column.table.name in found
        } | found
        if more == found:
            return found
        found = more


def test_every_table_about_a_client_has_a_treatment() -> None:
    assert set(TREATMENTS) == about_clients() | UNNAMED


def test_rows_that_move_can_be_sealed_anew() -> None:
    """They have an id and a client; what only the client can open isn't among them, or the merge is refused."""
    for name, treatment in TREATMENTS.items():
        if treatment is not Treatment.MOVED or name in BY_HAND:
            continue
        table = METADATA.tables[name]
        assert {"id", "client_id"} <= {*table.c.keys()}, name
        private = [column.name for column in table.columns if "private" in column.info]
        assert not private or name in {"worksheet_upload", "form_draft"}, name
        others = {
            column.name
            for column in table.columns
            if any(key.column.table.name == "client" for key in column.foreign_keys)
        }
        assert others == {"client_id"}, name
    for name in OWN_KEYS:
        assert {"ring_number", "author_id"} <= {*METADATA.tables[name].c.keys()}


def test_what_is_sealed_with_a_row_that_moves_has_a_plain_key() -> None:
    """A MAC, or a second client, would not survive: such a table needs a treatment of its own."""
    for name, treatment in TREATMENTS.items():
        if treatment is Treatment.MOVED:
            binary = [
                column.name
                for column in METADATA.tables[name].columns
                if isinstance(column.type, sa.LargeBinary)
            ]
            assert "mac" not in binary, name
