"""Nothing reaches a client through a channel that isn't safe when it is used: every function that sends or assigns."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from caseapp.core import outbox, runtime
from caseapp.core.actor import Actor
from caseapp.core.database import db
from caseapp.core.errors import DomainError, RuleBroken
from caseapp.core.permissions import Role
from caseapp.core.sessions import Session
from caseapp.core.settings import ROOT
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import (
    assign_handout,
    assign_handouts,
    replace_assignment,
)
from caseapp.domain.assignments.queries import get_assignment_record, lock_assignment
from caseapp.domain.assignments.reading import get_reading_list, get_reading_list_item
from caseapp.domain.assignments.rules import NOT_AVAILABLE
from caseapp.domain.assignments.schemas import NewAssignments
from caseapp.domain.auth import portal_codes
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.auth.portal_access import complete_first_visit
from caseapp.domain.auth.queries import find_client_session
from caseapp.domain.bulk_assignments.models import BulkAssignmentItem
from caseapp.domain.bulk_assignments.operations import process_item, start_bulk_assignment
from caseapp.domain.bulk_assignments.schemas import NewBulkAssignment
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.operations import confirm_contact, update_client
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.consent.operations import record_consent, withdraw_consent
from caseapp.domain.consent.schemas import ConsentWithdrawal, NewConsent
from caseapp.domain.handouts.operations import publish_version
from caseapp.domain.practice.queries import today
from caseapp.domain.screening.operations import set_manual_flag
from caseapp.domain.staffing.coach_news import mail_coach_news
from tests.domain.clients.portal_visitor import (
    choose_pin,
    come_in,
    enter_on_device,
    redeem,
    remember_device,
    request_link,
)
from tests.support import builders, staff
from tests.support.portal_client import ADDRESS, EMAIL_AND_PORTAL, mailbox_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.both

# What brings something to a client or lets them in; `LINK_MAIL` queues the mail with a link.
SINKS = {"create_assignment", "send_client_mail", "begin_session", "LINK_MAIL"}
# Functions that lead there without a channel of their own, each with its reason.
NOT_THEIR_OWN = {
    "cli.demo_steps.do_invite": "makes the demo data's sessions, for which no mail is sent",
    "domain.auth.passkeys.sign_in": "begins a session of staff",
    "domain.auth.provider_sign_in.sign_in": "begins a session of staff",
    "domain.auth.second_factor.sign_in_with_password": "begins a session of staff",
    "domain.auth.portal_access._replace_session": "goes on with a session that a link or a card began",
    "domain.auth.portal_codes.request_link": "queues a mail without looking at anybody; `mail_link` decides",
    "jobs.__init__.register_handlers": "names the handler of the queued mail",
}
SLUG = "better-nights"


@dataclass
class World:
    """A client who may be sent everything, and what was prepared for them."""

    coach: Actor
    made: builders.CaseIds
    mailbox: Any
    prepared: dict[str, Any] = field(default_factory=dict)

    def set_channels(self, *channels: str) -> None:
        found = get_client_record(self.coach, self.made.client_id)
        changed = builders.details(found.name, email=found.email, safe=SafeContact(channels))
        with transaction():
            client = lock_client(self.coach, self.made.client_id)
            update_client(self.coach, client, changed, found.version)

    def count(self) -> int:
        """Count what reached the client: mails, assignments and sessions."""
        db.session.rollback()
        rows = [
            db.session.scalar(sa.select(sa.func.count()).select_from(model))
            for model in (Assignment, Session)
        ]
        return len(self.mailbox.taken) + sum(rows)


def assign(world: World) -> None:
    with transaction():
        case = lock_case(world.coach, world.made.case_id)
        world.prepared["assignment"] = assign_handout(
            world.coach, case, SLUG, message="", channel="portal", confirmed=True
        )


def assign_several(world: World) -> None:
    wanted = NewAssignments((SLUG, "enough-to-eat"), "portal", "", "en", confirmed=True)
    with transaction():
        assign_handouts(world.coach, lock_case(world.coach, world.made.case_id), wanted)


def assign_and_publish_newer(world: World) -> None:
    assign(world)
    with transaction():
        publish_version(builders.write_second_version(SLUG))


def replace(world: World) -> None:
    with transaction():
        assignment = lock_assignment(world.coach, world.prepared["assignment"])
        replace_assignment(world.coach, assignment, message="", confirmed=True)


def start_bulk(world: World) -> None:
    case_id = world.made.case_id
    wanted = NewBulkAssignment(None, "en", "portal", "", None, (case_id,), {})
    with transaction():
        start_bulk_assignment(world.coach, SLUG, wanted)


def process_bulk(_world: World) -> None:
    with transaction():
        for item_id in db.session.scalars(sa.select(BulkAssignmentItem.id)).all():
            process_item(item_id)


def invite(world: World) -> None:
    with transaction():
        client = lock_client(world.coach, world.made.client_id)
        portal_codes.invite_client(world.coach, client)


def send_mail(_world: World) -> None:
    outbox.sweep()


def ask_for_link(world: World) -> None:
    invite(world)
    outbox.sweep()
    request_link(ADDRESS)


def invite_by_mail(world: World) -> None:
    invite(world)
    outbox.sweep()
    [world.prepared["link"]] = world.mailbox.tokens()


def use_link(world: World) -> None:
    come_in(world.prepared["link"])


def enter_portal(world: World) -> None:
    invite(world)
    outbox.sweep()
    with transaction():
        db.session.execute(sa.update(PortalAccess).values(pin_hash="chosen"))


def tell_of_coach(world: World) -> None:
    mail_coach_news(world.made.client_id)


def have_device_remembered(world: World) -> None:
    with transaction():
        client = lock_client(world.coach, world.made.client_id)
        codes = portal_codes.invite_client(world.coach, client)
    outbox.sweep()
    arriving = redeem(world.mailbox.tokens()[-1])
    reference = choose_pin(arriving, codes.start_code)
    with transaction():
        complete_first_visit(find_client_session(reference).actor)
    world.prepared["device"] = remember_device(reference)


def use_device(world: World) -> None:
    enter_on_device(world.prepared["device"])


def nothing(_world: World) -> None:
    """Prepare nothing."""


# By function: what is done while the channel is safe, and what must not reach the client once it isn't.
CASES: dict[str, tuple[Callable[[World], None], Callable[[World], None]]] = {
    "domain.assignments.operations.assign_handout": (nothing, assign),
    "domain.assignments.operations.assign_handouts": (nothing, assign_several),
    "domain.assignments.operations.replace_assignment": (assign_and_publish_newer, replace),
    "domain.bulk_assignments.operations._assign_or_explain": (start_bulk, process_bulk),
    "domain.auth.portal_codes.invite_client": (nothing, invite),
    "domain.auth.portal_access.redeem_link_or_card": (invite_by_mail, use_link),
    "domain.staffing.coach_news.mail_coach_news": (enter_portal, tell_of_coach),
    "domain.auth.remembered_devices.enter_on_device": (have_device_remembered, use_device),
    "jobs.portal_links.mail_link": (ask_for_link, send_mail),
}


OPEN_AS_BEFORE = {"domain.auth.remembered_devices.enter_on_device"}
"""What goes on while sending is unsafe, so that nobody sees by the portal that something was recorded."""


def find_callers() -> Iterator[str]:
    """Yield the functions of the application that use one of the sinks."""
    folder = ROOT / "caseapp"
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(path.relative_to(folder).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef) or node.name in SINKS:
                continue
            called = {
                ast.unparse(each.func).rpartition(".")[2]
                for each in ast.walk(node)
                if isinstance(each, ast.Call)
            }
            used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
            if SINKS & (called | used):
                yield f"{module}.{node.name}"


@pytest.mark.slow
def test_every_function_that_sends_or_assigns_is_tried() -> None:
    assert set(find_callers()) == CASES.keys() | NOT_THEIR_OWN.keys()


@pytest.fixture
def world(app: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # The test's own outbox hands nothing to a queue: each test delivers when it wants to.
    monkeypatch.setattr(runtime.current(), "dispatch", None)
    coach = staff.add("coach")
    made = builders.case(coach, safe=EMAIL_AND_PORTAL, email=ADDRESS)
    builders.screen(coach, made.client_id)
    with mailbox_server() as mailbox:
        yield World(coach, made, mailbox)


def withdraw_channels(world: World) -> None:
    world.set_channels("call")


def withdraw_everything(world: World) -> None:
    world.set_channels("in_person")


def flag_unsafe(world: World) -> None:
    with transaction():
        client = lock_client(world.coach, world.made.client_id)
        set_manual_flag(world.coach, client, "unsafe_delivery")


def make_safe_again(world: World) -> None:
    if get_client_record(world.coach, world.made.client_id).safe != EMAIL_AND_PORTAL:
        world.set_channels(*EMAIL_AND_PORTAL.channels)
    version = get_client_record(world.coach, world.made.client_id).version
    with transaction():
        client = lock_client(world.coach, world.made.client_id)
        confirm_contact(world.coach, client, version)


UNSAFE = pytest.mark.parametrize(
    "make_unsafe", [withdraw_channels, withdraw_everything, flag_unsafe]
)


@UNSAFE
@pytest.mark.parametrize("function", sorted(CASES))
def test_nothing_reaches_a_client_through_a_channel_that_became_unsafe(
    world: World, function: str, make_unsafe: Callable[[World], None]
) -> None:
    prepare, use = CASES[function]
    prepare(world)
    make_unsafe(world)
    before = world.count()
    refused = None
    try:
        use(world)
    except DomainError as error:
        refused = error
    assert (world.count() == before) != (make_unsafe is flag_unsafe and function in OPEN_AS_BEFORE)
    if isinstance(refused, RuleBroken):
        assert all(reason.way_out for reason in refused.reasons)
        assert {reason.code for reason in refused.reasons} <= {
            "portal_not_safe",
            "by_hand_only",
            "contact_frozen",
        }


@pytest.mark.parametrize("function", sorted(CASES))
def test_what_is_safe_again_is_sent_again(world: World, function: str) -> None:
    prepare, use = CASES[function]
    flag_unsafe(world)
    make_safe_again(world)
    prepare(world)
    before = world.count()
    use(world)
    if use is invite:
        outbox.sweep()
    assert world.count() > before


@UNSAFE
def test_assignment_is_hidden_while_its_channel_is_unsafe(
    world: World, make_unsafe: Callable[[World], None]
) -> None:
    assign(world)
    client = Actor(world.made.client_id, Role.CLIENT, "Ines", "portal")
    assert len(get_reading_list(client)) == 1
    make_unsafe(world)
    db.session.rollback()
    assert get_reading_list(client) == []
    with pytest.raises(RuleBroken):
        get_reading_list_item(client, 1)
    found = get_assignment_record(world.coach, world.prepared["assignment"])
    assert found.state == "suspended"
    assert all(reason.message and reason.way_out for reason in found.blockers)
    make_safe_again(world)
    db.session.rollback()
    assert len(get_reading_list(client)) == 1


def test_nothing_reaches_a_client_who_withdrew_consent_until_they_give_it_again(
    world: World,
) -> None:
    wanted = NewAssignments(("enough-to-eat",), "portal", "", "en", confirmed=True)
    with transaction():
        assign_handouts(world.coach, lock_case(world.coach, world.made.case_id), wanted)
    invite(world)
    start_bulk(world)
    with transaction():
        told = ConsentWithdrawal(today(), "spoken", "She told me.")
        withdraw_consent(world.coach, lock_client(world.coach, world.made.client_id), told)
    before = world.count()
    process_bulk(world)
    send_mail(world)
    for channel in ("portal", "print", "in_person"):
        with pytest.raises(RuleBroken, match="withdrawn consent"), transaction():
            case = lock_case(world.coach, world.made.case_id)
            assign_handout(world.coach, case, SLUG, message="", channel=channel, confirmed=True)
    assert world.count() == before
    client = Actor(world.made.client_id, Role.CLIENT, "Ines", "portal")
    assert get_reading_list(client) == []
    with pytest.raises(RuleBroken) as refused:
        get_reading_list_item(client, 1)
    assert refused.value.reasons == (NOT_AVAILABLE,)
    # The help lines and safety plans of the portal go on, so its link still comes to whoever asks for it.
    request_link(ADDRESS)
    send_mail(world)
    [link] = world.mailbox.tokens()
    come_in(link)
    before += 2
    assert world.count() == before
    with transaction():
        again = NewConsent(today(), "written")
        record_consent(world.coach, lock_client(world.coach, world.made.client_id), again)
    assert len(get_reading_list(client)) == 1
    assign(world)
    assert world.count() > before


@UNSAFE
def test_assignment_by_hand_stays_possible(
    world: World, make_unsafe: Callable[[World], None]
) -> None:
    make_unsafe(world)
    for channel in ("print", "in_person"):
        with transaction():
            case = lock_case(world.coach, world.made.case_id)
            assert assign_handout(
                world.coach, case, SLUG, message="", channel=channel, confirmed=True
            )
