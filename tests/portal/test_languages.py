"""The portal's language: the client's, from the first page to the email, with nothing left untranslated."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from gettext import NullTranslations
from html.parser import HTMLParser

import pytest
import sqlalchemy as sa
from babel import Locale

from caseapp.core import i18n, outbox
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.i18n import in_language
from caseapp.core.settings import ROOT
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import withdraw
from caseapp.domain.assignments.queries import lock_assignment
from caseapp.domain.auth.portal_access import invite_client
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.operations import update_client
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.rendering import plain_text
from caseapp.domain.practice import queries as practice_queries
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.practice.models import Practice
from caseapp.domain.users.models import User
from caseapp.domain.worksheets.queries import format_answer
from caseapp.http import template_helpers
from caseapp.portal.handouts import AUTOSAVE_TEXTS
from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import assign, form, text, upload
from tests.support import builders, portal_client
from tests.support.portal_client import EMAIL_AND_PORTAL, invited, sign_in_client, use_link
from tests.support.staff import csrf
from tests.support.staff_pages import _Reader

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


def test_format_answer_date_follows_the_current_language():
    assert format_answer("2027-03-01") == "1 March 2027"
    with in_language("es"):
        assert format_answer("2027-03-01") == "1 de marzo de 2027"
        assert format_answer("mañana") == "mañana"


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
    assert "Abrirla ahora" in text(visitor.get(f"/portal/enter/{token}"))
    assert "Open it now" in text(visitor.get("/portal/enter/unknown"))
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
        invite_client(coach, lock_client(coach, found.client_id))
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


# Every letter of a text from the catalogue is shown as its wide form, so that a plain one is not from there.
WIDE = {ord(letter): ord(letter) + 0xFEE0 for letter in map(chr, (*range(65, 91), *range(97, 123)))}
KEPT = re.compile(r"(%\(\w+\)s|\{\{?\w+\}?\}|<[^>]+>)")


class PseudoTranslations(NullTranslations):
    """A catalogue that translates every text, and leaves what isn't in any alone."""

    def gettext(self, message):
        """Widen every letter outside placeholders and tags."""
        parts = KEPT.split(message)
        return "".join(
            part if KEPT.fullmatch(part) else part.translate(WIDE) for part in parts if part
        )

    def ngettext(self, msgid1, msgid2, n):
        """Widen the right one."""
        return self.gettext(msgid1 if n == 1 else msgid2)


class Words(HTMLParser):
    """Everything that a person can read on a page, without what is marked as another language."""

    SPOKEN = ("aria-label", "title", "alt", "placeholder", "data-texts")
    VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "path", "circle", "rect", "line"})

    def __init__(self):
        """Begin outside of everything."""
        super().__init__()
        self.found, self.skipped, self.open = [], 0, []

    def handle_starttag(self, tag, attrs):
        """Read the attributes; skip scripts, styles and what is in another language."""
        values = dict(attrs)
        other = tag != "html" and "lang" in values
        if tag not in self.VOID:
            self.open.append(other or tag in {"script", "style"})
            self.skipped += self.open[-1]
        if not self.skipped:
            self.found += [values[name] for name in self.SPOKEN if values.get(name)]

    def handle_startendtag(self, tag, attrs):
        """Ignore what can't hold text."""

    def handle_endtag(self, tag):
        """Leave the element."""
        if tag not in self.VOID:
            self.skipped -= self.open.pop()

    def handle_data(self, data):
        """Read a text."""
        if not self.skipped:
            self.found.append(data)


def untranslated(answer, content):
    """Return the words of a page in plain letters, apart from titles of handouts and the texts of `data-texts` keys."""
    words = Words()
    words.feed(answer.get_data(as_text=True))
    texts: list[str] = []
    for found in words.found:
        texts += json.loads(found).values() if found.startswith("{") else [found]
    joined = " ".join(texts)
    for known in content:
        joined = joined.replace(known, "")
    return re.findall(r"[A-Za-z]+", re.sub(r"\{(time|why)\}", "", joined))


@pytest.fixture
def pseudo(app, coach, monkeypatch):
    """Let the program speak a language that has every letter wide, while all names are Cyrillic."""
    monkeypatch.setitem(i18n.catalogues(), "es", PseudoTranslations())
    monkeypatch.setattr(i18n, "_locale", lambda: Locale("ru"))
    gb = countries()["GB"]
    lines = tuple(
        replace(line, name="Линия", web=None, text_keyword=line.text_keyword and "ЩИТ")
        for line in gb.lines
    )
    monkeypatch.setattr(practice_queries, "countries", lambda: {"GB": replace(gb, lines=lines)})
    with transaction():
        db.session.execute(sa.update(User).values(name="Марта Линд"))


