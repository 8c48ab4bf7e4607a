"""The pages about the practice's own handouts, through real requests."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from uuid import UUID

import pikepdf
import pytest
import sqlalchemy as sa

from caseapp.cli.handouts import release_day
from caseapp.core import settings
from caseapp.core.database import db
from caseapp.domain.authoring.models import HandoutDraft
from caseapp.domain.authoring.queries import list_revisions
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.handouts.queries import get_handout_version, list_newest_versions
from tests.support import staff
from tests.support.staff_pages import StaffBrowser

pytestmark = pytest.mark.usefixtures("on_release_day")

SCRIPTS = [
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
TEMPLATES = [
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

{{field:where}}

## Stop and get help now if

- you think of dying

{{crisis_block}}

*A walk is a walk.*"""
WHOLE = {
    "title": "An evening walk",
    "summary": "A short walk each evening.",
    "stage": "steady",
    "kind": "worksheet",
    "minutes": "10",
    "review_date": f"{release_day() + timedelta(days=180)}",
    "answer_fields.0.label": "Where I will walk",
    "answer_fields.0.id": "where",
    "change": "First edition.",
    "body": BODY,
}


@pytest.fixture
def desks(app):
    team = staff.team()
    return {who: StaffBrowser(app, team[who]) for who in ("supervisor", "admin", "coach")}


def begun(desk, title="An evening walk"):
    """Start a draft through the form; give the address of its page."""
    answer = desk.send("/handouts/own", title=title)
    assert answer.status_code == 303
    return answer.location.removesuffix("/edit")


def save(desk, draft, do="save", **changed):
    return desk.send(f"{draft}/edit", **(WHOLE | {"do": do} | changed))


def waiting(desk, **changed):
    draft = begun(desk)
    assert save(desk, draft, "send", **changed).status_code == 303
    return draft


def step(desk, draft, name, **fields):
    return desk.send(draft, f"{draft}/{name}", **fields)


@pytest.mark.pdf
def test_from_the_first_word_to_the_library(desks):
    assert "Our own" in desks["supervisor"].text("/handouts")
    assert "Our own" not in desks["coach"].text("/handouts")
    draft = begun(desks["supervisor"])
    assert save(desks["supervisor"], draft).status_code == 303
    page = desks["supervisor"].text(f"{draft}/edit")
    assert "Draft saved." in page
    assert "{{field:where}}" in page
    assert "rests on" in page
    assert "own judgement" in page
    assert save(desks["supervisor"], draft, "send").location == draft
    mine = desks["supervisor"].text(draft)
    assert "You have written in this text" in mine
    assert f"{draft}/approve" not in mine
    assert "You can approve it" in desks["admin"].text("/handouts/own")
    assert "Needs somebody else" in desks["supervisor"].text("/handouts/own")
    assert step(desks["admin"], draft, "approve").status_code == 303
    coach = desks["coach"].text("/handouts")
    assert "An evening walk" in coach
    assert ">Ours<" in coach
    sheet = desks["coach"].text("/handouts/own-01")
    assert "Written by" in sheet
    assert "Start the next version" not in sheet
    assert "Start the next version" in desks["admin"].text("/handouts/own-01")
    pdf = desks["coach"].get("/handouts/own-01/pdf")
    assert pdf.headers["Content-Disposition"] == 'attachment; filename="an-evening-walk-1.pdf"'


def test_whatever_is_missing_is_named_at_its_place_and_every_word_stays(desks):
    draft = begun(desks["supervisor"])
    answer = save(desks["supervisor"], draft, "send", summary="", stage="", body="Just this.")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert 'href="#summary"' in page
    assert 'href="#stage"' in page
    assert "There is no {{crisis_block}}." not in page
    again = save(desks["supervisor"], draft, "send", body="Just this.")
    assert "There is no {{crisis_block}}." in again.get_data(as_text=True)
    assert "Just this." in desks["supervisor"].text(f"{draft}/edit")


def test_a_long_text_and_too_many_rows_are_refused(desks):
    draft = begun(desks["supervisor"])
    assert save(desks["supervisor"], draft, body="x" * 20_001).status_code == 422
    answer_fields = {f"answer_fields.{row}.label": f"Label {row}" for row in range(31)}
    assert save(desks["supervisor"], draft, **answer_fields).status_code == 422
    warnings = {f"warnings.{row}.because": f"Because of {row}" for row in range(21)}
    assert save(desks["supervisor"], draft, **warnings).status_code == 422
    assert save(desks["supervisor"], draft, **{"answer_fields.0.colour": "red"}).status_code == 422
    assert save(desks["supervisor"], draft, **{"answer_fields.0.lines": "many"}).status_code == 422
    assert save(desks["supervisor"], draft, kind="poem").status_code == 422
    assert save(desks["supervisor"], draft, nonsense="x").status_code == 422
    assert len(list_revisions(_id(draft))) == 1


def _id(draft):
    return UUID(draft.rpartition("/")[2])


