"""Texts in several languages: catalogues, texts that wait for their reader, and formats."""

from __future__ import annotations

import ast
import json
from datetime import date, datetime
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

import pytest
from flask import Flask
from jinja2 import Environment, nodes
from markupsafe import Markup, escape
from marshmallow import fields, validate

from caseapp.core import i18n
from caseapp.core.i18n import (
    LANGUAGES,
    LazyText,
    current_language,
    format_date,
    format_day,
    format_list,
    format_month,
    format_time,
    gettext,
    in_language,
    lazy_gettext,
    ngettext,
    variety_of,
)
from caseapp.core.schemas import FIELD_MESSAGES, VALIDATOR_MESSAGES
from caseapp.core.settings import ROOT
from caseapp.core.templating import TEMPLATES, get_environment

LOOK_UPS = {"_", "gettext", "lazy_gettext", "ngettext"}
# These hold texts of data files, which .ci/catalogues reads.
DATA_TEXTS = {"caseapp/domain/cases/stages.py", "caseapp/domain/practice/help_lines.py"}


@pytest.fixture(scope="module")
def script():
    """Load `.ci/catalogues` as a module."""
    loader = SourceFileLoader("catalogues", str(ROOT / ".ci/catalogues"))
    module = module_from_spec(spec_from_loader("catalogues", loader))
    loader.exec_module(module)
    return module


@pytest.mark.slow
def test_catalogues_are_in_step_with_the_program(script):
    texts = script.program_texts()
    files = sorted(i18n.CATALOGUES.glob("*.po"))
    assert {file.stem for file in files} == LANGUAGES.keys() - {i18n.SOURCE_LANGUAGE}
    for file in files:
        assert script.updated(file.stem, texts) == file.read_text(encoding="utf-8"), file.name


@pytest.mark.parametrize("language", sorted(LANGUAGES.keys() - {i18n.SOURCE_LANGUAGE}))
def test_translations_are_complete_and_keep_placeholders_and_tags(script, language):
    assert [*script.mistakes(language)] == []


@pytest.mark.slow
def test_script_finds_each_mistake(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    (tmp_path / "es.po").write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
        'msgid "Call %(phone)s"\nmsgstr "Llamar"\n\n'
        'msgid "<b>Now</b>"\nmsgstr "Ahora"\n\n'
        'msgid "Open"\nmsgstr ""\n\n'
        'msgid "Close"\nmsgstr "\\"Cerrar\\""\n\n'
        "#, fuzzy\n"
        'msgid "Send"\nmsgstr "Enviar"\n\n'
        'msgid "one"\nmsgid_plural "%(num)s"\nmsgstr[0] "uno"\nmsgstr[1] ""\nmsgstr[2] "%(num)s"\n'
    )
    found = "\n".join(script.mistakes("es"))
    for text in ("Call %(phone)s", "<b>Now</b>", "Open", "Close", "Send", "one"):
        assert repr(text) in found
    assert "is not in step" in step(script, tmp_path)


def step(script, folder):
    texts = script.program_texts()
    wrong = script.updated("es", texts) != (folder / "es.po").read_text()
    return "is not in step" if wrong else ""


def calls_with_a_variable(tree):
    """Yield the lines where Python looks up a text that isn't written there."""
    for node in ast.walk(tree):
        name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and name in LOOK_UPS:
            texts = node.args[:2] if name == "ngettext" else node.args[:1]
            if not all(isinstance(text, ast.Constant) for text in texts):
                yield node.lineno


@pytest.mark.slow
def test_python_never_looks_up_a_variable():
    found = [
        f"{path}:{line}"
        for path in sorted((ROOT / "caseapp").rglob("*.py"))
        if path.name != "i18n.py"
        for line in calls_with_a_variable(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []
    assert [*calls_with_a_variable(ast.parse("gettext(text)\ngettext('a')\nngettext('a', b, 1)"))]
    lazy = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "caseapp").rglob("*.py")
        if path.name != "i18n.py" and "LazyText(" in path.read_text(encoding="utf-8")
    }
    assert lazy == DATA_TEXTS


def variables_looked_up(template):
    """Yield the lines where a template looks up a text that isn't written there, which would print it as markup."""
    for call in template.find_all(nodes.Call):
        if getattr(call.node, "name", "") in LOOK_UPS:
            texts = call.args[:2] if call.node.name == "ngettext" else call.args[:1]
            if not all(isinstance(text, nodes.Const) for text in texts):
                yield call.lineno


