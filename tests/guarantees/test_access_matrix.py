"""The access matrix: everybody in the product, at every route and method, with records of their own and of others.

What is expected is declared here: the actions of each role are the table of `test_actions`, and PEOPLE says where each
person is known and whose clients they see. Pages and files aren't rendered, and refusals aren't recorded, so that
thousands of requests stay cheap (`test_routes` looks at the record of refusals); the database is put back after each
request that may have changed something.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from datetime import timedelta
from io import BytesIO
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from flask import Response
from flask.testing import EnvironBuilder
from werkzeug.test import run_wsgi_app

from caseapp.core import pdf, pdf_cache
from caseapp.core.actor import operator
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.permissions import READING_SCOPES, SCOPES, Role
from caseapp.core.sessions import Assurance, begin_session
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.models import AlertRecipient
from caseapp.domain.auth.models import Token
from caseapp.domain.auth.operations import create_token, revoke_token
from caseapp.domain.clients.codes import ALERTED
from caseapp.domain.clients.memberships import join_for
from caseapp.domain.clients.models import CoveredClient
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.practice.models import Practice
from caseapp.domain.practice.queries import today
from caseapp.domain.screening.hold_operations import name_second_person
from caseapp.domain.screening.queries import lock_hold
from caseapp.domain.staffing.cover_operations import arrange_cover
from caseapp.domain.staffing.cover_queries import lock_caseload
from caseapp.domain.staffing.cover_schemas import NewCover
from caseapp.domain.staffing.denial_operations import deny_access
from caseapp.domain.staffing.denials import lock_access
from caseapp.domain.staffing.operations import hand_over
from caseapp.domain.staffing.schemas import NewDenial
from caseapp.domain.users.models import User
from caseapp.http.form_routes import FormRoute
from tests.guarantees import sample_data as w
from tests.guarantees.test_actions import TABLE
from tests.support import builders, staff

DESK, READER, FORM = "__Host-desk", "__Host-reader", "__Host-form"


@dataclass(frozen=True)
class Person:
    """A role, the interface at which the person is known, and whose clients they see: a coach's, or another's.

    `is_author` tells whether they wrote those records, `is_named` whether they were named to release the hold,
    `is_alerted` whether an alert about the client reached them, `covers` whether they see the records for a colleague,
    `only_reads` whether they do by emergency access, and `scopes` what their token may do, if not everything.
    """

    role: Role | None = None
    at: str | None = None
    sees: str | None = None
    is_author: bool = False
    is_named: bool = False
    is_alerted: bool = False
    covers: bool = False
    only_reads: bool = False
    scopes: str = "all"
    must_set_up: bool = False


def at_both(name, person):
    """Describe somebody with a session in the browser and with a token."""
    return {name: replace(person, at="staff"), f"{name}'s token": replace(person, at="api")}


COACH_OF_CASE = Person(Role.COACH, sees="own", is_author=True)
UNKNOWN = Person()
# Forms that change nothing: they are sent only so that no address holds what was typed, or the form asks who sends it.
READING = {"note_search.case_search", "timeline.print_record"}
READER_OF_RECORD = "supervisor with emergency access"
PEOPLE = {
    "nobody": UNKNOWN,
    "client who hasn't entered the PIN": Person(Role.SIGNING_IN, "portal"),
    "client": Person(Role.CLIENT, "portal", "own"),
    "another client": Person(Role.CLIENT, "portal", "foreign"),
    **at_both("coach", COACH_OF_CASE),
    **at_both("another coach", Person(Role.COACH, sees="foreign", is_author=True)),
    **at_both("former coach", Person(Role.COACH)),
    **at_both("covering colleague", Person(Role.COACH, sees="own", covers=True)),
    **at_both("supervisor", Person(Role.SUPERVISOR, sees="own")),
    **at_both("another supervisor", Person(Role.SUPERVISOR)),
    **at_both("named second person", Person(Role.SUPERVISOR, is_named=True)),
    **at_both(READER_OF_RECORD, Person(Role.SUPERVISOR, sees="own", only_reads=True)),
    **at_both("alerted deputy of another team", Person(Role.SUPERVISOR, is_alerted=True)),
    **at_both("alerted supervisor who must not see the client", Person(Role.SUPERVISOR)),
    **at_both("admin", Person(Role.ADMIN)),
    "disabled coach": UNKNOWN,
    "disabled coach's token": UNKNOWN,
    "coach who hasn't shown a code": UNKNOWN,
    "revoked token": UNKNOWN,
    "expired token": UNKNOWN,
    "token to read": replace(COACH_OF_CASE, at="api", scopes="read"),
    "token for handouts": replace(COACH_OF_CASE, at="api", scopes="handouts"),
}
WITHOUT_FACTOR = {
    "coach without a factor": replace(COACH_OF_CASE, at="staff", must_set_up=True),
    "their token": replace(COACH_OF_CASE, at="api", must_set_up=True),
}
"""They are tried while the practice requires a second factor of coaches."""

# What somebody reaches who has to set up a second factor first.
TO_SET_UP = {
    "account.add_passkey",
    "account.factor_page",
    "account.set_up_factor",
    "sign_in.sign_out",
    "session_time.look",
    "session_time.stay",
    "single_sign_on.begin_confirmation",
}
# Arguments whose records only their author sees, what only that team's supervisor reaches, and what somebody reaches
# who was named to release the hold.
OF_AUTHOR = {"accepted_id", "note_id", "revision_id", "session_id", "snippet_id", "token_id"}
# Arguments that are no part of a client's record: who covers or has emergency access finds nothing of them.
OF_PEOPLE = {"alert_id", "bulk_assignment_id", "coach_id", "cover_id", "intake_id", "transfer_id"}
# Pages that only ask for a change: who has emergency access makes none.
ONLY_ASKING = {
    "addenda.addendum_page",
    "amendments.amendment_page",
    "assignments.assign_page",
    "cases.close_page",
    "copies.copy_page",
    "cosigning.cosign_page",
    "erasure.certificate",
    "erasure.erasure_page",
    "erasure.request_page",
    "api_erasures.get_certificate_pdf",
    "api_erasures.get_erasure",
    "holds.named_hold",
    "invitations.invite_page",
    "left_drafts.left_draft",
    "api_left_drafts.get_left_draft",
    "legal_holds.hold_page",
    "api_legal_holds.get_legal_hold",
    "merges.choose_record",
    "merges.merge_page",
    "notes.new_note_page",
    "notes.sign_page",
    "screenings.correction_page",
}
OF_TEAM = {"staffing.hand_over_page", "staffing.confirm_rest", "staffing.hand_over_rest"}
# What only whoever put an intake to a supervisor reaches, though their supervisor sees it.
OF_ASKER = {"cases.open_asked", "cases.ask_again", "api_intakes.open_case", "api_intakes.ask_again"}
# An emergency access is reviewed by the supervisor of the client's coach; the other coach has none, so whoever else is
# a supervisor reviews the one that `supervisor` has had.
OF_REVIEWER = {"emergency.review_access_page", "emergency.review", "api_emergency.review"}
# What admins reach of everybody: of a client it shows a case number only.
OF_ADMIN = {
    "cosignatures.save_choice",
    "denials.end",
    "api_denials.end",
    "erasure.certificate",
    "erasure.erasure_page",
    "erasure.erase",
    "erasure.refuse",
    "api_erasures.get_certificate_pdf",
    "api_erasures.get_erasure",
    "api_erasures.erase",
    "api_erasures.refuse",
    "legal_holds.hold_page",
    "legal_holds.lift",
    "legal_holds.review",
    "api_legal_holds.get_legal_hold",
    "api_legal_holds.lift",
    "api_legal_holds.review",
}
OF_NAMED = {
    "holds.named_hold",
    "holds.release_named",
    "api_screenings.get_hold",
    "api_screenings.name_second_person",
    "api_screenings.release_hold",
}
# What whoever an alert has reached may read and do, whether or not they see the client.
OF_ALERTED = {
    "alerts.acknowledge",
    "alerts.acknowledge_here",
    "alerts.alert_page",
    "api_alerts.acknowledge_alert",
}
# What nobody reaches for another reason than access.
NOT_THERE = {
    "api_clients.merge_client": "missing",  # the body names nobody's record
    "api_me.unlink": "missing",  # nobody has linked an account
    "api_notes.move_note": "missing",  # the body names nobody's case
    "api_screenings.allow_handout": "missing",
    "emergency.end_access": "missing",  # it has ended
    "api_emergency.end_access": "missing",
    "portal_sign_in.first_visit_page": "sent back",  # the PIN comes first
}
# One sheet makes no packet.
WITHOUT_PACKET = ("another client", "portal_handouts.packet_pdf")
WITHOUT_COACH = (Role.SUPERVISOR, "api_people.update_cosignature")


def ownerships(person, route):
    """List whose records are asked for; a portal's places are numbers of the client's own list."""
    if person.at != route.interface or not w.OWNED & route.rule.arguments:
        return ["own"]
    if route.interface == "portal" and person.sees != "foreign":
        return ["own", "missing"]
    return ["own", "foreign", "missing"]


def has_scope(person, action):
    """Tell whether a token's scopes include an action."""
    if person.scopes == "read":
        return action.endswith(".read")
    return person.scopes == "all" or action == "handout.read"


