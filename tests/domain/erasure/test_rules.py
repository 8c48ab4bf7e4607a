from dataclasses import fields
from uuid import UUID

import pytest

from caseapp.core.outbox import OutboxRow
from caseapp.domain.erasure.codes import DONE, REFUSED, REQUESTED, WITHDRAWN
from caseapp.domain.erasure.rules import (
    list_decision_faults,
    list_open_matters,
    list_request_faults,
    list_withdrawal_faults,
)
from caseapp.domain.erasure.schemas import OpenMatters
from caseapp.domain.erasure.treatments import AREAS, KEPT, TREATMENTS
from caseapp.domain.models import METADATA

ONE, OTHER = UUID(int=1), UUID(int=2)
# They hold the ids of clients without a foreign key, beside those of staff.
BY_ID = {
    "audit_event",
    "audit_event_client",
    "credential",
    "form_draft",
    "idempotency_key",
    "security_event",
    "session",
}
# They may hold an id of a client, or what is sealed under a key of the ring, and are looked at by hand.
BY_HAND = {
    OutboxRow.__tablename__,  # rows that wait for the client are deleted, see `erase_rows`
    "viewer_mark",  # removed by `operations.erase_record`: the client stands in it sealed
    "intake",  # somebody who isn't a client yet; it is deleted with the case
}


def codes(reasons):
    return [reason.code for reason in reasons]


def test_whatever_is_open_is_named_and_nothing_else_stands_in_the_way():
    assert list_open_matters(OpenMatters()) == request_faults() == []
    for field, code in (
        ("has_legal_hold", "legal_hold"),
        ("has_open_case", "open_case"),
        ("has_open_hold", "open_hold"),
        ("has_open_alert", "open_alert"),
        ("is_offered", "offered"),
        ("has_emergency", "emergency_access"),
    ):
        assert codes(list_open_matters(OpenMatters(**{field: True}))) == [code]
        assert codes(request_faults(**{field: True})) == [code]
    everything = OpenMatters(*[True] * len(fields(OpenMatters)))
    assert len(list_open_matters(everything)) == len(fields(OpenMatters)) - 2


def test_one_request_waits_at_a_time_but_an_outdated_one_keeps_nobody_from_a_new_one():
    assert codes(request_faults(is_requested=True, has_open_case=True)) == ["already_requested"]
    assert request_faults(is_requested=True, is_outdated=True) == []
    outdated = request_faults(is_requested=True, is_outdated=True, has_open_case=True)
    assert codes(outdated) == ["open_case"]


def test_whoever_only_covers_neither_requests_nor_decides():
    assert codes(request_faults(is_responsible=False)) == ["only_covers"]
    assert codes(decision_faults(REQUESTED, ONE, OTHER, is_responsible=False)) == ["only_covers"]


def request_faults(*, is_responsible=True, **matters):
    return list_request_faults(OpenMatters(**matters), is_responsible=is_responsible)


def decision_faults(*given, is_responsible=True):
    return list_decision_faults(*given, is_responsible=is_responsible)


@pytest.mark.parametrize("state", [REFUSED, WITHDRAWN, DONE])
def test_what_was_decided_stays_decided(state):
    assert codes(decision_faults(state, ONE, OTHER)) == ["decided"]
    assert codes(list_withdrawal_faults(state, ONE, ONE)) == ["decided"]


def test_two_people_decide_and_one_withdraws():
    assert codes(decision_faults(REQUESTED, ONE, ONE)) == ["same_person"]
    assert decision_faults(REQUESTED, ONE, OTHER) == []
    assert codes(list_withdrawal_faults(REQUESTED, ONE, OTHER)) == ["not_requested_by"]
    assert list_withdrawal_faults(REQUESTED, ONE, ONE) == []


def reaching_a_client():
    """List the tables that refer to a client, to a row that does, or that have a column for a client's id."""
    found = {"client"}
    for table in METADATA.sorted_tables:
        refers = any(key.column.table.name in found for key in table.foreign_keys)
        if refers or "client_id" in table.columns:
            found.add(table.name)
    return found | BY_ID


def test_every_table_that_reaches_a_client_has_a_treatment():
    """Whoever adds a table says in `TREATMENTS` what happens to its rows when a record is erased."""
    assert reaching_a_client() == TREATMENTS.keys()
    assert not BY_HAND & TREATMENTS.keys()
    mentioning = {
        table.name
        for table in METADATA.sorted_tables
        for column in table.columns
        if "client" in str(column.info.get("unconstrained", ""))
    }
    assert mentioning <= TREATMENTS.keys()
    for name, found in TREATMENTS.items():
        table = METADATA.tables[name]
        assert found == KEPT or found.area in AREAS, name
        assert {*found.by, *found.columns} <= {*table.columns.keys()}, name
        append_only = table.info.get("append_only")
        assert not append_only or found.how in {"sealed", "kept"}, name
        if found.how == "emptied":
            sealed = {c.name for c in table.columns if type(c.type).__name__ == "LargeBinary"}
            assert sealed <= found.columns.keys(), name
