"""Every text that a person has to write must say something: a letter or a digit, not blanks, dots or fillers."""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

import click
import pytest
from marshmallow import Schema, fields, validate

import caseapp
from caseapp.cli.commands import caseapp as main
from caseapp.core.errors import Invalid
from caseapp.core.schemas import RequiredText, WrittenReason
from caseapp.core.text import COUNTED_IN_A_ROW
from caseapp.domain.screening.schemas import LevelField
from caseapp.http.forms import Body
from caseapp.http.request_parsing import load
from tests.guarantees.test_forms import FORMS

FILES_OF_A_RELEASE = {"caseapp.domain.protocol.schemas", "caseapp.domain.handouts.library"}
"""Schemas of files, which no form and no request loads; a practice's own handouts: tests/domain/authoring."""
NOT_WRITTEN = {
    "to": "one of the stages, checked by its own message",
    "country": "one of a list, checked by its own message",
    "zone": "one of a list, checked by its own message",
    "handout": "the slug of a handout, which has to exist",
    "slug": "the slug of a handout, which has to exist",
    "slugs": "slugs of handouts, which have to exist",
    "exit_url": "an address, whose parts are checked",
    "email": "an address, which is matched or has to be one",
    "code": "compared with the code of a card",
    "password": "compared with the stored one",
    "new_password": "judged by lists of common ones and by rules of its own",
    "factor_code": "compared with the codes of an app",
    "passkey_answer": "made by a device and checked against its key",
    "factor_secret": "sealed by the page that offers it",
    "pin": "six digits, checked where they are compared or kept",
    "new_pin": "six digits, checked where they are compared or kept",
    "start_code": "compared with the stored one",
    "again": "has to be the same as the PIN",
}
"""Required texts that say nothing by themselves, by the name of the field, and what judges them instead."""
MAY_BE_EMPTY = {
    (
        "ReplaceAssignmentSchema",
        "message",
    ): "sent so that no old message is carried over; empty is one",
}
JUDGED_BY_RULES = {
    "below_reason": "part of a draft while it is typed; needed only when a level falls steeply",
    "DecisionsFormSchema.reason": "needed only for an item that is declined; also a comment on a concern",
    "told": "needed only for some results of a task",
    "note": "needed only for some results of a task; on other forms it is never needed",
    "sections": "a note may be saved before it is complete",
}
"""Texts that a rule asks for, and why the schema can't. That each has to say something is tested with its rule."""
NOT_WORDS = (fields.UUID, LevelField)
CHOICES = (validate.OneOf, validate.Regexp)
REASON_NAMES = ("reason", "because", "why", "declined")
SAYS_NOTHING = ["", " \n", ".", "…!?", "\u200b" * 30, "\u2800" * 30, "-" * 30, "- " * 30]
FILLERS = ["x" * 60, "x " * 60, "a\u200b" * 60, "." * 59 + "a"]


