"""Each way to lose what was typed in a form, tried on the page that shows it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flask import redirect, url_for
from lxml import html
from werkzeug.datastructures import MultiDict

from caseapp.core.errors import Invalid, Reason, RuleBroken, Stale
from caseapp.core.permissions import ACTIONS_BY_ROLE, Role
from caseapp.core.sessions import end_all_sessions
from caseapp.core.transaction import transaction
from caseapp.domain.form_drafts.codes import REPLACED
from caseapp.domain.form_drafts.queries import list_form_drafts
from caseapp.http.form_keys import open_form_key, seal_form_key
from caseapp.http.forms import ARGUMENT, Done, FormRoute, PostRoute
from caseapp.http.page_forms import own_texts
from tests.support import portal_client, staff
from tests.support.staff_pages import SentForm, forms_in

if TYPE_CHECKING:
    from tests.guarantees import sample_data as w

# No word of it is short enough to turn up in a token.
WORD = "Stepsister & «Ruth» <b>said</b> so."
BROKEN = "This is not how it goes."
TEXT_TYPES = {None, "text", "search"}


def list_text_fields(text, action):
    """Map the names of the fields of one form that take any text to their ids."""
    return {
        element.get("name"): element.get("id")
        for form in html.document_fromstring(text).iter("form")
        if form.get("action") == action
        for element in form.iter("input", "textarea")
        if element.tag == "textarea" or element.get("type") in TEXT_TYPES
    }


@dataclass
class Sample:
    """A declared form on its page, with something typed into every field that takes text."""

    world: w.World
    route: FormRoute
    who: str
    page: str
    button: str
    form: SentForm
    ids: dict[str, str]

    @property
    def person_id(self):
        if self.who == "client":
            return self.world.own["client_id"]
        return self.world.actors[self.who].id

    @property
    def typed(self):
        return {name: f"{WORD} {name}" for name in self.ids}

    def send(self, browser=None, **changes):
        browser = browser or self.world.browsers[self.who]
        return browser.post(self.button, data=self.form.fields | self.typed | changes)

    def lost(self, answer):
        """List what was typed and isn't in its field on the page of an answer."""
        shown = forms_in(answer.get_data(as_text=True), self.page, self.form.action)
        return [
            name
            for name, text in self.typed.items()
            if not any(form.fields.get(name) == [text] for form in shown)
        ]


def open_sample(world, route):
    """Open a form's own page as the first who may send it."""
    roles = {who: world.actors[who].role for who in ("coach", "supervisor", "admin")}
    roles["client"] = Role.CLIENT
    who = next(who for who, role in roles.items() if route.action in ACTIONS_BY_ROLE[role])
    names = ARGUMENT.findall(route.rule)
    with world.app.test_request_context():
        args = {name: world.own[name] for name in names}
        action, button = route.address(args), url_for(route.endpoint, **args)
        page = route.page.address(world.own)
    text = world.browsers[who].get(page).get_data(as_text=True)
    form = forms_in(text, page, action)[0]
    ids = list_text_fields(text, action)
    return Sample(world, route, who, page, button, form, ids)


def fails(error):
    def change(*_given):
        raise error

    return change


def load_nothing(*_given):
    return None


def case_field_is_wrong(sample, monkeypatch):
    wrong = next(iter(sample.ids), "version")
    monkeypatch.setattr(sample.route, "body", fails(Invalid({wrong: [BROKEN]})))
    answer = sample.send()
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert sample.lost(answer) == []
    assert BROKEN in text
    if sample.ids:
        assert f'href="#{sample.ids[wrong]}"' in text
        assert f'id="{sample.ids[wrong]}"' in text


def list_labels(page):
    """Map the ids of a page's fields, and of its groups of fields, to what it calls them."""
    labels = {label.get("for"): label.text_content() for label in page.iter("label")}
    groups = {legend.getparent().get("id"): legend.text_content() for legend in page.iter("legend")}
    return groups | labels


def case_fields_are_empty(sample, monkeypatch):
    """Send every field that takes text empty: what is missing is named as the page names it, and linked to."""
    done = redirect("/today") if isinstance(sample.route, PostRoute) else Done("/today")
    monkeypatch.setattr(sample.route, "change", lambda *_given: done)
    answer = sample.send(**dict.fromkeys(sample.ids, ""))
    if answer.status_code != 422:
        return
    text = answer.get_data(as_text=True)
    page = html.document_fromstring(text)
    labels = list_labels(page)
    links = page.xpath("//div[@class='error-summary']//a")
    assert links
    for link in links:
        target = link.get("href").removeprefix("#")
        label = labels.get(target)
        assert label is not None or f'id="{target}"' in text
        assert label is None or label.strip().startswith(
            re.split("[:?]", link.text_content())[0].strip()
        )


