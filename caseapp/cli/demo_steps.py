"""How each step of a demo story is played: by the same operations that the doors use, at a moment in the past."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from caseapp.core.actor import Actor
from caseapp.core.clock import at
from caseapp.core.permissions import Action, Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments import operations as assignments
from caseapp.domain.assignments.queries import get_assignment_record
from caseapp.domain.assignments.reading import get_reading_list_item
from caseapp.domain.audit.operations import record_read
from caseapp.core.sessions import begin_session
from caseapp.domain.cases import operations as cases
from caseapp.domain.cases.facts import FACTS_BY_NAME
from caseapp.domain.cases.queries import get_case_context, get_stage_gate
from caseapp.domain.cases.schemas import CaseClosingSchema, CaseDetailsSchema, StageMoveSchema
from caseapp.domain.cases.stages import next_stage
from caseapp.domain.clients import operations as clients
from caseapp.domain.auth import portal_access
from caseapp.domain.auth.queries import find_client_session
from caseapp.domain.clients.schemas import ClientSchema
from caseapp.domain.followups import operations as followups
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.followups.schemas import NewFollowUpSchema
from caseapp.domain.notes import operations as notes
from caseapp.domain.notes.schemas import FORMATS, DraftSchema, NewNoteSchema
from caseapp.domain.screening import operations as screening
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.queries import list_holds
from caseapp.domain.screening.schemas import ScreeningSchema
from caseapp.domain.worksheets import operations as worksheets
from caseapp.domain.worksheets.schemas import FIELD_PREFIX, build_answers_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.cases.schemas import CaseDetails

HERE = Path(__file__).parent
SATURDAY = 5
NOTE_BEGUN = timedelta(minutes=60)
NOTE_SIGNED = timedelta(minutes=75)
BETWEEN_STEPS = timedelta(minutes=3)
AGE_BANDS = ((25, "under_25"), (35, "25_34"), (45, "35_44"), (55, "45_54"), (65, "55_64"))


@cache
def evidence() -> dict[str, list[str]]:
    """Read the lines with which the demo's coaches attest criteria."""
    found: dict[str, list[str]] = yaml.safe_load(
        (HERE / "evidence.yaml").read_text(encoding="utf-8")
    )
    return found


@dataclass(frozen=True)
class Step:
    """Be one thing that happens to one person at one moment."""

    moment: datetime
    person: Person
    verb: str
    what: Any

    def play(self) -> None:
        """Do it at its moment."""
        with at(self.moment):
            getattr(self.person, f"do_{self.verb}")(self.what, self.moment)


