"""Every page of the portal is translated: a catalogue of wide letters shows what is not from it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from gettext import NullTranslations
from html.parser import HTMLParser

import pytest
import sqlalchemy as sa
from babel import Locale

from caseapp.core import i18n
from caseapp.core.database import db
from caseapp.core.i18n import in_language
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import withdraw
from caseapp.domain.assignments.queries import lock_assignment
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.rendering import plain_text
from caseapp.domain.practice import queries as practice_queries
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.users.models import User
from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import assign, form, text, upload
from tests.support import builders, portal_client, safety_plans
from tests.support.portal_client import invited
from tests.support.staff import csrf
from tests.support.staff_pages import read_forms

SLUG = "better-nights"
PAGE = "/portal/h/1"

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
    "POST /exit",
    "GET /portal/reading-all.pdf",
    "GET /portal/reading-plan.pdf",
    "GET /portal/h/<int(max=9999):position>/reading-<string:number>.pdf",
    "GET /portal/h/<int(max=9999):position>/written-<string:number>.pdf",
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
        forms = read_forms(shown.get_data(as_text=True), page)
        own: dict = next((one.fields for one in forms if one.action == path), {})
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
    come_back_on_device(journey)
    change_own_pin(journey)
    write_worksheet(journey)
    send_files(journey)
    journey.send(PAGE, PAGE + "/read")
    journey.open("/portal")
    journey.open(PAGE)
    journey.open("/portal/h/77", expect=404)
    journey.open("/portal/plan", expect=404)
    safety_plans.write(coach, found.client_id, text="Озеро")
    safety_plans.show(coach, found.client_id)
    journey.open("/portal")
    journey.open("/portal/plan")
    found = open_earlier(journey, coach, found)
    with transaction():
        first = db.session.scalars(sa.select(Assignment).filter_by(position=1)).one()
        withdraw(coach, lock_assignment(coach, first.id), first.version)
    journey.open(PAGE)
    journey.open("/portal/written")
    journey.open("/portal/earlier", expect=303)
    journey.send("/portal/written", "/portal/earlier", expect=422, pin="1")
    journey.open(f"{PAGE}/answers-01.txt")
    journey.send(PAGE, f"{PAGE}/delete")
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
    journey.open("/portal/enter/unknown", expect=303)
    journey.open("/portal/enter")
    journey.send("/portal/enter", "/portal/enter", expect=401)
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


def change_own_pin(journey):
    """Change the PIN and back, with mistakes."""
    page, pins = "/portal/change-pin", (portal_client.PIN, "739182")
    journey.open(page)
    for pin, new_pin, again in (
        (pins[0], "1", "2"),
        (pins[0], "1", "1"),
        (pins[0], pins[0], pins[0]),
    ):
        journey.send(page, page, expect=422, pin=pin, new_pin=new_pin, again=again)
    journey.send(page, page, expect=422, pin="000000", new_pin=pins[1], again=pins[1])
    for pin, new_pin in (pins, pins[::-1]):
        journey.send(page, page, pin=pin, new_pin=new_pin, again=new_pin)
    journey.open("/portal/privacy")


def come_back_on_device(journey):
    """Have the device remembered, come back with the PIN alone, with mistakes, and have it forgotten."""
    page, sign_in = "/portal/devices", "/portal/sign-in"
    journey.open(page)
    for _ in range(2):
        journey.send(page, page)
        journey.visitor.delete_cookie("__Host-device", domain="localhost")
    journey.send(page, page)
    journey.send("/portal", "/portal/sign-out")
    journey.open(sign_in)
    journey.send(sign_in, f"{sign_in}/pin", expect=422)
    journey.send(sign_in, f"{sign_in}/pin", expect=422, pin="000000")
    journey.send(sign_in, f"{sign_in}/pin", pin=portal_client.PIN)
    journey.open(page)
    journey.send(page, f"{page}/forget")
    journey.visitor.delete_cookie("__Host-device", domain="localhost")
    journey.send(page, f"{sign_in}/pin", expect=401, pin=portal_client.PIN)


def open_earlier(journey, coach, found):
    """Come back with new codes, and open what was written before; return the codes."""
    codes = portal_client.new_codes(coach, found.client_id)
    journey.send("/portal/sign-in", "/portal/card", code=codes.card_code)
    both = {"pin": "739182", "again": "739182"}
    journey.send("/portal/pin", "/portal/pin", start_code=codes.start_code, **both)
    journey.open(PAGE)
    journey.open("/portal/written")
    journey.open("/portal/earlier")
    journey.send("/portal/earlier", "/portal/earlier", expect=422, pin="000000")
    journey.send("/portal/earlier", "/portal/earlier", pin=portal_client.PIN)
    return replace(found, start_code=codes.start_code, card_code=codes.card_code)


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
    journey.send("/portal/pin", "/portal/pin", expect=429, pin="000000")
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