def case_rule_refuses(sample, monkeypatch):
    monkeypatch.setattr(sample.route, "body", load_nothing)
    monkeypatch.setattr(
        sample.route, "change", fails(RuleBroken(Reason("x", BROKEN, "Try again.")))
    )
    answer = sample.send()
    assert answer.status_code == 409
    assert sample.lost(answer) == []
    assert BROKEN in answer.get_data(as_text=True)


def case_record_has_changed(sample, monkeypatch):
    monkeypatch.setattr(sample.route, "body", load_nothing)
    monkeypatch.setattr(sample.route, "change", fails(Stale()))
    answer = sample.send()
    assert answer.status_code == 412
    assert sample.lost(answer) == []


def case_conflict_is_decided(sample, monkeypatch):
    """Send a form over what somebody else has saved, having seen both: what stood there is kept."""
    if sample.route.values is None or not sample.typed:
        return
    monkeypatch.setattr(sample.route, "body", load_nothing)
    key = open_form_key(sample.form.fields["form_key"][0])
    decided = seal_form_key(replace(key, conflicts=tuple(sample.typed)))
    monkeypatch.setattr(sample.route, "change", lambda *_given: Done("/today"))
    values, saved = sample.route.values, dict.fromkeys(sample.typed, "Saved elsewhere")
    monkeypatch.setattr(sample.route, "values", lambda *given: dict(values(*given)) | saved)
    assert sample.send(form_key=decided).status_code == 303
    writing = None
    if key.client_id == key.person_id:
        writing = portal_client.reader(key.client_id).writing
    kept = list_form_drafts(key.person_id, key.page.partition("?")[0], writing)
    assert kept[key.form + REPLACED].words == {name: [text] for name, text in saved.items()}


def case_sent_twice(sample, monkeypatch):
    made = []
    monkeypatch.setattr(sample.route, "body", load_nothing)
    monkeypatch.setattr(
        sample.route, "change", lambda *given: made.append(given) or Done(f"/today?{len(made)}")
    )
    first, second = sample.send(), sample.send()
    assert (first.status_code, first.location) == (303, "/today?1")
    assert (second.status_code, second.location) == (303, "/today?1")
    assert len(made) == 1


def case_key_is_used_again(sample, monkeypatch):
    monkeypatch.setattr(sample.route, "body", load_nothing)
    monkeypatch.setattr(sample.route, "change", lambda *_given: Done("/today"))
    assert sample.send(another="1").status_code == 303
    answer = sample.send()
    assert answer.status_code == 409
    assert sample.lost(answer) == []
    assert "already been sent with different answers" in answer.get_data(as_text=True)


def case_token_is_stale(sample, monkeypatch):
    monkeypatch.setattr(sample.route, "change", fails(AssertionError("nothing may change")))
    answer = sample.send(csrf_token="stale")
    assert answer.status_code == 400
    assert sample.lost(answer) == []


def enter_portal(sample, browser):
    """Sign in to the portal once more; its list leads on to what was written."""
    portal_client.use_card(browser, sample.world.own["card_code"])
    reading_list = portal_client.enter_pin(browser)
    text = browser.get(reading_list.location).get_data(as_text=True)
    assert not sample.ids or f'href="{sample.page}"' in text.partition('id="to-read"')[0]
    return browser.get(sample.page)


def sign_in_again(sample, answer, browser):
    """Follow an answer to the sign-in page and sign in there; return the page that follows."""
    assert answer.status_code == 303
    assert WORD.split(maxsplit=1)[0] not in answer.get_data(as_text=True)
    assert not any(
        WORD.split(maxsplit=1)[0] in cookie for cookie in answer.headers.getlist("Set-Cookie")
    )
    page = browser.get(answer.location)
    assert WORD.split(maxsplit=1)[0] not in page.get_data(as_text=True)
    if sample.who == "client":
        return enter_portal(sample, browser)
    email = f"{sample.who}@practice.test"
    fields = {"csrf_token": staff.csrf(page), "email": email, "password": staff.PASSWORD}
    done = browser.post(answer.location, data=fields)
    assert done.status_code == 303
    if done.location.startswith("/sign-in/code"):
        done = staff.enter_code(browser, done.location)
        assert done.status_code == 303
    return browser.get(done.location)


