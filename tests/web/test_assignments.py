"""Pages of a case's handouts: assign, withdraw, mark as read, download."""

import re
from datetime import timedelta
from html import unescape

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import withdraw
from caseapp.domain.assignments.queries import lock_assignment
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.handouts.library import library
from tests.support import builders
from tests.support.pdf_checks import extract_text
from tests.support.staff_pages import StaffBrowser, Statements
from tests.web.assigned_handouts import count, given, opened


def test_assign_two_handouts_with_a_message(app):
    _, made, desk = opened(app)
    path = f"/case/{made.number}/handouts/assign"
    page = desk.text(path)
    assert "Suitable" in page
    assert "Light time together" not in page
    form = desk.form(path)
    sent = form.fields | {
        "slugs": ["better-nights", "keep-the-day-running"],
        "channel": "portal",
        "message": "Start with the worry note.",
    }
    first, second = desk.post(path, sent), desk.post(path, sent)
    assert first.status_code == second.status_code == 303
    assert count(Assignment) == 2
    shown = desk.text(f"/case/{made.number}/handouts")
    assert shown.count("Start with the worry note.") == 2
    assert "Not opened yet" in shown
    assert "Handouts assigned." in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "flag", "proposed", "reason"),
    [
        (("call", "portal"), None, "portal", ""),
        (("call",), None, "print", "The client has not said that this is safe: Portal."),
        (("in_person",), None, "in_person", "The client has not said that this is safe: Portal."),
        (("call", "portal"), "unsafe_delivery", "in_person", "Nothing may be sent to this client"),
    ],
)
def test_assign_page_proposes_a_channel_that_is_safe(team, coach, channels, flag, proposed, reason):
    made = builders.case(team["coach"], "Noor Haddad", safe=SafeContact(channels))
    if flag:
        coach.send(f"/case/{made.number}/details", f"/case/{made.number}/flags", kind=flag)
    path = f"/case/{made.number}/handouts/assign"
    assert coach.form(path).fields["channel"] == [proposed]
    assert reason in coach.text(path)
    if reason:
        answer = coach.send(path, slugs="help-right-now", channel="portal", confirmed="yes")
        assert answer.status_code == 409
        assert count(Assignment) == 0


def test_assign_page_blocked_handouts_show_reasons_and_no_checkbox(app):
    _, made, desk = opened(app, fear_at_home="concern")
    page = desk.text(f"/case/{made.number}/handouts/assign?stage=all")
    assert "Not suitable now" in page
    assert "A safety hold is open" in page
    assert 'value="reaching-out"' not in page
    assert 'value="a-private-check"' in page
    path = f"/case/{made.number}/handouts/assign"
    answer = desk.send(path, slugs="reaching-out", channel="print", confirmed="yes")
    assert answer.status_code == 409
    assert "Before you press send: " in answer.get_data(as_text=True)
    assert count(Assignment) == 0
    refused = db.session.scalars(
        sa.select(AuditEvent.details).where(AuditEvent.outcome == "refused").order_by(AuditEvent.id)
    ).all()
    # The log says that a rule refused it, and not which: that would tell the kind of hold.
    assert refused[-1]["reasons"] == ["rule_broken"]


def test_recommendations_are_on_case_and_assign_pages(app):
    _, made, desk = opened(app, sleep="watch")
    for path in (f"/case/{made.number}", f"/case/{made.number}/handouts/assign?stage=understand"):
        page = desk.text(path)
        assert "Recommended next" in page
        assert (
            "Up to about 30 minutes of reading a week. Still to read: 0 minutes. "
            "Reduced from 60 because sleep is at watch." in page
        )
        assert "Every client gets the help lines first" in page
        assert "Sleep is at watch." in page
        assert f"/case/{made.number}/handouts/assign?stage=all" in page
        assert "#o-better-nights" in page
    assert 'id="o-better-nights"' in desk.text(f"/case/{made.number}/handouts/assign?stage=all")


