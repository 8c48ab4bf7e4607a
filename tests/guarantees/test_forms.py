"""Every declared form keeps what was typed: generated from the URL map, so that a new form is covered at once."""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import dataclass
from datetime import timedelta
from html.parser import HTMLParser

import pytest
import sqlalchemy as sa
from flask import redirect, url_for
from markupsafe import escape
from werkzeug.datastructures import MultiDict

import caseapp.portal
import caseapp.web
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, Reason, RuleBroken, Stale
from caseapp.core.permissions import ACTIONS_BY_ROLE, Role
from caseapp.core.sessions import end_all_sessions
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.authoring.models import HandoutDraft
from caseapp.domain.authoring.operations import save_draft
from caseapp.domain.authoring.schemas import DraftContentSchema
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.followups.operations import complete_followup
from caseapp.domain.followups.queries import list_client_followups, lock_followup
from caseapp.domain.form_drafts.models import FormDraft
from caseapp.domain.handouts.models import HiddenHandout
from caseapp.domain.handouts.operations import publish_version
from caseapp.domain.practice.operations import set_logo
from caseapp.domain.screening.models import Hold
from caseapp.domain.screening.queries import list_holds
from caseapp.domain.worksheets.models import WorksheetUpload
from caseapp.http.form_keys import open_form_key
from caseapp.http.forms import ARGUMENT, Done, FormPage, FormRoute, PostRoute
from caseapp.http.guard import iter_routes
from caseapp.http.page_forms import own_texts
from tests.guarantees import sample_data as w
from tests.support import builders, portal_client, staff
from tests.support.staff_pages import SentForm, forms_in

pytestmark = pytest.mark.both(every_set=True)

# Forms that are not declared, each with its reason. The list may only shrink.
NO_RECORD = "a script sends it; it changes no record and holds no words of its own"
BY_HAND = {
    "authoring.preview": "answers the script of the editor, which keeps the words, with a part of the page",
    "form_drafts.discard": NO_RECORD,
    "form_drafts.keep": NO_RECORD,
    "notes.autosave": "answers the script of the editor, which keeps the words, in JSON",
    "portal_form_drafts.discard": NO_RECORD,
    "portal_form_drafts.keep": NO_RECORD,
    "portal_session_time.stay": NO_RECORD,
    "portal_sign_in.finish_first_visit": "a button of somebody whose sign-in isn't complete",
    "portal_sign_in.request_link": "nobody is signed in; the answer is the same for every address",
    "portal_sign_in.sign_out": "a button on every page: it ends the session and clears its cookie",
    "portal_sign_in.submit_pin": "takes a secret, which is never kept or shown again",
    "portal_sign_in.use_card": "takes a secret, which is never kept or shown again",
    "portal_sign_in.use_link": "nobody is signed in; a button without fields",
    "portal_handouts.autosave": "answers the script of a worksheet, which keeps the answers, in JSON",
    "portal_handouts.upload": "takes a file, which no page can show again; nothing is typed",
    "session_time.stay": NO_RECORD,
    "sign_in.sign_in": "nobody is signed in yet, and a password is never kept",
    "sign_in.sign_out": "a button on every page: it ends the session and clears its cookie",
}
# No word of it is short enough to turn up in a token.
WORD = "Stepsister & «Ruth» <b>said</b> so."
BROKEN = "This is not how it goes."
TEXT_TYPES = {None, "text", "search"}


def find_pages() -> list[FormPage]:
    """Find the pages with declared forms in the modules of staff pages and portal."""
    modules = [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for package in (caseapp.web, caseapp.portal)
        for found in pkgutil.iter_modules(package.__path__)
    ]
    return [
        each for module in modules for each in vars(module).values() if isinstance(each, FormPage)
    ]


FORMS = {route.endpoint: route for page in find_pages() for route in page.forms.values()}


