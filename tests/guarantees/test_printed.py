"""Every text that a PDF shows is declared and checked against our fonts where it is typed."""

from __future__ import annotations

import json
import re
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

import pytest
import sqlalchemy as sa
from marshmallow import Schema, fields, validate

from caseapp import domain
from caseapp.core import pdf
from caseapp.core.actor import operator
from caseapp.core.database import Model, db
from caseapp.core.schemas import PrintedString
from caseapp.core.transaction import transaction
from caseapp.core.vault import seal, unseal_column
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.assignments.printing import assignment_pdf, case_packet_pdf
from caseapp.domain.assignments.queries import get_assignment_record
from caseapp.domain.authoring.operations import create_draft_from_version
from caseapp.domain.authoring.queries import get_draft
from caseapp.domain.authoring.schemas import DraftContentSchema
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.domain.clients.schemas import ClientSchema
from caseapp.domain.handouts.library import parse_draft
from caseapp.domain.handouts.printing import render_draft_pdf, render_handout_pdf
from caseapp.domain.handouts.queries import get_handout_version
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.practice.operations import add_help_line, set_logo
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.practice.schemas import NewHelpLine
from caseapp.domain.reports.operations import create_export
from caseapp.domain.reports.queries import build_export_file
from caseapp.domain.reports.schemas import ReportFilter
from caseapp.http.guard import iter_routes
from tests.guarantees import sample_data as w
from tests.support import builders, staff
from tests.support.staff_pages import StaffBrowser

PLAIN, CRISIS = "keep-the-day-running", "first-days-pause"
# The whole text of a handout, checked by the library's check and by the schema of the editor.
HANDOUT_TEXTS = {
    ("handout_version", "source"),
    ("handout_draft", "source"),
    ("handout_draft_revision", "source"),
}
# The message of a bulk assignment becomes that of an assignment.
PRINTED_LATER = {("bulk_assignment_item", "message")}
# Names and keys of records, which hold no words.
COMMENT = "Qcomment"
KEYS = {"request_id", "wrapped", "word", "slug", "sha256", "source", "digest", "mac"}
CODE = re.compile(r"[a-z0-9_.:-]*")
UNPRINTABLE = "☃"


class Rendered(Exception):
    """The HTML of a document, before it is laid out."""


@pytest.fixture
def documents(app, team, monkeypatch):
    """Give functions that make every kind of PDF from one small practice."""
    coach, admin = team["coach"], team["admin"]
    made = builders.steady_case(coach, "Ana Okafor")
    builders.screen(coach, made.client_id, comment=COMMENT)
    with transaction():
        set_logo(operator(), b"png", "A tree")
        add_help_line(operator(), NewHelpLine("crisis", "Night line", "01632 960123", "24/7"))
        ids = [
            assign_handout(
                coach,
                lock_case(coach, made.case_id),
                slug,
                message="For you.",
                channel="portal",
                confirmed=True,
            )
            for slug in (PLAIN, CRISIS)
        ]
        export_id = create_export(admin, ReportFilter(coach=coach.id), "pdf")
        draft_id = create_draft_from_version(admin, CRISIS, "en")

    def stop(html):
        raise Rendered(html)

    monkeypatch.setattr(pdf, "check_glyphs", stop)
    return [
        lambda: assignment_pdf(get_assignment_record(coach, ids[0]), large=False, discreet=False),
        lambda: assignment_pdf(get_assignment_record(coach, ids[1]), large=True, discreet=False),
        lambda: case_packet_pdf(coach, get_case_context(coach, made.case_id), ids, large=False),
        lambda: build_export_file(admin, export_id),
        library_pdf,
        lambda: draft_pdf(admin, draft_id),
    ]


def library_pdf():
    practice = get_practice_info()
    version = get_handout_version(CRISIS, "en").handout
    return render_handout_pdf(version, practice.letterhead, practice.help_lines, faith=True)


def draft_pdf(admin, draft_id):
    practice = get_practice_info()
    handout = parse_draft(get_draft(admin, draft_id).source)
    return render_draft_pdf(handout, practice.letterhead, practice.help_lines)


