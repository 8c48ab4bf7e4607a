import csv
import io

import pytest

from tests.api.api_client import (
    NOBODYS,
    assert_error,
    assert_needs_a_role,
    assert_only_answers,
    assert_refused,
    assert_refuses,
    assert_refuses_what_is_no_json,
)
from tests.support import builders

pytestmark = pytest.mark.both


def test_create_and_download_export(staff, coach):
    builders.case(coach.actor, "Ines Okafor", {"role": "spouse"})
    builders.case(coach.actor, "Bo Ek")
    admin = staff["admin"]
    answer = admin.post("/exports", {"format": "csv", "status": "open"})
    assert answer.status_code == 201
    made = answer.get_json()
    assert (made["format"], made["rows"]) == ("csv", 2)
    assert made["filters"]["status"] == "open"
    assert answer.headers["Location"] == f"/api/v1/exports/{made['id']}"
    assert admin.get(f"/exports/{made['id']}").get_json() == made
    assert admin.get("/exports").get_json()["items"] == [made]
    file = admin.get(f"/exports/{made['id']}/file")
    assert file.mimetype == "text/csv"
    assert file.headers["Content-Disposition"].startswith('attachment; filename="report-')
    text = file.get_data(as_text=True)
    assert len(list(csv.reader(io.StringIO(text)))) == 3
    assert "Okafor" not in text
    actions = [
        item["object_kind"] for item in admin.get("/audit?action=report.export").get_json()["items"]
    ]
    assert actions == ["export", "export"]


@pytest.mark.pdf
def test_download_of_a_pdf_export_is_a_pdf(staff, coach):
    builders.case(coach.actor)
    admin = staff["admin"]
    made = admin.post("/exports", {"format": "pdf"}).get_json()
    file = admin.get(f"/exports/{made['id']}/file")
    assert file.mimetype == "application/pdf"
    assert file.data.startswith(b"%PDF-")


def test_create_export_twice_with_one_key_makes_one(staff):
    admin = staff["admin"]
    first = admin.post("/exports", {"format": "csv"}, idempotency_key="a")
    assert (
        admin.post("/exports", {"format": "csv"}, idempotency_key="a").get_json()
        == first.get_json()
    )
    assert assert_refused(admin.post("/exports", {"format": "pdf"}, idempotency_key="a")) == [
        "idempotency_key_reused"
    ]


def test_create_export_with_invalid_input_names_fields(staff):
    assert_refuses(
        staff["admin"],
        "POST",
        "/exports",
        [
            ("format", {}),
            ("format", {"format": "docx"}),
            ("since", {"format": "csv", "since": "last year"}),
            ("until", {"format": "csv", "since": "2026-05-01", "until": "2026-04-01"}),
            ("coach", {"format": "csv", "coach": "me"}),
            ("names", {"format": "csv", "names": True}),
        ],
    )
    assert_refuses_what_is_no_json(staff["admin"], "POST", "/exports")
    assert staff["admin"].get("/exports").get_json()["items"] == []


def test_exports_as_coach_or_supervisor_are_403(staff):
    """Neither the list nor a report nor its file is given to them (VULN-17)."""
    admin = staff["admin"]
    made = admin.post("/exports", {"format": "csv"}).get_json()
    here = f"/exports/{made['id']}"
    for who in ("coach", "supervisor"):
        assert_needs_a_role(
            staff[who],
            ("GET", "/exports"),
            ("POST", "/exports"),
            ("GET", here),
            ("GET", f"{here}/file"),
        )
    assert_error(admin.get(f"/exports/{NOBODYS}"), 404, "not_found")
    assert_error(admin.get(f"/exports/{NOBODYS}/file"), 404, "not_found")
    assert_only_answers(admin, "/exports", "GET", "POST")
    assert_only_answers(admin, here, "GET")
    assert_only_answers(admin, f"{here}/file", "GET")