def test_every_form_is_declared_or_on_the_list(session_app):
    posts = {
        rule.endpoint: getattr(view, "form", None)
        for rule, method, view in iter_routes(session_app)
        if method == "POST" and not rule.rule.startswith("/api/")
    }
    assert {name: form for name, form in posts.items() if form} == FORMS
    assert posts.keys() - FORMS.keys() == BY_HAND.keys()


class _TextFields(HTMLParser):
    """The names of the fields of one form that take any text."""

    def __init__(self, action):
        super().__init__()
        self.action, self.inside, self.found = action, False, {}

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "form":
            self.inside = given.get("action") == self.action
        takes_text = tag == "textarea" or (tag == "input" and given.get("type") in TEXT_TYPES)
        if self.inside and takes_text:
            self.found[given["name"]] = given.get("id")


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
    parser = _TextFields(action)
    parser.feed(text)
    return Sample(world, route, who, page, button, form, parser.found)


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


class _Labels(HTMLParser):
    """What a page calls its fields, by their ids, and the links of its error summary."""

    def __init__(self):
        super().__init__()
        self.open, self.texts, self.links, self.inside = [], {}, [], False

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "div" and given.get("class") == "error-summary":
            self.inside = True
        if tag == "a" and self.inside:
            self.links.append((given["href"].removeprefix("#"), ""))
        if tag == "fieldset" and "id" in given:
            self.open.append(given["id"])
        if tag == "label" and "for" in given:
            self.open.append(given["for"])

    def handle_data(self, data):
        if self.open:
            self.texts[self.open[-1]] = self.texts.get(self.open[-1], "") + data
        if self.inside and self.links:
            target, text = self.links[-1]
            self.links[-1] = (target, text + data)

    def handle_endtag(self, tag):
        if tag == "div":
            self.inside = False
        if tag in {"label", "legend"} and self.open:
            self.open.pop()


def case_fields_are_empty(sample, monkeypatch):
    """Send every field that takes text empty: what is missing is named as the page names it, and linked to."""
    done = redirect("/today") if isinstance(sample.route, PostRoute) else Done("/today")
    monkeypatch.setattr(sample.route, "change", lambda *_given: done)
    answer = sample.send(**dict.fromkeys(sample.ids, ""))
    if answer.status_code != 422:
        return
    text, page = answer.get_data(as_text=True), _Labels()
    page.feed(text)
    assert page.links
    for target, words in page.links:
        label = page.texts.get(target)
        assert label is not None or f'id="{target}"' in text
        assert label is None or label.strip().startswith(re.split("[:?]", words)[0])


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
        assert not sample.ids or sample.route.page.blueprint.name in OWN_DRAFTS
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
# Forms that do something even when they are sent as they were opened.
ACTS_UNTOUCHED = {"cases.create", "notes.create", "notes.discard", "notes.record_screening"}
# A form that answers by itself may run again.
CHANGES_ONCE = {case_sent_twice, case_key_is_used_again}
CASES = [found for name, found in globals().items() if name.startswith("case_")]


def close_case(world):
    ended = {"status": "closed", "closed_at": now(), "outcome": "other"}
    with transaction():
        db.session.execute(sa.update(Case).where(Case.id == world.own["case_id"]).values(ended))


def meet_release_conditions(world):
    coach, client_id = world.actors["coach"], world.own["client_id"]
    with transaction():
        db.session.execute(sa.update(Hold).values(opened_at=now() - timedelta(days=21)))
    for task in list_client_followups(coach, client_id, open_only=True):
        with transaction():
            locked = lock_followup(coach, task.id)
            complete_followup(coach, locked, "Done together.", task.version)
    for days in (8, 0):
        builders.screen(coach, client_id, days_ago=days)
    found = next(hold for hold in list_holds(coach, client_id) if hold.kind == "safety")
    world.own = world.own | {"hold_id": found.id}


def add_logo(world):
    with transaction():
        set_logo(world.actors["admin"], b"\x89PNG", "A lighthouse")


def submit_draft(world):
    """Put the draft in review; an admin wrote it, and the supervisor may approve it."""
    with transaction():
        db.session.execute(
            sa.update(HandoutDraft)
            .where(HandoutDraft.id == world.own["draft_id"])
            .values(state="in_review")
        )


