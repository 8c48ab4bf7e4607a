"""A small world with one of everything, twice: the coach's own and another coach's."""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from caseapp.core.actor import operator
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.permissions import SCOPES
from caseapp.core.sessions import begin_session
from caseapp.core.transaction import transaction
from caseapp.core.vault import seal_code
from caseapp.domain.alerts.models import Alert, AlertRecipient
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.assignments.queries import list_assignments
from caseapp.domain.auth.operations import create_token
from caseapp.domain.auth.queries import find_staff_session
from caseapp.domain.authoring.operations import create_draft
from caseapp.domain.authoring.schemas import NewDraft
from caseapp.domain.bulk_assignments.operations import start_bulk_assignment
from caseapp.domain.bulk_assignments.schemas import NewBulkAssignment
from caseapp.domain.cases.queries import get_case_context_by_number, lock_case
from caseapp.domain.clients.models import Cover, CoveredClient, Transfer
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.consent.operations import record_consent
from caseapp.domain.consent.schemas import NewConsent
from caseapp.domain.contacts.operations import record_contact
from caseapp.domain.contacts.schemas import NewContact
from caseapp.domain.erasure.models import Erasure
from caseapp.domain.followups.operations import create_followup
from caseapp.domain.followups.schemas import NewFollowUp
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.legal_holds.operations import place_legal_hold
from caseapp.domain.legal_holds.queries import lock_legal_holds
from caseapp.domain.models import METADATA
from caseapp.domain.notes.revision_queries import get_own_draft, list_revisions
from caseapp.domain.notes.snippet_operations import save_snippet
from caseapp.domain.notes.snippet_schemas import SnippetText
from caseapp.domain.practice.operations import add_help_line
from caseapp.domain.practice.queries import today
from caseapp.domain.practice.schemas import NewHelpLine
from caseapp.domain.process_notes.operations import save_process_note
from caseapp.domain.process_notes.queries import lock_process_note
from caseapp.domain.reports.operations import create_export
from caseapp.domain.reports.schemas import ReportFilter
from caseapp.domain.safety_plans.codes import SAFETY
from caseapp.domain.safety_plans.queries import get_plan_id
from caseapp.domain.screening.queries import list_flags, list_holds
from caseapp.domain.staffing.denial_operations import deny_access
from caseapp.domain.staffing.denials import lock_access
from caseapp.domain.staffing.emergencies import lock_emergency
from caseapp.domain.staffing.emergency_operations import end_emergency_access
from caseapp.domain.staffing.schemas import NewDenial
from caseapp.domain.worksheets.operations import send_upload, share_answers, store_upload
from caseapp.domain.worksheets.queries import lock_worksheet
from caseapp.http.guard import iter_routes
from caseapp.portal.reading_list import format_position
from tests.support import builders, intakes, portal_client, safety_plans, staff

if TYPE_CHECKING:
    from werkzeug.routing import Rule

NOBODYS = UUID("01890000-0000-7000-8000-000000000000")
SLUG = "help-right-now"
PROCESS_NOTE = "I dread the heron in her kitchen."

# Every URL argument has a value here. OWNED arguments name somebody's record.
OWNED = {
    "accepted_id",
    "alert_id",
    "assignment_id",
    "case_id",
    "client_id",
    "consent_id",
    "contact_id",
    "denial_id",
    "emergency_id",
    "erasure_id",
    "flag_id",
    "coach_id",
    "cover_id",
    "followup_id",
    "bulk_assignment_id",
    "hold_id",
    "left_draft_id",
    "legal_hold_id",
    "intake_id",
    "note_id",
    "number",
    "plan_id",
    "position",
    "revision_id",
    "session_id",
    "signed_note_id",
    "snippet_id",
    "token_id",
    "transfer_id",
    "upload_id",
    "screening_id",
}
# What isn't about one client only: whoever reads it sees the part that they may.
NOT_OF_ONE_CLIENT = {"bulk_assignment_id", "coach_id", "cover_id", "intake_id", "session_id"}
SHARED = {
    "draft_id",
    "export_id",
    "group",
    "key",
    "line_id",
    "name",
    "slug",
    "stamp",
    "token",
    "user_id",
}
MISSING = {
    "group": "no-such-group",
    "number": "C-1999-0001",
    "position": 9999,
    "slug": "no-such-sheet",
    "key": "no-such-font",
    "name": "no-such-file.css",
    "stamp": "0000000000",
    "token": "no-such-link",
}
NUMBERED = {
    "portal_handouts.handout_pdf",
    "portal_handouts.written_file",
    "portal_handouts.written_pdf",
}
"""Files whose names hold the position of a handout."""
STAFF = ("coach", "coach2", "supervisor", "supervisor2", "admin")


