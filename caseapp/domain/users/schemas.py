"""What may come in about staff, and what goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, fields, post_load, validate


@dataclass(frozen=True)
class SignIn:
    """Hold one try to sign in."""

    email: str
    password: str


class SignInSchema(Schema):
    """Check the sign-in form; the password's length is capped before any hashing."""

    email = fields.String(required=True, validate=validate.Length(1, 254))
    password = fields.String(required=True, validate=validate.Length(1, 1000))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> SignIn:
        """Give the plain value."""
        return SignIn(data["email"].strip().lower(), data["password"])


class MeView(Schema):
    """Show who is asking and what they may do."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    role = fields.String(required=True)
    may = fields.List(fields.String(), required=True)