@pytest.mark.slow
def test_templates_never_look_up_a_variable():
    environment = get_environment()
    found = [
        f"{path.relative_to(TEMPLATES)}:{line}"
        for path in sorted(TEMPLATES.rglob("*.*"))
        for line in variables_looked_up(environment.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []
    assert [*variables_looked_up(environment.parse("{{ _(name) }}"))] == [1]


def test_lazy_text_is_translated_wherever_it_is_shown():
    text = lazy_gettext("Choose six digits.")
    assert (text, json.dumps(text)) == ("Choose six digits.", '"Choose six digits."')
    with in_language("es"):
        spanish = "Elige seis cifras."
        assert (str(text), f"{text}", escape(text)) == (spanish, spanish, spanish)
        assert Markup("%s") % text == spanish
        environment = get_environment()
        assert environment.from_string("{{ text }}{{ 'x' ~ text }}").render(text=text) == (
            f"{spanish}x{spanish}"
        )
        assert text == "Choose six digits."
    assert str(text) == "Choose six digits."


def test_lazy_text_fills_in_values_in_each_language():
    inner = lazy_gettext("This document could not be created.")
    text = lazy_gettext("%(what_happened)s Nothing was changed. Try again in a minute. "
                        "If it happens again, tell whoever runs this application.",
                        what_happened=inner)  # fmt: skip
    with in_language("es"):
        assert str(text).startswith("No se ha podido crear este documento. No se ha cambiado nada.")
        assert text.startswith("This document could not be created. Nothing was changed.")
    limit = lazy_gettext("Shorten this to {max} characters.").format(max=9)
    assert isinstance(limit, LazyText)
    assert (limit, str(limit)) == ("Shorten this to 9 characters.",) * 2
    with in_language("es"):
        assert str(limit) == "Acorta este texto a 9 caracteres como máximo."


def test_gettext_and_ngettext_follow_the_current_language():
    assert gettext("No. %(number)s", number=3) == "No. 3"
    assert ngettext("You can try again in one minute.",
                    "You can try again in %(num)s minutes.", 2).endswith("2 minutes.")  # fmt: skip
    with in_language("es"):
        assert gettext("No. %(number)s", number=3) == "N.º 3"
        assert gettext("Not in any catalogue") == "Not in any catalogue"
        with in_language("en-US"):
            assert gettext("for carers") == "for caregivers"
            assert gettext("for men") == "for men"
        assert current_language() == "es"


def test_variety_of_prefers_the_current_language():
    assert (variety_of("en"), variety_of("es")) == ("en-GB", "es")
    with in_language("en-US"):
        assert (variety_of("en"), variety_of("es")) == ("en-US", "es")


def test_template_values_are_escaped_and_texts_are_not():
    """What fills in a text is escaped; the text itself is ours (VULN-12)."""
    page = get_environment().from_string(
        "{% autoescape true %}{{ _('Call %(phone)s', phone=phone) }} {{ _('100%% sure') }}{% endautoescape %}"
    )
    assert page.render(phone="<1>") == "Call &lt;1&gt; 100% sure"


@pytest.mark.parametrize(
    ("language", "day", "full", "month", "time", "names"),
    [
        ("en-GB", "14 May", "14 May 2026", "May 2026", "14:05", "Ana, Bo and Inés"),
        ("en-US", "May 14", "May 14, 2026", "May 2026", "2:05\u202fPM", "Ana, Bo, and Inés"),
        ("es", "14 de mayo", "14 de mayo de 2026", "mayo de 2026", "14:05", "Ana, Bo e Inés"),
    ],
)
def test_dates_times_and_lists_follow_cldr(language, day, full, month, time, names):
    found, moment = date(2026, 5, 14), datetime(2026, 5, 14, 14, 5)  # noqa: DTZ001 - a local time
    with in_language(language):
        assert (format_day(found), format_date(found), format_month(found)) == (day, full, month)
        assert format_time(moment) == time
        assert format_list(["Ana", "Bo", "Inés"]) == names


@pytest.mark.parametrize(
    ("names", "joined"),
    [
        (["Inés"], "Inés"),
        (["Ana", "Luz"], "Ana y Luz"),
        (["padre", "hijo"], "padre e hijo"),
        (["agua", "hielo"], "agua y hielo"),
        (["uno y", "Íñigo"], "uno y e Íñigo"),
    ],
)
def test_spanish_list_has_e_before_the_sound_of_i(names, joined):
    with in_language("es"):
        assert format_list(names) == joined


def used_library_classes():
    """Return the marshmallow fields and validators that the program names."""
    kinds = {}
    for path in (ROOT / "caseapp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module = {"fields": fields, "validate": validate}.get(node.value.id)
                kind = getattr(module, node.attr, None) if module else None
                if isinstance(kind, type) and kind is not validate.Validator:
                    kinds[node.attr] = kind
    return kinds


@pytest.mark.slow
def test_no_message_of_the_library_is_left_in_what_the_program_uses():
    kinds = used_library_classes()
    assert len(kinds) > 10
    # The first says that the program failed, not what a person sent; a plain date never gives the second.
    internal = {("DateTime", "format"), ("AwareDateTime", "format"), ("Date", "format")}
    internal.add(("Date", "invalid_awareness"))
    for name, kind in kinds.items():
        for parent in kind.__mro__:
            for code, text in vars(parent).get("default_error_messages", {}).items():
                if (name, code) not in internal:
                    assert isinstance(text, LazyText) or overridden(kind, parent, code), (
                        name,
                        code,
                    )
        if issubclass(kind, validate.Validator):
            for attribute in VALIDATOR_MESSAGES.get(kind, {}):
                assert isinstance(getattr(kind, attribute), LazyText), name
            assert kind in VALIDATOR_MESSAGES, name


def overridden(kind, parent, code):
    """Tell whether a class nearer to `kind` has the message of `code`."""
    nearer = kind.__mro__[: kind.__mro__.index(parent)]
    return any(isinstance(FIELD_MESSAGES.get(one, {}).get(code), LazyText) for one in nearer)


def test_both_environments_translate(session_app):
    assert isinstance(session_app, Flask)
    for environment in (session_app.jinja_env, get_environment()):
        assert isinstance(environment, Environment)
        with in_language("es"), session_app.test_request_context():
            assert environment.from_string("{{ _('Sign out') }}").render() == "Cerrar sesión"
