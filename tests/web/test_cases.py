"""Caseload and case pages: content, permissions and statement counts."""

from datetime import date, timedelta
from uuid import uuid4

import pytest

from caseapp.core import pdf
from caseapp.core.clock import now
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.practice.queries import today
from caseapp.domain.safety_plans.codes import SAFETY
from caseapp.domain.safety_plans.queries import get_plan_id
from caseapp.web.timeline import list_periods
from tests.support import builders, safety_plans
from tests.support.staff_pages import StaffBrowser, lasting


@pytest.fixture
def ines(team):
    return builders.case(team["coach"], "Ines Okafor", phone="07700 900418")


CASE_PAGES = ("", "/details", "/screening", "/hold", "/stage", "/close", "/invite")


@pytest.mark.parametrize("page", CASE_PAGES)
def test_case_of_other_coach_is_not_found(app, team, ines, page):
    stranger = StaffBrowser(app, team["coach2"])
    foreign = stranger.text(f"/case/{ines.number}{page}", 404)
    missing = stranger.text(f"/case/C-1999-0001{page}", 404)
    assert foreign == missing
    assert "Ines" not in lasting(foreign)


@pytest.mark.parametrize("page", CASE_PAGES)
def test_case_pages_for_admin_are_forbidden(app, team, ines, page):
    assert StaffBrowser(app, team["admin"]).get(f"/case/{ines.number}{page}").status_code == 403


def test_caseload_and_intake_for_admin_are_forbidden(app, team):
    admin = StaffBrowser(app, team["admin"])
    assert admin.get("/cases").status_code == 403
    assert admin.get("/cases/new").status_code == 403


def test_case_page_signed_out_redirects_to_sign_in(app, ines):
    answer = app.test_client().get(f"/case/{ines.number}")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/sign-in"


def test_caseload_shows_visible_cases(app, team, coach, supervisor, ines):
    builders.case(team["coach2"], "Tomasz Nowak")
    assert "Ines Okafor" in coach.text("/cases")
    assert "Tomasz Nowak" not in coach.text("/cases")
    assert "Ines Okafor" in supervisor.text("/cases")
    assert "Tomasz Nowak" not in supervisor.text("/cases")


def test_filters_apply_and_stay_in_form(team, coach, ines):
    held = builders.case(team["coach"], "Aoife Brennan")
    builders.screen(team["coach"], held.client_id, sleep="concern")
    assert "Aoife" not in coach.text("/cases?hold=safety")
    page = coach.text("/cases?hold=care&stage=steady&status=open&q=aoi")
    assert "Aoife Brennan" in page
    assert "Ines Okafor" not in page
    assert '<option value="care" selected>' in page
    assert 'name="q" type="search" maxlength="120" value="aoi"' in page
    assert "Ines Okafor" in coach.text(f"/cases?q={ines.number.lower()}")
    assert "No cases match." in coach.text("/cases?stage=repair")


def test_supervisor_filters_by_coach(team, supervisor, ines):
    assert "Ines Okafor" in supervisor.text(f"/cases?coach={team['coach'].id}")
    assert "Ines Okafor" not in supervisor.text(f"/cases?coach={team['supervisor'].id}")


def test_invalid_filters_are_ignored(coach, ines):
    assert "Ines Okafor" in coach.text("/cases?stage=moon&status=perhaps&hold=none&coach=me")
    assert coach.get("/cases?cursor=elsewhere").status_code == 422


def test_empty_caseload_links_to_intake(coach):
    assert "No open cases yet." in coach.text("/cases")


def test_closed_case_is_found_only_by_search(coach, team, ines):
    coach.send(
        f"/case/{ines.number}/close",
        outcome="reunited",
        reason="decision",
        final_screening="not_possible",
        not_screened_reason="Moved abroad.",
    )
    assert "Ines Okafor" not in coach.text("/cases")
    assert "Ines Okafor" in coach.text("/cases?status=closed")
    assert "Ines Okafor" in coach.text("/cases?q=okafor")


@pytest.mark.slow
def test_caseload_pages_have_no_gap(team, coach):
    for number in range(27):
        builders.case(team["coach"], f"Client Number{number:02}", agreed=True)
    first = coach.text("/cases?status=open")
    assert first.count('class="case-link"') == 25
    link = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    assert "status=open" in link
    second = coach.text(link)
    assert second.count('class="case-link"') == 2
    assert "First page" in second


