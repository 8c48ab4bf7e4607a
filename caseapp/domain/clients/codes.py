"""Codes and their labels."""

from __future__ import annotations

CONSENT_METHODS = {"written": "In writing", "spoken": "Given verbally and recorded here"}
