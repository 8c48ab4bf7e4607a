"""The two forms of a safety plan: what each asks, in which order (SAFE-07).

The six steps of the first one, and means safety as one of them, are the order of the published model of Stanley and
Brown; the wording of both is our own. Everything here awaits sign-off by a licensed clinician.
"""

from __future__ import annotations

from dataclasses import dataclass

from caseapp.core.i18n import LazyText, lazy_gettext

SAFETY, EXIT = "safety", "exit"

MAX_LENGTH = 400
MAX_LINES = 5
"""The longest text of a step, so that a plan fits on one printed page."""
MAX_REVIEW_DAYS = 365

WRITTEN, CHANGED, REVIEWED = "written", "changed", "reviewed"
SHOWN, REMOVED = "shown", "removed"
CHANGE_LABELS = {
    WRITTEN: "First written",
    CHANGED: "Text changed",
    REVIEWED: "Reviewed with the client",
    SHOWN: "Shown in the portal",
    REMOVED: "Removed from the portal",
}
"""What a version changed. These codes are stored and never change."""
TEXT_CHANGES = frozenset({WRITTEN, CHANGED})
WORKED_ON = TEXT_CHANGES | {REVIEWED}
"""The changes for which coach and client went through the plan together."""


@dataclass(frozen=True)
class PlanStep:
    """One step of a plan: its heading, in the client's language, and what the coach asks for."""

    key: str
    label: LazyText
    hint: str
    required: bool = False

    @property
    def heading(self) -> str:
        """The heading in the source language, in which staff pages are."""
        return str.__str__(self.label)


@dataclass(frozen=True)
class PlanForm:
    """A form of plan. `title` and `purpose` are for staff; `help_block` are the help lines that stand on the plan."""

    title: str
    purpose: str
    help_block: str
    help_step: str
    steps: tuple[PlanStep, ...]


FORMS = {
    SAFETY: PlanForm(
        "Safety plan",
        "For thoughts of suicide, of self-harm or of harming somebody, and for any other urgent answer.",
        "crisis_block",
        "professionals",
        (
            PlanStep(
                "warning_signs",
                lazy_gettext("How I notice that it is getting harder"),
                "Thoughts, moods, places or times of day that are a warning sign.",
                required=True,
            ),
            PlanStep(
                "on_my_own",
                lazy_gettext("What I can do on my own"),
                "Things that have helped before, even a little.",
                required=True,
            ),
            PlanStep(
                "distractions",
                lazy_gettext("People and places that take my mind off it"),
                "Nobody there has to know how you are.",
            ),
            PlanStep(
                "people",
                lazy_gettext("Who I can ask for help"),
                "Names and phone numbers; more than one, if you can.",
                required=True,
            ),
            PlanStep(
                "professionals",
                lazy_gettext("Professionals and services"),
                "Doctor, therapist or crisis team, with phone numbers. These help lines are printed below your text:",
            ),
            PlanStep(
                "surroundings",
                lazy_gettext("How I make my surroundings safer"),
                "What could be used to do harm, such as medicines, weapons or keys; who keeps it, and until when.",
                required=True,
            ),
            PlanStep(
                "matters",
                lazy_gettext("What matters most to me"),
                "People, animals, a belief, something you still want to do.",
            ),
            PlanStep(
                "copies",
                lazy_gettext("Who has a copy"),
                "Where each copy is, and who may read it.",
                required=True,
            ),
        ),
    ),
    EXIT: PlanForm(
        "Exit plan",
        "For fear at home: how to get out safely, alone or with children. It never tells anybody to stay or to leave.",
        "dv_block",
        "services",
        (
            PlanStep(
                "way_out",
                lazy_gettext("How I get out"),
                "Which door, which time, a reason to go out, and how to travel.",
                required=True,
            ),
            PlanStep(
                "where_to",
                lazy_gettext("Where I go"),
                "A first place and a second one where you can go at any hour.",
                required=True,
            ),
            PlanStep(
                "who_knows",
                lazy_gettext("Who knows about it"),
                "Names and phone numbers, a word that means “now”, and what they do when they hear it.",
            ),
            PlanStep(
                "take",
                lazy_gettext("What I take with me"),
                "Documents, keys, money, medicine, phone and charger; where a bag could wait safely.",
            ),
            PlanStep(
                "children_fetched",
                lazy_gettext("Children: who picks them up"),
                "From school, from home or elsewhere, and who is allowed to.",
            ),
            PlanStep(
                "children_know",
                lazy_gettext("Children: what they know"),
                "Where to go, whom to call, a word they know. They never have to step in.",
            ),
            PlanStep(
                "accounts",
                lazy_gettext("Phone and accounts"),
                "Who could see messages, location or passwords; a phone that nobody else uses.",
            ),
            PlanStep(
                "pets",
                lazy_gettext("Pets"),
                "Who can take them in, and what they need.",
            ),
            PlanStep(
                "services",
                lazy_gettext("Services I can call"),
                "Advocate, doctor or police contact. These help lines are printed below your text:",
            ),
            PlanStep(
                "copies",
                lazy_gettext("Where a copy is safe"),
                "And who has one. Not at home, if somebody you fear could find it there.",
                required=True,
            ),
        ),
    ),
}
STEP_KEYS = tuple(dict.fromkeys(step.key for form in FORMS.values() for step in form.steps))