@dataclass
class World:
    """A practice: its people, their browsers and tokens, and a value for each URL argument."""

    app: object
    actors: dict
    browsers: dict = field(default_factory=dict)
    csrf: dict = field(default_factory=dict)
    tokens: dict = field(default_factory=dict)
    own: dict = field(default_factory=dict)
    foreign: dict = field(default_factory=dict)
    drafts: dict = field(default_factory=dict)

    def values_for(self, who):
        """Return a value for each argument when this person reads: a draft is visible to its author only."""
        return self.own | self.drafts.get(who, {})


def _guard(number, admin, denied, reader):
    """Record who must not see the client with a case number, who had emergency access, and that the record is kept."""
    with transaction():
        denial = NewDenial(number, denied.id, "relative")
        denial_id = deny_access(admin, lock_access(admin, number), denial)
    emergency_id = builders.read_in_emergency(reader, number)
    with transaction():
        end_emergency_access(reader, lock_emergency(reader, emergency_id))
    with transaction():
        holds = lock_legal_holds(admin, number)
        day = today() + timedelta(days=90)
        legal_hold_id = place_legal_hold(admin, holds, "court", day)
    return {"denial_id": denial_id, "emergency_id": emergency_id, "legal_hold_id": legal_hold_id}


def _offer(session, former, coach, client_id, moment, state="offered", **more):
    """Let somebody offer a client to a coach, and return the transfer's id."""
    transfer = Transfer(
        id=new_id(),
        client_id=client_id,
        from_id=former.id,
        to_id=coach.id,
        state=state,
        offered_at=moment,
        offered_by=former.id,
        expires_at=moment + timedelta(days=7),
        **more,
    )
    key = get_client_key(client_id)
    transfer.reason = seal_code("transfer", "reason", transfer.id, "other", key)
    session.add(transfer)
    return transfer.id


def _write_draft(author, case_id):
    """Start a note and change its text; return its id and that of the text before."""
    note_id = builders.revised_draft(author, case_id)
    revisions = list_revisions(author, get_own_draft(author, note_id))
    return {"note_id": note_id, "revision_id": revisions[0].id}


def _request_erasure(session, coach, client_id, moment):
    """Let a coach have requested that a client's record is erased, before the case was reopened; return its id."""
    erasure = Erasure(
        id=new_id(),
        client_id=client_id,
        ground="client",
        state="requested",
        requested_at=moment,
        requested_by=coach.id,
    )
    session.add(erasure)
    return erasure.id


def _share(client, worksheet):
    """Let a client write in the first field of a worksheet that takes words, and share it."""
    fields = worksheet.assignment.handout.fields
    first = next(field for field in fields if field.kind in {"text", "long"})
    share_answers(client, worksheet, {first.id: "For you."}, 0)


