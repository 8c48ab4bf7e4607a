"""Nothing asks the database while a template renders: an error in tests, a line in the log in production."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa
from flask import render_template_string

from caseapp.core.database import db
from caseapp.core.render_guard import QueriedWhileRendering
from caseapp.core.settings import active as active_settings
from caseapp.core.settings import use as use_settings
from caseapp.core.templating import render_text
from tests.support.staff_pages import StaffBrowser


def ask():
    return db.session.scalar(sa.text("SELECT 7"))


@pytest.fixture
def page(app):
    with app.test_request_context("/portal/safety"):
        yield lambda source, **values: render_template_string(source, ask=ask, **values)


def test_statement_in_a_template_is_an_error_that_names_its_line(page):
    with pytest.raises(QueriedWhileRendering, match=r"^text:2 sends a statement"):
        page("one\n{{ ask() }}")


def test_statement_in_a_macro_names_the_macros_line(page):
    with pytest.raises(QueriedWhileRendering, match=r"^text:1 "):
        page("{% macro row() %}{{ ask() }}{% endmacro %}\n\n{{ row() }}")


def test_statement_in_production_is_logged_and_answered(page, logged):
    before = active_settings()
    use_settings(replace(before, env="production"))
    try:
        assert page("one\n{{ ask() }}") == "one\n7"
    finally:
        use_settings(before)
    assert "template.queried" in logged()
    assert "text:2" in logged()


def test_statement_in_a_mail_or_pdf_is_an_error(app):
    class Link:
        def __str__(self):
            return str(ask())

    with pytest.raises(QueriedWhileRendering, match=r"^emails/reading-link.txt:\d+ "):
        render_text("emails/reading-link.txt", {"link": Link(), "minutes": 15})
    assert ask() == 7


def test_statement_before_and_after_a_page_is_allowed(page):
    assert page("{{ before }}", before=ask()) == "7"
    assert ask() == 7


def test_statement_after_a_template_failed_is_allowed(page):
    with pytest.raises(ZeroDivisionError):
        page("{{ 1 // 0 }}")
    assert ask() == 7


def test_staff_page_loads_the_practice_before_it_renders(app, team):
    assert "Our practice" in StaffBrowser(app, team["coach"]).text("/help/keys")
