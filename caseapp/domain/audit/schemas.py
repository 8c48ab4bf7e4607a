"""Schemas of the audit log."""

from __future__ import annotations

from marshmallow import Schema, fields


class AuditEventResponseSchema(Schema):
    """An audit event: ids, codes and field names, never a client's name."""

    id = fields.UUID(required=True)
    occurred_at = fields.AwareDateTime(required=True)
    actor_id = fields.UUID(required=True)
    actor_role = fields.String(required=True)
    via = fields.String(required=True)
    action = fields.String(required=True)
    outcome = fields.String(required=True)
    object_kind = fields.String(required=True)
    object_id = fields.UUID(required=True, allow_none=True)
    client_id = fields.UUID(required=True, allow_none=True)
    details = fields.Dict(required=True)
    request_id = fields.String(required=True)


class BurstResponseSchema(Schema):
    """An hour with many security events of a kind: of whose account or by whom, never of which client."""

    kind = fields.String(required=True)
    subject_id = fields.UUID(required=True, allow_none=True)
    times = fields.Integer(required=True)
    last_at = fields.AwareDateTime(required=True)
