"""What a form's change gets and returns: the form as it was sent, its body, and where to go next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from marshmallow import Schema, fields

from caseapp.http.request_parsing import load_form, parse_version
from caseapp.http.template_helpers import zone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from flask.typing import ResponseReturnValue
    from werkzeug.datastructures import MultiDict

    from caseapp.core.actor import Actor
    from caseapp.http.form_keys import FormKey

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Done:
    """A change that was made: where to go next, and the codes of the messages to show there, with blanks between.

    `shown` renders an answer that is given only once, such as new codes; a form that is sent twice leads to `location`.
    """

    location: str
    message: str | None = None
    shown: Callable[[], ResponseReturnValue] | None = None


@dataclass(frozen=True)
class Sent:
    """A form as it was sent: by whom, to which address, and its fields."""

    actor: Actor
    args: dict[str, Any]
    fields: MultiDict[str, str]
    key: FormKey | None

    @property
    def content(self) -> list[tuple[str, list[str]]]:
        """The fields that make one form another than the same one sent again."""
        return sorted(
            (name, texts)
            for name, texts in self.fields.lists()
            if name not in {"csrf_token", "form_key"}
        )

    @property
    def version(self) -> int:
        """The version of the record that the form was made from.

        Raises Invalid when the form has none.
        """
        return parse_version(self.fields.get("version", ""))


@dataclass(frozen=True)
class Typed:
    """The fields of a form on their way through a schema; `list_exact` returns the stored times that some show."""

    fields: MultiDict[str, str]
    list_exact: Callable[[], Mapping[str, datetime]]

    def load(self, *schemas: Schema) -> list[Any]:
        """Load the fields through schemas, each taking its own.

        Raises Invalid naming each field.
        """
        has_times = any(
            isinstance(kind, fields.AwareDateTime)
            for schema in schemas
            for kind in schema.load_fields.values()
        )
        if not has_times:
            return load_form(self.fields, *schemas)
        return load_form(self.fields, *schemas, zone=zone(), exact=self.list_exact())


@dataclass(frozen=True)
class Body(Generic[Loaded]):
    """The body of a form: a schema, and the type that it loads into."""

    schema: Callable[[], Schema]
    loads: type[Loaded]

    def __call__(self, typed: Typed, _locked: object) -> Loaded:
        """Load what was typed.

        Raises Invalid naming each field.
        """
        (loaded,) = typed.load(self.schema())
        return loaded  # type: ignore[no-any-return]


def no_lock(_actor: Actor, *_args: object) -> None:
    """Lock nothing, for a form that changes no record that exists."""


def any_body(_typed: Typed, _locked: object) -> None:
    """Load nothing of a form, for a button beside fields that don't matter to it."""


BUTTON = Body(Schema, dict[str, Any])
"""The body of a form that is only a button."""
