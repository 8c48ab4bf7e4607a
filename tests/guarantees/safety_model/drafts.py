"""Steps that write notes: answers in their drafts count when a draft is saved, and notes are signed late."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.database import run
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.operations import create_note, save_draft, sign_note
from caseapp.domain.notes.queries import lock_case_for_note, lock_note
from caseapp.domain.notes.records import DraftScreening
from caseapp.domain.notes.schemas import DraftChange, NewNote
from tests.guarantees.safety_model.history import (
    DONE,
    Draft,
)
from tests.guarantees.safety_model.screenings import WHY, ScreeningSteps, body_of
from tests.guarantees.safety_model.sources import (
    CONCERN,
    ITEMS,
    NONE,
    URGENT,
    WATCH,
    opens_safety_hold,
)
from tests.guarantees.safety_model.state import Screening
from tests.support import builders

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID


NOTE_VERSION = sa.select(Note.version).where(Note.id == sa.bindparam("note"))


class DraftSteps(ScreeningSteps):
    """Steps that write notes: answers in their drafts count when a draft is saved, and notes are signed late."""

    def step_draft(self) -> None:
        """Start a note with answers and perhaps a circumstance, to be signed later."""
        case, coach = self.model.cases[-1], self.team["coach"]
        if self.draft or not case.is_open:
            return
        levels = self._levels(self.random.choice(("calm", "brief", "brief", "raised")))
        session_at = self.now - timedelta(hours=self.random.choice((1, 1, 30, 80)))
        new = NewNote("dap", session_at, 50, "video", builders.SECTIONS, another=True)
        made: list[UUID] = []

        def call() -> None:
            made.append(create_note(coach, lock_case_for_note(coach, case.id), new).id)

        if self.attempt("draft", DONE, call):
            self.draft = Draft(made[0], 1, session_at, {}, self.random.random() < 0.8)
            self._save_draft(self.draft, levels, self._tick(0.2))

    def step_redraft(self) -> None:
        """Change answers in the draft, perhaps back, or tick another circumstance."""
        if self.draft:
            changed = {
                key: self.random.choice((NONE, WATCH, CONCERN, URGENT, None))
                for key in self.random.sample(ITEMS, self.random.randint(0, 3))
            }
            self._save_draft(self.draft, changed, self._tick(0.4))

    def _save_draft(
        self, draft: Draft, changed: dict[str, int | None], ticked: Collection[str] = ()
    ) -> None:
        """Save answers in a draft: one that opens a safety hold counts at once, with everything asked so far.

        So does a circumstance. It makes no difference whether the page saves by itself, a button is pressed, or a
        program saves.
        """
        coach, before = self.team["coach"], draft.version
        draft.levels |= changed
        draft.ticked |= {*ticked}
        about = {"below_reason": WHY, "circumstances": sorted(draft.ticked)}

        def call() -> None:
            change = DraftChange(
                screening=DraftScreening(
                    draft.levels,
                    asked_alone=draft.alone,
                    below_reason=WHY,
                    circumstances=(*sorted(draft.ticked),),
                )
            )
            save_draft(coach, lock_note(coach, draft.id), change, before)

        def request() -> Any:
            body = {"asked_alone": draft.alone, **about, **body_of(draft.levels, draft.levels)}
            path, version = f"/notes/{draft.id}", {"version": before}
            return self.programs[coach.id].patch(path, {"screening": body}, version=version)

        def page() -> Any:
            path = f"/note/{draft.id}"
            by_itself = self.random.random() < 0.5
            self.counts[f"draft: saved by {'itself' if by_itself else 'a button'}"] += 1
            alone = {"asked_alone": "yes" if draft.alone else None}
            sent = body_of(draft.levels, draft.levels) | alone | about
            return self.browse(coach, path, sent, target=f"{path}/draft" if by_itself else None)

        new = self._answers_in(draft)
        opens = any(opens_safety_hold(*level) for level in new.new_levels.items())
        answers = {key: level for key, level in draft.levels.items() if level != NONE}
        called = f"save of {draft.session_at:%m-%d %H:%M} alone={draft.alone} {answers} {sorted(draft.ticked)}"
        self.attempt(called, DONE, call, request, page)
        draft.version = run(NOTE_VERSION, note=draft.id).scalar_one()
        if opens:
            answered = any(opens_safety_hold(*each) for each in draft.unrecorded.items())
            self.counts["draft: opens a hold"] += 1
            self.counts["draft: opens a hold by a circumstance"] += not answered
            self.counts["draft: opens a hold through the API"] += bool(self.programs)
            self.counts["draft: opens a hold on its page"] += self.is_web
            self._record_draft(draft)

    def _answers_in(self, draft: Draft) -> Screening:
        """Return a draft's answers as they would be recorded now; what was recorded before requires nothing again."""
        repeats = frozenset({*draft.levels} - {*draft.unrecorded} | draft.ticked & draft.counted)
        asked = {key: level for key, level in draft.levels.items() if level is not None}
        return Screening(
            0,
            self.team["coach"].id,
            asked,
            draft.alone,
            min(draft.session_at, self.now),
            self.now,
            repeats=repeats,
            ticked=frozenset(draft.ticked),
            raised=self.model.raise_levels(asked, sorted(draft.ticked), repeats),
        )

    def _record_draft(self, draft: Draft) -> None:
        """Let the model record a draft's answers."""
        new = self._answers_in(draft)
        draft.session_at = new.session_at
        self._take_in(new)
        draft.recorded, draft.counted = {**draft.levels}, {*draft.ticked}
        self.of_notes.add(self.number)

    def step_sign(self) -> None:
        """Sign the note, however late."""
        draft, coach = self.draft, self.team["coach"]
        if draft is None or draft.session_at > self.now:
            return
        self._save_draft(draft, {key: None for key in ITEMS if key not in draft.levels})
        if self.attempt(
            f"sign of {draft.session_at:%m-%d %H:%M}",
            DONE,
            lambda: sign_note(coach, lock_note(coach, draft.id), draft.version),
            lambda: self.programs[coach.id].post(
                f"/notes/{draft.id}/sign", version={"version": draft.version}
            ),
            lambda: self.browse(coach, f"/note/{draft.id}/sign", {}),
        ):
            is_new = any(level is not None for level in draft.unrecorded.values())
            if is_new or draft.ticked - draft.counted:
                self._record_draft(draft)
            self.draft = None
