"""Merging a form that was sent late with what somebody else has saved since: three versions, field by field.

The version that both started from is known only by checks of its values, so that a page holds no text twice.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from datetime import date, datetime
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from caseapp.http.request_parsing import local_minute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import tzinfo

    from werkzeug.datastructures import MultiDict

CHECK_BYTES = 6
SALT_BYTES = 9

Texts = dict[str, list[str]]
"""What a form sends: the texts of each field, without blank ones."""


@dataclass(frozen=True)
class Merged:
    """A merged form: the texts of its fields, and what was saved in those that both sides changed."""

    texts: Texts
    saved: Texts


def form_value(value: object, zone: Callable[[], tzinfo]) -> str | list[str]:
    """Return what a form sends for a value of a record: a text, or a list of texts for boxes to tick.

    `zone` is asked only for a time, which a form shows as local time, to the minute.
    """
    if value is None or value is False:
        return ""
    if value is True:
        return "yes"
    if isinstance(value, datetime):
        return local_minute(value, zone())
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [str(each) for each in value]
    return str(value)


def sent_texts(form: MultiDict[str, str]) -> Texts:
    """Return the texts of a form's fields as they are compared: line ends alike, without blanks around."""
    return {name: found for name, texts in form.lists() if (found := _comparable(texts))}


def value_texts(values: Mapping[str, object], zone: Callable[[], tzinfo]) -> Texts:
    """Return what a form sends that was filled with `values` and not touched."""
    found = {}
    for name, value in values.items():
        text = form_value(value, zone)
        if texts := _comparable([text] if isinstance(text, str) else text):
            found[name] = texts
    return found


def _comparable(texts: Iterable[str]) -> list[str]:
    stripped = (text.replace("\r\n", "\n").strip() for text in texts)
    # A page lists its boxes to tick in an order of its own.
    return sorted(text for text in stripped if text)


@dataclass(frozen=True)
class Base:
    """What a form was filled with: a salted check of each filled field, which tells only whether it changed."""

    salt: str
    checks: dict[str, str]

    @classmethod
    def of(cls, texts: Texts) -> Base:
        """Make the checks of a form that is filled with these texts."""
        salt = token_urlsafe(SALT_BYTES)
        return cls(salt, {name: _check(salt, name, found) for name, found in texts.items()})

    def differs(self, name: str, texts: Texts) -> bool:
        """Tell whether a field has another text than the form was filled with."""
        found = _check(self.salt, name, texts[name]) if name in texts else None
        return found != self.checks.get(name)


def _check(salt: str, name: str, texts: list[str]) -> str:
    content = "\x1f".join([salt, name, *texts])
    return b64encode(hashlib.sha256(content.encode()).digest()[:CHECK_BYTES]).decode()


def merge(
    base: Base,
    sent: Texts,
    saved: Texts,
    *,
    names: Iterable[str],
    coupled: Iterable[tuple[str, ...]] = (),
) -> Merged:
    """Merge what was sent with what is saved now; both started from `base`.

    A field that only one side changed has that side's text. Where both changed it, what was sent stays in the field and
    the saved text is returned beside. The fields of a `coupled` group are taken from one side together. `names` are the
    fields that the record has; others stay as they were sent.
    """
    groups = [*coupled]
    grouped = {name for group in groups for name in group}
    groups += [(name,) for name in names if name not in grouped]
    texts, beside = dict(sent), Texts()
    for group in groups:
        differing = [name for name in group if sent.get(name) != saved.get(name)]
        if not differing:
            continue
        ours = any(base.differs(name, sent) for name in group)
        theirs = any(base.differs(name, saved) for name in group)
        if not ours:
            for name in group:
                texts.pop(name, None)
                if name in saved:
                    texts[name] = saved[name]
        elif theirs:
            beside |= {name: saved.get(name, []) for name in differing}
    return Merged(texts, beside)