def _belongings(app, coach, slugs, others, leaver):
    """Create one record of each kind for a coach; return the client's browser and a value for each argument.

    `others` are an admin, who must not see the client, and who had emergency access; `leaver` has left a draft.
    """
    browser, found = portal_client.sign_in_client(app, coach)
    with transaction():
        for slug in slugs:
            assign_handout(
                coach,
                lock_case(coach, found.case_id),
                slug,
                message="For you.",
                channel="portal",
                confirmed=True,
            )
        create_followup(
            coach, lock_client(coach, found.client_id), NewFollowUp("Ring the school", now())
        )
    client = portal_client.reader(found.client_id, "A client")
    position = len(slugs)
    with transaction():
        upload_id = store_upload(
            client, lock_worksheet(client, position), b"%PDF-1.7 a scan", "no_form"
        )
        send_upload(client, lock_worksheet(client, position), upload_id)
        _share(client, lock_worksheet(client, position))
    with transaction():
        followup_id = create_followup(
            coach, lock_client(coach, found.client_id), NewFollowUp("Ring again", now())
        )
    with transaction():
        wish = NewBulkAssignment(None, "en", "print", "", None, (found.case_id,), {})
        bulk_assignment_id = start_bulk_assignment(coach, SLUG, wish)
        consent_id = record_consent(
            coach, lock_client(coach, found.client_id), NewConsent(today(), "written")
        )
        contact_id = record_contact(
            coach, lock_client(coach, found.client_id), NewContact("no_show", words="Rang after.")
        )
    screening_id = builders.screen(coach, found.client_id, self_harm="urgent", sleep="concern")
    with transaction():
        lock_client(coach, found.client_id)
        alert_id = db.session.scalars(
            sa.select(Alert.id).where(Alert.client_id == found.client_id)
        ).one()
        # As if somebody else had recorded the screening.
        db.session.add(AlertRecipient(alert_id=alert_id, user_id=coach.id, step="coach"))
    safety_plans.write(coach, found.client_id)
    safety_plans.show(coach, found.client_id)
    # Nobody else’s, and not begun, so that it opens nothing to anybody.
    with transaction() as session:
        lock_client(coach, found.client_id)
        moment = now()
        cover = Cover(
            coach_id=coach.id,
            user_id=coach.id,
            starts_at=moment + timedelta(days=30),
            ends_at=moment + timedelta(days=31),
            created_at=moment,
            created_by=coach.id,
        )
        session.add(cover)
        session.flush()
        session.add(CoveredClient(cover_id=cover.id, client_id=found.client_id))
        cover_id = cover.id
        transfer_id = _offer(session, coach, coach, found.client_id, moment)
        # Somebody else, who was a coach then.
        former = (others[0], coach, found.client_id)
        accepted_id = _offer(session, *former, moment, state="accepted", decided_at=moment)
        erasure_id = _request_erasure(session, coach, found.client_id, moment)
    builders.remember_devices(found.client_id, 1)
    with builders.supervised(coach):
        signed_note_id = builders.note(coach, found.case_id)
    with transaction():
        session_id = find_staff_session(begin_session("staff", coach.id)).actor.session_id
        token_id, _ = create_token(operator(), staff.email_of(coach), "spare")
    number = db.session.scalar(
        sa.text("SELECT number FROM coaching_case ORDER BY opened_at DESC LIMIT 1")
    )
    guarded = _guard(number, *others)
    with transaction():
        save_process_note(coach, lock_process_note(coach, number), PROCESS_NOTE, 0)
        snippet_id = save_snippet(coach, SnippetText("Sleep", "Slept well."), 0)
    context = get_case_context_by_number(coach, number)
    assignments = list_assignments(coach, context)
    return browser, {
        "accepted_id": accepted_id,
        "alert_id": alert_id,
        "case_id": found.case_id,
        "client_id": found.client_id,
        "consent_id": consent_id,
        "contact_id": contact_id,
        "coach_id": coach.id,
        "cover_id": cover_id,
        "number": number,
        "plan_id": get_plan_id(SAFETY, context.key),
        "followup_id": followup_id,
        "screening_id": screening_id,
        **_write_draft(coach, found.case_id),
        "signed_note_id": signed_note_id,
        "left_draft_id": builders.left_draft(coach, leaver, found.case_id),
        "bulk_assignment_id": bulk_assignment_id,
        "intake_id": intakes.keep(coach),
        "hold_id": list_holds(coach, found.client_id)[0].id,
        **guarded,
        "erasure_id": erasure_id,
        "flag_id": list_flags(coach, found.client_id)[0].id,
        "assignment_id": assignments[0].id,
        "position": assignments[0].position,
        "session_id": session_id,
        "snippet_id": snippet_id,
        "token_id": token_id,
        "transfer_id": transfer_id,
        "upload_id": upload_id,
        "card_code": found.card_code,
    }


