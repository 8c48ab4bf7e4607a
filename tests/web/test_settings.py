import io
from datetime import timedelta

import pytest
import sqlalchemy as sa
from PIL import Image

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.scanning import HARMFUL
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.practice.models import Practice, PracticeHelpLine, PracticeLogo
from caseapp.domain.practice.operations import confirm_help_lines
from caseapp.domain.practice.queries import get_practice_info, today
from tests.support.pdf_checks import extract_text
from tests.support.staff_pages import StaffBrowser, Statements

pytestmark = pytest.mark.usefixtures("on_release_day")

CHANGED = {
    "name": "Harbour Lane",
    "tagline": "",
    "contact": "020 7946 0142",
    "country": "GB",
    "region": "Scotland",
    "zone": "Europe/Paris",
    "paper": "Letter",
    "paper_code": True,
    "exit_url": "https://www.example.org/weather",
}
LINE = {"kind": "dv", "name": "Haven House", "phone": "020 7946 0000", "hours": "24/7"}
BANNER = "help lines on handouts and in the portal"


def stored():
    db.session.rollback()
    return db.session.scalars(sa.select(Practice)).one()


def lines():
    return db.session.scalars(sa.select(PracticeHelpLine)).all()


def test_save_practice_by_admin_saves_all_fields(admin):
    assert admin.send("/settings", **CHANGED).status_code == 303
    row = stored()
    assert {name: getattr(row, name) for name in CHANGED} == CHANGED
    page = admin.text("/settings")
    assert "Saved." in page
    assert 'value="Harbour Lane"' in page


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": ""}, "Enter the practice’s name."),
        ({"name": "…"}, "Enter the practice’s name, with at least one letter or digit."),
        ({"name": "x" * 81}, "Enter"),
        ({"country": "XX"}, "Choose a country"),
        ({"region": "Catalonia"}, "Choose a region of the country"),
        ({"zone": "Mars/Base"}, "Choose a time zone"),
        ({"paper": "A5"}, "Choose one of the options."),
        ({"exit_url": "http://example.org"}, "https://"),
        ({"exit_url": "https://example.org/?from=coach"}, "https://"),
        ({"help_lines_confirmed_on": "2026-01-01"}, "Unknown field."),
    ],
)
def test_save_practice_with_invalid_field_shows_error_and_saves_nothing(admin, wrong, message):
    before = stored().version
    answer = admin.send("/settings", **(CHANGED | wrong))
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    assert message in page
    assert "020 7946 0142" in page
    assert stored().version == before


def test_save_practice_with_stale_form_keeps_first_change(admin):
    first, second = admin.form("/settings"), admin.form("/settings")
    assert admin.post("/settings", first.fields | {"name": "First"}).status_code == 303
    answer = admin.post("/settings", second.fields | {"name": "Second"})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 412
    assert 'value="Second"' in page
    assert ">First</strong>" in page
    assert stored().name == "First"


def test_save_practice_without_version_saves_nothing(admin):
    assert admin.send("/settings", name="Other", version=None).status_code == 422
    assert stored().name == "Our practice"


def test_save_practice_with_new_country_resets_confirmation(admin):
    assert admin.send("/settings/numbers").status_code == 303
    assert admin.send("/settings", country="IE").status_code == 303
    assert stored().help_lines_confirmed_on is None


def test_help_lines_page_shows_sources_and_confirms(team, admin):
    page = admin.text("/settings/numbers")
    assert "Samaritans" in page
    assert "Source read on 21 November 2026" in page
    assert "Nobody in this practice has confirmed" in page
    assert admin.send("/settings/numbers").status_code == 303
    row = stored()
    assert (row.help_lines_confirmed_on, row.help_lines_confirmed_by) == (today(), team["admin"].id)
    assert "by Ade Bello" in admin.text("/settings/numbers")


def test_local_help_line_is_added_once_and_removed(admin):
    form = admin.form("/settings/numbers", "/settings/numbers/local")
    for _ in range(2):
        assert admin.post(form.action, form.fields | LINE).status_code == 303
    [line] = lines()
    assert get_practice_info().help_lines.of_kinds("dv")[0].name == "Haven House"
    assert "Haven House" in admin.text("/settings/numbers")
    removal = f"/settings/numbers/local/{line.id}/remove"
    assert admin.send("/settings/numbers", removal).status_code == 303
    assert not lines()


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "emergency"}, {"kind": ""}, {"name": ""}, {"phone": "ring us"}, {"phone": "12"}],
)
def test_add_help_line_with_invalid_field_shows_error(admin, wrong):
    answer = admin.send("/settings/numbers", "/settings/numbers/local", **(LINE | wrong))
    assert answer.status_code == 422
    assert f'<a href="#{next(iter(wrong))}">' in answer.get_data(as_text=True)
    assert not lines()


def test_remove_help_line_that_does_not_exist_is_not_found(admin):
    path = f"/settings/numbers/local/{new_id()}/remove"
    answer = admin.post(path, admin.token | admin.key_for(path))
    assert answer.status_code == 404


