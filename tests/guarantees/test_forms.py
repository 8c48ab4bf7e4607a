"""Every declared form keeps what was typed: generated from the URL map, so that a new form is covered at once."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
import sqlalchemy as sa

import caseapp.portal
import caseapp.web
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.form_drafts.models import FormDraft
from caseapp.http.forms import FormPage, PostRoute
from caseapp.http.guard import iter_routes
from tests.guarantees.form_cases import CASES, CHANGES_ONCE, REFUSED, open_sample
from tests.guarantees.form_steps import REACHED_BY

pytestmark = pytest.mark.both

# Forms that are not declared, each with its reason. The list may only shrink.
NO_RECORD = "a script sends it; it changes no record and holds no words of its own"
BY_HAND = {
    "authoring.preview": "answers the script of the editor, which keeps the words, with a part of the page",
    "form_drafts.discard": NO_RECORD,
    "form_drafts.keep": NO_RECORD,
    "notes.autosave": "answers the script of the editor, which keeps the words, in JSON",
    "password_links.accept_at_provider": "takes a secret, which is never kept or shown again",
    "password_links.choose_password": "takes a secret, which is never kept or shown again",
    "password_links.request_link": "nobody is signed in; the answer is the same for every address",
    "portal_form_drafts.discard": NO_RECORD,
    "portal_form_drafts.keep": NO_RECORD,
    "portal_safety.quick_exit": "a link's last request, without fields: it ends the session as the page is left",
    "portal_session_time.stay": NO_RECORD,
    "portal_sign_in.enter_pin": "takes a secret, which is never kept or shown again",
    "portal_sign_in.finish_first_visit": "a button of somebody whose sign-in isn't complete",
    "portal_sign_in.request_link": "nobody is signed in; the answer is the same for every address",
    "portal_sign_in.sign_out": "a button on every page: it ends the session and clears its cookie",
    "portal_sign_in.submit_pin": "takes a secret, which is never kept or shown again",
    "portal_sign_in.use_card": "takes a secret, which is never kept or shown again",
    "portal_sign_in.use_link": "nobody is signed in; a button without fields",
    "portal_handouts.change_own_pin": "takes a secret, which is never kept or shown again",
    "portal_handouts.open_earlier": "takes a secret, which is never kept or shown again",
    "portal_handouts.autosave": "answers the script of a worksheet, which keeps the answers, in JSON",
    "portal_handouts.upload": "takes a file, which no page can show again; nothing is typed",
    "session_time.stay": NO_RECORD,
    "sign_in.enter_code": "takes a secret, which is never kept or shown again",
    "sign_in.sign_in_with_passkey": "takes the answer of a passkey, which nobody types",
    "sign_in.sign_in": "nobody is signed in yet, and a password is never kept",
    "sign_in.start_again": "a button of somebody whose sign-in isn't complete",
    "sign_in.sign_out": "a button on every page: it ends the session and clears its cookie",
}


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


# Forms that the sample data show are tried in one practice for each blueprint.
GROUPS = {name.partition(".")[0] for name in FORMS if name not in REACHED_BY} | REACHED_BY.keys()


@pytest.mark.slow
@pytest.mark.parametrize("group", sorted(GROUPS))
def test_declared_form_loses_no_word(world, group, monkeypatch):
    REACHED_BY.get(group, lambda _world: None)(world)
    alone = {name for name in FORMS if name.startswith(f"{group}.")} - REACHED_BY.keys()
    faults = {}
    for name in sorted({group} if group in FORMS else alone):
        opened = None
        for case in CASES:
            if isinstance(FORMS[name], PostRoute) and case in CHANGES_ONCE:
                continue
            with monkeypatch.context() as patch:
                try:
                    # Who is refused sends the form of one page again.
                    opened = (
                        opened if opened and case in REFUSED else open_sample(world, FORMS[name])
                    )
                    case(opened, patch)
                except AssertionError as fault:
                    faults[name, case.__name__] = str(fault)
                discard_drafts()
    assert faults == {}


def discard_drafts():
    with transaction():
        db.session.execute(sa.delete(FormDraft))
