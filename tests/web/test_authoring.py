"""Pages about practice handouts, through real requests."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from uuid import UUID

import pikepdf
import pytest
import sqlalchemy as sa

from caseapp.cli.handouts import release_date
from caseapp.core import settings
from caseapp.core.database import db
from caseapp.domain.authoring.models import HandoutDraft
from caseapp.domain.authoring.queries import list_revisions
from caseapp.domain.handouts.library import CONTENTS
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.handouts.queries import get_handout_version, list_newest_versions
from tests.support import staff
from tests.support.staff_pages import StaffBrowser, forms_in

pytestmark = pytest.mark.usefixtures("on_release_day")

SCRIPT_PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "![x](https://elsewhere.example/x.png)",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<details open ontoggle=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "`<img src=x onerror=alert(1)>`",
    "<p><svg/onload=alert(1)></p>",
    '"><img src=x onerror=alert(1)>',
    "</textarea><script>alert(1)</script>",
    "<!--><img src=x onerror=alert(1)>-->",
]
TEMPLATE_PAYLOADS = [
    "{{ config }}",
    "{{8123*7919}}",
    "{% for x in y %}",
    "{{ ''.__class__ }}",
    "${8123*7919}",
    "#{8123*7919}",
]
BODY = """Walk, whatever the weather. MARK

## Out and back

A turn round the park.

::: text where
Where I will walk
:::

## Stop and get help now if

- you think of dying

{{crisis_block}}

*A walk is a walk.*"""
COMPLETE_FORM = {
    "title": "An evening walk",
    "summary": "A short walk each evening.",
    "stage": "steady",
    "kind": "worksheet",
    "minutes": "10",
    "review_date": f"{release_date() + timedelta(days=180)}",
    "change": "First version.",
    "body": BODY,
} | {f"involves.{content}": "no" for content in CONTENTS}


@pytest.fixture
def browsers(app, team):
    return {who: StaffBrowser(app, team[who]) for who in ("supervisor", "admin", "coach")}


def create_draft(browser, title="An evening walk"):
    """Create a draft through the form and return the path of its page."""
    answer = browser.send("/handouts/own", title=title)
    assert answer.status_code == 303
    return answer.location.removesuffix("/edit")


def save(browser, draft, do="save", **changed):
    return browser.send(f"{draft}/edit", **(COMPLETE_FORM | {"do": do} | changed))


def submit_draft(browser, **changed):
    draft = create_draft(browser)
    assert save(browser, draft, "submit", **changed).status_code == 303
    return draft


def run_action(browser, draft, name, **fields):
    return browser.send(draft, f"{draft}/{name}", **fields)


@pytest.mark.pdf
def test_draft_is_written_approved_and_published(browsers):
    assert 'href="/handouts/own"' in browsers["supervisor"].text("/handouts")
    assert 'href="/handouts/own"' not in browsers["coach"].text("/handouts")
    draft = create_draft(browsers["supervisor"])
    assert save(browsers["supervisor"], draft).status_code == 303
    page = browsers["supervisor"].text(f"{draft}/edit")
    assert "Draft saved." in page
    assert "::: text where" in page
    assert "based on" in page
    assert "own judgement" in page
    assert save(browsers["supervisor"], draft, "submit").location == draft
    author_page = browsers["supervisor"].text(draft)
    assert "You edited this draft" in author_page
    assert f"{draft}/publish" not in author_page
    assert "You can approve it" in browsers["admin"].text("/handouts/own")
    assert "Needs another approver" in browsers["supervisor"].text("/handouts/own")
    assert run_action(browsers["admin"], draft, "publish").status_code == 303
    library = browsers["coach"].text("/handouts")
    assert "An evening walk" in library
    assert "/handouts/own-01" in library
    action = "/handouts/own-01/own"
    handout = browsers["coach"].text("/handouts/own-01")
    assert "Written by" in handout
    assert action not in handout
    assert action in browsers["admin"].text("/handouts/own-01")
    pdf = browsers["coach"].get("/handouts/own-01/pdf")
    assert pdf.headers["Content-Disposition"] == 'attachment; filename="an-evening-walk-1.pdf"'


def test_submit_of_incomplete_draft_lists_problems_and_keeps_the_text(browsers):
    draft = create_draft(browsers["supervisor"])
    answer = save(browsers["supervisor"], draft, "submit", summary="", stage="", body="Just this.")
    page = browsers["supervisor"].text(answer.location)
    assert "Saved, but not ready to submit yet" in page
    assert 'href="#summary"' in page
    assert 'href="#stage"' in page
    assert "There is no {{crisis_block}}." not in page
    again = save(browsers["supervisor"], draft, "submit", body="Just this.")
    assert "There is no {{crisis_block}}." in browsers["supervisor"].text(again.location)
    assert "Just this." in browsers["supervisor"].text(f"{draft}/edit")


@pytest.mark.slow
def test_save_with_oversized_or_unknown_values_is_refused(browsers):
    """A field that the form doesn't have is refused by name (VULN-19)."""
    draft = create_draft(browsers["supervisor"])
    assert save(browsers["supervisor"], draft, body="x" * 20_001).status_code == 422
    warnings = {f"warnings.{row}.because": f"Because of {row}" for row in range(21)}
    assert save(browsers["supervisor"], draft, **warnings).status_code == 422
    assert save(browsers["supervisor"], draft, **{"warnings.0.colour": "red"}).status_code == 422
    assert save(browsers["supervisor"], draft, kind="poem").status_code == 422
    assert save(browsers["supervisor"], draft, nonsense="x").status_code == 422
    assert len(list_revisions(get_draft_id(draft))) == 1