def request_schemas():
    """Give every schema through which something that a person sends is loaded."""
    for module in walk_packages(caseapp.__path__, "caseapp."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    found, waiting = set(), [Schema]
    while waiting:
        schema = waiting.pop()
        waiting += schema.__subclasses__()
        is_read = "Response" in schema.__name__ or schema is Schema
        if not is_read and schema.__module__ not in FILES_OF_A_RELEASE:
            found.add(schema)
    return sorted(found, key=lambda schema: (schema.__module__, schema.__name__))


def texts():
    """Give every field of a request that takes words: schema, name, field, and whether it is required."""
    for schema in request_schemas():
        for name, field in schema._declared_fields.items():  # noqa: SLF001
            inner = field
            if isinstance(field, fields.List):
                inner = field.inner
            elif isinstance(field, fields.Dict):
                inner = field.value_field
            is_text = isinstance(inner, fields.String) and not isinstance(inner, NOT_WORDS)
            if is_text and not any(isinstance(one, CHOICES) for one in inner.validators):
                yield schema, name, inner, field.required


TEXTS = list(texts())
WRITTEN = [
    (schema, name, field) for schema, name, field, _ in TEXTS if isinstance(field, RequiredText)
]


def test_texts_are_found():
    names = {f"{schema.__name__}.{name}" for schema, name, _ in WRITTEN}
    assert names >= {
        "ClientSchema.name",
        "NewFollowUpSchema.title",
        "ReopenSchema.reason",
        "RecallVersionSchema.reason",
        "ReturnDraftSchema.reason",
        "ReasonSchema.reason",
        "ErrorReasonSchema.reason",
        "ExceptionSchema.reason",
        "DecisionsSchema.declined",
        "StageMoveSchema.evidence",
        "StageMoveSchema.reason",
        "CaseClosingSchema.not_screened_reason",
        "LogoSchema.alternative",
    }


def test_every_required_text_is_of_the_type_that_must_say_something():
    plain = {
        f"{schema.__module__}.{schema.__name__}.{name}"
        for schema, name, field, required in TEXTS
        if required
        and not isinstance(field, RequiredText)
        and name not in NOT_WRITTEN
        and (schema.__name__, name) not in MAY_BE_EMPTY
    }
    assert plain == set()


def test_every_reason_is_a_written_reason():
    plain = {
        f"{schema.__module__}.{schema.__name__}.{name}"
        for schema, name, field, _ in TEXTS
        if any(word in name for word in REASON_NAMES)
        and not isinstance(field, WrittenReason)
        and name not in JUDGED_BY_RULES
        and f"{schema.__name__}.{name}" not in JUDGED_BY_RULES
    }
    assert plain == set()


def test_lists_of_exceptions_name_only_fields_that_exist():
    names = {name for _, name, _, _ in TEXTS}
    both = names | {f"{schema.__name__}.{name}" for schema, name, _, _ in TEXTS}
    assert names >= NOT_WRITTEN.keys()
    assert both >= JUDGED_BY_RULES.keys()
    assert {(schema.__name__, name) for schema, name, _, _ in TEXTS} >= MAY_BE_EMPTY.keys()


@pytest.mark.parametrize(
    ("schema", "name", "field"), WRITTEN, ids=[f"{s.__name__}.{n}" for s, n, _ in WRITTEN]
)
def test_text_that_says_nothing_is_refused_with_its_name(session_app, schema, name, field):
    whole = schema._declared_fields[name]  # noqa: SLF001
    fillers = FILLERS if field.least > COUNTED_IN_A_ROW else []
    for text in [*SAYS_NOTHING, *fillers]:
        if not text.strip() and not field.required:
            continue
        value = {"one": text} if isinstance(whole, fields.Dict) else text
        with pytest.raises(Invalid) as refused:
            load(schema(unknown="exclude", partial=True), {name: value})
        found = [said for key, said in refused.value.fields.items() if key.startswith(name)]
        assert found, (text, refused.value.fields)
        # What our fonts can't print is refused for that.
        assert str(field.ask) in str(found) or "print" in str(found), text


def parameters(command, path=()):
    """Give every required parameter of a command line that takes words."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from parameters(inner, (*path, name))
        return
    for parameter in command.params:
        if parameter.required and type(parameter.type) is type(click.STRING):
            yield " ".join([*path, parameter.name])


def test_every_required_word_of_a_command_is_known():
    """Names and reasons are checked by their operations, see tests/domain/users, tests/domain/auth and tests/cli."""
    emails = {"by", "email", "coach", "colleague", "leaver", "heir"}
    known = {*emails, "number", "slug"}
    assert {found for found in parameters(main) if found.split()[-1] not in known} == {
        "audit accept-rollback reason",
        "user add name",
        "user invite name",
        "token create name",
        "program create name",
    }


def test_what_was_written_is_shown_where_its_form_is_no_longer(session_app):
    """An error page and a page without the form list what somebody wrote: also a text of a type of its own."""
    left_out = {
        f"{name}.{field}"
        for name, form in FORMS.items()
        if isinstance(form.body, Body)
        for field, kind in form.body.schema().load_fields.items()
        if isinstance(kind, RequiredText) and not form.is_free_text(field)
    }
    assert left_out == set()
