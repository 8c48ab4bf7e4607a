"""Pages of transfers: offering cases, deciding about them, and what Today says."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.consent.operations import withdraw_consent
from caseapp.domain.consent.schemas import ConsentWithdrawal
from caseapp.domain.practice.queries import today
from caseapp.domain.staffing.cover_queries import lock_caseload
from caseapp.domain.staffing.transfer_operations import (
    accept_transfer,
    decline_transfer,
    offer_cases,
    undo_transfer,
)
from caseapp.domain.staffing.transfer_queries import list_transfers, lock_transfer
from caseapp.domain.staffing.transfer_rules import BRIEF_FOR
from caseapp.domain.staffing.transfer_schemas import NewTransfer
from tests.api.api_client import program
from tests.support import builders
from tests.support.pdf_checks import extract_text
from tests.support.staff_pages import StaffBrowser


@pytest.mark.slow
def test_coach_offers_cases_and_the_colleague_decides_about_each(app, team):
    coach, colleague = team["coach"], team["coach2"]
    made, kept = builders.case(coach, "Ines Okafor"), builders.case(coach, "Tomasz Held")
    mine, theirs = StaffBrowser(app, coach), StaffBrowser(app, colleague)
    path = f"/transfers/for/{coach.id}"
    assert f'href="{path}?client={made.client_id}"' in mine.text(f"/case/{made.number}/details")
    shown = mine.text(f"{path}?client={made.client_id}")
    assert f'value="{made.client_id}" id="c-{made.client_id}" checked' in shown
    assert f'href="{path}"' in StaffBrowser(app, team["supervisor"]).text("/transfers")
    assert "No cases have been offered to you." in theirs.text("/transfers")
    refused = mine.send(path, path, to_id=str(colleague.id), reason="workload")
    assert refused.status_code == 422
    assert "Choose at least one client." in refused.get_data(as_text=True)
    wanted = {"to_id": str(colleague.id), "reason": "workload", "all": "yes"}
    assert mine.send(path, path, **wanted).status_code == 303
    assert "No cases to offer." in mine.text(path)
    assert "2 cases have been offered to you." in theirs.text("/today")
    page = theirs.text("/transfers")
    assert all(text in page for text in ("Ines Okafor", made.number, "0 open follow-ups"))
    assert "too many cases" not in page
    transfers = {one.number: one.id for one in list_transfers(coach)}
    first, second = transfers[made.number], transfers[kept.number]
    assert theirs.send("/transfers", f"/transfers/{first}/accept").status_code == 303
    assert theirs.send("/transfers", f"/transfers/{second}/decline").status_code == 303
    assert theirs.get(f"/case/{made.number}").status_code == 200
    assert mine.get(f"/case/{made.number}").status_code == 404
    assert "offered to you" not in theirs.text("/today")
    given = mine.text("/transfers")
    assert all(text in given for text in ("Accepted", "Declined", "Tomasz Held"))
    assert "Ines Okafor" not in given
    undone = mine.send("/transfers", f"/transfers/{first}/undo")
    assert undone.status_code == 303
    assert "Cover for the client ended" in mine.text(undone.location)
    assert mine.get(f"/case/{made.number}").status_code == 200
    assert mine.send(path, path, **wanted).status_code == 303
    [waiting] = [
        one.id for one in list_transfers(coach) if one.number == kept.number and one.may_withdraw
    ]
    assert mine.send("/transfers", f"/transfers/{waiting}/withdraw").status_code == 303
    assert "Withdrawn" in mine.text("/transfers")


def test_supervisor_reads_what_they_declined_as_an_offer_of_their_team(app, team):
    coach, supervisor = team["coach"], team["supervisor"]
    made = builders.case(coach, "Ines Okafor")
    with transaction():
        wanted = NewTransfer(supervisor.id, "workload", (made.client_id,), all=False)
        offer_cases(coach, lock_caseload(coach, coach.id), wanted)
    [found] = list_transfers(supervisor)
    theirs = StaffBrowser(app, supervisor)
    assert f"/transfers/{found.id}/withdraw" in theirs.text("/transfers")
    with transaction():
        decline_transfer(supervisor, lock_transfer(supervisor, found.id))
    page = theirs.text("/transfers")
    assert page.index("No cases have been offered to you.") < page.index("Declined")


@pytest.mark.pdf
def test_new_coach_alone_reads_the_brief_of_the_case_for_some_days(app, team):
    coach, colleague, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made = builders.case(coach, "Ines Okafor")
    builders.screen(coach, made.client_id, self_harm=3)
    words = {"data": "She rang.", "assessment": "Calmer.", "plan": "A walk ☃ each day."}
    builders.note(coach, made.case_id, words)
    builders.draft(coach, made.case_id, {"plan": "Something that nobody else reads."})
    with transaction():
        wanted = NewTransfer(colleague.id, "workload", (made.client_id,), all=False)
        offer_cases(coach, lock_caseload(coach, coach.id), wanted)
    [found] = list_transfers(colleague)
    path = f"/transfers/{found.id}/brief"
    theirs = StaffBrowser(app, colleague)
    assert (found.has_brief, theirs.get(path).status_code) == (False, 404)
    with transaction():
        accept_transfer(colleague, lock_transfer(colleague, found.id))
    with transaction():
        told = ConsentWithdrawal(today(), "spoken", "She told me.")
        withdraw_consent(colleague, lock_client(colleague, made.client_id), told)
    moment = now()
    assert f'href="{path}"' in theirs.text("/transfers")
    page = theirs.text(path)
    answer = theirs.send(path, f"{path}/file")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="brief.pdf"'
    file = program(app, colleague).get(f"{path}/file")
    assert (file.status_code, file.data[:5]) == (200, b"%PDF-")
    assert program(app, coach).get(f"{path}/file").status_code == 404
    printed = extract_text(answer.data)
    for text in (
        "The client withdrew consent on",
        "Safety hold since",
        "One, begun today.",
        coach.name,
        "signed by",
    ):
        assert text in " ".join(page.split()), text
        assert text in printed, text
    assert "A walk ☃ each day." in page
    assert "A walk ? each day." in printed
    assert "Something that nobody" not in page + printed
    assert made.number in printed
    assert "Okafor" not in printed
    read = sa.select(AuditEvent.action).where(
        AuditEvent.actor_id == colleague.id, AuditEvent.client_id == made.client_id
    )
    assert {"case.read", "case.export"} <= set(db.session.scalars(read))
    db.session.rollback()
    for person in (coach, supervisor, team["admin"]):
        other = StaffBrowser(app, person)
        assert other.get(path).status_code in {403, 404}
    with at(moment + BRIEF_FOR - timedelta(minutes=1)):
        assert StaffBrowser(app, colleague).get(path).status_code == 200
    with at(moment + BRIEF_FOR):
        late = StaffBrowser(app, colleague)
        assert late.get(path).status_code == 404
        assert path not in late.text("/transfers")
    with transaction():
        undo_transfer(coach, lock_transfer(coach, found.id))
    assert theirs.get(path).status_code == 404
    assert path not in theirs.text("/transfers")