def make(app, team):
    """Fill a practice with these people and one supervisor more, and sign everybody in."""
    actors = team | {"supervisor2": staff.add("supervisor2")}
    world = World(app, actors)
    with transaction():
        shared = {
            "line_id": add_help_line(operator(), NewHelpLine("dv", "Refuge", "01632 960123", "")),
            "export_id": create_export(actors["admin"], ReportFilter(), "csv"),
            "draft_id": create_draft(actors["admin"], NewDraft("A walk", "en")),
            "slug": SLUG,
            "group": "alerts",
            "key": "sans-400",
            "stamp": "0000000000",
            "name": "app.css",
            "token": "no-such-link",
            "user_id": actors["supervisor"].id,
        }
    coach, coach2, admin = actors["coach"], actors["coach2"], actors["admin"]
    reader, leaver = actors["supervisor2"], staff.add("leaver", role="coach")
    two, others = [SLUG, "better-nights"], (admin, coach, actors["supervisor"])
    client, own = _belongings(app, coach, two, (admin, coach2, reader), leaver)
    client2, foreign = _belongings(app, coach2, [SLUG], others, leaver)
    world.own, world.foreign = shared | own, shared | foreign
    world.browsers |= {"client": client, "client2": client2}
    world.drafts = {"supervisor": _write_draft(actors["supervisor"], own["case_id"])}
    for who in STAFF:
        browser = app.test_client()
        assert staff.sign_in(browser, actors[who]).status_code == 303
        world.csrf[who] = staff.csrf(browser.get("/help/keys"))
        world.browsers[who] = browser
        with transaction():
            world.tokens[who] = create_token(operator(), f"{who}@practice.test", "test", SCOPES)[1]
    signing_in = app.test_client()
    invited = portal_client.invited(actors["coach"])
    portal_client.use_card(signing_in, invited.card_code)
    world.browsers["signing_in"] = signing_in
    world.browsers["nobody"] = app.test_client()
    for who in ("client", "client2", "signing_in"):
        world.csrf[who] = staff.csrf(world.browsers[who].get("/portal/safety"))
    world.csrf["nobody"] = staff.csrf(world.browsers["nobody"].get("/sign-in"))
    return world


def copy_of(world):
    """Copy a world: what a test does in its browsers or changes in its values stays its own."""
    browsers = {}
    for who, browser in world.browsers.items():
        browsers[who] = world.app.test_client()
        browsers[who]._cookies = dict(browser._cookies)  # noqa: SLF001 - there is no public way
    return replace(
        world,
        browsers=browsers,
        actors=dict(world.actors),
        csrf=dict(world.csrf),
        tokens=dict(world.tokens),
        own=dict(world.own),
        foreign=dict(world.foreign),
        drafts=dict(world.drafts),
    )


def deny(world, who):
    """Let an admin record that somebody must not see the coach's client."""
    admin, number = world.actors["admin"], world.own["number"]
    with transaction():
        new = NewDenial(number, world.actors[who].id, "relative")
        deny_access(admin, lock_access(admin, number), new)


@dataclass(frozen=True)
class Route:
    """One method at one URL rule, with its declared action."""

    rule: Rule
    method: str
    action: object
    interface: str

    @property
    def name(self):
        """The route as failures name it."""
        return f"{self.method} {self.rule.rule}"

    @property
    def safe(self):
        """Whether it only reads."""
        return self.method in {"GET", "HEAD"}

    def path(self, values):
        """Build the path."""
        filled = {name: values[name] for name in self.rule.arguments}
        if self.rule.endpoint in NUMBERED:
            filled["number"] = format_position(values["position"])
        path = self.rule.build(filled, append_unknown=False)[1]
        if self.rule.endpoint == "api_assignments.download_packet":
            path += f"?assignment={values['assignment_id']}"
        return path


def interface_of(path):
    """Return the interface of a path."""
    if path.startswith("/api"):
        return "api"
    if path.startswith("/portal"):
        return "portal"
    return "staff"


def routes(app):
    """List every route."""
    return [
        Route(rule, method, getattr(view, "action", None), interface_of(rule.rule))
        for rule, method, view in iter_routes(app)
    ]