@dataclass
class Person:
    """Hold one person of the cast: their story as it stands in the file, and the ids of what was made so far."""

    story: dict[str, Any]
    coach: Actor
    supervisor: Actor
    today: date
    pin: str
    client_id: UUID = field(init=False)
    case_id: UUID = field(init=False)
    given: dict[str, UUID] = field(default_factory=dict)

    def day(self, ago: int) -> date:
        """Give the date so many days ago; sessions that would fall on a weekend are held on the Friday before."""
        session = self.today - timedelta(days=self.story["opened"] % 7)
        early = 0 if self.story.get("fixed") else max(0, session.weekday() - SATURDAY + 1)
        return self.today - timedelta(days=ago + early)

    def steps(self) -> Iterator[Step]:
        """Tell the story step by step, each with its moment; within a day the session stands at the person's hour."""
        hour = time.fromisoformat(self.story["hour"])
        happened: dict[int, datetime] = {}
        yield Step(
            datetime.combine(self.day(self.story["opened"]), hour, UTC) - timedelta(minutes=10),
            self,
            "open",
            self.story,
        )
        for told in self.story["story"]:
            ago = told["ago"]
            ((verb, what),) = ((key, value) for key, value in told.items() if key != "ago")
            begin = datetime.combine(self.day(ago), hour, UTC)
            happened[ago] = happened.get(ago, begin) + BETWEEN_STEPS
            if verb in {"session", "screening"}:
                happened[ago] = begin + NOTE_SIGNED
            yield Step(begin if verb == "session" else happened[ago], self, verb, what)

    def do_open(self, story: dict[str, Any], moment: datetime) -> None:
        """Add the client and open the case, as at the end of an intake."""
        separated = self.today - timedelta(days=story["separated"])
        age = story["age"]
        facts = story["facts"] | {
            "separated_since": f"{separated:%Y-%m}",
            "age_band": next((band for limit, band in AGE_BANDS if age < limit), "65_plus"),
        }
        if "next_legal_in" in story:
            facts["next_legal_date"] = str(self.today + timedelta(days=story["next_legal_in"]))
        safe = story["safe"]
        details = ClientSchema().load(
            {
                "name": story["name"],
                "pronouns": story["pronouns"],
                "email": story.get("email"),
                "phone": story["phone"],
                "partner_name": story["partner"],
                "birth_year": self.today.year - age,
                "safe_channels": safe["channels"],
                "safe_times": safe["times"],
                "code_word": safe.get("code_word", ""),
                "safe_warning": safe.get("warning", ""),
                "consent_on": str(moment.date()),
                "consent_method": story.get("consent", "written"),
            }
        )
        with transaction():
            self.client_id = clients.create_client(
                self.coach, details, coach_id=self.coach.id, agreed=story.get("agreed", False)
            )
            self.case_id = cases.open_case(
                self.coach, self.client_id, CaseDetailsSchema().load(facts), coach_id=self.coach.id
            )

    def do_session(self, told: dict[str, Any], moment: datetime) -> None:
        """Write the note of a session and, unless it stays a draft, sign it with its screening."""
        kind = next(name for name, sections in FORMATS.items() if next(iter(sections)) in told)
        change: dict[str, Any] = {
            "sections": {key: told[key] for key in FORMATS[kind] if key in told}
        }
        if "levels" in told:
            asked = {} if told.get("draft") else {item.key: "none" for item in ITEMS}
            change["screening"] = {
                **asked,
                **told["levels"],
                "asked_alone": told.get("alone", True),
                "actions_taken": told.get("actions", []),
                "comment": told.get("comment", ""),
            }
        start = {
            "format": kind,
            "session_at": moment.isoformat(),
            "minutes": told.get("minutes", 50),
            "modality": told["how"],
        }
        with at(moment + NOTE_BEGUN), transaction():
            note = notes.create_note(self.coach, self.case_id, NewNoteSchema().load(start)).id
        with at(moment + NOTE_SIGNED), transaction():
            version = notes.save_draft(self.coach, note, DraftSchema().load(change), 1)
            if not told.get("draft"):
                if "levels" in told:
                    self._asked_again()
                notes.sign_note(self.coach, note, version)

    def do_screening(self, told: dict[str, Any], _moment: datetime) -> None:
        """Record a screening that was asked between two sessions."""
        answers = {item.key: "none" for item in ITEMS} | told["levels"]
        answers |= {"asked_alone": True, "comment": told["comment"]}
        with transaction():
            self._asked_again()
            screening.record_screening(self.coach, self.client_id, ScreeningSchema().load(answers))

    def _asked_again(self) -> None:
        """Close the recheck that an earlier answer had asked for, since all is being asked anew."""
        for task in list_client_followups(self.coach, self.client_id, open_only=True):
            if task.kind == "recheck":
                followups.complete_followup(
                    self.coach,
                    task.id,
                    "Asked again; the answers stand in today's screening.",
                    task.version,
                )

    def do_change(self, told: dict[str, Any], _moment: datetime) -> None:
        """Write down what has become clear: the goal, the review date, the facts."""
        context = get_case_context(self.coach, self.case_id)
        with transaction():
            cases.update_case(
                self.coach, self.case_id, self._details(context, told), context.case.version
            )

    def _details(self, context: Any, told: dict[str, Any]) -> CaseDetails:  # noqa: ANN401
        review = context.case.review_date
        if "review_in" in told:
            review = self.today + timedelta(days=told["review_in"])
        details: CaseDetails = CaseDetailsSchema().load(
            {name: value for name, value in context.facts.items() if name in FACTS_BY_NAME}
            | told.get("facts", {})
            | {
                "goal": told.get("goal", context.case.goal),
                "review_date": str(review) if review else None,
            }
        )
        return details

    def do_advance(self, told: dict[str, Any], moment: datetime) -> None:
        """Move the case on through its gate, with a line of evidence for each criterion that a coach attests."""
        context = get_case_context(self.coach, self.case_id)
        forward = next_stage(context.stage)
        assert forward is not None  # noqa: S101 - no story moves on from the last stage
        gate = get_stage_gate(context, today=moment.date())
        asked = [check.criterion.id for check in gate.checks if check.attested] if gate else []
        variant = self.story.get("variant", 0)
        move = {
            "to": told.get("to", forward.id),
            "reason": told.get("reason", ""),
            "evidence": {}
            if "to" in told
            else {criterion: evidence()[criterion][variant] for criterion in asked},
        }
        with transaction():
            cases.move_case(
                self.coach, self.case_id, StageMoveSchema().load(move), context.case.version
            )

    def do_task(self, told: dict[str, Any], _moment: datetime) -> None:
        """Add a follow-up; `due` counts days back from today, so 0 is today and -3 is in three days."""
        due = datetime.combine(self.today - timedelta(days=told["due"]), time(16), UTC)
        new = NewFollowUpSchema().load({"title": told["title"], "due_at": due.isoformat()})
        with transaction():
            followups.create_followup(self.coach, self.client_id, new)

    def do_done(self, told: dict[str, Any], _moment: datetime) -> None:
        """Record what came of a follow-up, named by its kind or its title."""
        (task,) = (
            task
            for task in list_client_followups(self.coach, self.client_id, open_only=True)
            if told.get("kind") == task.kind or told.get("title") == task.title
        )
        with transaction():
            followups.complete_followup(self.coach, task.id, told["outcome"], task.version)

    def do_clear(self, told: dict[str, Any], _moment: datetime) -> None:
        """End a hold, as the supervisor."""
        (hold,) = (
            hold
            for hold in list_holds(self.supervisor, self.client_id)
            if hold.kind == told["kind"] and hold.released_at is None
        )
        with transaction():
            screening.release_hold(self.supervisor, hold.id, told["reason"], hold.version)

    def do_close(self, told: dict[str, Any], _moment: datetime) -> None:
        """Close the case; `follow_up` counts days back from today, like a task's due day."""
        context = get_case_context(self.coach, self.case_id)
        closing = {
            "outcome": told["outcome"],
            "reason": told["reason"],
            "final_screening": "done",
            "follow_up_consent": True,
            "follow_up_on": str(self.today - timedelta(days=told["follow_up"])),
        }
        with transaction():
            cases.close_case(
                self.coach, self.case_id, CaseClosingSchema().load(closing), context.case.version
            )

    def do_give(self, told: dict[str, Any], _moment: datetime) -> None:
        """Give a handout with a personal line; what asks for care has been thought about."""
        with transaction():
            self.given[told["slug"]] = assignments.assign_handout(
                self.coach,
                self.case_id,
                told["slug"],
                message=told["line"],
                channel=told["channel"],
                confirmed=True,
            )

    def _assignment(self, slug: str) -> AssignmentRecord:
        return get_assignment_record(self.coach, self.given[slug])

    def do_opened(self, slug: str, _moment: datetime) -> None:
        """Open a handout in the portal."""
        reader = self._reader()
        found = get_reading_list_item(reader, self._assignment(slug).position)
        record_read(reader, Action.PORTAL_READ, "assignment", found.id, reader.id)

    def do_read(self, slug: str, moment: datetime) -> None:
        """Mark a handout as read: the client in the portal, or the coach when it went over the table."""
        found = self._assignment(slug)
        if found.channel == "portal":
            self.do_opened(slug, moment)
        with transaction():
            if found.channel == "portal":
                assignments.mark_read(self._reader(), found.position)
            else:
                assignments.mark_read(self.coach, found.id, found.version)

    def do_share(self, told: dict[str, Any], _moment: datetime) -> None:
        """Write in a sheet in the portal and let the coach read it; `days` counts a date's days on from today."""
        found = self._assignment(told["slug"])
        days = {
            name: str(self.today + timedelta(days=ahead)) for name, ahead in told["days"].items()
        }
        raw = {f"{FIELD_PREFIX}{name}": answer for name, answer in (told["answers"] | days).items()}
        answers = build_answers_schema(found.handout).load(raw)
        with transaction():
            worksheets.share_answers(self._reader(), found.position, answers, 0)

    def do_withdraw(self, slug: str, _moment: datetime) -> None:
        """Take a handout back."""
        found = self._assignment(slug)
        with transaction():
            assignments.withdraw(self.coach, found.id, found.version)

    def _reader(self) -> Actor:
        return Actor(self.client_id, Role.CLIENT, self.story["name"], via="portal")

    def do_invite(self, _told: dict[str, Any], _moment: datetime) -> None:
        """Invite the client to the portal, and let them choose their PIN with the start code in hand."""
        with transaction():
            invitation = portal_access.invite_client(self.coach, self.client_id)
        with transaction():
            reference = begin_session("client", self.client_id, pin_verified=False)
        reader = find_client_session(reference)
        assert reader is not None  # noqa: S101 - the session began a moment ago
        reference = portal_access.choose_pin(reader.actor, invitation.start_code, self.pin)
        reader = find_client_session(reference)
        assert reader is not None  # noqa: S101 - the PIN was right
        with transaction():
            portal_access.complete_first_visit(reader.actor)
            portal_access.sign_out(reader.actor)