@pytest.mark.slow
def test_assigned_page_lists_weeks_and_skipped_handouts(app):
    team, made, desk = opened(app)
    with at(now() - timedelta(minutes=5)):
        given(team, made, "first-days-pause")
    path = f"/case/{made.number}/handouts/assign?stage=all"
    form = desk.form(path, path)
    fields = form.fields | {
        "slugs": ["first-days-pause", "hold-back-list", "running-on-empty", "better-nights"],
        "order.running-on-empty": "1",
        "spread": "yes",
        "confirmed": "yes",
    }
    sent = desk.post(form.action, fields)
    assert sent.status_code == 303
    page = desk.text(sent.location)
    assert (
        page.index("Running on empty?")
        < page.index("Things to hold back from")
        < page.index("Skipped")
    )
    assert page.count("For the week of") == 2
    assert "Keep until needed" in page
    assert "The client already has this handout through this channel." in page
    again = desk.post(form.action, fields)
    assert again.location == sent.location, "sent twice, given once"
    assert count(Assignment) == 4
    assert "For the week of" in desk.text(f"/case/{made.number}/handouts")
    wrong = desk.send(path, path, slugs="hold-back-list", due_on="2020-01-01")
    assert wrong.status_code == 422
    assert "Choose a day this week or later" in wrong.get_data(as_text=True)
    odd = desk.send(path, path, slugs="hold-back-list", **{"order.hold-back-list": "x"})
    assert odd.status_code == 422
    assert 'href="#order.hold-back-list"' in odd.get_data(as_text=True)
    assert 'id="order.hold-back-list-e"' in odd.get_data(as_text=True)
    stranger = StaffBrowser(app, team["coach2"])
    assert stranger.get(sent.location).status_code == 404


def test_assign_caution_asks_for_confirmation(app):
    _, made, desk = opened(app)
    path = f"/case/{made.number}/handouts/assign?stage=all"
    first = desk.send(
        path,
        path,
        slugs="my-limits",
        channel="print",
        message="Slowly.",
    )
    page = first.get_data(as_text=True)
    assert first.status_code == 409
    assert "It belongs to Rebuild" in page
    assert 'name="confirmed"' in page
    assert "Slowly." in page
    sent = desk.send(
        path,
        path,
        slugs="my-limits",
        channel="print",
        confirmed="yes",
    )
    assert sent.status_code == 303


@pytest.mark.slow
def test_assign_invalid_form_changes_nothing(app):
    _, made, desk = opened(app)
    path = f"/case/{made.number}/handouts/assign"
    nothing = desk.send(path)
    assert nothing.status_code == 422
    assert "Choose at least one handout." in nothing.get_data(as_text=True)
    assert desk.send(path, slugs="better-nights", channel="pigeon").status_code == 422
    assert desk.send(path, slugs="better-nights", message="x" * 501).status_code == 422
    assert desk.send(path, slugs="better-nights", extra="1").status_code == 422
    assert desk.send(path, slugs="no-such-sheet").status_code == 404
    assert count(Assignment) == 0


@pytest.mark.slow
def test_withdraw_and_mark_as_read(app):
    team, made, desk = opened(app)
    paper = given(team, made, channel="print")
    portal = given(team, made)
    path = f"/case/{made.number}/handouts"
    assert desk.send(path, f"{path}/{paper}/read").status_code == 303
    assert "Marked as read." in desk.text(path)
    stale = desk.send(path, f"{path}/{portal}/withdraw", version="9")
    assert stale.status_code == 412
    form = desk.form(path, f"{path}/{portal}/withdraw")
    for _ in ("once", "twice"):
        assert desk.post(form.action, form.fields).location == path
    page = desk.text(path)
    assert "Withdrawn" in page
    action = f"{path}/{portal}/withdraw"
    again = desk.post(action, desk.token | desk.key_for(action) | {"version": "2"})
    assert again.status_code == 409
    assert "already withdrawn" in again.get_data(as_text=True)


@pytest.mark.pdf
def test_pdf_of_a_suspended_assignment_is_refused(app):
    team, made, desk = opened(app)
    assignment = given(team, made, "first-days-pause")
    path = f"/case/{made.number}/handouts/{assignment}/pdf"
    answer = desk.get(path)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="reading-01.pdf"'
    large = desk.get(f"{path}?size=large")
    assert large.headers["Content-Disposition"] == 'attachment; filename="reading-01-large.pdf"'
    builders.screen(team["coach"], made.client_id, self_harm="concern")
    refused = desk.get(path)
    assert refused.status_code == 409
    assert "A safety hold is open" in refused.get_data(as_text=True)
    page = desk.text(f"/case/{made.number}/handouts")
    assert "1 handout is suspended" in page
    assert path not in page
    with transaction():
        withdraw(team["coach"], lock_assignment(team["coach"], assignment), 1)
    assert desk.get(path).status_code == 409