# A valid body for each change, so that it gets as far as looking for the record.
API = "/api/v1"
BODIES: dict[str, dict[str, object]] = {
    f"PATCH {API}/clients/<uuid:client_id>": {"pronouns": "they"},
    f"POST {API}/clients/<uuid:client_id>/hand-over": {
        "from_id": str(NOBODYS),
        "heir_id": str(NOBODYS),
    },
    f"POST {API}/denied-access/<uuid:denial_id>/end": {"reason": "past"},
    f"POST {API}/emergency-access/<uuid:emergency_id>/review": {"outcome": "needed"},
    f"POST {API}/coaches/<uuid:coach_id>/covers": {
        "user_id": str(NOBODYS),
        "starts_on": "2026-05-14",
        "ends_on": "2026-05-14",
        "all": True,
    },
    f"PATCH {API}/practice": {"tagline": "Coaching"},
    f"PATCH {API}/covers/<uuid:cover_id>/clients/<uuid:client_id>": {"line": "Ring at noon."},
    f"POST {API}/coaches/<uuid:coach_id>/transfers": {
        "to_id": str(NOBODYS),
        "reason": "other",
        "all": True,
    },
    f"PATCH {API}/cases/<uuid:case_id>": {"goal": "together"},
    f"PATCH {API}/notes/<uuid:note_id>": {"minutes": 45},
    f"POST {API}/notes/<uuid:signed_note_id>/addenda": {"kind": "addition", "text": "She rang."},
    f"POST {API}/notes/<uuid:signed_note_id>/amendments": {
        "requested_on": "2026-05-14",
        "words": "I never said that.",
    },
    f"POST {API}/notes/<uuid:signed_note_id>/amendments/accept": {"text": "She didn’t say that."},
    f"POST {API}/notes/<uuid:signed_note_id>/amendments/decline": {"reason": "She did say that."},
    f"POST {API}/notes/<uuid:note_id>/move": {
        "case_id": NOBODYS.hex,
        "reason": "The wrong case was open.",
    },
    f"POST {API}/left-drafts/<uuid:left_draft_id>/file": {"reason": "It is all there is."},
    f"POST {API}/notes/<uuid:signed_note_id>/return": {"comment": "Say who was in the room."},
    f"POST {API}/people/<uuid:user_id>/cosignature": {"needs_cosignature": True},
    f"POST {API}/me/language": {"language": "es"},
    f"PATCH {API}/followups/<uuid:followup_id>": {
        "result": "reached",
        "method": "call",
        "note": "Rang.",
    },
    f"POST {API}/cases/<uuid:case_id>/stage": {"to": "understand"},
    f"POST {API}/cases/<uuid:case_id>/close": {
        "outcome": "reunited",
        "reason": "decision",
        "final_screening": "done",
    },
    f"POST {API}/cases/<uuid:case_id>/copies": {
        "channel": "in_person",
        "asked_alone": True,
        "kind": ["session"],
    },
    f"POST {API}/cases/<uuid:case_id>/reopen": {"reason": "She rang."},
    f"POST {API}/cases/<uuid:case_id>/notes": {
        "format": "dap",
        "session_at": "2026-05-14T12:00:00Z",
    },
    f"POST {API}/cases/<uuid:case_id>/assignments": {"slug": SLUG, "channel": "print"},
    f"POST {API}/cases/<uuid:case_id>/assignments/batch": {"slugs": [SLUG], "channel": "print"},
    f"POST {API}/assignments/<uuid:assignment_id>/replace": {"message": ""},
    f"POST {API}/clients/<uuid:client_id>/contact-confirmation": {"in_person": True},
    f"POST {API}/clients/<uuid:client_id>/merge": {
        "into_id": NOBODYS.hex,
        "reason": "She called twice.",
    },
    f"POST {API}/clients/<uuid:client_id>/contacts": {"kind": "no_show"},
    f"POST {API}/clients/<uuid:client_id>/disclosures": {
        "disclosed_on": "2026-05-14",
        "recipient": "The client",
        "what": "Two notes.",
        "why": "She asked.",
    },
    f"POST {API}/clients/<uuid:client_id>/erasures": {"ground": "client"},
    f"POST {API}/erasures/<uuid:erasure_id>/refuse": {"refusal": "law"},
    f"POST {API}/legal-holds/<uuid:legal_hold_id>/review": {"review_on": "2026-05-20"},
    f"POST {API}/legal-holds/<uuid:legal_hold_id>/lift": {"reason": "ended"},
    f"POST {API}/clients/<uuid:client_id>/consents": {
        "given_on": "2026-05-14",
        "method": "written",
    },
    f"POST {API}/clients/<uuid:client_id>/consents/withdrawal": {
        "withdrawn_on": "2026-05-14",
        "withdrawn_method": "spoken",
        "told": "She told me.",
    },
    f"POST {API}/contacts/<uuid:contact_id>/error": {"reason": "Another client."},
    f"POST {API}/consents/<uuid:consent_id>/error": {"reason": "Another client."},
    f"POST {API}/clients/<uuid:client_id>/safety-plans": {
        "kind": "safety",
        "answers": safety_plans.answers(),
    },
    f"POST {API}/clients/<uuid:client_id>/safety-plans/<uuid:plan_id>/review": {
        "review_note": "Ok"
    },
    f"POST {API}/clients/<uuid:client_id>/safety-plans/<uuid:plan_id>/portal": {"wished": True},
    f"POST {API}/clients/<uuid:client_id>/portal-codes": {"reason": "lost"},
    f"POST {API}/clients/<uuid:client_id>/screenings": {"sleep": "none"},
    f"POST {API}/screenings/<uuid:screening_id>/error": {
        "reason": "Wrong key, she was never asked."
    },
    f"POST {API}/clients/<uuid:client_id>/proposals": {"concerns": ["sleep"]},
    f"POST {API}/clients/<uuid:client_id>/circumstances/end": {
        "circumstance": "weapons",
        "mentioned_at": "2026-05-14T12:00:00Z",
        "reason": "He handed the rifle in at the police station.",
    },
    f"POST {API}/holds/<uuid:hold_id>/release": {"reason": "All is done and written down."},
    f"POST {API}/holds/<uuid:hold_id>/allowed-handout": {
        "handout": "my-reasons",
        "case_id": NOBODYS.hex,
        "reason": "It keeps her from writing to him.",
    },
    f"POST {API}/holds/<uuid:hold_id>/second-person": {"user_id": NOBODYS.hex},
    f"POST {API}/intakes/<uuid:intake_id>/ask": intakes.BODY,
    f"POST {API}/intakes/<uuid:intake_id>/case": intakes.BODY,
    f"POST {API}/intakes/<uuid:intake_id>/decision": {"is_allowed": True},
    "POST /note/<uuid:note_id>/draft": {
        "format": "dap",
        "session_at": "2026-05-14T12:00",
        "modality": "video",
    },
}