def expected(name, person, route, ownership):
    """Return what the table says about one cell."""
    if route.action is None:
        return "open"
    if person.at != route.interface:
        return "unknown"
    endpoint, action = route.rule.endpoint, str(route.action)
    if action not in TABLE[person.role]:
        return "sent back" if route.interface == "portal" and route.safe else "forbidden"
    if not has_scope(person, action):
        return "no scope"
    if person.must_set_up and endpoint not in TO_SET_UP:
        return "set up"
    # The member of staff in the address is a supervisor, about whose co-signatures only an admin decides.
    if (name, endpoint) == WITHOUT_PACKET or (person.role, endpoint) == WITHOUT_COACH:
        return "missing"
    owned = w.OWNED & route.rule.arguments
    is_authors = owned & OF_AUTHOR or endpoint in OF_ASKER
    sees = person.sees == ownership and (person.is_author or not is_authors)
    if person.covers:
        sees = sees and not owned & OF_PEOPLE
    if person.only_reads:
        is_reading = route.safe or endpoint in READING
        unseen = OF_TEAM | OF_REVIEWER | ONLY_ASKING
        sees = sees and is_reading and not owned & OF_PEOPLE and endpoint not in unseen
    alerted = person.is_alerted and ownership == "own" and endpoint in OF_ALERTED
    named = person.is_named and ownership == "own" and endpoint in OF_NAMED
    told = person.role is Role.ADMIN and ownership != "missing" and endpoint in OF_ADMIN
    reviews = (
        person.role is Role.SUPERVISOR
        and ownership == "foreign"
        and endpoint in OF_REVIEWER
        and name not in {"supervisor", "supervisor's token"}
    )
    if (owned or endpoint in OF_TEAM) and not (sees or named or told or reviews or alerted):
        return "missing"
    return NOT_THERE.get(endpoint, "reached")


