"""Rules for the earlier texts of a draft: when one is kept. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.domain.notes.codes import REVISE_EVERY

if TYPE_CHECKING:
    from datetime import datetime

    from caseapp.domain.notes.records import NoteRecord


def may_be_kept(before: NoteRecord, after: NoteRecord, since: datetime, moment: datetime) -> bool:
    """Tell whether the text of a draft is kept when it is replaced at a moment, as far as is known.

    `since` is when the last text was kept, or the draft was started. An empty text and one that stays are not kept.
    """
    is_replaced = before.sections != after.sections and any(before.sections.values())
    return is_replaced and moment - since >= REVISE_EVERY
