"""Small promises that the source itself can be asked about."""

from __future__ import annotations

import ast
import re

import pytest

from caseapp.core.settings import ROOT

SOURCES = sorted((ROOT / "caseapp").rglob("*.py"))
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def calls(path):
    """Name every call of a module as it is written: `mail.deliver`, `smtplib.SMTP`."""
    return {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    }


def modules(found):
    return {path.relative_to(ROOT / "caseapp").as_posix() for path in found}


@pytest.mark.slow
def test_one_module_uses_smtp_one_mails_clients_and_one_mails_staff():
    assert modules(p for p in SOURCES if "import smtplib" in p.read_text()) == {"core/mail.py"}
    assert modules(p for p in SOURCES if "mail.send" in calls(p)) == {
        "domain/clients/operations.py",
        "domain/users/staff_mail.py",
    }


@pytest.mark.slow
def test_one_module_commits_and_one_reads_the_clock():
    committing = {p for p in SOURCES if any(call.endswith(".commit") for call in calls(p))}
    assert modules(committing) == {"core/transaction.py"}
    assert modules(p for p in SOURCES if "datetime.now" in calls(p)) == {"core/clock.py"}


@pytest.mark.parametrize(
    ("engine", "users"),
    [
        ("weasyprint", {"core/pdf.py"}),
        ("pikepdf", {"core/pdf_archive.py", "core/pdf_forms.py"}),
    ],
)
def test_each_pdf_engine_is_imported_lazily_by_what_runs_in_workers(engine, users):
    wanted = re.compile(rf"^(\s*)(from|import) {engine}", re.MULTILINE)
    found = {p: wanted.findall(p.read_text()) for p in SOURCES}
    assert modules(p for p in SOURCES if found[p]) == users
    assert all(indent for hits in found.values() for indent, _ in hits)


@pytest.mark.slow
def test_every_url_argument_has_a_type(session_app):
    ours = [rule.rule for rule in session_app.url_map.iter_rules()]
    untyped = [rule for rule in ours if re.search(r"<[^:>]+>", rule)]
    assert untyped == []


def test_no_page_loads_from_another_site():
    """Neither a tracker nor anything else (VULN-43)."""
    for template in TEMPLATES:
        text = template.read_text()
        assert not re.search(r'(src|href|action)="(https?:)?//', text), template
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style|javascript:", text), template