def classify(route, answer, person):
    """Return the outcome of an answer in the words of `expected`, or its status where that says nothing of access."""
    status, target = answer.status_code, (answer.location or "").partition("?")[0]
    if route.action is None:
        return status if status in {403, 405, 500} else "open"
    if status in {405, 500, 503}:
        return status
    if status == 401 or (route.safe and target in {"/sign-in", "/portal/sign-in"}):
        return "unknown"
    if person.must_set_up and (
        target == "/account/second-factor"
        or status == 409
        or b"second_factor_needed" in answer.data
    ):
        return "set up"
    if status == 403:
        told = answer.headers.get("WWW-Authenticate", "")
        return "no scope" if "insufficient_scope" in told else "forbidden"
    if route.interface == "portal" and route.safe and target in {"/portal", "/portal/pin"}:
        return "sent back"
    return "missing" if status == 404 else "reached"


class Matrix:
    """A practice with everybody in it, and how each of them sends a request."""

    def __init__(self, app, world):
        self.world = world
        self.app = app
        self.environ = EnvironBuilder(app).get_environ()
        self.form = self.world.browsers["nobody"].get_cookie(FORM).value
        self.common = {
            "version": "1",
            "idempotency_key": "matrix",
            "csrf_token": self.world.csrf["nobody"],
        }
        self.cookies, self.tokens = {}, {}
        self.values = {
            "own": self.world.own,
            "foreign": self.world.foreign,
            "missing": self.world.own | {name: w.MISSING.get(name, w.NOBODYS) for name in w.OWNED},
        }
        self.file = sqlite3.connect(db.engine.url.database)
        self.copy = sqlite3.connect(":memory:")

    def add_people(self):
        """Sign everybody in, and make the tokens."""
        actors, own = self.world.actors, self.world.own
        for name, who in (
            ("client", "client"),
            ("another client", "client2"),
            ("client who hasn't entered the PIN", "signing_in"),
        ):
            self.cookies[name] = (READER, self.world.browsers[who].get_cookie(READER).value)
        people = {
            "coach": actors["coach"],
            "another coach": actors["coach2"],
            "former coach": staff.add("coach3", supervisor="supervisor"),
            "covering colleague": staff.add("coach5", supervisor="supervisor2"),
            "supervisor": actors["supervisor"],
            "another supervisor": actors["supervisor2"],
            "named second person": staff.add("supervisor3"),
            READER_OF_RECORD: staff.add("supervisor5"),
            "alerted deputy of another team": staff.add("supervisor6"),
            "alerted supervisor who must not see the client": staff.add("supervisor4"),
            "admin": actors["admin"],
            "disabled coach": staff.add("coach4", supervisor="supervisor"),
        }
        coach, former = people["coach"], people["former coach"]
        for leaver, heir in ((coach, former), (former, coach)):
            with transaction():
                client = lock_client(people["supervisor"], own["client_id"])
                hand_over(people["supervisor"], client, leaver.id, heir.id)
        with transaction():
            # A hand-over ends the cover that has not begun.
            db.session.add(CoveredClient(cover_id=own["cover_id"], client_id=own["client_id"]))
            # As if somebody else had recorded the screening.
            db.session.add(AlertRecipient(alert_id=own["alert_id"], user_id=coach.id, step="coach"))
            denied = people["alerted supervisor who must not see the client"].id
            self.alert(denied)
            access = lock_access(actors["admin"], own["number"])
            deny_access(actors["admin"], access, NewDenial(own["number"], denied, "relative"))
            hold = lock_hold(coach, own["hold_id"])
            name_second_person(coach, hold, people["named second person"].id, hold.hold.version)
        builders.read_in_emergency(people[READER_OF_RECORD], own["number"])
        colleague, day = people["covering colleague"], today()
        with transaction():
            wanted = NewCover(colleague.id, day, day, (own["client_id"],), all=False)
            arrange_cover(coach, lock_caseload(coach, coach.id), wanted)
            # Last, since whoever else changes something about the client lets alerts go where they would go then.
            self.alert(people["alerted deputy of another team"].id)
        with transaction():
            for name, actor in people.items():
                self.cookies[name] = (DESK, begin_session("staff", actor.id))
                self.add_token(f"{name}'s token", actor, SCOPES)
            waiting = begin_session("staff", coach.id, level=Assurance.WAITS)
            self.cookies["coach who hasn't shown a code"] = (DESK, waiting)
            self.add_token("token to read", coach, READING_SCOPES)
            self.add_token("token for handouts", coach, ["handouts:read"])
            revoke_token(operator(), self.add_token("revoked token", coach, SCOPES))
            expired = self.add_token("expired token", coach, SCOPES)
            db.session.execute(
                sa.update(Token)
                .where(Token.id == expired)
                .values(created_at=now() - timedelta(days=2), expires_at=now())
            )
            db.session.execute(
                sa.update(User)
                .where(User.id == people["disabled coach"].id)
                .values(disabled_at=now())
            )

    def alert(self, user_id):
        """Let the alert about the client, who is locked, reach somebody as a deputy."""
        own = self.world.own
        db.session.add(AlertRecipient(alert_id=own["alert_id"], user_id=user_id, step="deputy"))
        join_for(own["client_id"], user_id, ALERTED)

    def add_token(self, name, actor, scopes):
        """Make a token and return its id."""
        email = db.session.get(User, actor.id).email
        token_id, self.tokens[name] = create_token(operator(), email, name, scopes)
        return token_id

    def require_factor(self):
        """Require a second factor of coaches, who have none."""
        with transaction():
            db.session.execute(sa.update(Practice).values(second_factor_roles=["coach"]))
        self.cookies["coach without a factor"] = self.cookies["coach"]
        self.tokens["their token"] = self.tokens["coach's token"]

    def send(self, name, route, ownership):
        """Send a request as somebody, valid as far as looking for the record.

        It goes to the application as a server hands it over: a test client takes longer than most refusals.
        """
        cookies = [(FORM, self.form), *([self.cookies[name]] if name in self.cookies else [])]
        path, _, query = route.path(self.values[ownership]).partition("?")
        environ = self.environ | {
            "REQUEST_METHOD": route.method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "HTTP_COOKIE": "; ".join(f"{key}={value}" for key, value in cookies),
        }
        if name in self.tokens:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {self.tokens[name]}"
        if not route.safe:
            body = w.BODIES.get(route.name, {})
            if route.interface == "api":
                kind, sent = "application/json", self.app.json.dumps(body)
                environ["HTTP_IF_MATCH"] = '"1"'
            else:
                kind, sent = "application/x-www-form-urlencoded", urlencode(self.common | body)
            environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"] = kind, str(len(sent))
            environ["wsgi.input"] = BytesIO(sent.encode())
        return Response(*run_wsgi_app(self.app, environ, buffered=True))

    def keep(self):
        """Keep the database as it is now."""
        db.session.remove()
        self.file.backup(self.copy)

    def put_back(self):
        """Make the database what it was when it was kept."""
        db.session.remove()
        self.copy.backup(self.file)

    def close(self):
        """Close the connections by which the database is put back."""
        self.file.close()
        self.copy.close()

    def try_all(self, people, routes):
        """Try every cell of some people; return what differs from the table, and how many cells there were."""
        self.keep()
        differing, tried = [], 0
        for name, person in people.items():
            for route in routes:
                # A token is no cookie: one with every scope shows it for all.
                if route.interface != "api" and name in self.tokens and name != "coach's token":
                    continue
                for ownership in ownerships(person, route):
                    answer = self.send(name, route, ownership)
                    found = classify(route, answer, person)
                    wanted = expected(name, person, route, ownership)
                    tried += 1
                    if found != wanted:
                        differing.append((name, route.name, ownership, f"{found}, not {wanted}"))
                    if not route.safe and answer.status_code < 400:
                        self.put_back()
        return differing, tried


