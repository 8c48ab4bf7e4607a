"""The table of what keeps each handout from a client, written from the sources and not from the code."""

from __future__ import annotations

from pathlib import Path

import yaml

TABLE = yaml.safe_load((Path(__file__).parent / "bars.yaml").read_text(encoding="utf-8"))
CODES = {
    "contact block": "contact_block",
    "harmed or afraid": "violence_flag",
    "harms others": "client_harm_flag",
    "self-harm": "self_harm_flag",
    "safety unknown": "safety_screen_unknown",
    "fear unknown": "fear_unknown",
    "fear at watch": "fear_watch",
    "old screening": "safety_screen_older_than_14_days",
    "no consent": "joint_consent",
    "not far apart": "distance_only",
    "affair": "recent_affair",
    "order": "court_order",
    "eating disorder": "eating_disorder_flag",
    "withdrawal": "withdrawal_risk",
    "no safe channel": "unsafe_delivery",
}
"""The tag in the application for each condition of the table."""