@pytest.mark.pdf
def test_looking_saves_nothing(desks):
    draft = begun(desks["supervisor"])
    form = desks["supervisor"].form(f"{draft}/edit")
    typed = form.fields | WHOLE | {"title": "Only typed"}
    answer = desks["supervisor"].post(f"{draft}/edit", typed | {"do": "preview"})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert "Walk, whatever the weather." in page
    pane = desks["supervisor"].post(f"{draft}/preview", typed).get_data(as_text=True)
    assert "<h2>Out and back</h2>" in pane
    assert "<html" not in pane
    kept = {*(settings.active().data_dir / "pdf").rglob("*.pdf")}
    pdf = desks["supervisor"].post(f"{draft}/pdf", typed)
    assert pdf.mimetype == "application/pdf"
    assert {*(settings.active().data_dir / "pdf").rglob("*.pdf")} == kept
    with pikepdf.open(io.BytesIO(pdf.data)) as document:
        assert str(document.docinfo.Title) == "Only typed"
    db.session.rollback()
    assert db.session.get(HandoutDraft, _id(draft)).title == "An evening walk"
    assert len(list_revisions(_id(draft))) == 1


def test_an_unfinished_text_makes_no_pdf_and_says_why(desks):
    draft = begun(desks["supervisor"])
    answer = desks["supervisor"].send(draft, f"{draft}/pdf")
    assert answer.status_code == 422
    assert "Summary" in answer.get_data(as_text=True)
    form = desks["supervisor"].form(f"{draft}/edit")
    typed = desks["supervisor"].post(f"{draft}/pdf", form.fields | WHOLE | {"stage": ""})
    assert typed.status_code == 422
    assert "Walk, whatever the weather." in typed.get_data(as_text=True)


def test_a_stale_window_overwrites_nothing_and_loses_nothing(desks):
    draft = begun(desks["supervisor"])
    old = desks["supervisor"].form(f"{draft}/edit").fields
    assert save(desks["admin"], draft, title="Theirs").status_code == 303
    answer = desks["supervisor"].post(
        f"{draft}/edit", old | WHOLE | {"title": "Mine", "do": "save"}
    )
    page = answer.get_data(as_text=True)
    assert answer.status_code == 412
    assert 'value="Mine"' in page
    assert "saved this draft in the meantime" in page
    db.session.rollback()
    assert db.session.get(HandoutDraft, _id(draft)).title == "Theirs"


def test_what_waits_is_not_edited_and_an_old_page_approves_nothing(desks):
    draft = begun(desks["supervisor"])
    form = desks["supervisor"].form(f"{draft}/edit")
    assert save(desks["supervisor"], draft, "send").status_code == 303
    assert desks["supervisor"].get(f"{draft}/edit").status_code == 303
    late = desks["supervisor"].post(f"{draft}/edit", form.fields | WHOLE | {"title": "Late"})
    assert late.status_code == 409
    approval = desks["admin"].form(draft, f"{draft}/approve").fields
    assert step(desks["supervisor"], draft, "withdraw").status_code == 303
    assert save(desks["supervisor"], draft, "send", title="Another").status_code == 303
    refused = desks["admin"].post(f"{draft}/approve", approval)
    assert refused.status_code == 412
    assert db.session.scalar(sa.select(HandoutVersion.id).where(HandoutVersion.slug == "own-01")) is None
    own = desks["supervisor"].token | {
        "version": desks["supervisor"].form(draft, f"{draft}/withdraw").fields["version"]
    }
    assert desks["supervisor"].post(f"{draft}/approve", own).status_code == 409


def test_a_coach_is_refused_at_every_door(desks):
    draft = waiting(desks["supervisor"])
    for path in ("/handouts/own", draft, f"{draft}/edit", f"{draft}/history"):
        assert desks["coach"].get(path).status_code == 403
    token = desks["coach"].token
    for name in ("edit", "preview", "pdf", "send", "withdraw", "drop", "return", "approve"):
        assert desks["coach"].post(f"{draft}/{name}", token | {"version": "3"}).status_code == 403
    for path in ("/handouts/own", "/handouts/better-nights/own", "/handouts/better-nights/hide"):
        assert desks["coach"].post(path, token).status_code == 403
    assert desks["coach"].get("/handouts?shown=hidden").status_code == 403


def test_history_shows_each_step_and_what_it_changed(desks):
    draft = waiting(desks["supervisor"])
    empty = step(desks["admin"], draft, "return", reason="")
    assert empty.status_code == 422
    assert step(desks["admin"], draft, "return", reason="Say how long.").status_code == 303
    assert "Say how long." in desks["supervisor"].text(draft)
    assert save(desks["supervisor"], draft, title="A ten-minute walk").status_code == 303
    assert step(desks["supervisor"], draft, "send").status_code == 303
    page = desks["admin"].text(f"{draft}/history")
    assert "6. Sent for approval</a>" in page
    assert 'step=5" aria-current="page">5. Saved</a> by' in page
    assert ", today, " in page
    assert page.count("<del>") >= 1
    assert "ten-minute" in page
    assert "Nothing changed" in desks["admin"].text(f"{draft}/history?step=6")
    assert "Taken out:" in page
    assert "Sent back" in page
    assert "Say how long." in desks["admin"].text(f"{draft}/history?step=4")
    for wrong in ("0", "99", "x", "-1"):
        assert desks["admin"].get(f"{draft}/history?step={wrong}").status_code == 404


