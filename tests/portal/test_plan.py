"""A client's safety plan in the portal: only where the client wants it, and without a trace where it isn't."""

from __future__ import annotations

import io

import pikepdf
import pytest

from caseapp.core.transaction import transaction
from caseapp.domain.clients.operations import update_client
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.safety_plans.codes import EXIT, FORMS, SAFETY
from caseapp.domain.safety_plans.operations import remove_from_portal
from caseapp.domain.safety_plans.queries import lock_plan
from caseapp.domain.screening.operations import set_manual_flag
from tests.portal.crawler import crawl, pdf_texts
from tests.support import builders, safety_plans
from tests.support.portal_client import BANNED, sign_in_client

PLAN, FILE = "/portal/plan", "/portal/reading-plan.pdf"


def visit(app, coach, *, wanted=True):
    """Sign a client in who has a plan."""
    visitor, found = sign_in_client(app, coach, "Ines Okafor", agreed=True)
    builders.screen(coach, found.client_id)
    safety_plans.write(coach, found.client_id)
    if wanted:
        safety_plans.show(coach, found.client_id)
    return visitor, found


@pytest.mark.slow
def test_client_who_wants_the_plan_reads_all_of_it(app, coach):
    visitor, _ = visit(app, coach)
    assert f'href="{PLAN}"' in visitor.get("/portal").get_data(as_text=True)
    text = visitor.get(PLAN).get_data(as_text=True)
    for step in FORMS[SAFETY].steps:
        assert str(step.label) in text
    for answer in safety_plans.answers().values():
        assert answer in text
    assert "tel:999" in text


@pytest.mark.slow
def test_portal_without_a_plan_looks_the_same_whether_there_is_one(app, coach):
    (one, _), (other, found) = visit(app, coach, wanted=False), sign_in_client(app, coach)
    builders.screen(coach, found.client_id)
    paths = {path: page for path, page in crawl(app, one, (1,)).items() if "plan" in path}
    others = crawl(app, other, (1,))
    assert len(paths) == 2
    for path, page in paths.items():
        assert page.startswith("404")
        assert page == others[path]
    assert "plan" not in one.get("/portal").get_data(as_text=True).lower()


@pytest.mark.pdf
@pytest.mark.parametrize(
    "fact", [{"fear_at_home": "urgent"}, {"fear_at_home": "watch"}, "flag"], ids=str
)
@pytest.mark.usefixtures("moment")
def test_plan_that_is_barred_leaves_as_one_that_was_removed(app, coach, fact):
    (one, barred), (other, ordinary) = visit(app, coach), visit(app, coach)
    assert crawl(app, one, (1,)) == crawl(app, other, (1,))
    if fact == "flag":
        with transaction():
            set_manual_flag(coach, lock_client(coach, barred.client_id), "unsafe_delivery")
    else:
        builders.screen(coach, barred.client_id, **fact)
    with transaction():
        remove_from_portal(coach, lock_plan(coach, ordinary.client_id, SAFETY), 2)
    after = crawl(app, one, (1,))
    assert crawl(app, other, (1,)) == after
    assert after[PLAN].startswith("404")
    assert after[FILE].startswith("404")


@pytest.mark.slow
def test_exit_plan_changes_nothing_in_the_portal(app, coach):
    visitor, found = sign_in_client(app, coach, "Ines Okafor")
    builders.screen(coach, found.client_id)
    before = crawl(app, visitor, (1,))
    safety_plans.write(coach, found.client_id, EXIT)
    assert crawl(app, visitor, (1,)) == before


@pytest.mark.pdf
def test_saved_plan_is_discreet(app, coach):
    visitor, _ = visit(app, coach)
    answer = visitor.get(FILE)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="reading-plan.pdf"'
    texts = [*pdf_texts(answer.data)]
    text = "\n".join(texts)
    for name in ("Ines", "Okafor", coach.name.split()[0], coach.name.split()[-1], "coach"):
        assert name not in text
    assert not BANNED.search(" ".join(texts[2:4]))
    with pikepdf.open(io.BytesIO(answer.data)) as document:
        assert str(document.docinfo["/Title"]) == "Your reading"
        assert len(document.pages) == 1


def test_plan_is_in_the_language_of_the_client(app, coach):
    visitor, found = visit(app, coach)
    with transaction():
        record = get_client_record(coach, found.client_id)
        details = builders.details("Ines Okafor", language="es")
        update_client(coach, lock_client(coach, found.client_id), details, record.version)
    text = visitor.get(PLAN).get_data(as_text=True)
    assert "Mi plan" in text
    assert "A quién puedo pedir ayuda" in text
