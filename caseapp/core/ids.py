"""Identifiers: UUIDs that sort by the time of their making."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

if TYPE_CHECKING:
    from uuid import UUID


def new_id() -> UUID:
    """Make an identifier that sorts after those made before it in this process."""
    return uuid7()
