"""Schemas about staff."""

from __future__ import annotations

from marshmallow import Schema, fields


class MeResponseSchema(Schema):
    """The member of staff behind a token, with the actions their role allows."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    role = fields.String(required=True)
    language = fields.String(required=True, allow_none=True)
    may = fields.List(fields.String(), required=True)
