from uuid import uuid4

import pytest

from caseapp.domain.alerts.schemas import StaffMember
from caseapp.domain.staffing.rules import (
    list_heir_faults,
    list_hold_faults,
    list_leaving_blockers,
    list_role_blockers,
    list_supervisor_faults,
)

LEAVER = uuid4()


def member(role="coach", *, is_active=True, user_id=None):
    return StaffMember(user_id or uuid4(), "Ines Okafor", role, "", "", is_active=is_active)


def codes(reasons):
    return [reason.code for reason in reasons]


@pytest.mark.parametrize(
    ("numbers", "people", "has_successor", "expected"),
    [
        ([], 0, False, []),
        (["C-2026-0001"], 0, False, ["clients_left"]),
        ([], 2, False, ["people_left"]),
        ([], 2, True, []),
        (["C-2026-0001"], 1, True, ["clients_left"]),
        (["C-2026-0001"], 1, False, ["clients_left", "people_left"]),
    ],
)
def test_account_stays_while_clients_or_people_are_left(numbers, people, has_successor, expected):
    found = list_leaving_blockers(numbers, people, has_successor=has_successor)
    assert codes(found) == expected


def test_blocker_lists_every_case_number():
    (reason,) = list_leaving_blockers(["C-2026-0001", "C-2026-0002"], 0, has_successor=False)
    assert "C-2026-0001, C-2026-0002" in reason.message


@pytest.mark.parametrize(
    ("heir", "expected"),
    [
        (member(), []),
        (member("supervisor"), []),
        (member("admin"), ["not_active"]),
        (member(is_active=False), ["not_active"]),
        (None, ["not_active"]),
        (member(user_id=LEAVER), ["same_person"]),
    ],
)
def test_only_another_active_coach_or_supervisor_takes_over(heir, expected):
    assert codes(list_heir_faults(heir, LEAVER)) == expected


@pytest.mark.parametrize(
    ("supervisor", "expected"),
    [
        (member("supervisor"), []),
        (member("coach"), ["not_a_supervisor"]),
        (member("supervisor", is_active=False), ["not_a_supervisor"]),
        (member("supervisor", user_id=LEAVER), ["own_supervisor"]),
        (None, ["supervisor_needed"]),
    ],
)
def test_only_another_active_supervisor_supervises(supervisor, expected):
    assert codes(list_supervisor_faults(supervisor, member(user_id=LEAVER))) == expected


def test_supervisor_and_admin_can_work_without_a_supervisor():
    assert list_supervisor_faults(None, member("supervisor")) == []
    assert list_supervisor_faults(None, member("admin")) == []
    assert codes(list_supervisor_faults(member("supervisor"), member("admin"))) == ["none_needed"]


@pytest.mark.parametrize(
    ("before", "after", "is_last_admin", "expected"),
    [
        ("coach", "admin", False, ["clients_left", "second_person", "people_left"]),
        ("supervisor", "admin", False, ["clients_left", "second_person", "people_left"]),
        ("supervisor", "coach", False, ["second_person", "people_left"]),
        ("coach", "supervisor", False, []),
        ("supervisor", "supervisor", False, []),
        ("admin", "coach", True, ["last_admin"]),
        ("admin", "admin", True, []),
        ("admin", "supervisor", False, []),
    ],
)
def test_role_waits_for_clients_and_people_in_its_way(before, after, is_last_admin, expected):
    leaving = list_leaving_blockers(["C-2026-0001"], 1, ["C-2026-0002"], has_successor=False)
    found = list_role_blockers(before, after, leaving, is_last_admin=is_last_admin)
    assert codes(found) == expected


@pytest.mark.parametrize(
    ("hold", "role", "lacks_second", "has_choice", "expected"),
    [
        ("safety", "coach", True, True, ["no_second_person"]),
        ("safety", "supervisor", True, True, ["no_second_person"]),
        ("care", "coach", True, True, ["no_second_person"]),
        ("care", "supervisor", True, True, []),
        (None, "coach", True, True, []),
        ("safety", "coach", False, True, []),
        ("safety", "supervisor", True, False, []),
    ],
)
def test_client_with_a_hold_goes_to_somebody_with_a_second_person(
    hold, role, lacks_second, has_choice, expected
):
    found = list_hold_faults(hold, member(role), lacks_second=lacks_second, has_choice=has_choice)
    assert codes(found) == expected


def test_only_second_person_of_a_hold_stays():
    (reason,) = list_leaving_blockers([], 0, ["C-2026-0001"], has_successor=False)
    assert reason.code == "second_person"
    assert "C-2026-0001" in reason.message