def write_and_submit_draft(world):
    draft_id = world.own["draft_id"]
    with transaction():
        content = DraftContentSchema().load({"title": "Two walks"})
        save_draft(world.actors["supervisor"], draft_id, content, 1)
    submit_draft(world)


def hide_slug(world):
    hidden = HiddenHandout(slug=w.SLUG, hidden_at=now(), hidden_by=world.actors["admin"].id)
    with transaction():
        db.session.add(hidden)


def publish_second_version(_world):
    with transaction():
        publish_version(builders.write_second_version(w.SLUG))


def assign_on_paper(world):
    coach, case_id = world.actors["coach"], world.own["case_id"]
    with transaction():
        assignment_id = assign_handout(
            coach,
            lock_case(coach, case_id),
            "a-private-check",
            message="",
            channel="print",
            confirmed=True,
        )
    world.own = world.own | {"assignment_id": assignment_id}


def take_back_file(world):
    with transaction():
        db.session.execute(sa.update(WorksheetUpload).values(sent_at=None))


# What has to be so for a page to show a form, where the sample data has it otherwise.
REACHED_BY = {
    "assignments.mark_read": assign_on_paper,
    "authoring.publish": submit_draft,
    "authoring.return_draft": submit_draft,
    "authoring.withdraw": write_and_submit_draft,
    "cases.reopen": close_case,
    "handouts.replace_assignments": publish_second_version,
    "handouts.show": hide_slug,
    "holds.release": meet_release_conditions,
    "settings.remove_logo": add_logo,
    "portal_handouts.send_upload": take_back_file,
}


@pytest.fixture
def world(app):
    return w.make(app)


# Forms that the sample data show are tried in one practice for each blueprint.
GROUPS = {name.partition(".")[0] for name in FORMS if name not in REACHED_BY} | REACHED_BY.keys()


@pytest.mark.slow
@pytest.mark.parametrize("group", sorted(GROUPS))
def test_declared_form_loses_no_word(world, group, monkeypatch):
    REACHED_BY.get(group, lambda _world: None)(world)
    alone = {name for name in FORMS if name.startswith(f"{group}.")} - REACHED_BY.keys()
    faults = {}
    for name in sorted({group} if group in FORMS else alone):
        for case in CASES:
            if isinstance(FORMS[name], PostRoute) and case in CHANGES_ONCE:
                continue
            with monkeypatch.context() as patch:
                try:
                    case(open_sample(world, FORMS[name]), patch)
                except AssertionError as fault:
                    faults[name, case.__name__] = str(fault)
                discard_drafts()
    assert faults == {}


def discard_drafts():
    with transaction():
        db.session.execute(sa.delete(FormDraft))


def details_form(world, who, part):
    path = f"/case/{world.own['number']}/details"
    text = world.browsers[who].get(path).get_data(as_text=True)
    return forms_in(text, path, f"{path}/{part}")[0]


def save_details(world, who, form, **changes):
    return world.browsers[who].post(form.action, data=form.fields | changes)


def test_fields_that_one_side_changed_are_merged(world):
    """Two people change different fields of a case: whoever is second sees both, and nothing is overwritten."""
    mine, theirs = details_form(world, "coach", "facts"), details_form(world, "supervisor", "facts")
    assert save_details(world, "supervisor", theirs, faith_variant="yes").status_code == 303
    answer = save_details(world, "coach", mine, gender="woman")
    assert answer.status_code == 412
    page = answer.get_data(as_text=True)
    again = forms_in(page, mine.action, mine.action)[0]
    assert (again.fields["faith_variant"], again.fields["gender"]) == (["yes"], ["woman"])
    assert "Saved in the meantime" not in page
    assert save_details(world, "coach", again).status_code == 303
    saved = details_form(world, "coach", "facts").fields
    assert (saved["faith_variant"], saved["gender"]) == (["yes"], ["woman"])


