"""Pages of retention: the settings, and the records that are due."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.cases.models import Case
from tests.support import builders
from tests.support.staff_pages import StaffBrowser

PATH, SETTINGS = "/retention", "/settings/retention"


@pytest.mark.slow
def test_practice_chooses_how_long_records_are_kept_and_due_ones_are_listed(app, team):
    coach, supervisor, admin = (
        StaffBrowser(app, team[who]) for who in ("coach", "supervisor", "admin")
    )
    with at(now() - timedelta(days=3000)):
        made = builders.case(team["coach"], "Ines Okafor")
        builders.note(team["coach"], made.case_id)
        with transaction():
            ended = {"status": "closed", "closed_at": now(), "outcome": "other"}
            db.session.execute(sa.update(Case).where(Case.id == made.case_id).values(ended))
    request = f"/case/{made.number}/erasure"
    assert coach.get(PATH).status_code == 403
    assert supervisor.get(SETTINGS).status_code == 403
    assert "hasn’t chosen how long" in supervisor.text(PATH)
    assert "hasn’t chosen" in coach.text(request)
    assert coach.send(request, ground="retention").status_code == 409
    shorter = admin.send(SETTINGS, profile="us", client="6", reason="")
    assert shorter.status_code == 422
    assert "Write why some periods are shorter" in shorter.get_data(as_text=True)
    assert admin.send(SETTINGS, profile="us", client="200").status_code == 422
    assert admin.send(SETTINGS, profile="us", client="10").status_code == 303
    assert "No record is due." in supervisor.text(PATH)
    assert "is kept until" in coach.send(request, ground="retention").get_data(as_text=True)
    assert admin.send(SETTINGS, profile="us", client="").status_code == 422
    reason = "Seven years are enough here."
    assert admin.send(SETTINGS, profile="us", client="", reason=reason).status_code == 303
    for browser in (supervisor, admin):
        shown = browser.text(PATH)
        assert made.number in shown
        assert "Okafor" not in shown
    assert f'href="{request}"' in supervisor.text(PATH)
    assert "after the last service: 7 years" in supervisor.text(PATH)
    assert "Due since" in supervisor.text(PATH)
    for words in ("after the last service", "Due since"):
        assert words not in admin.text(PATH)
    assert made.number not in admin.text(f"{PATH}?show=held")
    assert coach.send(request, ground="retention").status_code == 303
    assert "Erasure requested" in admin.text(PATH)