@pytest.mark.parametrize("who", ["coach", "supervisor"])
def test_settings_pages_by_coach_or_supervisor_are_forbidden(app, team, who):
    browser = StaffBrowser(app, team[who])
    for path in ("/settings", "/settings/numbers"):
        assert browser.get(path).status_code == 403
        assert browser.post(path, browser.token).status_code == 403
    assert browser.post("/settings/numbers/local", browser.token | LINE).status_code == 403
    assert stored().help_lines_confirmed_on is None


def test_banner_is_shown_until_confirmed_and_again_when_stale(app, team, admin):
    coach = StaffBrowser(app, team["coach"])
    assert "An admin can confirm them" in coach.text("/cases")
    assert "Check and confirm them" in admin.text("/people")
    with at(now() - timedelta(days=90)), transaction():
        confirm_help_lines(team["admin"])
    assert BANNER not in coach.text("/cases")
    with at(now() - timedelta(days=91)), transaction():
        confirm_help_lines(team["admin"])
    assert "Confirm them again." in coach.text("/cases")


def test_banner_causes_no_database_query(team, admin):
    def count_statements():
        with Statements() as statements:
            admin.text("/people")
        return len(statements.seen)

    with_banner = count_statements()
    with transaction():
        confirm_help_lines(team["admin"])
    assert count_statements() == with_banner


def picture(colour="#1d5b55", kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", (900, 300), colour).save(buffer, kind)
    return buffer.getvalue()


def upload(browser, content, alternative="Harbour Lane, a lighthouse", name="x.png"):
    fields = browser.form("/settings/logo").fields | {"alternative": alternative}
    return browser.post("/settings/logo", fields | {"logo": (io.BytesIO(content), name)})


def logos():
    db.session.rollback()
    return db.session.scalars(sa.select(PracticeLogo)).all()


@pytest.mark.pdf
def test_logo_is_uploaded_shown_replaced_and_removed(admin, team):
    assert "No logo" in admin.text("/settings/logo")
    assert upload(admin, picture()).status_code == 303
    [row] = logos()
    assert row.picture.startswith(b"\x89PNG")
    assert row.alternative == "Harbour Lane, a lighthouse"
    page = admin.text("/settings/logo")
    assert 'src="data:image/png;base64,' in page
    assert 'alt="Harbour Lane, a lighthouse"' in page
    assert upload(admin, picture("#000", "JPEG"), "Another", "../../etc/passwd").status_code == 303
    [row] = logos()
    assert row.alternative == "Another"
    pdf = admin.get("/handouts/better-nights/pdf").data
    assert b"/Image" in pdf
    assert b"/Image" not in admin.get("/handouts/help-right-now/pdf").data
    assert admin.send("/settings/logo", "/settings/logo/remove").status_code == 303
    assert logos() == []
    assert b"/Image" not in admin.get("/handouts/better-nights/pdf").data
    details = db.session.scalars(
        sa.select(AuditEvent.details).order_by(AuditEvent.occurred_at, AuditEvent.id)
    ).all()
    assert [entry["logo"] for entry in details if entry and "logo" in entry] == [
        "set",
        "set",
        "removed",
    ]


@pytest.mark.pdf
@pytest.mark.parametrize(
    ("content", "alternative", "message"),
    [
        (b"", "A lighthouse", "Choose a file first."),
        (b"<svg/>", "A lighthouse", "including SVG"),
        (picture() + b"PK", "A lighthouse", "contains more than an image"),
        (picture()[:-20], "A lighthouse", "may be incomplete"),
        (picture("white"), "A lighthouse", "too pale to show in black and white"),
        (picture(), "", "what the logo shows"),
        (picture(), "A lighthouse 🙂", "We cannot print these characters: 🙂 (U+1F642)"),
    ],
)
def test_upload_logo_with_invalid_file_or_text_shows_error_and_stores_nothing(
    admin, content, alternative, message
):
    answer = upload(admin, content, alternative)
    assert answer.status_code == 422
    assert message in answer.get_data(as_text=True)
    assert logos() == []


@pytest.mark.process
def test_upload_logo_rejected_by_scanner_stores_nothing(admin, scanner):
    scanner("false")
    answer = upload(admin, picture())
    assert answer.status_code == 422
    assert HARMFUL in answer.get_data(as_text=True)
    assert logos() == []


def test_save_practice_with_unprintable_name_shows_error(admin):
    answer = admin.send("/settings", **(CHANGED | {"name": "Harbour 漢"}))
    assert answer.status_code == 422
    assert "We cannot print these characters: 漢" in answer.get_data(as_text=True)


@pytest.mark.pdf
def test_qr_code_is_printed_only_when_enabled(admin):
    for enabled in (None, "yes", None):
        assert admin.send("/settings", **(CHANGED | {"paper_code": enabled})).status_code == 303
        assert stored().paper_code is (enabled == "yes")
        text = extract_text(admin.get("/handouts/better-nights/pdf").data)
        assert ("More to read" in text) is (enabled == "yes")


def test_logo_pages_by_coach_are_forbidden(app, team):
    coach = StaffBrowser(app, team["coach"])
    assert coach.get("/settings/logo").status_code == 403
    answer = coach.post("/settings/logo", coach.token | {"alternative": "A lighthouse"})
    assert answer.status_code == 403