def case_session_has_ended(sample, monkeypatch):
    browser = sample.world.browsers[sample.who]
    with transaction():
        end_all_sessions(sample.person_id)
    restored = sign_in_again(sample, sample.send(), browser)
    assert sample.lost(restored) == []


def case_words_are_kept_while_they_are_typed(sample, monkeypatch):
    """Keep what was typed as a script does: nothing is sent, the words are back, and one button discards them."""
    monkeypatch.setattr(sample.route, "change", fails(AssertionError("nothing may change")))
    browser = sample.world.browsers[sample.who]
    page = browser.get(sample.page).get_data(as_text=True)
    if f'action="{sample.form.action}" novalidate data-draft="/drafts"' not in page:
        assert not sample.ids or sample.route.page.blueprint.name in OWN_DRAFTS | SEARCHES
        return
    kept = browser.post("/drafts", data=sample.form.fields | sample.typed)
    assert (kept.status_code, kept.get_data()) == (204, b"")
    page = browser.get(sample.page)
    assert sample.lost(page) == []
    if not sample.ids:
        return
    button = forms_in(page.get_data(as_text=True), sample.page, "/drafts/discard")[0]
    done = browser.post(button.action, data=button.fields)
    assert (done.status_code, done.location) == (303, sample.page)
    assert sample.lost(browser.get(done.location)) == [*sample.ids]


def case_cookies_are_gone(sample, monkeypatch):
    browser = sample.world.app.test_client()
    restored = sign_in_again(sample, sample.send(browser), browser)
    assert sample.lost(restored) == []


def case_somebody_else_is_signed_in(sample, monkeypatch):
    """Send it as another person who signed in there since: they read nothing of it, and its author finds it."""
    if sample.who == "client":
        browser = sample.world.browsers["client2"]
        token = staff.csrf(browser.get("/portal/safety"))
    else:
        other = next(who for who in ("supervisor", "coach", "admin") if who != sample.who)
        browser = sample.world.app.test_client()
        staff.sign_in(browser, sample.world.actors[other])
        token = staff.csrf(browser.get("/help/keys"))
    answer = sample.send(browser, csrf_token=token)
    assert answer.status_code in {403, 404, 409}
    assert WORD.split(maxsplit=1)[0] not in answer.get_data(as_text=True)
    if answer.status_code == 409:
        assert sample.lost(sample.world.browsers[sample.who].get(sample.page)) == []


def case_form_sends_what_it_was_filled_with(sample, monkeypatch):
    """Compare what an untouched form sends with what its key says: a default that nobody chose would look changed."""
    if sample.route.values is None:
        return
    with sample.world.app.app_context():
        key = open_form_key(sample.form.fields["form_key"][0])
    sent = own_texts(MultiDict(sample.form.fields))
    assert [name for name in sent | key.base.checks if key.base.differs(name, sent)] == []


def case_form_is_untouched(sample, monkeypatch):
    """Send a form that a record has filled as it was opened: nothing changes."""
    if sample.route.values is None or sample.route.endpoint in ACTS_UNTOUCHED:
        return
    answer = sample.world.browsers[sample.who].post(sample.form.action, data=sample.form.fields)
    assert answer.status_code == 303
    after = open_sample(sample.world, sample.route)
    hidden = dict.fromkeys(("csrf_token", "form_key", "version"))
    assert after.form.fields | hidden == sample.form.fields | hidden


# Notes and worksheets save themselves, and levels of a screening are kept nowhere else.
OWN_DRAFTS = {"notes", "portal_handouts", "screenings"}
# What somebody looks for in notes is stored nowhere while they type it.
SEARCHES = {"note_search"}
# Forms that do something even when they are sent as they were opened.
ACTS_UNTOUCHED = {
    "cases.ask",
    "cases.ask_again",
    "cases.create",
    "cases.open_asked",
    "contacts.add",
    "notes.bring_plan",
    "notes.confirm_answers",
    "notes.copy_answers",
    "notes.create",
    "notes.discard",
    "notes.record_screening",
    "snippets.keep_snippet",
}
# A form that answers by itself may run again.
CHANGES_ONCE = {case_sent_twice, case_key_is_used_again}
# After these the page is as it was: they are tried first, on one page.
REFUSED = (
    case_form_sends_what_it_was_filled_with,
    case_field_is_wrong,
    case_rule_refuses,
    case_record_has_changed,
    case_token_is_stale,
)
CASES = [
    *REFUSED,
    *(
        found
        for name, found in globals().items()
        if name.startswith("case_") and found not in REFUSED
    ),
]
