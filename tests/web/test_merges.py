"""Merging the records of a client who was entered twice: choose, compare side by side, say why, and what is left."""

from __future__ import annotations

import json

import pytest

from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.dashboard.copy_contents import WITHHELD, make_record
from caseapp.domain.dashboard.record_printing import get_contents, render_html
from caseapp.domain.dashboard.timeline_filter import EVERYTHING, TimelineFilter
from tests.support import builders, safety_plans
from tests.support.staff_pages import StaffBrowser


@pytest.mark.slow
def test_supervisor_compares_two_records_and_merges_them(app, team):
    coach, supervisor = team["coach"], team["supervisor"]
    stays = builders.case(coach, "Ines Okafor")
    gone = builders.client(coach, "Ines Okafor", agreed=True, email="ines@example.org")
    builders.screen(coach, gone, sleep="concern")
    safety_plans.write(coach, gone, text="Call Anne")
    safety_plans.write(coach, stays.client_id)
    browser, of_coach = StaffBrowser(app, supervisor), StaffBrowser(app, coach)
    choose = f"/client/{gone}/merge"
    page, details = f"{choose}/{stays.number}", f"/case/{stays.number}/details"
    assert of_coach.browser.get(choose).status_code == 403
    assert f"/client/{stays.client_id}/merge" in browser.text(details)
    assert "Earlier records" not in browser.text(details)
    assert f'href="{page}"' in browser.text(choose)
    # What only the record that is merged has keeps the two apart.
    compared = browser.text(page)
    assert "ines@example.org" in compared
    assert "Only the record that is merged has" in compared
    builders.screen(coach, stays.client_id, sleep="concern")
    assert browser.send(page, reason="short").status_code == 422
    # Both were found to be alike when the second one was entered, and somebody has decided.
    told = {"reason": "She says that she called twice."}
    assert browser.send(page, **told).status_code == 409
    answer = browser.send(page, **told, despite_decision="yes")
    assert (answer.status_code, answer.headers["Location"]) == (303, details)
    earlier = f"/case/{stays.number}/earlier-records"
    assert f'href="{earlier}"' in browser.text(details)
    left = of_coach.text(earlier)
    for words in ("She says that she called twice.", "ines@example.org", "Call Anne 1"):
        assert words in left
    context = get_case_context(coach, stays.case_id)
    _assert_printed_and_copied(coach, context)
    assert browser.browser.get(page).status_code == 404


def _assert_printed_and_copied(coach, context):
    """Look for what stayed behind on paper, in the client's copy and in its JSON, without ways of contact."""
    contents = get_contents(coach, context, EVERYTHING, for_client=True)
    record = make_record(context, "Practice", contents)
    texts = [
        render_html(coach, context, EVERYTHING, get_contents(coach, context, EVERYTHING)),
        render_html(coach, context, EVERYTHING, contents, withheld=WITHHELD),
        record,
    ]
    for text in texts:
        for words in (
            "Call Anne 1",
            "She says that she called twice.",
            "Sleep",
            "Care hold opened",
        ):
            assert words in text
        assert "ines@example.org" not in text
    assert "Another record of this client was merged into this one." in texts[0]
    assert "You had another record here" in texts[1]
    [earlier] = json.loads(record)["earlier_records"]
    assert earlier["client"]["name"] == "Ines Okafor"
    answers = [each["answers"] for each in earlier["entries"] if each["kind"] == "screening"]
    assert [each["Sleep"] for each in answers] == ["Concern"]
    assert contents.count == len(contents.entries) + len(earlier["entries"])
    sessions = get_contents(coach, context, TimelineFilter(frozenset({"session"})))
    assert [part.entries for part in sessions.earlier] == [[]]
