"""What is found of a form that was not sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class FormWords:
    """The words of a form that was not sent, by field name, when the form was opened and when they were last kept."""

    words: dict[str, list[str]]
    opened_at: datetime
    updated_at: datetime
