"""Pages of an erasure, from the request to the certificate."""

import re

import pytest
import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.cases.models import Case
from tests.support import builders
from tests.support.staff_pages import StaffBrowser


@pytest.mark.slow
def test_record_is_requested_refused_requested_again_and_erased(app, team):
    coach, supervisor, admin = (
        StaffBrowser(app, team[w]) for w in ("coach", "supervisor", "admin")
    )
    made = builders.case(team["coach"], "Ines Okafor")
    path = f"/case/{made.number}/erasure"
    assert f'href="{path}"' in coach.text(f"/case/{made.number}/details")
    assert "The client has an open case." in coach.text(path)
    with transaction():
        ended = {"status": "closed", "closed_at": now(), "outcome": "other"}
        db.session.execute(sa.update(Case).where(Case.id == made.case_id).values(ended))
    refused = coach.send(path, ground="")
    assert refused.status_code == 422
    assert "Choose why the record should be erased." in refused.get_data(as_text=True)
    assert coach.send(path, ground="client").status_code == 303
    [request] = erasures_in(coach)
    assert request in coach.text(path)
    assert "Okafor" not in admin.text("/erasures")
    assert f"{request}/erase" not in coach.text(request)
    assert supervisor.send(request, f"{request}/refuse", refusal="law").status_code == 303
    assert "The law requires us to keep the record" in coach.text(request)
    assert "There is a legal hold on this record" in coach.text(path)
    [hold] = holds_in(admin)
    assert made.number in supervisor.text(hold)
    assert f"{hold}/lift" not in supervisor.text(hold)
    assert admin.send(hold, f"{hold}/lift", reason="mistake").status_code == 303
    assert holds_in(admin) == []
    assert coach.send(path, ground="client").status_code == 303
    [second] = {*erasures_in(coach)} - {request}
    assert coach.send(second, f"{second}/withdraw").status_code == 303
    assert coach.send(path, ground="proxy").status_code == 303
    [last] = {*erasures_in(coach)} - {request, second}
    erased = admin.send(last, f"{last}/erase")
    assert (erased.status_code, erased.location) == (303, last)
    for reader in (admin, coach):
        certificate = reader.text(last)
        assert "Certificate of erasure" in certificate
        assert made.number in certificate
        assert "Okafor" not in certificate
    assert coach.get(f"/case/{made.number}").status_code == 404
    assert "Okafor" not in coach.text("/cases")


def holds_in(browser):
    """List the addresses of the legal holds that stand."""
    return [
        part.partition('"')[0]
        for part in browser.text("/legal-holds").split('href="')
        if re.match("/legal-holds/", part)
    ]


def erasures_in(browser):
    """List the addresses of the requests that somebody's list shows."""
    return [
        part.partition('"')[0]
        for part in browser.text("/erasures").split('href="')
        if part.startswith("/erasures/")
    ]
