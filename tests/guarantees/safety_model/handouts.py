"""Steps that assign handouts, one by one, several at once and in bulk, and write in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caseapp.core.database import run
from caseapp.core.permissions import Role
from caseapp.domain.assignments.operations import assign_handout, assign_handouts
from caseapp.domain.assignments.schemas import NewAssignments
from caseapp.domain.bulk_assignments.operations import start_bulk_assignment
from caseapp.domain.bulk_assignments.schemas import NewBulkAssignment
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.handouts.library import library
from caseapp.domain.screening.schemas import NewException
from caseapp.domain.suitability.operations import allow_handout
from caseapp.domain.worksheets.operations import share_answers
from caseapp.domain.worksheets.queries import lock_worksheet
from tests.guarantees.safety_model.actions import ActionSteps
from tests.guarantees.safety_model.history import ASSIGNED, DONE, REASON, Wrong
from tests.support.bars_table import CODES, TABLE

if TYPE_CHECKING:
    from tests.guarantees.safety_model.sources import Expected

SLUGS: list[str] = sorted(TABLE)
CONTACT_SLUGS = [slug for slug in SLUGS if "contact block" in TABLE[slug].get("block", ())]
# For each worksheet a field that takes words.
WORKSHEETS = {
    handout.id: field.id
    for (slug, language), handout in library().items()
    for field in reversed(handout.fields)
    if language == "en" and field.kind in {"text", "long"}
}
EVERY_CAUTION = frozenset(CODES.values()) | {"later_stage", "by_hand_only", "in_session_only"}


class HandoutSteps(ActionSteps):
    """Steps that assign handouts, one by one, several at once and in bulk, and write in them."""

    def _slug(self) -> str:
        slugs: list[str] = CONTACT_SLUGS if self.random.random() < 0.4 else SLUGS
        return self.random.choice(slugs)

    def _channel(self) -> str:
        return self.random.choices(("portal", "print", "in_person"), (6, 2, 2))[0]

    def _may_assign(self, slug: str, channel: str) -> Expected:
        if not self.model.cases[-1].is_open:
            return False
        expected = self.model.may_read(slug, channel, self.now)
        return None if expected and (slug, channel) in self.assigned else expected

    def _take_in_given(self) -> None:
        """Note what is assigned in the portal, with its place."""
        rows = run(ASSIGNED, client=self.client_id).all()
        self.given = [(row.position, row.slug) for row in rows if row.channel == "portal"]
        self.assigned = {(row.slug, row.channel) for row in rows}

    def step_assign(self) -> None:
        """Try to assign a handout through a channel."""
        self._assign(self._slug(), self._channel())

    def _assign(self, slug: str, channel: str) -> None:
        case, coach = self.model.cases[-1], self._person()

        def call() -> None:
            found = lock_case(coach, case.id)
            assign_handout(coach, found, slug, message="", channel=channel, confirmed=True)

        def request() -> Any:
            body = {"slug": slug, "channel": channel, "confirmed": True}
            return self.programs[coach.id].post(f"/cases/{case.id}/assignments", body)

        def page() -> Any:
            sent = {"slugs": [slug], "channel": channel, "confirmed": "yes"}
            return self.browse(coach, f"{self.pages}/handouts/assign", sent)

        if self.attempt(
            f"assign {slug}, {channel}", self._may_assign(slug, channel), call, request, page
        ):
            self._take_in_given()

    def step_allow(self) -> None:
        """Try to allow one handout in spite of a care hold, as the supervisor or as the coach."""
        if "care" not in self.hold_ids:
            return
        case, hold_id, slug = self.model.cases[-1], self.hold_ids["care"], self._slug()
        by = self.team[self.random.choices(("supervisor", "coach"), (4, 1))[0]]
        is_supervisor = by.role is Role.SUPERVISOR
        expected = is_supervisor and self.model.may_allow(slug, self.now)

        def call() -> None:
            found = lock_case(by, case.id)
            [hold] = [one for one in found.safety.holds if one.id == hold_id]
            allow_handout(by, found, hold_id, NewException(slug, case.id, REASON), hold.version)

        if self.attempt(f"allow {slug} by {by.role.value}", expected, call):
            self.model.holds["care"].allowed = (case.id, slug)
            self._assign(slug, "in_person")

    def step_pack(self) -> None:
        """Try to assign several handouts at once: those that are barred are left out."""
        case, coach, channel = self.model.cases[-1], self.team["coach"], self._channel()
        slugs = (*dict.fromkeys(self._slug() for _ in range(4)),)
        expected_of = {slug: self._may_assign(slug, channel) for slug in slugs}
        some: Expected = None
        if True in expected_of.values():
            some = True
        elif None not in expected_of.values():
            some = False
        wanted = NewAssignments(slugs, channel, "", "en", confirmed=True)
        before = {row.id for row in run(ASSIGNED, client=self.client_id)}

        def call() -> None:
            assign_handouts(coach, lock_case(coach, case.id), wanted)

        def request() -> Any:
            body = {"slugs": slugs, "channel": channel, "confirmed": True}
            return self.programs[coach.id].post(f"/cases/{case.id}/assignments/batch", body)

        def page() -> Any:
            sent = {"slugs": [*slugs], "channel": channel, "confirmed": "yes"}
            return self.browse(coach, f"{self.pages}/handouts/assign", sent)

        self.attempt(f"pack {expected_of}, {channel}", some, call, request, page)
        made = {row.slug for row in run(ASSIGNED, client=self.client_id) if row.id not in before}
        for slug, expected in expected_of.items():
            if expected is not None and expected is not (slug in made):
                raise Wrong(f"pack: {slug} assigned: {slug in made}, model: {expected}")
        self._take_in_given()

    def step_bulk(self) -> None:
        """Start a bulk assignment; the worker judges again when it comes to the client."""
        case, coach = self.model.cases[-1], self.team["coach"]
        slug, channel = self._slug(), self._channel()
        expected = self._may_assign(slug, channel)
        new = NewBulkAssignment(None, "en", channel, "", None, (case.id,), {case.id: EVERY_CAUTION})

        def request() -> Any:
            body = {
                "channel": channel,
                "cases": [str(case.id)],
                "confirmed": {str(case.id): sorted(EVERY_CAUTION)},
            }
            return self.programs[coach.id].post(f"/handouts/{slug}/bulk-assignments", body)

        self.attempt(
            f"bulk {slug}, {channel}",
            expected,
            lambda: start_bulk_assignment(coach, slug, new),
            request,
        )

    def step_write(self) -> None:
        """Let the client write in a handout and share it, whatever was recorded meanwhile: the words are theirs."""
        if not self.given:
            return
        position, slug = self.random.choice(self.given)
        if slug not in WORKSHEETS:
            return

        def call() -> None:
            worksheet = lock_worksheet(self.reader, position)
            share_answers(
                self.reader,
                worksheet,
                {WORKSHEETS[slug]: "For you."},
                self.written.get(position, 0),
            )

        if self.attempt("write", DONE, call):
            self.written[position] = self.written.get(position, 0) + 1