def test_identity_bar_shows_client_stage_and_safe_contact(team, coach, ines):
    builders.screen(team["coach"], ines.client_id, fear_at_home="concern")
    page = coach.text(f"/case/{ines.number}")
    for words in (
        "<h1>Ines Okafor</h1>",
        "she/her",
        ines.number,
        "Marta Lindqvist",
        "number ending 418",
        "before 17:00",
        "no voicemail",
        "Safety hold",
        "Contact block",
        "Safety hold since",
        "Fear at home is at concern.",
        "on hold",
    ):
        assert words.lower() in page.lower(), words
    assert "900418" not in lasting(page)


def test_in_person_only_excludes_other_channels(coach, team):
    made = builders.case(
        team["coach"],
        "Ruth Adeyemi",
        safe=SafeContact(("in_person",), warning="He reads her phone."),
    )
    page = coach.text(f"/case/{made.number}")
    assert "in person only." in page
    assert "He reads her phone." in page


@pytest.mark.slow
def test_timeline_lists_events_and_filters_by_kind(team, coach, ines):
    builders.screen(team["coach"], ines.client_id, sleep="concern", comment="Awake at four.")
    page = coach.text(f"/case/{ines.number}")
    assert "Awake at four." in page
    assert "Care hold opened" in page
    assert "Case opened" in page
    path = f"/case/{ines.number}/timeline"
    assert f'href="{path}"' in page
    only = coach.text(f"{path}?kind=stage&kind=coach")
    assert "Case opened" in only
    assert "Awake at four." not in only
    assert "Nothing matches." in coach.text(f"{path}?kind=session")
    assert "Nothing matches." in coach.text(f"{path}?until=2020-01-31")
    assert "Awake at four." in coach.text(f"{path}?since={today()}&until={today()}")
    for query in ("kind=rumour", "since=soon", "since=2020-02-01&until=2020-01-31"):
        answer = coach.get(f"{path}?{query}")
        assert (answer.status_code, "error-summary" in answer.text) == (422, True)
    assert coach.get(f"{path}?cursor=made-up").status_code == 422


def test_timeline_is_saved_as_a_pdf_as_its_filter_says(coach, ines, monkeypatch):
    printed = []
    monkeypatch.setattr(pdf, "render", lambda html, **_more: printed.append(html) or b"%PDF-1.7")
    path = f"/case/{ines.number}/timeline"
    query = f"?kind=stage&since={today()}"
    answer = coach.send(f"{path}{query}", f"{path}/pdf{query}")
    assert (answer.mimetype, answer.data) == ("application/pdf", b"%PDF-1.7")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="record-C-')
    assert "Only stages, without drafts; 1 entry" in printed[0]
    assert "from all of the client’s cases" in printed[0]
    assert "from all of the client’s cases" in coach.text(path)


def test_timeline_is_saved_a_year_after_another_without_a_gap(coach, ines, monkeypatch):
    assert [days for _, *days in list_periods(2024, 2026)] == [
        [None, date(2023, 12, 31)],
        [date(2024, 1, 1), date(2024, 12, 31)],
        [date(2025, 1, 1), date(2025, 12, 31)],
        [date(2026, 1, 1), None],
    ]
    year = today().year
    monkeypatch.setattr("caseapp.web.timeline.now", lambda: now().replace(year=year + 1, day=1))
    page = coach.text(f"/case/{ines.number}/timeline?kind=stage&kind=session&since={today()}")
    kinds = "timeline?kind=session&amp;kind=stage&amp;"
    assert f'{kinds}until={year - 1}-12-31">before {year}</a>' in page
    assert f'{kinds}since={year}-01-01&amp;until={year}-12-31">{year}</a>' in page
    assert f'{kinds}since={year + 1}-01-01">since {year + 1}</a>' in page
    # With more notes than a PDF holds each year, it is a quarter after another.
    monkeypatch.setattr("caseapp.web.timeline.MAX_NOTES", -1)
    page = coach.text(f"/case/{ines.number}/timeline")
    assert f'since={year}-04-01&amp;until={year}-06-30">April to June {year}</a>' in page
    assert f'since={year + 1}-10-01">since October {year + 1}</a>' in page


