"""A client's current safety state, stored with their newest event: opened alone, or joined to other statements."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVarTuple

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import run
from caseapp.core.errors import NotFound
from caseapp.core.vault import DataKey, SealBroken
from caseapp.domain.clients.models import Client
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.protocol.file import PROTOCOL
from caseapp.domain.screening.models import ClientSafety, SafetyEvent
from caseapp.domain.screening.proposals import list_proposals
from caseapp.domain.screening.protocol import FEAR_AT_HOME, ITEMS, ITEMS_BY_KEY, SAFETY_ITEMS
from caseapp.domain.screening.rules import highest_level
from caseapp.domain.screening.sealing import NO_TAG, CurrentSafety, open_state
from caseapp.domain.screening.state import DerivedState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.screening.proposals import Proposal
    from caseapp.domain.screening.records import Answer, Hold, Raised

Columns = TypeVarTuple("Columns")


@dataclass(frozen=True)
class SafetyState:
    """A client's open holds, active flags and the answers that count, as derived from their safety events.

    Each answer has its own date: a check that asked a few questions changes nothing about the others.
    `last_full_protocol` is the version of the protocol of which every question was last asked, `circumstances` are
    those that were ticked and have not ended since, with the time of the newest session.
    """

    holds: tuple[Hold, ...]
    flags: frozenset[str]
    as_of: datetime
    answers: dict[str, Answer]
    last_full_protocol: int | None = None
    raised: dict[str, Raised] = field(default_factory=dict)
    circumstances: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def proposals(self) -> list[Proposal]:
        """List the items that are proposed as concerns, what was proposed first before the others."""
        return list_proposals(self, self.as_of)

    @property
    def levels(self) -> dict[str, int]:
        """Return the level of each item that was ever asked, by the answer that counts now."""
        return {item: answer.level for item, answer in self.answers.items()}

    def list_allowed(self, case_id: UUID | None) -> frozenset[str]:
        """List the handouts, by slug, that a supervisor has allowed in a case during an open care hold."""
        return frozenset(
            hold.allowed_handout
            for hold in self.holds
            if hold.allowed_case_id is not None and hold.allowed_case_id == case_id
        )

    @property
    def hold(self) -> str | None:
        """Return the kind of the strictest open hold."""
        kinds = {hold.kind for hold in self.holds}
        return "safety" if "safety" in kinds else "care" if kinds else None

    @property
    def fear_known(self) -> bool:
        """Tell whether the answer about fear at home that counts was given alone; content map, section (e), 4c."""
        answer = self.answers.get(FEAR_AT_HOME)
        return answer is not None and answer.asked_alone

    @property
    def safety_known(self) -> bool:
        """Tell whether each safety item has an answer, fear at home one that was given alone.

        A question that is newer than the last full screening changes nothing before the next one.
        """
        known_by = self.last_full_protocol or PROTOCOL.version
        return self.fear_known and all(
            key in self.answers for key in SAFETY_ITEMS if ITEMS_BY_KEY[key].since <= known_by
        )

    @property
    def safety_recent(self) -> bool:
        """Tell whether safety items have answers and each of these was asked within the past 14 days."""
        return not self.answers.keys().isdisjoint(SAFETY_ITEMS) and not any(
            key in SAFETY_ITEMS for key in self.outdated
        )

    @property
    def unasked(self) -> list[str]:
        """List the items that have no answer."""
        return [item.key for item in ITEMS if item.key not in self.answers]

    @property
    def outdated(self) -> list[str]:
        """List the items that have an answer and were not asked within the past 14 days."""
        return [
            item.key
            for item in ITEMS
            if (answer := self.answers.get(item.key)) and not answer.is_current(self.as_of)
        ]

    @property
    def is_complete(self) -> bool:
        """Tell whether every item was asked within the past 14 days, fear at home alone."""
        return self.fear_known and not self.unasked and not self.outdated

    @property
    def highest_level(self) -> int | None:
        """Return the highest level of the answers that count now."""
        return highest_level(self.levels)


_newer = sa.exists().where(
    SafetyEvent.client_id == Client.id,
    SafetyEvent.seq > sa.func.coalesce(ClientSafety.seq, 0),
)
SAFETY_COLUMNS = (
    ClientSafety.seq.label("safety_seq"),
    ClientSafety.tag.label("safety_tag"),
    ClientSafety.last_full_at.label("safety_last_full_at"),
    ClientSafety.sealed.label("safety_sealed"),
    _newer.correlate(Client, ClientSafety).label("safety_is_behind"),
)
"""The columns that a statement must select before it is passed to `join_safety`."""


def join_safety(query: sa.Select[*Columns]) -> sa.Select[*Columns]:
    """Join the current state to a statement about clients; it returns a row for each client, as before."""
    return query.outerjoin(ClientSafety, ClientSafety.client_id == Client.id)


def safety_from_row(row: sa.Row[*tuple[Any, ...]], key: DataKey) -> SafetyState:
    """Build the safety state of one client from a row of a statement made with `join_safety`.

    Raises SealBroken when the state was changed, or is older than the client's events.
    """
    state = current_from_row(row, key).state
    flags = frozenset(flag.kind for flag in state.flags)
    return SafetyState(
        state.holds,
        flags,
        now(),
        state.answers,
        state.last_full_protocol,
        state.raised,
        state.circumstances,
    )


def current_from_row(row: Any, key: DataKey) -> CurrentSafety:  # noqa: ANN401 - a result row
    """Open the state of one client, for the next event, from a row of a statement made with `join_safety`.

    Raises SealBroken when the state was changed, or is older than the client's events.
    """
    if row.safety_is_behind:
        raise SealBroken("A client’s safety state is older than their safety events.")
    if row.safety_seq is None:
        return CurrentSafety(0, NO_TAG, DerivedState())
    return open_state(
        row.safety_sealed, row.safety_seq, row.safety_tag, row.safety_last_full_at, key
    )


CLIENT_SAFETY_QUERY = join_safety(
    sa.select(ClientKey.wrapped, *SAFETY_COLUMNS)
    .select_from(Client)
    .join(ClientKey, ClientKey.client_id == Client.id)
    .where(Client.id == sa.bindparam("client"))
)


def get_safety_state(client_id: UUID) -> SafetyState:
    """Load a client's safety state; access was already checked.

    Raises NotFound when the client does not exist, and SealBroken.
    """
    row = run(CLIENT_SAFETY_QUERY, client=client_id).first()
    if row is None:
        raise NotFound
    return safety_from_row(row, open_client_key(row.wrapped, client_id, "client", client_id))


def get_current_safety(key: DataKey) -> CurrentSafety:
    """Load the state of a client who is locked, for the next event.

    Raises SealBroken.
    """
    return current_from_row(run(CLIENT_SAFETY_QUERY, client=key.client_id).one(), key)
