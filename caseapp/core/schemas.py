"""What goes out about no slice in particular: the reasons that a rule gives."""

from __future__ import annotations

from marshmallow import Schema, fields


class ReasonView(Schema):
    """Show one condition that a rule found unmet: a code for machines, words and a way out for people."""

    code = fields.String(required=True)
    message = fields.String(required=True)
    how = fields.String(required=True)