def test_timeline_leads_to_the_plan_that_it_shows(team, coach, ines):
    safety_plans.write(team["coach"], ines.client_id)
    page = coach.text(f"/case/{ines.number}/timeline?kind=plan")
    assert "Safety plan: first written" in page
    plan_id = get_plan_id(SAFETY, get_client_key(ines.client_id))
    assert f'href="/case/{ines.number}/plan/{plan_id}"' in page


@pytest.mark.slow
def test_trend_says_what_changed_and_has_text_equivalents(team, coach, ines):
    builders.screen(team["coach"], ines.client_id, days_ago=8, sleep="concern", eating=None)
    page = coach.text(f"/case/{ines.number}")
    assert "One screening so far." in page
    day_8, today_ = (f"{day.day} {day:%b}" for day in (today() - timedelta(days=8), today()))
    assert f'aria-label="Sleep: Concern on {day_8}"' in page
    builders.screen(team["coach"], ines.client_id, sleep="watch")
    for path in (f"/case/{ines.number}", f"/case/{ines.number}/screening"):
        page = coach.text(path)
        assert f"<p>Better: Sleep, from Concern to Watch since {today_}.</p>" in page
        assert "<p>Nothing else has changed.</p>" in page
        assert f'aria-label="Sleep: Concern on {day_8}, Watch on {today_}"' in page
        assert "<td>Screening. Concern: Sleep; None: 8 answers; Not asked: Eating</td>" in page
        assert "<td>Care hold opened</td>" in page
        assert 'aria-label="Holds: 1"' in page
        assert "Awaiting sign-off by a licensed clinician" in page


def test_trend_marks_sessions_and_handouts(team, coach, ines):
    builders.screen(team["coach"], ines.client_id, days_ago=8, sleep="watch")
    builders.note(team["coach"], ines.case_id, days_ago=2)
    with transaction():
        assign_handout(
            team["coach"],
            lock_case(team["coach"], ines.case_id),
            "first-days-pause",
            message="",
            channel="print",
        )
    page = coach.text(f"/case/{ines.number}")
    assert 'aria-label="Sessions: 1"' in page
    assert 'aria-label="Handouts: 1"' in page
    assert "<td>Session</td>" in page
    assert "<td>Handout assigned: The first days" in page


def test_calm_trend_has_no_chart_but_its_table(team, coach, ines):
    builders.screen(team["coach"], ines.client_id, days_ago=8)
    builders.screen(team["coach"], ines.client_id)
    page = coach.text(f"/case/{ines.number}")
    assert "Every answer has been None since" in page
    assert "chart-item" not in page
    assert page.count("<td>Screening. None: every answer</td>") == 2


def test_overview_lists_due_followups(team, coach, ines):
    builders.screen(team["coach"], ines.client_id, sleep="watch")
    page = coach.text(f"/case/{ines.number}")
    assert "Ask again about every item with a level of Watch or above" in page


def test_case_read_is_recorded_once_in_fifteen_minutes(app, team, coach, ines):
    for _ in range(3):
        coach.text(f"/case/{ines.number}")
    wanted = AuditFilter(action="case.read", client_id=ines.client_id)
    assert len(list_audit_events(team["admin"], wanted, None, 10).items) == 1


def test_refused_read_is_recorded(app, team, ines):
    StaffBrowser(app, team["coach2"]).get(f"/case/{ines.number}")
    refused = list_audit_events(team["admin"], AuditFilter(outcome="refused"), None, 10).items
    assert [entry.action for entry in refused] == ["case.read"]


def test_get_on_post_routes_is_refused(coach, ines):
    case = f"/case/{ines.number}"
    for path in (
        "/details/client",
        "/details/facts",
        "/flags",
        f"/flags/{uuid4()}/clear",
        "/reopen",
        f"/hold/{uuid4()}/release",
    ):
        assert coach.get(case + path).status_code == 405, path


@pytest.mark.parametrize("page", ["/help/levels", "/help/keys", "/protocol"])
def test_help_pages_are_shown_to_all_staff(app, team, page):
    assert "<h1>" in StaffBrowser(app, team["admin"]).text(page)
    assert app.test_client().get(page).status_code == 303
