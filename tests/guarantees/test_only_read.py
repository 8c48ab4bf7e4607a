"""What somebody sees who reads a record by emergency access: nothing on its pages asks for what they can't do."""

from __future__ import annotations

import re

import pytest

from caseapp.core import pdf, pdf_cache
from caseapp.core.permissions import ACTIONS_BY_ROLE, Role
from caseapp.http.form_bodies import no_lock
from caseapp.http.guard import iter_routes
from caseapp.http.interfaces import find_endpoint
from tests.guarantees import sample_data as w
from tests.support import builders

# Forms whose fields are the record itself: they are shown, and can't be filled in.
SHOWN = {
    "cases.details_page": 2,
    "cases.stage_page": 1,
    "process_notes.process_note": 1,
    "safety_plans.plan_page": 1,
}
# Arguments of pages that aren't about the client whose record is read, and a page of one's own right.
ABOUT_OTHERS = w.NOT_OF_ONE_CLIENT | {
    "accepted_id",
    "alert_id",
    "denial_id",
    "emergency_id",
    "snippet_id",
    "token_id",
}


LINK = re.compile(r'href="(/[^"#?]*)')
POSTED = re.compile(r'<form\b[^>]* method="post"[^>]* action="([^"?]*)')


@pytest.mark.slow
def test_nothing_is_shown_that_leads_nowhere(world, app, monkeypatch):
    """Neither a form that would be refused nor a link to a page that isn't there for them."""
    monkeypatch.setattr(pdf, "render", lambda *_given, **_more: b"%PDF-1.7")
    monkeypatch.setattr(pdf_cache, "get_or_render", lambda *_given, **_more: b"%PDF-1.7")
    who, own = "supervisor2", world.own | {"note_id": world.own["signed_note_id"]}
    builders.read_in_emergency(world.actors[who], own["number"])
    texts, missing = {}, set()
    for route in w.routes(app):
        if route.method != "GET" or route.interface != "staff":
            continue
        owned = w.OWNED & route.rule.arguments - ABOUT_OTHERS
        if not owned or route.action not in ACTIONS_BY_ROLE[Role.SUPERVISOR]:
            continue
        answer = w.send(world, route, who, own)
        endpoint = route.rule.endpoint
        if answer.status_code == 404:
            missing.add(endpoint)
        elif answer.mimetype == "text/html":
            texts[endpoint] = answer.get_data(as_text=True)
    # Pages that only ask.
    assert missing == {
        "addenda.addendum_page",
        "amendments.amendment_page",
        "assignments.assign_page",
        "cases.close_page",
        "copies.copy_page",
        "cosigning.cosign_page",
        "erasure.certificate",
        "erasure.erasure_page",
        "erasure.request_page",
        "holds.named_hold",
        "invitations.invite_page",
        "left_drafts.left_draft",
        "legal_holds.hold_page",
        "merges.choose_record",
        "merges.merge_page",
        "note_moves.choose_record",
        "note_moves.move_page",
        "notes.new_note_page",
        "notes.revisions_page",
        "notes.sign_page",
        "screenings.correction_page",
    }
    changing = {
        rule.endpoint
        for rule, _, view in iter_routes(app)
        if w.OWNED & rule.arguments
        and getattr(getattr(view, "form", None), "lock", None) != no_lock
    }
    found, shown = [], {}
    with app.app_context():
        for endpoint, text in texts.items():
            sending = {find_endpoint(address, "POST") for address in POSTED.findall(text)}
            leading = {find_endpoint(address, "GET") for address in LINK.findall(text)}
            found += [(endpoint, target) for target in sending & changing]
            found += [(endpoint, target) for target in leading & missing]
            if count := text.count('<fieldset class="only-read'):
                shown[endpoint] = count
    assert found == []
    assert shown == SHOWN
    assert len(texts) > 15