def texts(documents):
    """Give the HTML of every document in one text."""
    found = []
    for make in documents:
        with pytest.raises(Rendered) as caught:
            make()
        found.append(str(caught.value))
    db.session.rollback()
    return "\n".join(found)


def mapped_classes():
    return {mapper.class_.__tablename__: mapper.class_ for mapper in Model.registry.mappers}


def free_texts():
    """Give every column that holds words, in clear or sealed."""
    for name, mapped in sorted(mapped_classes().items()):
        if name == "safety_event":
            # Bound to the events before it, none of which may change; the fixture writes a word there.
            continue
        if name == "safety_plan":
            # A version never changes. Every step of a plan is printed, and its schemas say so.
            continue
        for column in mapped.__table__.columns:
            words = isinstance(column.type, (sa.String, sa.LargeBinary))
            info = column.info.keys()
            if (
                words
                and column.name not in KEYS
                and ("printed" in info or not info & {"codes", "unconstrained"})
            ):
                yield name, column.name


def put(mapped, column, word):
    """Put a word into a column of every row that has a text there."""
    for number, row in enumerate(db.session.scalars(sa.select(mapped)).all()):
        if getattr(row, column) is None:
            continue
        if isinstance(mapped.__table__.c[column].type, sa.String):
            setattr(row, column, f"{word}{number or ''}")
        elif hasattr(row, "client_id") and hasattr(row, "id"):
            key = get_client_key(row.client_id)
            text = replaced(unseal_column(row, column, key), word)
            setattr(row, column, seal(row, column, text, key))


def replaced(text, word):
    """Replace a text, or the words of a text that is JSON."""
    try:
        value = json.loads(text)
    except ValueError:
        return word
    return json.dumps(with_word(value, word))


def with_word(value, word):
    if isinstance(value, dict):
        return {name: with_word(one, word) for name, one in value.items()}
    if isinstance(value, list):
        return [with_word(one, word) for one in value]
    return word if isinstance(value, str) and (not value or not CODE.fullmatch(value)) else value


@pytest.mark.slow
@pytest.mark.pdf
def test_printed_columns_are_those_that_a_pdf_shows(documents):
    """Put a word into each column that holds words, one after another, and look for it in every PDF."""
    before = texts(documents)
    assert COMMENT not in before
    shown, declared = set(), set()
    for number, (table, column) in enumerate(free_texts()):
        mapped = mapped_classes()[table]
        if "printed" in mapped.__table__.c[column].info:
            declared.add((table, column))
        if (table, column) in HANDOUT_TEXTS:
            continue
        word = f"Q{chr(97 + number // 26)}{chr(97 + number % 26)}z"
        assert word not in before
        with transaction():
            put(mapped, column, word)
            db.session.flush()
            if word in texts(documents):
                shown.add((table, column))
    assert shown == declared - HANDOUT_TEXTS - PRINTED_LATER


def request_schemas():
    """Give every schema of a form or an API request with the package it belongs to."""
    for package in iter_modules(domain.__path__):
        name = f"caseapp.domain.{package.name}.schemas"
        if not package.ispkg or find_spec(name) is None:
            continue
        for found in vars(import_module(name)).values():
            if (
                isinstance(found, type)
                and issubclass(found, Schema)
                and not found.__name__.endswith("ResponseSchema")
                and found.__module__ in {name, "marshmallow.schema"}
            ):
                yield package.name, found


def printed_fields():
    """Give every field of a request whose text is stored in a printed column of the same package."""
    printed: dict[str, set[str]] = {}
    for name, mapped in mapped_classes().items():
        package = mapped.__module__.split(".")[-2]
        for column in mapped.__table__.columns:
            if "printed" in column.info and (name, column.name) not in HANDOUT_TEXTS:
                printed.setdefault(package, set()).add(column.name)
    for package, schema in request_schemas():
        for name, field in schema._declared_fields.items():  # noqa: SLF001
            if name in printed.get(package, ()) or isinstance(field, PrintedString):
                yield schema, name


PRINTED_FIELDS = list(printed_fields())


