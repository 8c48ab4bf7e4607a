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


_INTERVENTION = Section("Intervention", "What you did: questions, exercises, handouts.")


_RESPONSE = Section("Response", "How {name} took it, and what it changed.")


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
    "birp": {
        "behaviour": Section("Behaviour", "What {name} said and did, and how they seemed."),
        "intervention": _INTERVENTION,
        "response": _RESPONSE,
        "plan": _PLAN,
    },
    "girp": {
        "goals": Section("Goals", "Which of their goals the session was about."),
        "intervention": _INTERVENTION,
        "response": _RESPONSE,
        "plan": _PLAN,
    },
    "free": {"text": Section("Note", "What was said, what you noticed, what comes next.")},
    "intake": {
        "request": Section(
            "Request", "Why {name} has come, in their own words, and what they hope for."
        ),
        "background": Section(
            "Background", "The separation, family, work and health, and who else is there for them."
        ),
        "assessment": _ASSESSMENT,
        "plan": _PLAN,
    },
    "closing": {
        "course": Section("Course", "What you worked on together, and what helped."),
        "outcome": Section("Outcome", "Where {name} stands now, and why coaching is ending."),
        "afterwards": Section(
            "Afterwards", "What {name} will go on doing, and who they can turn to."
        ),
    },
}


SECTIONS = {key: section for sections in FORMATS.values() for key, section in sections.items()}
"""The sections of all formats; those that several formats share have one key, and so one text."""
WITH_PLAN = tuple(key for key, sections in FORMATS.items() if "plan" in sections)
