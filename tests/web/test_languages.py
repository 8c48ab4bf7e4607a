"""The frame of staff pages follows the practice's language, while what pages say themselves is in English."""

from __future__ import annotations

import re
from html import unescape

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.practice.models import Practice
from tests.support import builders
from tests.support.staff_pages import StaffBrowser


@pytest.fixture
def team(team):
    """Let the practice speak Spanish; return its people."""
    with transaction():
        db.session.execute(sa.update(Practice).values(language="es"))
    return team


def test_menu_is_spanish_and_marks_the_current_page(app, team):
    page = StaffBrowser(app, team["coach"]).text("/notes")
    assert '<html lang="es">' in page
    assert 'aria-label="Principal"' in page
    [current] = re.findall(r'aria-current="page">.*?</svg>(\w+)', page, re.DOTALL)
    assert current == "Notas"
    assert re.search(r'<div class="page[^"]*" lang="en-GB">', page)


def test_case_page_marks_the_open_tab_or_the_one_that_leads_there(app, team):
    made = builders.case(team["coach"])
    for page, current in (
        ("details", ("page", "Datos")),
        ("consent", ("true", "Datos")),
        ("timeline", ("true", "Resumen")),
    ):
        text = StaffBrowser(app, team["coach"]).text(f"/case/{made.number}/{page}")
        nav = text.partition('<nav class="subnav"')[2].partition("</nav>")[0]
        assert 'lang="es"' in nav
        assert re.findall(r'aria-current="(\w+)">(\w+)', nav) == [current]
    assert ">Seguimientos<" in nav


def test_settings_form_changes_the_language_and_answers_in_it(app, team):
    admin = StaffBrowser(app, team["admin"])
    wrong = admin.send("/settings", name="", exit_url="")
    assert wrong.status_code == 422
    shown = unescape(wrong.get_data(as_text=True))
    assert "Completa este campo." in shown
    assert "Escribe el nombre de la consulta." in shown
    assert "Fill this in." not in shown
    assert "Enter the practice’s name" not in shown
    assert admin.send("/settings", language="en-US").status_code == 303
    page = admin.text("/settings")
    assert '<html lang="en-US">' in page
    assert "Saved." in page
    assert ">Settings</a>" in page
    assert ' lang="en-GB"' not in page


def test_sign_in_and_error_pages_are_spanish(app, team):
    visitor = app.test_client()
    page = visitor.get("/sign-in").get_data(as_text=True)
    assert '<html lang="es">' in page
    assert ">Contraseña<" in page
    missing = StaffBrowser(app, team["coach"]).get("/case/C-2020-9999")
    assert missing.status_code == 404
    assert "<h1>Página no encontrada</h1>" in missing.get_data(as_text=True)
    assert "No lo hemos encontrado." in missing.get_data(as_text=True)


def test_client_details_hold_a_language(app, team):
    made = builders.case(team["coach"])
    browser = StaffBrowser(app, team["coach"])
    path = f"/case/{made.number}/details"
    assert browser.send(path, f"{path}/client", language="en-US").status_code == 303
    page = browser.text(path)
    assert '<option value="en-US" selected>' in page
