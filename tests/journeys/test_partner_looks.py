"""A partner takes the phone and looks at the portal, before and after fear at home was recorded."""

from __future__ import annotations

import pytest

from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import withdraw
from caseapp.domain.assignments.queries import lock_assignment
from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import PAGE, assign, write
from tests.support import builders, portal_client, staff
from tests.support.staff_pages import lasting

pytestmark = pytest.mark.journey

PHONE = {"width": 390, "height": 844}
HANDOUTS = (sample_files.PAUSE, "keep-the-day-running", "better-nights")


def look_around(page, live, found):
    """Sign in with a card, follow every link of the portal, and return the address and text of each page."""
    page.goto(f"{live}/portal/sign-in")
    page.get_by_label("The code on your card").fill(found.card_code)
    page.get_by_role("button", name="Use the card").click()
    page.get_by_label("Your six digits").fill(portal_client.PIN)
    page.get_by_role("button", name="Open my reading list").click()
    page.wait_for_url("**/portal")
    seen, waiting = {}, ["/portal", PAGE]
    while waiting:
        path = waiting.pop()
        page.goto(live + path)
        seen[path] = lasting(page.locator("body").inner_text())
        links = page.locator("a").evaluate_all("links => links.map(a => a.getAttribute('href'))")
        waiting += {
            link
            for link in links
            if link.startswith("/portal") and "." not in link and link not in {*seen, *waiting}
        }
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/portal/sign-in")
    return seen


def test_portal_after_fear_was_recorded_looks_as_after_an_ordinary_withdrawal(app, live, page):
    coach = staff.team()["coach"]
    page.set_viewport_size(PHONE)
    found, given = [], []
    for _ in range(2):
        visitor, client = portal_client.sign_in_client(app, coach, "Ines Okafor", agreed=True)
        builders.screen(coach, client.client_id)
        given.append([assign(coach, client, slug) for slug in HANDOUTS])
        write(visitor, "share", what_happened="He read my phone.")
        visitor.get("/portal")
        found.append(client)
    before = look_around(page, live, found[0])
    assert {"/portal", PAGE, "/portal/written", "/portal/privacy", "/portal/safety"} <= {*before}
    assert look_around(page, live, found[1]) == before
    builders.screen(coach, found[0].client_id, fear_at_home="urgent")
    with transaction():
        for assignment_id in given[1]:
            withdraw(coach, lock_assignment(coach, assignment_id), 1)
    after = look_around(page, live, found[0])
    assert after != before
    assert after["/portal/safety"] == before["/portal/safety"]
    assert look_around(page, live, found[1]) == after
