"""Pages of legal holds: one is placed, found by filter, reviewed and lifted by somebody else."""

import re
from datetime import timedelta

import pytest

from caseapp.domain.practice.queries import today
from tests.support import builders
from tests.support.staff_pages import StaffBrowser

PATH = "/legal-holds"


@pytest.mark.slow
def test_hold_is_placed_reviewed_and_lifted_by_another_and_says_no_name(app, team):
    coach, supervisor, admin = (
        StaffBrowser(app, team[who]) for who in ("coach", "supervisor", "admin")
    )
    made = builders.case(team["coach"], "Ines Okafor")
    day = (today() + timedelta(days=90)).isoformat()
    assert coach.get(PATH).status_code == 403
    assert f'href="{PATH}"' in admin.text("/people")
    assert f'href="{PATH}"' in supervisor.text("/board")
    assert "No legal holds." in admin.text(PATH)
    refused = admin.send(PATH, number="C-1", kind="", review_on="")
    assert refused.status_code == 422
    for text in ("Choose why the record has to be kept.", "Choose the day of the next review."):
        assert text in refused.get_data(as_text=True)
    assert admin.send(PATH, number="C-1", kind="court", review_on=day).status_code == 422
    assert admin.send(PATH, number=made.number, kind="court", review_on=day).status_code == 303
    shown = admin.text(PATH)
    assert "Okafor" not in shown
    [own] = set(re.findall(rf"{PATH}/[0-9a-f-]{{36}}", shown))
    assert "You placed this hold" in admin.text(own)
    assert admin.send(own, f"{own}/review", review_on=day).status_code == 303
    # A coach is told that the record has to be kept, and not why.
    asked = coach.text(f"/case/{made.number}/erasure")
    assert "There is a legal hold on this record" in asked
    assert "court" not in asked.lower()
    assert supervisor.send(own, f"{own}/lift", reason="ended").status_code == 303
    assert own not in admin.text(PATH)
    assert own in admin.text(f"{PATH}?show=lifted")
    assert own not in admin.text(f"{PATH}?show=due")
    assert "The matter has ended" in admin.text(own)
