"""What a client's pages, files and emails never reveal to someone else who holds the phone (SAFE-09, SAFE-12)."""

from __future__ import annotations

from datetime import timedelta
from html import unescape

import pytest
import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.cases.stages import stages
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.followups.operations import create_followup
from caseapp.domain.followups.schemas import NewFollowUp
from caseapp.domain.handouts.library import library
from caseapp.domain.screening.operations import ensure_flag, set_manual_flag
from caseapp.domain.screening.protocol import FLAG_LABELS, ITEMS_BY_KEY, SAFETY_ITEMS
from tests.domain.clients.portal_visitor import request_link
from tests.portal.crawler import crawl, readable_response
from tests.support import builders, portal_client
from tests.support.staff import csrf
from tests.support.staff_pages import StaffBrowser, Statements, lasting

CANARY = "Quetzalcoatl"
SLUGS = ("help-right-now", "better-nights", "keep-the-day-running")
# Texts that only staff may see: the canary, surnames, and the labels of screening, flags and holds.
INTERNAL_WORDS = (
    CANARY, "Paul", "Alder", *FLAG_LABELS, *FLAG_LABELS.values(), *SAFETY_ITEMS,
    *(ITEMS_BY_KEY[key].label for key in SAFETY_ITEMS),
    "safety hold", "screening",
)  # fmt: skip
WITH_ALIAS = sorted(
    key for key, handout in library().items() if handout.alias and "portal" in handout.channels
)


@pytest.fixture
def mailbox(app):
    with portal_client.mailbox_server() as found:
        yield found


def sign_in_by_mail(app, coach, mailbox, surname):
    """Sign a client in by email link; their record has the canary in every free text that a coach can write."""
    address = f"ines.{surname.lower()}@example.test"
    found = portal_client.invited(
        coach,
        f"Ines {surname}",
        address=address,
        partner_name=f"Paul {CANARY}",
        safe=SafeContact(("email", "portal"), CANARY, CANARY, CANARY),
    )
    visitor = app.test_client()
    portal_client.use_link(visitor, mailbox.tokens()[-1])
    portal_client.choose_pin(visitor, found.start_code)
    visitor.post("/portal/first", data={"csrf_token": csrf(visitor.get("/portal/first"))})
    builders.screen(coach, found.client_id, comment=CANARY)
    for slug in SLUGS:
        with transaction():
            assign_handout(
                coach,
                lock_case(coach, found.case_id),
                slug,
                message="",
                channel="portal",
                confirmed=True,
            )
    with transaction():
        create_followup(coach, lock_client(coach, found.client_id), NewFollowUp(CANARY, now()))
    builders.note(coach, found.case_id, dict.fromkeys(("data", "assessment", "plan"), CANARY))
    return visitor, found, address


def request_another_mail(mailbox, address):
    """Request another link; return the emails that come, without the parts that differ between any two."""
    before = len(mailbox.messages())
    request_link(address)
    outbox.sweep()
    return [
        strip_mail(message, token, address)
        for message, token in [*zip(mailbox.messages(), mailbox.tokens(), strict=True)][before:]
    ]


def strip_mail(message, token, address):
    """Return an email without the parts that differ between any two."""
    for name in ("Date", "Message-ID"):
        del message[name]
    return lasting(message.as_string().replace(token, "·").replace(address, "·"))


@pytest.mark.slow
def test_portal_is_the_same_for_fear_at_home_and_self_harm_and_no_mail_comes(app, coach, mailbox):
    """Two clients with the same handouts, one with fear at home, one with self-harm, see exactly the same.

    Fear at home sets the flag `unsafe_delivery` by itself; for the other client the coach sets it.
    """
    shown = []
    for surname, answer in (("Alder", "fear_at_home"), ("Birch", "self_harm")):
        visitor, found, address = sign_in_by_mail(app, coach, mailbox, surname)
        before = readable_response(visitor.get("/portal"))
        builders.screen(coach, found.client_id, comment=CANARY, **{answer: "urgent"})
        if answer == "self_harm":
            with transaction():
                set_manual_flag(coach, lock_client(coach, found.client_id), "unsafe_delivery")
        shown.append(crawl(app, visitor, [1, 2, 3]))
        assert shown[-1]["/portal"] != before
        assert request_another_mail(mailbox, address) == []
    assert shown[0] == shown[1]
    everything = "\n".join(shown[0].values())
    assert [word for word in INTERNAL_WORDS if word in everything] == []