def load_page_alone(form, sent, _error, status):
    """Load the page of a form that was refused, and show nothing of it."""
    form.page.load_view(sent.args)
    return Response(status=status)


def leave_out_what_costs(app, monkeypatch):
    """Leave out what follows when it is decided who reaches what: pages, files, and what is said of refusals."""

    def nothing(*_given, **_more):
        return None

    monkeypatch.setattr(app.jinja_env, "get_or_select_template", nothing)
    monkeypatch.setattr("flask.templating._render", lambda *_given: "")
    monkeypatch.setattr(pdf, "render", lambda *_given, **_more: b"%PDF-1.7")
    monkeypatch.setattr(pdf_cache, "get_or_render", lambda *_given, **_more: b"%PDF-1.7")
    monkeypatch.setattr("caseapp.http.fonts.web_font", nothing)
    monkeypatch.setattr("caseapp.http.fonts.send_file", lambda *_given, **_more: Response())
    monkeypatch.setattr("caseapp.web.second_factor.render_qr_svg", nothing)
    monkeypatch.setattr("caseapp.http.errors.record_refusal", nothing)
    monkeypatch.setattr("caseapp.http.errors.count_event", nothing)
    monkeypatch.setattr("caseapp.http.request_log.log", SimpleNamespace(info=nothing))
    monkeypatch.setattr(FormRoute, "show_again", load_page_alone)
    # No view is a coroutine: to find that out takes as long as the guard.
    monkeypatch.setattr(app, "ensure_sync", lambda view: view)


@pytest.mark.slow
def test_everybody_gets_what_the_table_says_at_every_route(world, app, monkeypatch):
    """Records that belong to others are missing ones (VULN-01, VULN-02, VULN-16, VULN-18, VULN-40)."""
    routes = w.routes(app)
    listed = set().union(*TABLE.values())
    assert {str(route.action) for route in routes if route.action is not None} <= listed
    # HEAD is answered by the function of GET, which declares the action for both.
    getting = {route.rule.rule: route.action for route in routes if route.method == "GET"}
    assert all(
        getting[route.rule.rule] == route.action for route in routes if route.method == "HEAD"
    )
    routes = [route for route in routes if route.method != "HEAD"]
    matrix = Matrix(app, world)
    matrix.add_people()
    leave_out_what_costs(app, monkeypatch)
    differing, tried = matrix.try_all(PEOPLE, routes)
    matrix.require_factor()
    others, more = matrix.try_all(WITHOUT_FACTOR, routes)
    matrix.close()
    assert differing + others == []
    assert tried + more >= 5000
