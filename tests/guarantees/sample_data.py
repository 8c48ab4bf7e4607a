"""A small world with one of everything, twice: the coach's own and another coach's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from caseapp.core.actor import Actor, operator
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign
from caseapp.domain.assignments.queries import assignments_of
from caseapp.domain.authoring.operations import start_own
from caseapp.domain.authoring.schemas import NewOwn
from caseapp.domain.bulk_assignments.operations import begin_giving
from caseapp.domain.bulk_assignments.schemas import NewGiving
from caseapp.domain.cases.queries import case_by_number
from caseapp.domain.followups.operations import add_followup
from caseapp.domain.followups.schemas import NewFollowUp
from caseapp.domain.models import METADATA
from caseapp.domain.practice.operations import add_line
from caseapp.domain.practice.schemas import NewLine
from caseapp.domain.reports.operations import make_export
from caseapp.domain.reports.schemas import ReportFilter
from caseapp.domain.screening.queries import flags_of, holds_of
from caseapp.domain.users.operations import make_token
from caseapp.domain.worksheets.operations import keep_file, send_file, share_answers
from caseapp.http.guard import FOREIGN, rules
from caseapp.portal.reading_list import number_of
from tests.support import builders, portal_client, staff

if TYPE_CHECKING:
    from werkzeug.routing import Rule

NOBODYS = UUID("01890000-0000-7000-8000-000000000000")
SLUG = "help-right-now"

# Whoever adds a route with a new argument says here what stands for it; OWNED ones belong to somebody.
OWNED = {
    "assignment_id",
    "case_id",
    "client_id",
    "flag_id",
    "followup_id",
    "giving_id",
    "hold_id",
    "note_id",
    "number",
    "place",
    "returned_id",
    "screening_id",
}
SHARED = {"draft_id", "export_id", "filename", "key", "line_id", "slug", "token"}
MISSING = {
    "number": "C-1999-0001",
    "place": 9999,
    "slug": "no-such-sheet",
    "key": "no-such-font",
    "filename": "no-such-file.css",
    "token": "no-such-link",
}
STAFF = ("coach", "coach2", "supervisor", "supervisor2", "admin")


@dataclass
class World:
    """Hold a practice: its people, their browsers and tokens, and what stands for each argument of an address."""

    app: object
    actors: dict
    browsers: dict = field(default_factory=dict)
    csrf: dict = field(default_factory=dict)
    tokens: dict = field(default_factory=dict)
    own: dict = field(default_factory=dict)
    foreign: dict = field(default_factory=dict)
    drafts: dict = field(default_factory=dict)

    def seen_by(self, who):
        """Give what stands for each argument when this person reads: a draft is its author's alone."""
        return self.own | ({"note_id": self.drafts[who]} if who in self.drafts else {})


def _belongings(app, coach, sheets):
    """Make one of everything for a coach; give what stands for each argument, and the client's browser."""
    browser, found = portal_client.inside(app, coach)
    with transaction():
        for slug in sheets:
            assign(coach, found.case_id, slug, line="For you.", channel="portal", confirmed=True)
        add_followup(coach, found.client_id, NewFollowUp("Ring the school", now()))
    client = Actor(found.client_id, Role.CLIENT, "A client", "portal")
    place = len(sheets)
    with transaction():
        returned_id = keep_file(client, place, b"%PDF-1.7 a scan", "no_form")
        send_file(client, place, returned_id)
        share_answers(client, place, {"one": "For you."}, 0)
    with transaction():
        followup_id = add_followup(coach, found.client_id, NewFollowUp("Ring again", now()))
    with transaction():
        wish = NewGiving(None, "en", "print", "", None, (found.case_id,), {})
        giving_id = begin_giving(coach, SLUG, wish)
    screening_id = builders.screen(coach, found.client_id, self_harm="urgent", sleep="concern")
    note_id = builders.draft(coach, found.case_id)
    number = db.session.scalar(
        sa.text("SELECT number FROM coaching_case ORDER BY opened_at DESC LIMIT 1")
    )
    head = case_by_number(coach, number)
    assignments = assignments_of(coach, head)
    return browser, {
        "case_id": found.case_id,
        "client_id": found.client_id,
        "number": number,
        "followup_id": followup_id,
        "screening_id": screening_id,
        "note_id": note_id,
        "giving_id": giving_id,
        "hold_id": holds_of(coach, found.client_id)[0].id,
        "flag_id": flags_of(coach, found.client_id)[0].id,
        "assignment_id": assignments[0].id,
        "place": assignments[0].place,
        "returned_id": returned_id,
    }