@pytest.mark.pdf
@pytest.mark.parametrize("level", ["watch", "concern"])
def test_portal_and_mail_for_milder_fear_at_home_reveal_nothing(app, coach, mailbox, level):
    visitor, found, address = sign_in_by_mail(app, coach, mailbox, "Alder")
    calm = request_another_mail(mailbox, address)
    assert len(calm) == 1
    builders.screen(coach, found.client_id, comment=CANARY, fear_at_home=level)
    pages = crawl(app, visitor, [1, 2, 3])
    everything = "\n".join((*pages, *pages.values()))
    outside = [page.partition("\n\n")[0] for page in pages.values()]
    assert not portal_client.BANNED.search("\n".join(outside))
    assert [word for word in INTERNAL_WORDS if word in everything] == []
    # A concern freezes contact until the client confirms in person what is safe.
    assert request_another_mail(mailbox, address) == ([] if level == "concern" else calm)


@pytest.mark.pdf
def test_portal_and_mail_are_the_same_in_every_stage(app, coach, mailbox):
    visitor, found, address = sign_in_by_mail(app, coach, mailbox, "Alder")
    page = visitor.get("/portal/h/1")
    visitor.post("/portal/h/1/read", data={"csrf_token": csrf(page)})
    # The crawl opens everything once and shows what was just said.
    crawl(app, visitor, [1, 2, 3])
    seen = set()
    for stage in stages():
        with transaction() as session:
            session.execute(sa.update(Case).where(Case.id == found.case_id).values(stage=stage.id))
        pages = crawl(app, visitor, [1, 2, 3])
        # Links are limited by the hour.
        with at(now() + timedelta(hours=stage.number)):
            seen.add((tuple(pages.items()), *request_another_mail(mailbox, address)))
    assert len(seen) == 1


@pytest.fixture
def every_handout_with_alias(app, coach):
    """Sign in a client with every handout that clients see under an alias."""
    visitor, found = portal_client.sign_in_client(app, coach, "Ines Okafor")
    builders.screen(coach, found.client_id)
    with transaction():
        for slug, language in WITH_ALIAS:
            assign_handout(
                coach, lock_case(coach, found.case_id), slug, language=language, message="", channel="portal",
                confirmed=True,
            )  # fmt: skip
    return visitor, found


@pytest.mark.pdf
def test_handouts_with_alias_never_show_real_title_to_client(app, coach, every_handout_with_alias):
    visitor, _found = every_handout_with_alias
    positions = [*range(1, len(WITH_ALIAS) + 1)]
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Assignment)) == len(positions)
    pages = crawl(app, visitor, positions)
    real = {
        word for key in WITH_ALIAS for word in (library()[key].title, library()[key].code, key[0])
    }
    found_in = [
        (path, word)
        for path, page in pages.items()
        for word in real
        if word.lower() in f"{path}\n{page}".lower()
    ]
    assert found_in == []
    for key in WITH_ALIAS:
        assert any(library()[key].alias in page for page in pages.values()), key
    staff_page = StaffBrowser(app, coach).text("/handouts?stage=any")
    for key in WITH_ALIAS:
        if key[1] == "en" and library()[key].stage == "any":
            assert library()[key].title in unescape(staff_page)


def count_queued():
    found = db.session.scalar(sa.select(sa.func.count()).select_from(outbox.OutboxRow))
    db.session.rollback()
    return found


def ask_for_link(app, address):
    """Ask for a link as a browser does; return the answers, and how many statements and queued rows it took."""
    visitor = app.test_client()
    fields = {"csrf_token": csrf(visitor.get("/portal/sign-in")), "email": address}
    before = count_queued()
    with Statements() as sent:
        answer = visitor.post("/portal/sign-in", data=fields)
    pages = [readable_response(answer), readable_response(visitor.get(answer.location))]
    queued = count_queued() - before
    outbox.sweep()
    return [text.replace(address, "·") for text in pages], sent.seen, queued


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["unsafe_delivery", "violence_flag"])
def test_link_asked_for_while_contact_is_frozen_has_the_usual_answer_and_is_not_mailed(
    app, coach, mailbox, flag
):
    """Whoever asks learns nothing: neither whether the address is known nor whether something was recorded."""
    addresses = [f"ines.{name}@example.test" for name in ("alder", "birch")]
    clients = [
        portal_client.invited(
            coach, f"Ines {number}", address=address, safe=SafeContact(("email", "portal"))
        ).client_id
        for number, address in enumerate(addresses)
    ]
    sent = len(mailbox.messages())
    with transaction():
        ensure_flag(coach, lock_client(coach, clients[1]), flag, source="person")
    usual = ask_for_link(app, addresses[0])
    assert len(mailbox.messages()) == sent + 1
    assert ask_for_link(app, addresses[1]) == usual
    assert ask_for_link(app, "nobody@example.test") == usual
    assert len(mailbox.messages()) == sent + 1