def get_draft_id(draft):
    return UUID(draft.rpartition("/")[2])


@pytest.mark.pdf
def test_previews_save_nothing(browsers):
    draft = create_draft(browsers["supervisor"])
    form = browsers["supervisor"].form(f"{draft}/edit")
    typed = form.fields | COMPLETE_FORM | {"title": "Only typed"}
    look, paper = re.findall(
        r'<button[^>]* formaction="([^"]+)"', browsers["supervisor"].text(f"{draft}/edit")
    )
    answer = browsers["supervisor"].post(look, typed)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert "Walk, whatever the weather." in page
    pane = browsers["supervisor"].post(f"{draft}/preview", typed).get_data(as_text=True)
    assert "<h2>Out and back</h2>" in pane
    assert "<html" not in pane
    kept = {*(settings.active().data_dir / "pdf").rglob("*.pdf")}
    pdf = browsers["supervisor"].post(paper, typed)
    assert pdf.mimetype == "application/pdf"
    assert {*(settings.active().data_dir / "pdf").rglob("*.pdf")} == kept
    with pikepdf.open(io.BytesIO(pdf.data)) as document:
        assert str(document.docinfo.Title) == "Only typed"
    db.session.rollback()
    assert db.session.get(HandoutDraft, get_draft_id(draft)).title == "An evening walk"
    assert len(list_revisions(get_draft_id(draft))) == 1


@pytest.mark.slow
def test_pdf_of_incomplete_draft_is_refused_with_its_problems(browsers):
    draft = create_draft(browsers["supervisor"])
    answer = browsers["supervisor"].send(draft, f"{draft}/pdf")
    assert answer.status_code == 422
    assert "Summary" in answer.get_data(as_text=True)
    form = browsers["supervisor"].form(f"{draft}/edit")
    typed = browsers["supervisor"].post(
        f"{draft}/edit/pdf", form.fields | COMPLETE_FORM | {"stage": ""}
    )
    assert typed.status_code == 422
    assert "Walk, whatever the weather." in typed.get_data(as_text=True)


