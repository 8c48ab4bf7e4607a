"""The steps of the demo stories, run through the same operations as the web pages, at times in the past."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from caseapp.core.actor import Actor
from caseapp.core.clock import at
from caseapp.core.i18n import format_date
from caseapp.core.permissions import Role
from caseapp.core.sessions import begin_session
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.operations import acknowledge_alert
from caseapp.domain.alerts.queries import list_waiting_alerts, lock_alert
from caseapp.domain.assignments import operations as assignments
from caseapp.domain.assignments.queries import get_assignment_record, lock_assignment
from caseapp.domain.assignments.reading import get_reading_list_item, lock_own_assignment
from caseapp.domain.auth import portal_access, portal_codes
from caseapp.domain.auth.credentials import stretch_pin
from caseapp.domain.auth.queries import find_client_session
from caseapp.domain.cases import operations as cases
from caseapp.domain.cases.facts import FACTS_BY_NAME
from caseapp.domain.cases.queries import get_case_context, get_stage_gate, lock_case
from caseapp.domain.cases.schemas import CaseClosingSchema, CaseDetailsSchema, StageMoveSchema
from caseapp.domain.cases.stages import next_stage
from caseapp.domain.clients import operations as clients
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.clients.schemas import ClientSchema
from caseapp.domain.followups import operations as followups
from caseapp.domain.followups.queries import list_client_followups, lock_followup
from caseapp.domain.followups.schemas import NewFollowUpSchema, NewResult
from caseapp.domain.keys.writing import find_pin_salt, open_writing_key
from caseapp.domain.notes import operations as notes
from caseapp.domain.notes.formats import FORMATS
from caseapp.domain.notes.queries import lock_case_for_note, lock_note
from caseapp.domain.notes.schemas import DraftSchema, NewNoteSchema
from caseapp.domain.safety_plans import operations as safety_plans
from caseapp.domain.safety_plans.queries import lock_plan
from caseapp.domain.safety_plans.schemas import NewPlan
from caseapp.domain.screening import operations as screening
from caseapp.domain.screening.hold_operations import release_hold
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.queries import list_holds, lock_hold
from caseapp.domain.screening.schemas import ScreeningSchema
from caseapp.domain.worksheets import operations as worksheets
from caseapp.domain.worksheets.queries import lock_worksheet
from caseapp.domain.worksheets.schemas import FIELD_PREFIX, build_answers_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.cases.schemas import CaseDetails

HERE = Path(__file__).parent
SATURDAY = 5
NOTE_STARTED_AFTER = timedelta(minutes=60)
NOTE_SIGNED_AFTER = timedelta(minutes=75)
ALERT_ACKNOWLEDGED_AFTER = timedelta(minutes=10)
BETWEEN_STEPS = timedelta(minutes=3)
AGE_BANDS = ((25, "under_25"), (35, "25_34"), (45, "35_44"), (55, "45_54"), (65, "55_64"))


@cache
def evidence() -> dict[str, list[str]]:
    """Read the evidence with which the demo coaches attest criteria."""
    found: dict[str, list[str]] = yaml.safe_load(
        (HERE / "evidence.yaml").read_text(encoding="utf-8")
    )
    return found


@dataclass(frozen=True)
class Step:
    """One step in one client's story, with its time."""

    moment: datetime
    person: Person
    action: str
    argument: Any

    def run(self) -> None:
        """Run the step at its time."""
        with at(self.moment):
            getattr(self.person, f"do_{self.action}")(self.argument, self.moment)


