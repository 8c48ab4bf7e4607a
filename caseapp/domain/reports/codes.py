"""Codes and their labels."""

from __future__ import annotations

FORMATS = {"csv": "Table of cases (CSV)", "pdf": "Totals with charts (PDF)"}