def test_stale_save_is_refused_and_keeps_the_typed_text(browsers):
    draft = create_draft(browsers["supervisor"])
    old = browsers["supervisor"].form(f"{draft}/edit").fields
    assert save(browsers["admin"], draft, title="Theirs").status_code == 303
    answer = browsers["supervisor"].post(
        f"{draft}/edit", old | COMPLETE_FORM | {"title": "Mine", "do": "save"}
    )
    page = answer.get_data(as_text=True)
    assert answer.status_code == 412
    assert 'value="Mine"' in page
    assert re.search(r"Saved in the meantime: <strong[^>]*>Theirs<", page)
    db.session.rollback()
    assert db.session.get(HandoutDraft, get_draft_id(draft)).title == "Theirs"


@pytest.mark.slow
def test_changes_of_two_authors_are_merged(browsers):
    """Two people edit a draft: each one's fields are kept, and a table of rows is taken from one side as a whole."""
    draft = create_draft(browsers["supervisor"])
    assert save(browsers["supervisor"], draft).status_code == 303
    mine = browsers["supervisor"].form(f"{draft}/edit")
    rows = {"warnings.1.tag": "court_order", "warnings.1.because": "Then"}
    assert browsers["admin"].send(f"{draft}/edit", **rows).status_code == 303
    answer = browsers["supervisor"].post(mine.action, mine.fields | {"title": "A night walk"})
    page = answer.get_data(as_text=True)
    again = forms_in(page, mine.action)[0]
    assert answer.status_code == 412
    assert again.fields["title"] == ["A night walk"]
    assert again.fields["warnings.0.because"] == ["Then"]
    assert "Saved in the meantime" not in page
    assert browsers["supervisor"].post(mine.action, again.fields).status_code == 303
    saved = browsers["admin"].form(f"{draft}/edit").fields
    assert saved["title"] == ["A night walk"]
    assert saved["warnings.0.because"] == ["Then"]


@pytest.mark.slow
def test_draft_in_review_is_read_only_and_stale_approval_is_refused(browsers):
    draft = create_draft(browsers["supervisor"])
    form = browsers["supervisor"].form(f"{draft}/edit")
    assert save(browsers["supervisor"], draft, "submit").status_code == 303
    assert browsers["supervisor"].get(f"{draft}/edit").status_code == 303
    late = browsers["supervisor"].post(
        f"{draft}/edit", form.fields | COMPLETE_FORM | {"title": "Late"}
    )
    assert late.status_code == 409
    assert 'value="Late"' in late.get_data(as_text=True)
    approval = browsers["admin"].form(draft, f"{draft}/publish").fields
    assert run_action(browsers["supervisor"], draft, "withdraw").status_code == 303
    assert save(browsers["supervisor"], draft, "submit", title="Another").status_code == 303
    refused = browsers["admin"].post(f"{draft}/publish", approval)
    assert refused.status_code == 412
    assert (
        db.session.scalar(sa.select(HandoutVersion.id).where(HandoutVersion.slug == "own-01"))
        is None
    )
    action = f"{draft}/publish"
    own = browsers["supervisor"].token | browsers["supervisor"].key_for(action)
    own |= {"version": browsers["supervisor"].form(draft, f"{draft}/withdraw").fields["version"]}
    assert browsers["supervisor"].post(action, own).status_code == 409


@pytest.mark.slow
def test_handout_that_is_laxer_is_published_only_with_a_clinician_whom_the_history_names(browsers):
    draft = submit_draft(browsers["supervisor"], hold_ok="safety")
    page = browsers["admin"].text(draft)
    assert "Only a licensed clinician can accept this" in page
    assert "Not while a hold is open." in page
    refused = run_action(browsers["admin"], draft, "publish")
    assert refused.status_code == 422
    assert 'href="#clinician"' in refused.get_data(as_text=True)
    name = {"clinician": "Dr Anne Weber, licence 12"}
    undated = run_action(browsers["admin"], draft, "publish", **name)
    assert undated.status_code == 422
    assert "Choose the date of the review." in undated.get_data(as_text=True)
    dated = {"reviewed_on": f"{release_date()}"}
    unnamed = run_action(browsers["admin"], draft, "publish", **dated)
    assert unnamed.status_code == 422
    assert run_action(browsers["admin"], draft, "publish", **name, **dated).status_code == 303
    for path in (draft, f"{draft}/history", "/handouts/own-01"):
        shown = browsers["admin"].text(path)
        assert "Dr Anne Weber, licence 12 accepted on" in shown
        assert "Use during a hold." in shown
    assert "Even during a safety hold." in browsers["coach"].text("/handouts/own-01")
    assert "Reviewed " in browsers["coach"].text("/handouts/own-01")