def test_printed_fields_are_found():
    names = {f"{schema.__name__}.{name}" for schema, name in PRINTED_FIELDS}
    assert len(names) >= 20
    assert names >= {
        "AssignHandoutsFormSchema.message",
        "BulkAssignmentSchema.message",
        "ClientSchema.preferred_name",
        "DraftContentSchema.body",
        "HelpLineSchema.hours",
        "HelpLineSchema.name",
        "LogoSchema.alternative",
        "EnteredClientSchema.preferred_name",
        "PlanFormSchema.pets",
        "PracticeSchema.contact",
    }


def test_every_text_of_a_handout_draft_is_checked():
    plain = {
        name
        for name, field in DraftContentSchema._declared_fields.items()  # noqa: SLF001
        if isinstance(field, fields.String)
        and not isinstance(field, PrintedString)
        and not isinstance(field.validate, validate.OneOf)
    }
    assert plain == set()


@pytest.mark.parametrize(
    ("schema", "name"), PRINTED_FIELDS, ids=[f"{s.__name__}.{n}" for s, n in PRINTED_FIELDS]
)
def test_printed_field_refuses_what_our_fonts_lack_and_names_it(session_app, schema, name):
    errors = schema(unknown="exclude").validate({name: UNPRINTABLE}, partial=True)
    assert "☃ (U+2603)" in errors[name][0]
    assert "☃" not in str(schema(unknown="exclude").validate({name: "Ana"}, partial=True))


def printed_api_fields(app):
    """Give every request of the API with each of its printed fields."""
    for rule, method, view in iter_routes(app):
        for argument in getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", []):
            if argument["in"] == "json":
                for name, field in argument["schema"].fields.items():
                    if isinstance(field, PrintedString):
                        yield rule, method, name


@pytest.mark.slow
def test_api_refuses_unprintable_text_at_its_field(world, app):
    asked = 0
    for rule, method, name in printed_api_fields(app):
        route = next(r for r in w.routes(app) if (r.rule, r.method) == (rule, method))
        who = "admin" if str(rule).endswith("/practice") else "coach"
        answer = w.send(world, route, who, world.own, body={name: UNPRINTABLE})
        assert answer.status_code == 422, route.name
        assert "☃ (U+2603)" in answer.get_json()["error"]["fields"][name][0], route.name
        asked += 1
    assert asked >= 6


@pytest.mark.parametrize(
    ("who", "page", "action", "name"),
    [
        ("admin", "/settings", None, "name"),
        ("admin", "/settings/numbers", "/settings/numbers/local", "name"),
        ("admin", "/settings/numbers", "/settings/numbers/local", "hours"),
        ("coach", "/case/{number}/details", "/case/{number}/details/client", "preferred_name"),
        ("coach", "/cases/new", None, "preferred_name"),
        ("coach", "/case/{number}/handouts/assign", None, "message"),
        ("coach", "/handouts/better-nights/bulk-assign", None, "message"),
        ("admin", "/handouts/own/{draft_id}/edit", None, "title"),
    ],
)
def test_form_refuses_unprintable_text_at_its_field(app, who, page, action, name):
    team = staff.team()
    made = builders.steady_case(team["coach"], "Ana Okafor")
    number = get_case_context(team["coach"], made.case_id).case.number
    with transaction():
        draft_id = create_draft_from_version(team["admin"], CRISIS, "en")
    path = page.format(number=number, draft_id=draft_id)
    address = action and action.format(number=number)
    browser = StaffBrowser(app, team[who])
    answer = browser.send(path, address, **{name: f"Well {UNPRINTABLE}"})
    assert answer.status_code == 422
    shown = answer.get_data(as_text=True)
    assert "☃ (U+2603)" in shown
    assert f"Well {UNPRINTABLE}" in shown


def test_name_that_stands_in_for_the_preferred_name_has_to_be_printable(session_app):
    """The name itself is on no PDF, so it can be in any script."""
    client = {"name": "李 Wei", "safe_channels": ["portal"]}
    assert ClientSchema().validate(client).keys() == {"preferred_name"}
    assert ClientSchema().validate(client | {"preferred_name": "Wei"}) == {}
