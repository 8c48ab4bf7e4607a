"""The formats of session notes and their sections."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A section of a note; `{name}` in the hint stands for the client's preferred name."""

    label: str
    hint: str


_ASSESSMENT = Section("Assessment", "How you make sense of it. What has changed since last time.")


_PLAN = Section("Plan", "What each of you will do before the next session.")


FORMATS = {
    "dap": {
        "data": Section("Data", "What {name} said and what you noticed."),
        "assessment": _ASSESSMENT,
        "plan": _PLAN,
    },
    "soap": {
        "subjective": Section("Subjective", "What {name} said, in their own words."),
        "objective": Section("Objective", "What you saw and heard, without interpreting it."),
        "assessment": _ASSESSMENT,
        "plan": _PLAN,
    },
    "free": {"text": Section("Note", "What was said, what you noticed, what comes next.")},
}


SECTIONS = {key: section for sections in FORMATS.values() for key, section in sections.items()}
