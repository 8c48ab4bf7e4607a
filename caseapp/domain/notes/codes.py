"""Codes and their labels."""

from __future__ import annotations

MAX_SESSION_MINUTES = 600
MODALITIES = {"video": "Video", "phone": "Phone", "in_person": "In person", "messages": "Messages"}
FORMAT_LABELS = {"dap": "DAP", "soap": "SOAP", "free": "Free text"}
MEANINGS = {"author": "As the author"}
"""What a signature means."""