def portal_rules(app):
    """Return every address and method of the portal and its exit."""
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/portal", "/exit"))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


# These answer with a file, another site, or numbers for a script.
WITHOUT_WORDS = {
    "GET /portal/session",
    "POST /portal/session",
    "GET /exit",
    "GET /portal/reading-all.pdf",
    "GET /portal/h/<int(max=9999):position>/reading-<string:number>.pdf",
}


class Journey:
    """A browser that remembers each address it used and collects the untranslated words of each answer."""

    def __init__(self, app, content):
        """Begin with nothing visited."""
        self.app, self.content = app, content
        self.visitor = app.test_client()
        self.visited, self.wrong, self.texts = set(), {}, []

    def open(self, path, *, method="GET", expect=200, data=None, **more):
        """Open an address, follow a redirect, and check what it shows."""
        adapter = self.app.url_map.bind("localhost")
        rule = adapter.match(path, method=method, return_rule=True)[0]
        self.visited.add(f"{method} {rule.rule}")
        headers = {"Accept-Language": "es"}
        answer = self.visitor.open(path, method=method, data=data, headers=headers, **more)
        assert answer.status_code == expect, (path, answer.status_code)
        shown = answer
        while shown.status_code == 303:
            shown = self.visitor.get(shown.headers["Location"], headers=headers)
        self.check(f"{method} {path} {expect}", shown)
        return answer

    def check(self, name, answer):
        """Collect the untranslated words of an answer."""
        if answer.mimetype == "application/json":
            texts = [answer.json.get("message", ""), *answer.json.get("fields", {}).values()]
            found = re.findall(r"[A-Za-z]+", " ".join(map(str, texts)))
        else:
            found = untranslated(answer, self.content)
        if found:
            self.wrong[name] = found

    def send(self, page, path, *, expect=303, **fields):
        """Send a form of a page with some fields changed; without such a form, only the page's token and the fields."""
        shown = self.visitor.get(page)
        reader = _Reader(page)
        reader.feed(shown.get_data(as_text=True))
        own: dict = next((one.fields for one in reader.forms if one.action == path), {})
        data = {"csrf_token": csrf(shown)} | own | fields
        return self.open(path, method="POST", expect=expect, data=data)

    def send_worksheet(self, action, *, expect, **changed):
        """Send the worksheet as the page has it, with changes."""
        fields = form(self.visitor.get(PAGE), f"{PAGE}/save") | changed
        return self.open(f"{PAGE}/{action}", method="POST", expect=expect, data=fields)


@pytest.mark.pdf
def test_every_portal_page_is_translated(app, coach, pseudo):
    """Visit every address of the portal, with its errors, in a language that shows what is not in the catalogue."""
    found = invited(coach, "Инес Окафор", language="es")
    journey = Journey(app, handout_titles())
    before_sign_in(journey)
    enter(journey, found)
    journey.open("/portal")
    builders.screen(coach, found.client_id)
    for slug in (sample_files.PAUSE, SLUG):
        assign(coach, found, slug)
    journey.open("/portal")
    journey.open("/portal/privacy")
    write_worksheet(journey)
    send_files(journey)
    journey.send(PAGE, PAGE + "/read")
    journey.open("/portal")
    journey.open(PAGE)
    journey.open("/portal/h/77", expect=404)
    with transaction():
        first = db.session.scalars(sa.select(Assignment).filter_by(position=1)).one()
        withdraw(coach, lock_assignment(coach, first.id), first.version)
    journey.open(PAGE, expect=409)
    builders.screen(coach, found.client_id, fear_at_home="urgent")
    journey.open("/portal")
    journey.open("/portal/h/2", expect=409)
    journey.send("/portal", "/portal/sign-out")
    use_up_attempts(journey, found)
    assert journey.wrong == {}
    assert portal_rules(app) - journey.visited == WITHOUT_WORDS


