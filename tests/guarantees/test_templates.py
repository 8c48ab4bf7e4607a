from __future__ import annotations

import re

import pytest
from jinja2 import nodes
from lucide.jinja import lucide

from caseapp.core.templating import TEMPLATES, get_environment
from caseapp.domain.screening.protocol import ITEMS

FILES = sorted(path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.*"))
PAGES = [name for name in FILES if not name.startswith(("pdf/", "emails/"))]
# Which argument of a macro names an icon.
ICON_AT = {
    "icon": 0,
    "lucide": 0,
    "notice": 1,
    "rail_link": 1,
    "seg": 1,
    "timeline_item": 0,
}
# Words that look like an attribute of a tag and would be an inline handler.
INLINE = re.compile(r"\son[a-z]+\s*=|\sstyle\s*=|<style\b|javascript:", re.IGNORECASE)


@pytest.fixture(scope="session")
def jinja(session_app):
    def env_of(name):
        return session_app.jinja_env if name in PAGES else get_environment()

    return env_of


@pytest.mark.parametrize("name", FILES)
def test_every_template_compiles(jinja, name):
    assert jinja(name).get_template(name).name == name


def test_templates_have_no_inline_script_or_style():
    """No template marks a value as safe, and none has a place where a script of a text could run (VULN-12)."""
    for name in PAGES:
        text = (TEMPLATES / name).read_text()
        assert not INLINE.search(text), name
        for tag in re.findall(r"<script\b[^>]*>", text):
            assert " src=" in tag, tag
            assert re.search(r"</script>", text), name
        assert "|safe" not in text.replace(" ", ""), name
        assert "autoescape" not in text, name


def constants(argument):
    """Give the names that an argument can stand for: one, or one of two."""
    if isinstance(argument, nodes.CondExpr):
        yield from constants(argument.expr1)
        yield from constants(argument.expr2)
    elif isinstance(argument, nodes.Const):
        yield argument.value


def icons_of(template):
    for call in template.find_all(nodes.Call):
        name = getattr(call.node, "name", None) or getattr(call.node, "attr", None)
        place = ICON_AT.get(name)
        if place is not None and len(call.args) > place:
            yield from constants(call.args[place])


@pytest.mark.parametrize("name", FILES)
def test_every_icon_exists(jinja, name):
    source = (TEMPLATES / name).read_text()
    for icon in icons_of(jinja(name).parse(source)):
        assert "<svg" in lucide(icon)


def test_screening_items_have_existing_icons():
    for item in ITEMS:
        assert "<svg" in lucide(item.icon)


@pytest.mark.slow
def test_no_field_is_called_optional_whose_hint_says_when_it_is_needed(jinja):
    found = []
    for name in PAGES:
        for call in jinja(name).parse((TEMPLATES / name).read_text()).find_all(nodes.Call):
            given = {argument.key: argument.value for argument in call.kwargs}
            hint = getattr(given.get("hint"), "value", None) or ""
            if "optional" in given and re.search(r"\b[Nn]eed(ed|s)\b", str(hint)):
                found.append((name, hint))
    assert found == []


def test_every_post_form_has_a_csrf_token():
    for name in PAGES:
        text = (TEMPLATES / name).read_text()
        for form in re.findall(r"<form\b.*?</form>", text, re.DOTALL):
            if re.search(r'method="post"', form, re.IGNORECASE):
                assert "csrf" in form or "form_fields(" in form, f"{name}: {form[:80]}"