def test_draft_of_a_library_handout_says_what_it_inherits(browsers):
    path = "/handouts/reaching-out"
    answer = browsers["supervisor"].send(path, f"{path}/own")
    page = browsers["supervisor"].text(answer.location.removesuffix("/edit"))
    assert "Inherits the conditions that block the library’s" in page
    assert "Contact block: blocked." in page


@pytest.mark.slow
def test_coach_is_refused_on_every_page(browsers):
    """The history of a handout among them (VULN-16)."""
    draft = submit_draft(browsers["supervisor"])
    for path in ("/handouts/own", draft, f"{draft}/edit", f"{draft}/history"):
        assert browsers["coach"].get(path).status_code == 403
    token = browsers["coach"].token
    actions = "edit edit/preview edit/pdf preview pdf submit withdraw discard return publish"
    for name in actions.split():
        assert (
            browsers["coach"].post(f"{draft}/{name}", token | {"version": "3"}).status_code == 403
        )
    for path in ("/handouts/own", "/handouts/better-nights/own", "/handouts/better-nights/hide"):
        assert browsers["coach"].post(path, token).status_code == 403
    assert browsers["coach"].get("/handouts?shown=hidden").status_code == 403


@pytest.mark.slow
def test_history_shows_revisions_and_their_changes(browsers):
    draft = submit_draft(browsers["supervisor"])
    empty = run_action(browsers["admin"], draft, "return", reason="")
    assert empty.status_code == 422
    assert run_action(browsers["admin"], draft, "return", reason="Say how long.").status_code == 303
    assert "Say how long." in browsers["supervisor"].text(draft)
    assert save(browsers["supervisor"], draft, title="A ten-minute walk").status_code == 303
    assert run_action(browsers["supervisor"], draft, "submit").status_code == 303
    page = browsers["admin"].text(f"{draft}/history")
    assert "6. Submitted for approval</a>" in page
    assert 'revision=5" aria-current="page">5. Saved</a> by' in page
    assert ", today, " in page
    assert page.count("<del>") >= 1
    assert "ten-minute" in page
    assert "No changes" in browsers["admin"].text(f"{draft}/history?revision=6")
    assert "Removed:" in page
    assert "Returned" in page
    assert "Say how long." in browsers["admin"].text(f"{draft}/history?revision=4")
    for wrong in ("0", "99", "x", "-1"):
        assert browsers["admin"].get(f"{draft}/history?revision={wrong}").status_code == 404


@pytest.mark.slow
def test_hidden_handout_leaves_the_library_until_shown_again(browsers):
    page = browsers["supervisor"].text("/handouts/keep-the-day-running")
    assert "no longer be recommended after these screening answers" in page
    path = "/handouts/keep-the-day-running"
    assert browsers["supervisor"].send(path, f"{path}/hide").status_code == 303
    assert "Keep the day running" not in browsers["coach"].text("/handouts")
    assert "keep-the-day-running" in browsers["admin"].text("/handouts?shown=hidden")
    assert "Hidden since" in browsers["coach"].text(path)
    assert browsers["supervisor"].send(path, f"{path}/show").status_code == 303
    assert "keep-the-day-running" in browsers["coach"].text("/handouts")
    safety = "/handouts/help-right-now"
    refused = browsers["supervisor"].send(safety, f"{safety}/hide")
    assert refused.status_code == 409
    assert "no practice handout replaces it" in refused.get_data(as_text=True)


