"""Schemas for signing in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.core.database import max_length
from caseapp.domain.users.models import User


@dataclass(frozen=True)
class SignIn:
    """An email address and a password as they were submitted."""

    email: str
    password: str


class SignInSchema(Schema):
    """The sign-in form; the length is capped here, before any hashing."""

    email = fields.String(required=True, validate=validate.Length(1, max_length(User.email)))
    password = fields.String(required=True, validate=validate.Length(1, 1000))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> SignIn:
        """Build the dataclass."""
        return SignIn(data["email"].strip().lower(), data["password"])
