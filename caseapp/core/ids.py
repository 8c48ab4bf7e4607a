"""Identifiers: UUIDs (version 7) that sort by creation time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

if TYPE_CHECKING:
    from uuid import UUID


def new_id() -> UUID:
    """Create an identifier that sorts after those created earlier in this process."""
    return uuid7()
