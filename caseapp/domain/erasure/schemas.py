"""Data about erasures, and their schemas."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.domain.erasure.codes import DONE, GROUNDS, REFUSALS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from caseapp.domain.erasure.models import Erasure


@dataclass(frozen=True)
class OpenMatters:
    """What is still open about a client, as far as it keeps the record from being erased."""

    has_open_case: bool = False
    has_open_hold: bool = False
    has_open_alert: bool = False
    is_offered: bool = False
    has_emergency: bool = False
    is_requested: bool = False
    is_outdated: bool = False
    """Something was recorded after the request that is waiting."""
    has_legal_hold: bool = False


@dataclass(frozen=True)
class ErasureRecord:
    """A request to erase a record, and what became of it.

    `numbers` are those of the client's cases. Of a request that is waiting, `is_outdated` says that something was
    recorded after it, `has_legal_hold` that there is a legal hold on the record. `may_decide` and `may_withdraw` say
    what the reader can do. `repeated_at` is when a record that an older database had brought back was erased again;
    then `tombstone_sha256` is the hash in its tombstone, and what isn't known of the request is empty: who made it, and
    without a ground when, which was by `requested_at`.
    """

    id: UUID
    client_id: UUID
    numbers: tuple[str, ...]
    ground: str | None
    state: str
    requested_at: datetime
    requested_by: UUID | None
    requested_by_name: str
    decided_at: datetime | None
    decided_by: UUID | None
    decided_by_name: str
    refusal: str | None
    counts: Mapping[str, int] = field(default_factory=dict)
    vault_keys: tuple[str, ...] = ()
    keys_gone_at: datetime | None = None
    repeated_at: datetime | None = None
    repeated_by: UUID | None = None
    repeated_by_name: str = ""
    tombstone_sha256: str | None = None
    is_outdated: bool = False
    has_legal_hold: bool = False
    may_decide: bool = False
    may_withdraw: bool = False

    @property
    def sha256(self) -> str | None:
        """The hash of a certificate, which the tombstone outside the database holds too; None before the erasure."""
        if self.tombstone_sha256:
            return self.tombstone_sha256
        return hash_certificate(self) if self.state == DONE else None


def describe_certificate(of: Erasure | ErasureRecord) -> dict[str, Any]:
    """Return what the certificate of an erasure says, for its tombstone: ids, codes, times and numbers of rows."""
    return {
        "erasure": of.id.hex,
        "client": of.client_id.hex,
        "ground": of.ground,
        "requested": [_as_text(of.requested_at), of.requested_by and of.requested_by.hex],
        "decided": [_as_text(of.decided_at), of.decided_by and of.decided_by.hex],
        "counts": dict(of.counts),
    }


def hash_certificate(of: Erasure | ErasureRecord) -> str:
    """Hash what a certificate says (SHA-256 of sorted JSON)."""
    return hashlib.sha256(json.dumps(describe_certificate(of), sort_keys=True).encode()).hexdigest()


def _as_text(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}" if moment else None


def as_utc(text: str) -> datetime:
    """Read a time of a certificate or tombstone."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class NewErasureSchema(Schema):
    """Input of a request to erase a record; it loads into the code of its ground."""

    ground = fields.String(
        required=True,
        validate=validate.OneOf(GROUNDS, error="Choose why the record should be erased."),
        error_messages={"required": "Choose why the record should be erased."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the code."""
        ground: str = data["ground"]
        return ground


class ErasureRefusalSchema(Schema):
    """Input of why a record isn't erased; it loads into the code."""

    refusal = fields.String(
        required=True,
        validate=validate.OneOf(REFUSALS, error="Choose why the record is kept."),
        error_messages={"required": "Choose why the record is kept."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the code."""
        refusal: str = data["refusal"]
        return refusal


class ErasureResponseSchema(Schema):
    """A request to erase a record; of an erased record, its certificate.

    `counts` are numbers of rows by area, `sha256` is the hash that the tombstone holds too. `keys_gone_at` is since
    when earlier copies of the database can’t be opened with the vault keys in use. `repeated_at` is when a record that
    an earlier database had brought back was erased again; then who requested and decided, and the ground, may be
    unknown, and `requested_at` the time by which it was requested.
    """

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    numbers = fields.List(fields.String(), required=True)
    ground = fields.String(required=True, allow_none=True)
    state = fields.String(required=True)
    requested_at = fields.AwareDateTime(required=True)
    requested_by = fields.UUID(required=True, allow_none=True)
    decided_at = fields.AwareDateTime(required=True, allow_none=True)
    decided_by = fields.UUID(required=True, allow_none=True)
    refusal = fields.String(required=True, allow_none=True)
    counts = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    sha256 = fields.String(required=True, allow_none=True)
    keys_gone_at = fields.AwareDateTime(required=True, allow_none=True)
    has_legal_hold = fields.Boolean(required=True)
    repeated_at = fields.AwareDateTime(required=True, allow_none=True)
    repeated_by = fields.UUID(required=True, allow_none=True)
