"""Flags outlive holds; raising one twice changes nothing."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.screening.operations import clear_flag, set_manual_flag
from caseapp.domain.screening.queries import get_flag, list_flags
from tests.domain.screening.hold_helpers import REASON, clear, day
from tests.support import builders

pytestmark = pytest.mark.both


def test_flags_outlive_holds_and_only_supervisors_clear_them(team, held, ines):
    with day(8):
        clear(team["supervisor"], held)
    [flag] = list_flags(team["coach"], ines)
    assert flag.kind == "self_harm_flag"
    for who in ("coach", "admin"):
        with pytest.raises(Forbidden), transaction():
            clear_flag(team[who], lock_client(team[who], ines), flag.id, REASON)
    with pytest.raises(NotFound), transaction():
        clear_flag(team["supervisor2"], lock_client(team["supervisor2"], ines), flag.id, REASON)
    with pytest.raises(NotFound), transaction():
        clear_flag(team["supervisor"], lock_client(team["supervisor"], ines), UUID(int=1), REASON)
    with transaction():
        clear_flag(team["supervisor"], lock_client(team["supervisor"], ines), flag.id, REASON)
    assert list(list_flags(team["coach"], ines)) == []
    cleared = get_flag(ines, flag.id)
    assert (cleared.cleared_by, cleared.clear_reason) == (team["supervisor"].id, REASON)
    assert REASON not in repr(cleared)
    with pytest.raises(RuleBroken), transaction():
        clear_flag(team["supervisor"], lock_client(team["supervisor"], ines), flag.id, REASON)


def test_flag_is_not_cleared_while_an_answer_sets_it(team, ines):
    builders.screen(team["coach"], ines, self_harm="urgent")
    [flag] = list_flags(team["coach"], ines)
    for code in ("set_by_answers", "safety_hold_open"):
        with pytest.raises(RuleBroken) as refused, transaction():
            client = lock_client(team["supervisor"], ines)
            clear_flag(team["supervisor"], client, flag.id, REASON)
        assert [reason.code for reason in refused.value.reasons] == [code]
        builders.screen(team["coach"], ines)
    assert [found.id for found in list_flags(team["coach"], ines)] == [flag.id]


def test_flag_that_a_person_had_set_before_the_hold_stays_while_it_is_open(team, ines):
    coach, supervisor = team["coach"], team["supervisor"]
    with transaction():
        set_manual_flag(coach, lock_client(coach, ines), "contact_block")
        set_manual_flag(coach, lock_client(coach, ines), "withdrawal_risk")
    builders.screen(coach, ines, harm_to_others="urgent")
    builders.screen(coach, ines)
    found = {flag.kind: flag.id for flag in list_flags(coach, ines)}
    with pytest.raises(RuleBroken) as refused, transaction():
        clear_flag(supervisor, lock_client(supervisor, ines), found["contact_block"], REASON)
    assert [reason.code for reason in refused.value.reasons] == ["safety_hold_open"]
    with transaction():
        clear_flag(supervisor, lock_client(supervisor, ines), found["withdrawal_risk"], REASON)


def test_setting_a_flag_twice_changes_nothing(team, ines):
    for _ in range(2):
        with transaction():
            set_manual_flag(team["coach"], lock_client(team["coach"], ines), "eating_disorder_flag")
    assert len(list_flags(team["coach"], ines)) == 1
    count = sa.select(sa.func.count()).where(AuditEvent.action == "safety.write")
    assert db.session.scalar(count) == 1
    with pytest.raises(NotFound), transaction():
        set_manual_flag(team["coach2"], lock_client(team["coach2"], ines), "contact_block")
