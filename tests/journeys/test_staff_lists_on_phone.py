"""Lists on a coach's phone: a hold is visible without scrolling sideways."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.journeys.test_writing_a_note import sign_in
from tests.support import builders, staff
from tests.support.page_checks import NARROW, PHONE

pytestmark = [
    pytest.mark.journey,
    # The layout is the same with every database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


@pytest.mark.parametrize("size", [PHONE, NARROW])
@pytest.mark.parametrize("path", ["/cases", "/today"])
def test_hold_in_a_list_on_a_phone_is_visible_without_scrolling(app, live, page, path, size):
    coach = staff.team()["coach"]
    found = builders.case(coach, "Ines Okafor with a long name of her own")
    builders.screen(coach, found.client_id, fear_at_home="concern")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    sign_in(page, live)
    page.goto(f"{live}{path}")
    row = page.get_by_role("table").get_by_role("row").filter(has_text="Ines Okafor")
    badge = row.get_by_text("Safety hold")
    expect(badge).to_be_visible()
    edge = badge.bounding_box()
    assert edge["x"] >= 0
    assert edge["x"] + edge["width"] <= size[0]
    inside = "box => box.scrollWidth <= box.clientWidth"
    assert page.get_by_role("region", name="Table of").evaluate(inside)


def test_what_to_do_now_begins_on_the_first_screen_of_a_phone(app, live, page):
    coach = staff.team()["coach"]
    found = builders.case(coach, "Ines Okafor with a long name of her own")
    builders.screen(coach, found.client_id, self_harm="urgent")
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    sign_in(page, live)
    page.goto(f"{live}/case/{found.number}/hold")
    first_step = page.get_by_role("region", name="Do this now").get_by_role("listitem").first
    edge = first_step.bounding_box()
    assert edge["y"] + edge["height"] <= PHONE[1]