def test_foreign_cases_and_assignments_are_not_found(app):
    team, made, desk = opened(app)
    assignment = given(team, made)
    other = builders.case(team["coach"], "Daniel Roth", safe=SafeContact(("portal",)))
    stranger = StaffBrowser(app, team["coach2"])
    for path in ("", "/assign", f"/{assignment}/pdf"):
        assert stranger.get(f"/case/{made.number}/handouts{path}").status_code == 404
    assert desk.get(f"/case/{other.number}/handouts/{assignment}/pdf").status_code == 404
    fields = desk.form(
        f"/case/{made.number}/handouts", f"/case/{made.number}/handouts/{assignment}/withdraw"
    ).fields
    wrong = desk.post(f"/case/{other.number}/handouts/{assignment}/withdraw", fields)
    assert wrong.status_code == 404
    assert db.session.get(Assignment, assignment).withdrawn_at is None


@pytest.mark.slow
def test_long_list_is_paged_in_a_fixed_number_of_statements(app):
    team, made, desk = opened(app)
    slugs = [
        "help-right-now", "a-private-check", "enough-to-eat", "drink-pills-drugs", "better-nights",
        "first-days-pause", "keep-the-day-running", "hold-back-list", "space-and-pace",
        "small-joys-journal",
    ]  # fmt: skip
    given(team, made)
    path = f"/case/{made.number}/handouts"
    desk.text(path)
    with Statements() as few:
        desk.text(path)
    for slug in slugs:
        for channel in library()[slug, "en"].channels:
            if (slug, channel) != ("better-nights", "portal"):
                given(team, made, slug, channel)
    with Statements() as many:
        page = desk.text(path)
    assert len(many.seen) == len(few.seen)
    assert page.count("Withdraw<") == 25
    following = page.split('rel="next"')[0].rpartition('href="')[2].split('"')[0]
    rest = desk.text(following.replace("&amp;", "&"))
    assert rest.count("Withdraw<") == 3


def test_reading_is_audited(app):
    team, made, desk = opened(app)
    given(team, made)
    desk.text(f"/case/{made.number}/handouts")
    desk.text("/handouts/better-nights")
    kinds = db.session.scalars(
        sa.select(AuditEvent.object_kind).where(AuditEvent.action == "assignment.read")
    ).all()
    assert sorted(kinds) == ["case", "list"]


@pytest.mark.pdf
def test_packet_page_and_pdf_of_several_handouts(app):
    team, made, desk = opened(app)
    plain, other = given(team, made, message="Slowly."), given(team, made, "first-days-pause")
    quiet = given(team, made, "help-right-now")
    here = f"/case/{made.number}/handouts"
    page = desk.text(here)
    assert page.count('name="assignment"') == 3
    assert "because a handout in it has a neutral title" in page
    look = desk.text(f"{here}/packet?assignment={plain}&assignment={other}")
    assert "Skipped" not in look
    [link, large] = re.findall(r'href="(/case[^"]*reading-all.pdf[^"]*)"', look)
    answer = desk.get(unescape(link))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="reading-all.pdf"'
    assert "For Ines, from Marta" in extract_text(answer.data)
    answer = desk.get(unescape(large))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="reading-all-large.pdf"'
    builders.screen(team["coach"], made.client_id, self_harm="concern")
    look = desk.text(f"{here}/packet?assignment={other}&assignment={quiet}")
    assert "A safety hold is open" in look
    assert str(other) not in look
    assert "neutral title" in look
    refused = desk.get(unescape(link))
    assert refused.status_code == 409
    assert "A safety hold is open" in refused.get_data(as_text=True)


@pytest.mark.slow
def test_packet_invalid_or_foreign_ids_are_refused(app):
    team, made, desk = opened(app)
    mine = given(team, made)
    foreign = builders.case(team["coach"], "Daniel Roth")
    builders.screen(team["coach"], foreign.client_id)
    theirs = given(team, foreign)
    here = f"/case/{made.number}/handouts"
    for path in ("packet", "reading-all.pdf"):
        assert desk.get(f"{here}/{path}?assignment={mine}&assignment={theirs}").status_code == 404
        assert desk.get(f"{here}/{path}?assignment=../../etc/passwd").status_code == 404
        stranger = StaffBrowser(app, team["coach2"])
        assert stranger.get(f"{here}/{path}?assignment={mine}").status_code == 404
        many = "&".join(f"assignment={made.client_id.hex[:-2]}{n:02}" for n in range(13))
        assert desk.get(f"{here}/{path}?{many}").status_code == 422
    assert "No handouts selected" in desk.text(f"{here}/packet")
    assert desk.get(f"{here}/reading-all.pdf").status_code == 303