@pytest.mark.slow
def test_copy_of_library_handout_hides_its_original_when_published(browsers):
    path = "/handouts/first-days-pause"
    form = browsers["supervisor"].form(path, f"{path}/own")
    answer = browsers["supervisor"].post(form.action, form.fields)
    assert browsers["supervisor"].post(form.action, form.fields).location == answer.location
    draft = answer.location.removesuffix("/edit")
    typed = browsers["supervisor"].form(f"{draft}/edit").fields
    saved = browsers["supervisor"].post(
        f"{draft}/edit", typed | {"title": "The first week", "do": "submit"}
    )
    assert saved.status_code == 303
    page = browsers["admin"].text(draft)
    in_order = ("Changes from the library handout", "Approve and publish", 'id="handout"')
    found = [page.index(words) for words in in_order]
    assert found == sorted(found)
    assert run_action(browsers["admin"], draft, "publish", hide_original="yes").status_code == 303
    shown = {item.handout.id for item in list_newest_versions()}
    assert "own-01" in shown
    assert "first-days-pause" not in shown
    assert (
        get_handout_version("own-01").handout.fields
        == get_handout_version("first-days-pause").handout.fields
    )


def test_missing_second_approver_is_shown(app):
    browser = StaffBrowser(app, staff.add("supervisor"))
    assert "There is nobody else who can approve drafts" in browser.text("/handouts/own")


@pytest.mark.slow
@pytest.mark.parametrize("payload", TEMPLATE_PAYLOADS)
def test_template_syntax_is_never_evaluated(browsers, payload):
    draft = create_draft(browsers["supervisor"])
    answer = save(browsers["supervisor"], draft, "submit", body=BODY.replace("MARK", payload))
    assert answer.status_code == 303
    if payload.startswith("{{"):
        assert "Unknown marker" in browsers["supervisor"].text(answer.location)
    else:
        assert payload in browsers["admin"].text(draft)
    titled = create_draft(browsers["supervisor"])
    assert save(browsers["supervisor"], titled, title=f"Walk {payload}").status_code == 303
    page = browsers["supervisor"].text(titled)
    assert str(8123 * 7919) not in page


@pytest.mark.pdf
@pytest.mark.parametrize("payload", SCRIPT_PAYLOADS)
def test_markup_is_never_rendered(browsers, payload):
    """However it came into the draft (VULN-13)."""
    draft = submit_draft(
        browsers["supervisor"],
        title=f"Walk {payload}"[:120],
        alias=f"Out {payload}"[:120],
        summary=f"A walk. {payload}",
        body=BODY.replace("Where I", f"Where {payload}"[:150]).replace(
            "MARK",
            f"{payload}\n\n::: ticks which\nWhich\n- {f'One {payload}'[:90]}\n- Two\n:::",
        ),
    )
    for path in (draft, f"{draft}/history", "/handouts/own"):
        page = browsers["admin"].text(path)
        # The frame's own words for a browser without scripts stand at the end.
        main = page[page.index("<main") : page.rindex("<noscript>")]
        tags = set(re.findall(r"<([a-zA-Z]+)", main))
        assert not tags & {"script", "img", "iframe", "math", "noscript", "style", "object"}
        assert not re.search(r"<[^>]*\son\w+\s*=", main)
        assert "javascript:" not in "".join(re.findall(r'(?:href|src)="[^"]*"', main))
    assert run_action(browsers["admin"], draft, "publish").status_code == 303
    pdf = browsers["coach"].get("/handouts/own-01/pdf")
    assert pdf.status_code == 200
    with pikepdf.open(io.BytesIO(pdf.data)) as document:
        assert "/Names" not in document.Root or "/JavaScript" not in document.Root.Names
        for found in document.objects:
            if isinstance(found, pikepdf.Dictionary):
                assert "/JS" not in found
                assert found.get("/S") not in {"/JavaScript", "/Launch", "/URI", "/SubmitForm"}
        assert str(document.docinfo.Title).startswith("Out")