@dataclass
class Person:
    """A client of the demo practice: the story from the file and the ids of the records created so far."""

    story: dict[str, Any]
    coach: Actor
    supervisor: Actor
    today: date
    pin: str
    client_id: UUID = field(init=False)
    case_id: UUID = field(init=False)
    assignment_ids: dict[str, UUID] = field(default_factory=dict)

    def day(self, ago: int) -> date:
        """Return the date so many days ago; sessions that would fall on a weekend move to the Friday before."""
        session = self.today - timedelta(days=self.story["opened"] % 7)
        early = 0 if self.story.get("fixed") else max(0, session.weekday() - SATURDAY + 1)
        return self.today - timedelta(days=ago + early)

    def steps(self) -> Iterator[Step]:
        """Yield the steps of the story with their times; on each day the session takes place at the client's hour."""
        hour = time.fromisoformat(self.story["hour"])
        last_step_at: dict[int, datetime] = {}
        yield Step(
            datetime.combine(self.day(self.story["opened"]), hour, UTC) - timedelta(minutes=10),
            self,
            "open_case",
            self.story,
        )
        for entry in self.story["story"]:
            ago = entry["ago"]
            ((action, argument),) = ((key, value) for key, value in entry.items() if key != "ago")
            begin = datetime.combine(self.day(ago), hour, UTC)
            last_step_at[ago] = last_step_at.get(ago, begin) + BETWEEN_STEPS
            if action in {"session", "screening"}:
                last_step_at[ago] = begin + NOTE_SIGNED_AFTER
            elif action == "complete":
                # A check a day after a screening isn't possible before the time at which that was recorded.
                after_note = begin + NOTE_SIGNED_AFTER + BETWEEN_STEPS
                last_step_at[ago] = max(last_step_at[ago], after_note)
            yield Step(begin if action == "session" else last_step_at[ago], self, action, argument)

    def do_open_case(self, story: dict[str, Any], moment: datetime) -> None:
        """Add the client and open the case."""
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
            agreed = story.get("agreed", False)
            self.client_id = clients.create_client(
                self.supervisor if agreed else self.coach,
                details,
                coach_id=self.coach.id,
                agreed=agreed,
            )
            client = lock_client(self.coach, self.client_id)
            self.case_id = cases.open_case(
                self.coach, client, CaseDetailsSchema().load(facts), coach_id=self.coach.id
            )

    def do_session(self, entry: dict[str, Any], moment: datetime) -> None:
        """Write the note of a session and sign it with its screening unless it stays a draft.

        `lasting` says for how many days an item had lasted by then.
        """
        kind = next(name for name, sections in FORMATS.items() if next(iter(sections)) in entry)
        change: dict[str, Any] = {
            "sections": {key: entry[key] for key in FORMATS[kind] if key in entry}
        }
        if "levels" in entry:
            asked = {} if entry.get("draft") else {item.key: "none" for item in ITEMS}
            change["screening"] = {
                **asked,
                **entry["levels"],
                "asked_alone": entry.get("alone", True),
                "actions_taken": entry.get("actions", []),
                "comment": entry.get("comment", ""),
                "lasting_since": {
                    item: str(moment.date() - timedelta(days=days))
                    for item, days in entry.get("lasting", {}).items()
                },
            }
        start = {
            "format": kind,
            "session_at": moment.isoformat(),
            "minutes": entry.get("minutes", 50),
            "modality": entry["modality"],
        }
        with at(moment + NOTE_STARTED_AFTER), transaction():
            note = notes.create_note(
                self.coach,
                lock_case_for_note(self.coach, self.case_id),
                NewNoteSchema().load(start),
            ).id
        with at(moment + NOTE_SIGNED_AFTER), transaction():
            if "levels" in entry and not entry.get("draft"):
                self._complete_recheck()
            version = notes.save_draft(
                self.coach, lock_note(self.coach, note), DraftSchema().load(change), 1
            )
            if not entry.get("draft"):
                notes.sign_note(self.coach, lock_note(self.coach, note), version)
        self._acknowledge_alerts(moment + NOTE_SIGNED_AFTER)

    def do_screening(self, entry: dict[str, Any], moment: datetime) -> None:
        """Record a screening between two sessions."""
        answers = {item.key: "none" for item in ITEMS} | entry["levels"]
        answers |= {"asked_alone": True, "comment": entry["comment"]}
        with transaction():
            self._complete_recheck()
            screening.record_screening(
                self.coach, lock_client(self.coach, self.client_id), ScreeningSchema().load(answers)
            )
        self._acknowledge_alerts(moment)

    def _acknowledge_alerts(self, moment: datetime) -> None:
        """Acknowledge the alerts of a screening as the supervisor, a few minutes later."""
        with at(moment + ALERT_ACKNOWLEDGED_AFTER), transaction():
            for alert in list_waiting_alerts(self.supervisor):
                acknowledge_alert(self.supervisor, lock_alert(self.supervisor, alert.id))

    def _complete_recheck(self) -> None:
        """Complete an open recheck follow-up, since the client is being screened again."""
        for task in list_client_followups(self.coach, self.client_id, open_only=True):
            if task.kind == "recheck":
                followups.complete_followup(
                    self.coach,
                    lock_followup(self.coach, task.id),
                    NewResult(
                        "reached",
                        method="other",
                        note="Asked again; the answers are in today’s screening.",
                    ),
                    task.version,
                )

    def do_update(self, entry: dict[str, Any], _moment: datetime) -> None:
        """Update the goal, the review date and the facts of the case."""
        context = get_case_context(self.coach, self.case_id)
        with transaction():
            cases.update_case(
                self.coach,
                lock_case(self.coach, self.case_id),
                self._details(context, entry),
                context.case.version,
            )

    def _details(self, context: Any, entry: dict[str, Any]) -> CaseDetails:  # noqa: ANN401
        review = context.case.review_date
        if "review_in" in entry:
            review = self.today + timedelta(days=entry["review_in"])
        details: CaseDetails = CaseDetailsSchema().load(
            {name: value for name, value in context.facts.items() if name in FACTS_BY_NAME}
            | entry.get("facts", {})
            | {
                "goal": entry.get("goal", context.case.goal),
                "review_date": str(review) if review else None,
            }
        )
        return details

    def do_advance(self, entry: dict[str, Any], moment: datetime) -> None:
        """Move the case to the next stage, with evidence for each criterion that a coach attests."""
        context = get_case_context(self.coach, self.case_id)
        forward = next_stage(context.stage)
        assert forward is not None  # noqa: S101 - no story goes beyond the last stage
        gate = get_stage_gate(context, today=moment.date())
        attested = [check.criterion.id for check in gate.checks if check.attested] if gate else []
        variant = self.story.get("variant", 0)
        move = {
            "to": entry.get("to", forward.id),
            "reason": entry.get("reason", ""),
            "evidence": {}
            if "to" in entry
            else {criterion: evidence()[criterion][variant] for criterion in attested},
        }
        with transaction():
            cases.move_case(
                self.coach,
                lock_case(self.coach, self.case_id),
                StageMoveSchema().load(move),
                context.case.version,
            )

    def do_followup(self, entry: dict[str, Any], _moment: datetime) -> None:
        """Add a follow-up; `due` counts days back from today, so 0 is today and -3 is in three days."""
        due = datetime.combine(self.today - timedelta(days=entry["due"]), time(16), UTC)
        new = NewFollowUpSchema().load({"title": entry["title"], "due_at": due.isoformat()})
        with transaction():
            followups.create_followup(self.coach, lock_client(self.coach, self.client_id), new)

    def do_complete(self, entry: dict[str, Any], _moment: datetime) -> None:
        """Complete a follow-up, found by its kind or title, with the first result that its kind allows."""
        (task,) = (
            task
            for task in list_client_followups(self.coach, self.client_id, open_only=True)
            if entry.get("kind") == task.kind or entry.get("title") == task.title
        )
        new = NewResult(
            task.allowed_results[0],
            method=entry["method"],
            told=entry.get("told", ""),
            note=entry["note"],
        )
        with transaction():
            safety_plans.complete_task(
                self.coach, lock_followup(self.coach, task.id), new, task.version
            )

    def do_plan(self, entry: dict[str, Any], _moment: datetime) -> None:
        """Write a plan of a kind together with the client; with `portal` the client wants it there."""
        with transaction():
            plan = lock_plan(self.coach, self.client_id, entry["kind"])
            new = NewPlan(entry["steps"], review_on=self.today + timedelta(days=entry["review_in"]))
            safety_plans.write_plan(self.coach, plan, new, plan.version)
        if entry.get("portal"):
            with transaction():
                plan = lock_plan(self.coach, self.client_id, entry["kind"])
                safety_plans.show_in_portal(self.coach, plan, plan.version)

    def do_release(self, entry: dict[str, Any], _moment: datetime) -> None:
        """Release a hold as the supervisor."""
        (hold,) = (
            hold
            for hold in list_holds(self.supervisor, self.client_id)
            if hold.kind == entry["kind"] and hold.released_at is None
        )
        with transaction():
            release_hold(
                self.supervisor, lock_hold(self.supervisor, hold.id), entry["reason"], hold.version
            )

    def do_close(self, entry: dict[str, Any], _moment: datetime) -> None:
        """Close the case; `follow_up` counts days back from today, as `due` does."""
        context = get_case_context(self.coach, self.case_id)
        closing = {
            "outcome": entry["outcome"],
            "reason": entry["reason"],
            "final_screening": "done",
            "follow_up_consent": True,
            "follow_up_on": str(self.today - timedelta(days=entry["follow_up"])),
        }
        with transaction():
            cases.close_case(
                self.coach,
                lock_case(self.coach, self.case_id),
                CaseClosingSchema().load(closing),
                context.case.version,
            )

    def do_assign(self, entry: dict[str, Any], _moment: datetime) -> None:
        """Assign a handout with a personal message; cautions are confirmed."""
        with transaction():
            self.assignment_ids[entry["slug"]] = assignments.assign_handout(
                self.coach,
                lock_case(self.coach, self.case_id),
                entry["slug"],
                message=entry["message"],
                channel=entry["channel"],
                confirmed=True,
            )

    def _assignment(self, slug: str) -> AssignmentRecord:
        return get_assignment_record(self.coach, self.assignment_ids[slug])

    def do_view(self, slug: str, _moment: datetime) -> None:
        """View a handout in the portal."""
        reader = self._client_actor()
        found = get_reading_list_item(reader, self._assignment(slug).position)
        assignments.mark_opened(found)

    def do_read(self, slug: str, moment: datetime) -> None:
        """Mark a handout as read, by the client in the portal or by the coach for a printed copy."""
        found = self._assignment(slug)
        if found.channel == "portal":
            self.do_view(slug, moment)
        with transaction():
            if found.channel == "portal":
                reader = self._client_actor()
                assignments.mark_own_read(reader, lock_own_assignment(reader, found.position))
            else:
                assignments.mark_read(
                    self.coach, lock_assignment(self.coach, found.id), found.version
                )

    def do_share(self, entry: dict[str, Any], _moment: datetime) -> None:
        """Fill in a worksheet in the portal and share it; `days` gives answers that are a day, in days from today."""
        found = self._assignment(entry["slug"])
        writer = self._writer()
        days = {
            name: format_date(self.today + timedelta(days=ahead))
            for name, ahead in entry["days"].items()
        }
        raw = {
            f"{FIELD_PREFIX}{name}": answer for name, answer in (entry["answers"] | days).items()
        }
        answers = build_answers_schema(found.handout).load(raw)
        with transaction():
            worksheets.share_answers(writer, lock_worksheet(writer, found.position), answers, 0)

    def do_withdraw(self, slug: str, _moment: datetime) -> None:
        """Withdraw a handout."""
        found = self._assignment(slug)
        with transaction():
            assignments.withdraw(self.coach, lock_assignment(self.coach, found.id), found.version)

    def _client_actor(self) -> Actor:
        return Actor(self.client_id, Role.CLIENT, self.story["name"], via="portal")

    def _writer(self) -> Actor:
        """Return the client with the key of what they write; everybody who writes was invited before."""
        pin = stretch_pin(self.pin, find_pin_salt(self.client_id))
        return replace(self._client_actor(), writing=open_writing_key(self.client_id, pin))

    def do_invite(self, _entry: dict[str, Any], _moment: datetime) -> None:
        """Invite the client to the portal and complete the first sign-in with the start code."""
        with transaction():
            invitation = portal_codes.invite_client(
                self.coach, lock_client(self.coach, self.client_id)
            )
        with transaction():
            reference = begin_session("client", self.client_id, pin_verified=False)
        reader = find_client_session(reference)
        assert reader is not None  # noqa: S101 - the session has just begun
        checked = portal_access.check_start_code(reader.actor, invitation.start_code, self.pin)
        with transaction():
            reference = portal_access.choose_pin(reader.actor, checked)
        reader = find_client_session(reference)
        assert reader is not None  # noqa: S101 - the PIN was right
        with transaction():
            portal_access.complete_first_visit(reader.actor)
            portal_access.sign_out(reader.actor)
