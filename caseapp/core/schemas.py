"""Schemas that several packages share."""

from __future__ import annotations

from marshmallow import Schema, fields


class ReasonResponseSchema(Schema):
    """An unmet condition of a rule: a code for programs, a message and a way out for people."""

    code = fields.String(required=True)
    message = fields.String(required=True)
    way_out = fields.String(required=True)
