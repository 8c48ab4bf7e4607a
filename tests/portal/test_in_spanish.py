"""A Spanish worksheet in the portal: everything around it is in Spanish too."""

from __future__ import annotations

import ast
import re
from datetime import timedelta
from string import Formatter

import pytest

from caseapp.core.clock import at, now
from caseapp.core.settings import ROOT
from caseapp.domain.worksheets.codes import UNREAD_REASONS
from caseapp.domain.worksheets.queries import format_answer
from caseapp.http.template_helpers import MESSAGES
from caseapp.portal.phrases import AUTOSAVE, ENGLISH, REJECTED_UPLOADS, TRANSLATIONS, Translator
from caseapp.portal.reading_list import KIND_LABELS
from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import assign, form, text, upload
from tests.support import builders
from tests.support.portal_client import sign_in_client
from tests.support.staff import csrf

SLUG = "better-nights"
PAGE = "/portal/h/1"
# Words that no Spanish text contains and nearly every English one does.
ENGLISH_WORDS = re.compile(
    r"\b(the|this|that|leave|list|sign|help|you|your|and|is|was|it|of|from|saved|sheet|file|share|read|with|not|here|"
    r"January|February|March|April|May|June|July|August|September|October|November|December|"
    r"Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b",
    re.IGNORECASE,
)


@pytest.fixture
def reader(app, coach):
    """Sign in a client with one Spanish worksheet; return their browser."""
    visitor, found = sign_in_client(app, coach, "Ines Okafor")
    builders.screen(coach, found.client_id)
    assign(coach, found, SLUG, "es")
    return visitor


def spanish_text(answer):
    """Return the text of a page after checking that it is Spanish, except for its neutral title."""
    page = text(answer)
    assert "<title>Reading list</title>" in page
    _, found, body = page.partition('<body class="portal" lang="es">')
    assert found
    # Help lines keep their own names.
    body = re.sub(r'<ul class="handout-numbers">.*?</ul>', "", body, flags=re.DOTALL)
    page_text = " ".join(re.sub(r"<[^>]+>", " ", body).split())
    assert ENGLISH_WORDS.findall(page_text) == []
    return page_text


def submit(visitor, action="save", start=None, **answers):
    fields = form(visitor.get(PAGE), f"{PAGE}/save") | {
        f"answer_{k}": v for k, v in answers.items()
    }
    if start is not None:
        fields["version"] = str(start)
    return visitor.post(f"{PAGE}/{action}", data=fields)


def test_spanish_worksheet_page_before_and_after_sharing_is_spanish(reader):
    page_text = spanish_text(reader.get(PAGE))
    assert "Marta no ve esto mientras escribes." in page_text
    assert "Aún no hay nada escrito" in page_text
    assert re.search(r"Unos \d+ minutos", page_text)
    assert submit(reader, one_change="Apagar la luz.").status_code == 303
    page_text = spanish_text(reader.get(PAGE))
    assert "Guardado. Solo tú puedes verlo." in page_text
    assert re.search(r"Guardado a las \d\d:\d\d", page_text)
    assert submit(reader, "share", one_change="Apagar la luz.").status_code == 303
    page_text = spanish_text(reader.get(PAGE))
    assert re.search(r"Compartiste esta hoja el \d+ de [a-z]+ a las \d\d:\d\d\.", page_text)
    submit(reader, one_change="Apagar el teléfono.")
    assert "solo puedes verlo tú" in spanish_text(reader.get(PAGE))
    token = {"csrf_token": csrf(reader.get(PAGE))}
    assert reader.post(f"{PAGE}/read", data=token).status_code == 303
    reader.get("/portal")
    assert "Marcaste esto como leído el" in spanish_text(reader.get(PAGE))