def test_hiding_says_what_falls_away_and_can_be_undone(desks):
    page = desks["supervisor"].text("/handouts/keep-the-day-running")
    assert "Next best no longer answers the screening with it" in page
    path = "/handouts/keep-the-day-running"
    assert desks["supervisor"].send(path, f"{path}/hide?language=en").status_code == 303
    assert "Keep the day running" not in desks["coach"].text("/handouts")
    assert "keep-the-day-running" in desks["admin"].text("/handouts?shown=hidden")
    assert "Hidden since" in desks["coach"].text(path)
    assert desks["supervisor"].send(path, f"{path}/show?language=en").status_code == 303
    assert "keep-the-day-running" in desks["coach"].text("/handouts")
    safety = "/handouts/help-right-now"
    refused = desks["supervisor"].send(safety, f"{safety}/hide?language=en")
    assert refused.status_code == 409
    assert "nothing of ours stands in for it" in refused.get_data(as_text=True)


def test_our_own_edition_of_a_sheet_starts_from_its_text_and_hides_it_on_approval(desks):
    path = "/handouts/first-days-pause"
    form = desks["supervisor"].form(path, f"{path}/own?language=en")
    answer = desks["supervisor"].post(form.action, form.fields)
    assert desks["supervisor"].post(form.action, form.fields).location == answer.location
    draft = answer.location.removesuffix("/edit")
    typed = desks["supervisor"].form(f"{draft}/edit").fields
    saved = desks["supervisor"].post(
        f"{draft}/edit", typed | {"title": "The first week", "do": "send"}
    )
    assert saved.status_code == 303
    page = desks["admin"].text(draft)
    in_order = ("What differs from the sheet of the library", "Approve and publish", 'id="sheet"')
    answer_fields = [page.index(words) for words in in_order]
    assert answer_fields == sorted(answer_fields)
    assert step(desks["admin"], draft, "approve", hide_original="yes").status_code == 303
    shown = {item.handout.id for item in list_newest_versions()}
    assert "own-01" in shown
    assert "first-days-pause" not in shown
    assert get_handout_version("own-01").handout.fields == get_handout_version("first-days-pause").handout.fields


def test_one_alone_is_told_that_nobody_can_approve(app):
    desk = StaffBrowser(app, staff.add("supervisor"))
    assert "Nobody else can approve here" in desk.text("/handouts/own")


@pytest.mark.parametrize("payload", TEMPLATES)
def test_nothing_that_looks_like_a_template_is_run(desks, payload):
    draft = begun(desks["supervisor"])
    answer = save(desks["supervisor"], draft, "send", body=BODY.replace("MARK", payload))
    if payload.startswith("{{"):
        assert answer.status_code == 422
        assert "Stray marker" in answer.get_data(as_text=True)
    else:
        assert answer.status_code == 303
        assert payload in desks["admin"].text(draft)
    titled = begun(desks["supervisor"])
    assert save(desks["supervisor"], titled, title=f"Walk {payload}").status_code == 303
    page = desks["supervisor"].text(titled)
    assert str(8123 * 7919) not in page


@pytest.mark.pdf
@pytest.mark.parametrize("payload", SCRIPTS)
def test_no_markup_comes_through_on_the_page(desks, payload):
    draft = waiting(
        desks["supervisor"],
        title=f"Walk {payload}"[:120],
        alias=f"Out {payload}"[:120],
        summary=f"A walk. {payload}",
        **{
            "answer_fields.0.label": f"Where {payload}"[:160],
            "answer_fields.1.label": "Which",
            "answer_fields.1.type": "choice",
            "answer_fields.1.options": f"One {payload}\nTwo",
            "body": BODY.replace("MARK", f"{payload}\n\n{{{{field:which}}}}"),
        },
    )
    for path in (draft, f"{draft}/history", "/handouts/own"):
        page = desks["admin"].text(path)
        main = page[page.index("<main") : page.index("</main>")]
        tags = set(re.findall(r"<([a-zA-Z]+)", main))
        assert not tags & {"script", "img", "iframe", "math", "noscript", "style", "object"}
        assert not re.search(r"<[^>]*\son\w+\s*=", main)
        assert "javascript:" not in "".join(re.findall(r'(?:href|src)="[^"]*"', main))
    assert step(desks["admin"], draft, "approve").status_code == 303
    made = desks["coach"].get("/handouts/own-01/pdf")
    assert made.status_code == 200
    with pikepdf.open(io.BytesIO(made.data)) as document:
        assert "/Names" not in document.Root or "/JavaScript" not in document.Root.Names
        for found in document.objects:
            if isinstance(found, pikepdf.Dictionary):
                assert "/JS" not in found
                assert found.get("/S") not in {"/JavaScript", "/Launch", "/URI", "/SubmitForm"}
        assert str(document.docinfo.Title).startswith("Out")
