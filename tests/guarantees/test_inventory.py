"""Every column of every table says what protects it, or why nothing has to."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import sqlalchemy as sa

from caseapp.domain.models import METADATA
from tests.guarantees.test_schema import NOT_ABOUT_CLIENTS, PLAIN
from tests.support import inventory

COLUMNS = {
    f"{table.name}.{column.name}": column
    for table in METADATA.sorted_tables
    for column in table.columns
}
BYTES = {name for name, column in COLUMNS.items() if isinstance(column.type, sa.LargeBinary)}
# Ids are drawn: one that can't be empty says only that its row is there.
IDS = {
    name
    for name, column in COLUMNS.items()
    if isinstance(column.type, sa.Uuid) and not column.nullable
}
PLAIN_ABOUT_CLIENTS = [PLAIN, inventory.PLAIN_TIMES, inventory.PLAIN_REFERENCES]
"""How each plain column of a table about clients is explained, by kinds of columns."""


def named(*lists):
    return [*chain.from_iterable(chain.from_iterable(found.values()) for found in lists)]


def test_every_column_is_sealed_or_says_why_it_may_be_plain():
    listed = Counter(
        [
            *named(inventory.SEALED, *PLAIN_ABOUT_CLIENTS, inventory.ABOUT_NOBODY),
            *inventory.AUTHENTICATED,
            *inventory.OPEN_BYTES,
        ]
    )
    assert {name for name, times in listed.items() if times > 1} == set()
    assert listed.keys() - COLUMNS.keys() == set()
    assert COLUMNS.keys() - IDS - listed.keys() == set()
    protected = {*named(inventory.SEALED), *inventory.AUTHENTICATED, *inventory.OPEN_BYTES}
    assert protected == BYTES


def test_no_column_about_a_client_counts_as_being_about_nobody():
    of_clients, of_nobody = (
        {name.partition(".")[0] for name in named(*lists)}
        for lists in (PLAIN_ABOUT_CLIENTS, [inventory.ABOUT_NOBODY])
    )
    assert of_clients & NOT_ABOUT_CLIENTS == set()
    assert of_nobody - NOT_ABOUT_CLIENTS == set()


def test_every_reason_to_be_plain_is_a_sentence():
    reasons = [*chain.from_iterable([*PLAIN_ABOUT_CLIENTS, inventory.ABOUT_NOBODY])]
    assert [reason for reason in reasons if not reason.endswith(".") or len(reason) < 25] == []
