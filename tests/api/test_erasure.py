"""Erasures by the API, and the certificate as a PDF."""

import pytest

from tests.api.api_client import assert_error, assert_hidden, assert_needs_a_role
from tests.support import builders
from tests.support.pdf_checks import extract_text
from tests.support.staff_pages import StaffBrowser


def test_record_is_erased_by_two_people_and_the_certificate_stays(staff):
    coach, supervisor, admin = staff["coach"], staff["supervisor"], staff["admin"]
    client_id = builders.client(coach.actor, "Ines Okafor")
    path, body = f"/clients/{client_id}/erasures", {"ground": "client"}
    assert {*assert_error(coach.post(path, {}), 422, "invalid")["fields"]} == {"ground"}
    assert_hidden(staff["coach2"], "POST", "/clients/{}/erasures", client_id, body)
    assert_needs_a_role(admin, ("POST", path))
    made = coach.post(path, body)
    assert made.status_code == 201
    assert_error(coach.post(path, body), 409, "rule_broken")
    own = f"/erasures/{made.get_json()['id']}"
    assert_error(staff["coach2"].get(own), 404)
    assert_needs_a_role(coach, ("POST", f"{own}/erase"), ("POST", f"{own}/refuse"))
    assert_error(supervisor.post(f"{own}/withdraw"), 409, "rule_broken")
    erased = admin.post(f"{own}/erase")
    assert erased.status_code == 200
    assert (erased.get_json()["state"], len(erased.get_json()["sha256"])) == ("done", 64)
    assert_error(supervisor.post(f"{own}/erase"), 404)
    assert_error(coach.get(f"/clients/{client_id}"), 404)
    assert coach.get(own).get_json() == erased.get_json()
    assert [one["id"] for one in admin.get("/erasures").get_json()["items"]] == [
        made.get_json()["id"]
    ]


@pytest.mark.pdf
def test_certificate_is_a_pdf_for_whoever_reads_it_and_names_no_client(staff, app):
    coach, supervisor = staff["coach"], staff["supervisor"]
    client_id = builders.client(coach.actor, "Ines Okafor")
    made = coach.post(f"/clients/{client_id}/erasures", {"ground": "proxy"}).get_json()
    own = f"/erasures/{made['id']}"
    browser = StaffBrowser(app, supervisor.actor)
    assert_error(coach.get(f"{own}/certificate"), 409, "rule_broken")
    assert browser.get(f"{own}/certificate.pdf").status_code == 409
    sha256 = supervisor.post(f"{own}/erase").get_json()["sha256"]
    assert f"{own}/certificate.pdf" in browser.text(own)
    for answer in (coach.get(f"{own}/certificate"), browser.get(f"{own}/certificate.pdf")):
        assert (answer.status_code, answer.mimetype) == (200, "application/pdf")
        text = extract_text(answer.data)
        assert "Somebody who may act for the client asked for it" in text
        assert sha256 in text.replace(" ", "")
        assert coach.actor.name in text
        assert "Okafor" not in text
    assert_error(staff["coach2"].get(f"{own}/certificate"), 404)