def before_sign_in(journey):
    """Open what is public, and send its forms with mistakes."""
    journey.open("/portal/sign-in")
    journey.open("/portal/safety")
    journey.open("/portal/enter/unknown")
    journey.send("/portal/sign-in", "/portal/enter/unknown", expect=401)
    journey.send("/portal/sign-in", "/portal/sign-in", expect=422)
    journey.send("/portal/sign-in", "/portal/sign-in", expect=422, email="x")
    journey.send("/portal/sign-in", "/portal/sign-in", email="nobody@example.test")
    journey.send("/portal/sign-in", "/portal/card", expect=422, code="x")
    journey.send("/portal/sign-in", "/portal/card", expect=401, code="no such code")
    journey.open("/portal/sign-in", method="POST", expect=400, data={"email": "x"})
    journey.open(PAGE + "/read", method="POST", expect=400)
    journey.send("/portal/sign-in", PAGE + "/read", expect=401)


def enter(journey, found):
    """Sign in by card, with mistakes, and finish the first visit."""
    journey.send("/portal/sign-in", "/portal/card", code=found.card_code)
    journey.open("/portal/pin")
    journey.send("/portal/pin", "/portal/pin", expect=422, start_code="x", pin="1", again="2")
    for pin in ("1", "111111", portal_client.PIN):
        journey.send("/portal/pin", "/portal/pin", expect=422, start_code="x", pin=pin, again=pin)
    both = {"pin": portal_client.PIN, "again": portal_client.PIN}
    journey.send("/portal/pin", "/portal/pin", start_code=found.start_code, **both)
    journey.open("/portal/first")
    journey.send("/portal/first", "/portal/first")


def write_worksheet(journey):
    """Save and share a worksheet, with mistakes and in two windows."""
    journey.open(PAGE)
    journey.send_worksheet("share", expect=409)
    journey.send_worksheet("save", expect=422, answer_what_happened="x" * 4001)
    journey.send_worksheet("draft", expect=422, version="x")
    journey.send_worksheet("save", expect=303, answer_what_happened="я")
    journey.send_worksheet("save", expect=412, version="0", answer_what_happened="не я")
    journey.send_worksheet("draft", expect=409, version="0", answer_what_happened="не я")
    journey.send_worksheet("draft", expect=200, answer_what_happened="снова я")
    journey.send_worksheet("share", expect=303, answer_what_happened="я")
    journey.send_worksheet("save", expect=303, answer_what_happened="и я")
    journey.send(PAGE, PAGE + "/unshare")
    typed = form(journey.visitor.get(PAGE), f"{PAGE}/save") | {"answer_what_happened": "слова"}
    journey.open("/portal/drafts", method="POST", expect=204, data=typed)
    assert "слова" in text(journey.open(PAGE))
    journey.send(PAGE, "/portal/drafts/discard")


def handout_titles():
    """Return what the pages show of handouts: it is in their own language."""
    found = {
        plain_text(text)
        for handout in library().values()
        for text in (
            handout.neutral_title,
            handout.summary,
            *(field.label for field in handout.fields),
        )
    }
    return sorted(found, key=len, reverse=True)


def send_files(journey):
    """Send files that can't be read, then send one to the coach and delete it."""
    for data, expect in ((b"", 422), (b"no", 422), (sample_files.scan(), 303)):
        answer = upload(journey.visitor, data)
        assert answer.status_code == expect
        journey.visited.add("POST /portal/h/<int(max=9999):position>/upload")
        journey.check(f"upload {expect}", journey.visitor.get(PAGE) if expect == 303 else answer)
    page = text(journey.visitor.get(PAGE))
    [sent] = re.findall(r'action="([^"]+/files/[^"]+/send)"', page)
    journey.send(PAGE, sent)
    journey.send(PAGE, sent.replace("/send", "/remove"))


def use_up_attempts(journey, found):
    """Use up the attempts for the PIN, then those for cards."""
    journey.send("/portal/sign-in", "/portal/card", code=found.card_code)
    for _ in range(5):
        journey.send("/portal/pin", "/portal/pin", expect=422, pin="000000")
    journey.send("/portal/pin", "/portal/pin", expect=409, pin="000000")
    journey.open("/portal/pin")
    journey.visitor = journey.app.test_client()
    for _ in range(9):
        token = csrf(journey.visitor.get("/portal/sign-in"))
        data = {"csrf_token": token, "code": "no such code"}
        last = journey.visitor.post("/portal/card", data=data, headers={"Accept-Language": "es"})
    assert last.status_code == 429
    journey.check("too many attempts", last)


def test_pseudo_translation_finds_a_text_that_is_written_into_a_template(app, pseudo, coach):
    page = app.jinja_env.from_string(
        '<p lang="en">Skipped</p><p title="Named">{{ _("Sign out") }} Written</p>'
    )
    with app.test_request_context(), in_language("es"):
        answer = app.response_class(page.render())
    assert untranslated(answer, []) == ["Named", "Written"]