def make(app):
    """Make the world and sign everybody in."""
    actors = staff.team()
    actors["supervisor2"] = staff.add("supervisor2", role="supervisor")
    world = World(app, actors)
    with transaction():
        shared = {
            "line_id": add_line(operator(), NewLine("dv", "Refuge", "01632 960123", "")),
            "export_id": make_export(actors["admin"], ReportFilter(), "csv"),
            "draft_id": start_own(actors["admin"], NewOwn("A walk", "en")),
            "slug": SLUG,
            "key": "sans-400",
            "filename": "app.css",
            "token": "no-such-link",
        }
    client, own = _belongings(app, actors["coach"], [SLUG, "better-nights"])
    client2, foreign = _belongings(app, actors["coach2"], [SLUG])
    world.own, world.foreign = shared | own, shared | foreign
    world.browsers |= {"client": client, "client2": client2}
    world.drafts = {"supervisor": builders.draft(actors["supervisor"], own["case_id"])}
    for who in STAFF:
        browser = app.test_client()
        world.csrf[who] = staff.csrf(browser.get("/sign-in"))
        assert staff.sign_in(browser, actors[who]).status_code == 303
        world.browsers[who] = browser
        with transaction():
            world.tokens[who] = make_token(operator(), f"{who}@practice.test", "test")[1]
    arriving = app.test_client()
    invited = portal_client.invited(actors["coach"])
    portal_client.by_card(arriving, invited.card_code)
    world.browsers["arriving"] = arriving
    world.browsers["nobody"] = app.test_client()
    for who in ("client", "client2", "arriving"):
        world.csrf[who] = staff.csrf(world.browsers[who].get("/portal/safety"))
    world.csrf["nobody"] = staff.csrf(world.browsers["nobody"].get("/sign-in"))
    return world


@dataclass(frozen=True)
class Route:
    """Be one method at one address, with what it declares."""

    rule: Rule
    method: str
    action: object
    door: str

    @property
    def name(self):
        """Name the route in a failure."""
        return f"{self.method} {self.rule.rule}"

    @property
    def safe(self):
        """Tell whether it only reads."""
        return self.method in {"GET", "HEAD"}

    def path(self, values):
        """Fill the address."""
        filled = {name: values[name] for name in self.rule.arguments}
        if self.rule.endpoint == "portal_reading.sheet_file":
            filled["number"] = number_of(values["place"])
        path = self.rule.build(filled, append_unknown=False)[1]
        if self.rule.endpoint == "api_assignments.pack":
            path += f"?sheet={values['assignment_id']}"
        return path


def door_of(path):
    """Name the door of an address."""
    if path.startswith("/api"):
        return "api"
    if path.startswith("/portal"):
        return "portal"
    return "staff"


def routes(app):
    """List every route of ours."""
    return [
        Route(rule, method, getattr(view, "action", None), door_of(rule.rule))
        for rule, method, view in rules(app)
        if rule.endpoint not in FOREIGN
    ]


# What each change needs in order to be understood, so that it gets as far as looking for the record.
API = "/api/v1"
BODIES: dict[str, dict[str, object]] = {
    f"PATCH {API}/clients/<uuid:client_id>": {"pronouns": "they"},
    f"PATCH {API}/cases/<uuid:case_id>": {"goal": "together"},
    f"PATCH {API}/notes/<uuid:note_id>": {"minutes": 45},
    f"PATCH {API}/followups/<uuid:followup_id>": {"outcome": "Rang."},
    f"POST {API}/cases/<uuid:case_id>/stage": {"to": "understand"},
    f"POST {API}/cases/<uuid:case_id>/close": {
        "outcome": "reunited",
        "reason": "decision",
        "final_screening": "done",
    },
    f"POST {API}/cases/<uuid:case_id>/reopen": {"reason": "She rang."},
    f"POST {API}/cases/<uuid:case_id>/notes": {"format": "dap", "held_at": "2026-05-14T12:00:00Z"},
    f"POST {API}/cases/<uuid:case_id>/assignments": {"slug": SLUG, "channel": "print"},
    f"POST {API}/cases/<uuid:case_id>/assignments/several": {"slugs": [SLUG], "channel": "print"},
    f"POST {API}/assignments/<uuid:assignment_id>/replace": {"line": ""},
    f"POST {API}/clients/<uuid:client_id>/screenings": {"sleep": "none"},
    f"POST {API}/holds/<uuid:hold_id>/clear": {"reason": "All is done and written down."},
    "POST /note/<uuid:note_id>/draft": {
        "format": "dap",
        "held_at": "2026-05-14T12:00",
        "how": "video",
    },
}


def send(world, route, who, values, *, csrf=True, headers=None, path=None, body=None):
    """Send a request as somebody: with their token at the API, with their cookie and their form elsewhere."""
    given = dict(headers or {})
    more = {}
    if route.door == "api":
        if who in world.tokens:
            given["Authorization"] = f"Bearer {world.tokens[who]}"
        if not route.safe:
            given.setdefault("If-Match", '"1"')
            more["json"] = body or {}
    elif not route.safe:
        more["data"] = {"version": "1", "once": "guarantee"} | (body or {})
        if csrf:
            more["data"]["csrf_token"] = world.csrf[who]
    browser = world.browsers[who]
    return browser.open(path or route.path(values), method=route.method, headers=given, **more)


# What a look at a page may leave behind: when somebody was last seen, that a sheet was opened, and the log.
LEFT_BY_READING = {"session": {"seen_at"}, "assignment": {"opened_at", "version"}}


def digest(*, but=("audit_entry",)):
    """Hash all that is stored, table by table."""
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
    """Count the refused attempts in the log."""
    db.session.rollback()
    log = METADATA.tables["audit_entry"]
    return db.session.scalar(
        sa.select(sa.func.count()).select_from(log).where(log.c.outcome == "refused")
    )
