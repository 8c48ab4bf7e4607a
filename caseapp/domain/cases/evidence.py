"""The evidence with which coaches attest that the criteria of a stage are met."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.vault import unseal_column
from caseapp.domain.cases.models import Attestation
from caseapp.domain.cases.stages import attested_criteria

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.cases.queries import CaseContext, CaseEventRecord

SAVED_WITHIN = timedelta(minutes=1)
"""The evidence of a move is saved just before the move, in the same transaction."""


@dataclass(frozen=True)
class Evidence:
    """What a coach wrote when they attested a criterion; `criterion` is what the criterion says."""

    criterion: str
    text: str = field(repr=False)
    attested_at: datetime
    attested_by: UUID


def list_evidence(context: CaseContext) -> list[Evidence]:
    """List the evidence in a case, in the order in which it was given; access was already checked."""
    texts = attested_criteria()
    rows = db.session.scalars(
        sa.select(Attestation)
        .where(Attestation.case_id == context.case.id)
        .order_by(Attestation.attested_at, Attestation.id)
    )
    return [
        Evidence(
            texts.get(row.criterion, row.criterion),
            unseal_column(row, "evidence", context.key) or "",
            row.attested_at,
            row.attested_by,
        )
        for row in rows
    ]


def pick_evidence(event: CaseEventRecord, evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Pick the evidence that was given with a move of a case."""
    return tuple(
        each
        for each in evidence
        if event.kind == "moved"
        and each.attested_by == event.recorded_by
        and timedelta() <= event.occurred_at - each.attested_at < SAVED_WITHIN
    )
