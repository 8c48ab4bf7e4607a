"""The portal's language: the client's, from the first page to the email, with nothing left untranslated."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import i18n, outbox
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.i18n import in_language
from caseapp.core.settings import ROOT
from caseapp.core.transaction import transaction
from caseapp.domain.auth.portal_codes import invite_client
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.operations import update_client
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.practice.models import Practice
from caseapp.http import template_helpers
from caseapp.portal.handouts import AUTOSAVE_TEXTS
from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import assign, form, text, upload
from tests.support import builders, portal_client
from tests.support.portal_client import (
    EMAIL_AND_PORTAL,
    invited,
    open_link,
    sign_in_client,
    use_link,
)

SLUG = "better-nights"
PAGE = "/portal/h/1"


@pytest.fixture
def reader(app, coach):
    """Sign in a Spanish client with one Spanish worksheet; return their browser."""
    visitor, found = sign_in_client(app, coach, "Ines Okafor", language="es")
    builders.screen(coach, found.client_id)
    assign(coach, found, SLUG, "es")
    return visitor


def page_text(answer):
    """Return the text of a page in Spanish."""
    page = text(answer)
    assert '<html lang="es">' in page
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<body")[2]).split())


def submit(visitor, action="save", start=None, **answers):
    fields = form(visitor.get(PAGE), f"{PAGE}/save") | {
        f"answer_{k}": v for k, v in answers.items()
    }
    if start is not None:
        fields["version"] = str(start)
    return visitor.post(f"{PAGE}/{action}", data=fields)


@pytest.mark.slow
def test_spanish_client_reads_shares_and_marks_a_worksheet_in_spanish(reader):
    page = page_text(reader.get(PAGE))
    assert "Marta no ve esto mientras escribes." in page
    assert "Aún no hay nada escrito" in page
    assert re.search(r"Unos \d+ minutos", page)
    assert submit(reader, one_change="Apagar la luz.").status_code == 303
    page = page_text(reader.get(PAGE))
    assert "Guardado. Solo tú puedes verlo." in page
    assert re.search(r"Guardado a las \d?\d:\d\d", page)
    assert submit(reader, "share", one_change="Apagar la luz.").status_code == 303
    assert re.search(
        r"Compartiste esta hoja el \d+ de [a-z]+ a las \d?\d:\d\d\.", page_text(reader.get(PAGE))
    )
    submit(reader, one_change="Apagar el teléfono.")
    assert "solo puedes verlo tú" in page_text(reader.get(PAGE))
    fields = form(reader.get(PAGE), f"{PAGE}/read")
    assert reader.post(f"{PAGE}/read", data=fields).status_code == 303
    assert "Marcado como leído." in page_text(reader.get("/portal"))
    assert "Marcaste esto como leído el" in page_text(reader.get(PAGE))


@pytest.mark.slow
def test_spanish_client_gets_errors_in_spanish(reader):
    nothing = submit(reader, "share")
    assert nothing.status_code == 409
    assert "Todavía no hay nada que compartir. Escribe algo antes." in page_text(nothing)
    submit(reader, one_change="Desde el móvil.")
    stale = submit(reader, start=0, one_change="Desde el portátil.")
    assert stale.status_code == 412
    assert "Esta hoja se guardó desde otra ventana u otro dispositivo a las" in page_text(stale)
    assert "Abre la página de nuevo" in page_text(submit(reader, start="often"))
    wrong = submit(reader, "draft", start="often")
    assert wrong.json["fields"]["version"][0].startswith("Abre la página de nuevo")
    assert wrong.json["message"] == "Revisa tus respuestas."


@pytest.mark.pdf
def test_spanish_client_gets_upload_messages_in_spanish(coach, reader):
    assert "Elige antes un archivo." in page_text(upload(reader, b""))
    assert "Esto no es un PDF." in page_text(upload(reader, b"no"))
    submit(reader, one_change="Escrito aquí.")
    data = sample_files.filled(sample_files.blank(SLUG, "es"), {"one_change": "Del papel."})
    other = upload(reader, data)
    assert other.status_code == 409
    assert "En un lugar ya habías escrito otra cosa" in page_text(other)
    for _ in range(5):
        assert upload(reader, sample_files.scan()).status_code == 303
    page = page_text(reader.get(PAGE))
    assert "Este archivo no tiene campos" in page
    assert re.search(r"Se guarda hasta el \d+ de [a-z]+ de \d{4} y después se borra", page)
    assert "Puedes guardar 5 archivos" in page_text(upload(reader, sample_files.scan()))


@pytest.mark.slow
def test_english_client_reads_a_spanish_handout_on_an_english_page(app, coach):
    visitor, found = sign_in_client(app, coach, "Ines Okafor", language="en-US")
    builders.screen(coach, found.client_id)
    assign(coach, found, SLUG, "es")
    page = text(visitor.get("/portal"))
    assert '<html lang="en-US">' in page
    assert '<h3 lang="es">' in page
    assert "There is no rush." in page
    page = text(visitor.get(PAGE))
    assert '<article class="handout-text card-calm" lang="es">' in page
    assert "Nothing written yet" in page
    wrong = text(submit(visitor, one_change="x" * 161))
    assert 'Error: </span><span lang="en-US">Shorten this to 160 characters.</span>' in wrong


def test_day_of_another_year_includes_the_year(app):
    with at(now() - timedelta(days=400)):
        long_ago = now()
    with in_language("es"):
        assert template_helpers.local_day(long_ago) == template_helpers.local_date(long_ago)
        assert template_helpers.local_date(long_ago).endswith(f" de {long_ago.year}")
    assert template_helpers.local_day(now()) == template_helpers.local_date(now())[:-5]


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        ("es-MX,es;q=0.9,en;q=0.8", "es"),
        ("en-US,en;q=0.5", "en-US"),
        ("en", "en-GB"),
        ("pl", "en-GB"),
        ("pl,es;q=0.2", "es"),
        ("", "en-GB"),
    ],
)
def test_page_before_sign_in_follows_the_browser(app, wanted, language):
    for path, status in (("/portal/sign-in", 200), ("/portal/safety", 200), ("/portal/x", 404)):
        answer = app.test_client().get(path, headers={"Accept-Language": wanted})
        assert answer.status_code == status
        assert f'<html lang="{language}">' in text(answer)
        assert "Accept-Language" in answer.headers["Vary"]


def test_page_after_sign_in_follows_the_client_and_not_the_browser(reader):
    answer = reader.get("/portal", headers={"Accept-Language": "en-GB"})
    assert '<html lang="es">' in text(answer)
    assert "No hay prisa" in text(answer)


def test_language_of_one_request_does_not_leak_into_the_next(app, reader):
    reader.get("/portal")
    assert i18n.current_language() == "en-GB"
    assert "Open your reading list" in text(app.test_client().get("/portal/sign-in"))


def test_mail_and_link_page_are_in_the_clients_language(app, coach):
    with portal_client.mailbox_server() as mailbox:
        invited(coach, safe=EMAIL_AND_PORTAL, address="ines@example.test", language="es")
    [message] = mailbox.messages()
    assert message["Subject"] == "Tu lista de lecturas"
    body = message.get_content()
    assert "Funciona una sola vez, durante los próximos 15 minutos." in body
    assert not re.search(r"\b(the|your|you|list)\b", body.replace("enter", ""))
    [token] = mailbox.tokens()
    visitor = app.test_client()
    assert "Abrirla ahora" in text(open_link(visitor, token))
    assert "Open it now" in text(open_link(visitor, "unknown"))
    use_link(visitor, token)
    assert "Elige tu PIN" in text(visitor.get("/portal/pin"))


def test_client_without_a_language_gets_the_practices(app, coach):
    with transaction():
        db.session.execute(sa.update(Practice).values(language="es"))
    with portal_client.mailbox_server() as mailbox:
        found = invited(coach, safe=EMAIL_AND_PORTAL, address="ines@example.test")
    assert mailbox.messages()[0]["Subject"] == "Tu lista de lecturas"
    details = builders.details(safe=EMAIL_AND_PORTAL, email="ines@example.test", language="en-US")
    with transaction():
        update_client(coach, lock_client(coach, found.client_id), details, 1)
    with transaction():
        invite_client(coach, lock_client(coach, found.client_id), "lost")
    with portal_client.mailbox_server() as mailbox:
        outbox.sweep()
    assert mailbox.messages()[0]["Subject"] == "Your reading list"
    assert db.session.scalar(sa.select(Client.language)) == "en-US"


def test_texts_for_the_script_have_its_keys_and_placeholders():
    script = (ROOT / "caseapp/static/js/autosave.js").read_text(encoding="utf-8")
    block = script.partition("const TEXTS = {")[2].partition("};")[0]
    english = dict(re.findall(r'(\w+): "([^"]*)"', block))
    assert english.keys() == AUTOSAVE_TEXTS.keys()
    assert {key for key in english if f"texts.{key}" in script} == english.keys()
    for key, found in AUTOSAVE_TEXTS.items():
        assert set(re.findall(r"\{\w+\}", found)) == set(re.findall(r"\{\w+\}", english[key])), key