def test_field_that_both_changed_shows_both_texts(world):
    mine = details_form(world, "coach", "client")
    theirs = details_form(world, "supervisor", "client")
    assert save_details(world, "supervisor", theirs, pronouns="they").status_code == 303
    answer = save_details(world, "coach", mine, pronouns="ze", code_word="Blue sky")
    page = answer.get_data(as_text=True)
    again = forms_in(page, mine.action, mine.action)[0]
    assert answer.status_code == 412
    assert (again.fields["pronouns"], again.fields["code_word"]) == (["ze"], ["Blue sky"])
    assert ">they</strong>" in page


def test_fields_that_belong_together_are_never_mixed(world):
    """Change the goal on one side and its review date on the other: the form keeps one side's and shows the other's."""
    mine, theirs = details_form(world, "coach", "facts"), details_form(world, "supervisor", "facts")
    assert save_details(world, "supervisor", theirs, goal="together").status_code == 303
    answer = save_details(world, "coach", mine, review_date="2027-03-01")
    page = answer.get_data(as_text=True)
    again = forms_in(page, mine.action, mine.action)[0]
    assert again.fields["goal"] == mine.fields["goal"]
    assert again.fields["review_date"] == ["2027-03-01"]
    assert page.count("Saved in the meantime") == 2


def test_refused_form_still_notices_a_change_of_somebody_else(world):
    """A form that came back with an error stays what it was opened with, so that it overwrites nothing unseen."""
    mine, theirs = (
        details_form(world, "coach", "client"),
        details_form(world, "supervisor", "client"),
    )
    assert save_details(world, "supervisor", theirs, pronouns="they").status_code == 303
    wrong = save_details(world, "coach", mine, birth_year="one", code_word="Blue sky")
    assert wrong.status_code == 422
    again = forms_in(wrong.get_data(as_text=True), mine.action, mine.action)[0]
    answer = save_details(world, "coach", again, birth_year="1980")
    assert answer.status_code == 412
    merged = forms_in(answer.get_data(as_text=True), mine.action, mine.action)[0]
    assert (merged.fields["pronouns"], merged.fields["code_word"]) == (["they"], ["Blue sky"])


def test_restored_words_are_merged_with_what_was_saved_since(world):
    mine = details_form(world, "coach", "client")
    with transaction():
        end_all_sessions(world.actors["coach"].id)
    kept = save_details(world, "coach", mine, code_word="Blue sky")
    assert kept.status_code == 303
    theirs = details_form(world, "supervisor", "client")
    assert save_details(world, "supervisor", theirs, pronouns="they").status_code == 303
    assert staff.sign_in(world.browsers["coach"], world.actors["coach"]).status_code == 303
    again = details_form(world, "coach", "client")
    assert (again.fields["pronouns"], again.fields["code_word"]) == (["they"], ["Blue sky"])
    assert save_details(world, "coach", again).status_code == 303
    with transaction():
        assert db.session.scalars(sa.select(FormDraft)).all() == []


def test_words_of_a_record_that_is_gone_are_listed(world):
    """A page that can't be found has no form; the words stand on the error page, for their author only."""
    number, foreign = world.own["number"], world.foreign["number"]
    form = details_form(world, "coach", "client")
    with transaction():
        db.session.execute(sa.delete(CareTeamMember))
    answer = save_details(world, "coach", form, safe_warning=WORD)
    assert number != foreign
    assert answer.status_code == 404
    assert str(escape(WORD)) in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "address",
    [
        "//elsewhere.test",
        "https://elsewhere.test/today",
        "/\\elsewhere.test",
        "/portal",
        "/nowhere",
    ],
)
def test_signing_in_leads_to_pages_of_ours_only(world, address):
    browser = world.app.test_client()
    page = browser.get("/sign-in")
    fields = {"csrf_token": staff.csrf(page), "password": staff.PASSWORD}
    answer = browser.post(
        "/sign-in", query_string={"next": address}, data=fields | {"email": "coach@practice.test"}
    )
    assert (answer.status_code, answer.location) == (303, "/today")
