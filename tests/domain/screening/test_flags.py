"""Flags outlive holds; raising one twice changes nothing."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEntry
from caseapp.domain.screening.models import Flag
from caseapp.domain.screening.operations import lower_flag, raise_flag
from caseapp.domain.screening.queries import flags_of
from tests.domain.screening.steps import REASON, clear, day

pytestmark = pytest.mark.both


def test_flags_outlive_holds_and_only_a_supervisor_lowers_them(team, held, ines):
    with day(8):
        clear(team["supervisor"], held)
    [flag] = flags_of(team["coach"], ines)
    assert flag.kind == "self_harm_flag"
    for who in ("coach", "admin"):
        with pytest.raises(Forbidden), transaction():
            lower_flag(team[who], flag.id, REASON)
    with pytest.raises(NotFound), transaction():
        lower_flag(team["supervisor2"], flag.id, REASON)
    with pytest.raises(NotFound), transaction():
        lower_flag(team["supervisor"], UUID(int=1), REASON)
    with transaction():
        lower_flag(team["supervisor"], flag.id, REASON)
    assert list(flags_of(team["coach"], ines)) == []
    row = db.session.get(Flag, flag.id, populate_existing=True)
    assert REASON.encode() not in row.lower_reason
    with pytest.raises(RuleBroken), transaction():
        lower_flag(team["supervisor"], flag.id, REASON)


def test_raising_a_flag_twice_changes_nothing(team, ines):
    for _ in range(2):
        with transaction():
            raise_flag(team["coach"], ines, "eating_disorder_flag")
    assert len(flags_of(team["coach"], ines)) == 1
    count = sa.select(sa.func.count()).where(AuditEntry.action == "flag.raise")
    assert db.session.scalar(count) == 1
    with pytest.raises(NotFound), transaction():
        raise_flag(team["coach2"], ines, "contact_block")
