"""Codes and their labels."""

from __future__ import annotations

from caseapp.domain.protocol.file import PROTOCOL

TASK_LABELS = {action.key: action.label for action in PROTOCOL.actions}
CUSTOM = "custom"
"""The kind of task for which a title is entered."""