def test_spanish_worksheet_errors_are_spanish(reader):
    nothing = submit(reader, "share")
    assert nothing.status_code == 409
    assert "Todavía no hay nada que compartir. Escribe algo antes." in spanish_text(nothing)
    submit(reader, one_change="Desde el móvil.")
    stale = submit(reader, start=0, one_change="Desde el portátil.")
    assert stale.status_code == 412
    assert "Esta hoja se guardó desde otra ventana u otro dispositivo a las" in spanish_text(stale)
    assert "Abre la página de nuevo" in spanish_text(submit(reader, start="often"))
    wrong = submit(reader, "draft", start="often")
    assert wrong.json["fields"]["version"][0].startswith("Abre la página de nuevo")


@pytest.mark.pdf
def test_spanish_worksheet_upload_messages_are_spanish(coach, reader):
    assert "Elige antes un archivo." in spanish_text(upload(reader, b""))
    assert "Esto no es un PDF." in spanish_text(upload(reader, b"no"))
    submit(reader, one_change="Escrito aquí.")
    data = sample_files.filled(sample_files.blank(SLUG, "es"), {"one_change": "Del papel."})
    other = upload(reader, data)
    assert other.status_code == 409
    assert "En un lugar ya habías escrito otra cosa" in spanish_text(other)
    for _ in range(5):
        assert upload(reader, sample_files.scan()).status_code == 303
    page_text = spanish_text(reader.get(PAGE))
    assert "Este archivo no tiene campos" in page_text
    assert re.search(r"Se guarda hasta el \d+ de [a-z]+ de \d{4} y después se borra", page_text)
    assert "Puedes guardar 5 archivos" in spanish_text(upload(reader, sample_files.scan()))


def test_reading_list_with_spanish_handout_stays_english(reader):
    page = text(reader.get("/portal"))
    assert '<h3 lang="es">' in page
    assert '<body class="portal">' in page
    assert "There is no rush." in page


def test_format_answer_date_follows_language():
    assert format_answer("2027-03-01") == "1 March 2027"
    assert format_answer("2027-03-01", "es") == "1 de marzo de 2027"
    assert format_answer("mañana", "es") == "mañana"


def test_day_of_another_year_includes_the_year(app):
    with at(now() - timedelta(days=400)):
        long_ago = now()
    assert Translator("es").day(long_ago) == Translator("es").long_day(long_ago)
    assert Translator("es").long_day(long_ago).endswith(f" de {long_ago.year}")
    assert ENGLISH.day(long_ago).endswith(str(long_ago.year))


def texts_in_templates():
    """Yield every English text that the templates translate."""
    for name in ("portal/handout.html", "portal/macros.html", "layout/portal.html"):
        source = (ROOT / "templates" / name).read_text(encoding="utf-8")
        yield from re.findall(r'translate\("([^"]+)"', source)


def texts_in_code():
    """Yield every English text that the portal's code translates."""
    for file in (ROOT / "caseapp/portal").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id == "translate" and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value


def placeholders(phrase):
    return {name for _, name, _, _ in Formatter().parse(phrase) if name}


def test_every_portal_text_has_a_spanish_translation_with_the_same_placeholders():
    writing = (ROOT / "caseapp/portal/worksheets.py").read_text(encoding="utf-8")
    flashed = [text for code, text in MESSAGES.items() if f'"{code}"' in writing]
    wanted = {*texts_in_templates(), *texts_in_code(), *flashed, *UNREAD_REASONS.values()}
    wanted |= {*REJECTED_UPLOADS.values(), *KIND_LABELS.values()}
    assert len(wanted) > 60
    assert wanted - TRANSLATIONS["es"].keys() == set()
    for english, translation in TRANSLATIONS["es"].items():
        assert placeholders(english) == placeholders(translation), english


def test_autosave_translations_have_the_keys_of_the_script():
    script = (ROOT / "caseapp/static/js/autosave.js").read_text(encoding="utf-8")
    block = script.partition("const TEXTS = {")[2].partition("};")[0]
    english = dict(re.findall(r'(\w+): "([^"]*)"', block))
    assert english.keys() == AUTOSAVE["es"].keys()
    assert {key for key in english if f"texts.{key}" in script} == english.keys()
    for key, translation in AUTOSAVE["es"].items():
        assert placeholders(english[key]) == placeholders(translation), key