def send(world, route, who, values, *, csrf=True, headers=None, path=None, body=None):
    """Send a request as somebody: to the API with their token, elsewhere with their cookie and form fields."""
    given = dict(headers or {})
    more = {}
    if route.interface == "api":
        if who in world.tokens:
            given["Authorization"] = f"Bearer {world.tokens[who]}"
        if not route.safe:
            given.setdefault("If-Match", '"1"')
            more["json"] = body or {}
    elif not route.safe:
        more["data"] = {"version": "1", "idempotency_key": "guarantee"} | (body or {})
        if csrf:
            more["data"]["csrf_token"] = world.csrf[who]
    browser = world.browsers[who]
    return browser.open(path or route.path(values), method=route.method, headers=given, **more)


# What reading a page may change: last seen, opened, read, and the audit log.
LEFT_BY_READING = {
    "session": {"last_seen_at"},
    "token": {"used_at"},
    "assignment": {"opened_at", "version"},
    "worksheet_response": {"shared_read_at"},
    "worksheet_upload": {"read_at"},
}
WRITTEN_BY_READING = {*LEFT_BY_READING, "audit_event", "audit_event_client"}


@contextmanager
def written_tables():
    """Give the names of the tables that are written within the block."""
    found: set[str] = set()

    def record(_connection, _cursor, statement, *_rest):
        if written := re.match(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+\"?(\w+)", statement):
            found.add(written[1])

    sa.event.listen(db.engine, "before_cursor_execute", record)
    try:
        yield found
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", record)


def digest(*, but=("audit_event", "audit_event_client", "security_event")):
    """Hash everything stored but what counts and logs requests, table by table."""
    db.session.rollback()
    found = {}
    for table in METADATA.sorted_tables:
        if table.name in but:
            continue
        columns = [c for c in table.columns if c.name not in LEFT_BY_READING.get(table.name, ())]
        rows = sorted(map(repr, db.session.execute(sa.select(*columns)).all()))
        found[table.name] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    db.session.rollback()
    return found


def refusals():
    """Count the refused requests in the audit log."""
    db.session.rollback()
    log = METADATA.tables["audit_event"]
    return db.session.scalar(
        sa.select(sa.func.count()).select_from(log).where(log.c.outcome == "refused")
    )
