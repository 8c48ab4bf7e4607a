"""Languages of the interface: catalogues, the language of the current context, and formats by CLDR.

Texts are written in British English where they are used and looked up by that text in `caseapp/translations/*.po`.
A text without a translation is shown as it is written; the American catalogue holds only what differs.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from typing import TYPE_CHECKING, Any, Self

from babel import Locale, dates, lists
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from markupsafe import Markup, escape

from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, datetime

    from jinja2 import Environment

SOURCE_LANGUAGE = "en-GB"
LANGUAGES = {
    "en-GB": "English (United Kingdom)",
    "en-US": "English (United States)",
    "es": "Español",
}
"""The languages of the interface by tag, each with its own name."""
CATALOGUES = ROOT / "caseapp" / "translations"
# "Ana e Inés": before the sound of an i, the Spanish "y" becomes "e" (Diccionario panhispánico de dudas, "y").
SOUND_OF_I = re.compile(r"[ií]|h[ií](?![aeo])", re.IGNORECASE)

_language: ContextVar[str] = ContextVar("language", default=SOURCE_LANGUAGE)


@cache
def catalogues() -> dict[str, NullTranslations]:
    """Read the catalogues, by language; the source language has none.

    Raises OSError or babel.messages.pofile.PoFileError for a file that can't be read.
    """
    found = {language: NullTranslations() for language in LANGUAGES}
    for file in CATALOGUES.glob("*.po"):
        compiled = BytesIO()
        with file.open("rb") as source:
            write_mo(compiled, read_po(source, locale=file.stem.replace("-", "_")))
        compiled.seek(0)
        found[file.stem] = GNUTranslations(compiled)
    return found


def current_language() -> str:
    """Return the tag of the language in which texts are shown now."""
    return _language.get()


def use_language(language: str) -> None:
    """Show texts in a language from now on in this context, such as for the rest of a request."""
    _language.set(language)


@contextmanager
def in_language(language: str) -> Iterator[None]:
    """Show texts in a language within a block, such as for one email or one PDF."""
    before = _language.set(language)
    try:
        yield
    finally:
        _language.reset(before)


def variety_of(language: str, country: str = "") -> str:
    """Return the current language where it is a variety of `language`, which may lack a region.

    Else it is the variety of a country, or the first one. Raises StopIteration when the interface has no variety of it.
    """
    own = language.partition("-")[0]
    found = (_language.get(), f"{own}-{country}", *LANGUAGES)
    return next(tag for tag in found if tag in LANGUAGES and tag.partition("-")[0] == own)


def _translate(text: str) -> str:
    return catalogues()[_language.get()].gettext(text)


def _translate_number(singular: str, plural: str, num: int) -> str:
    return catalogues()[_language.get()].ngettext(singular, plural, num)


def gettext(text: str, **values: object) -> str:
    """Translate a text now and fill in its `%(name)s`; a percent sign is written twice."""
    return _fill_in(_translate(text), values)


def ngettext(singular: str, plural: str, num: int, **values: object) -> str:
    """Translate a text that depends on a number now; `%(num)s` is the number."""
    return _translate_number(singular, plural, num) % {"num": num, **values}


class LazyText(str):
    """A text that is translated each time it is shown, for texts that are defined before their reader is known.

    `str()`, f-strings and templates give the translation into the current language. As a string, in comparisons, in
    JSON and in `str.join`, it is the source text.
    """

    __slots__ = ("_formats", "_source", "_values")
    _source: str
    _values: dict[str, object]
    _formats: tuple[dict[str, object], ...]

    def __new__(
        cls,
        source: str,
        values: dict[str, object] | None = None,
        formats: tuple[dict[str, object], ...] = (),
    ) -> Self:
        """Take the source text, the values of its `%(name)s`, and those of its `{name}` for each call of `format`."""
        with in_language(SOURCE_LANGUAGE):
            made = super().__new__(cls, _fill_in(source, values or {}, formats))
        made._source, made._values, made._formats = source, values or {}, formats
        return made

    def __str__(self) -> str:
        """Translate the text into the current language."""
        return _fill_in(_translate(self._source), self._values, self._formats)

    def __html__(self) -> Markup:
        """Translate the text for a page; templates join texts by this."""
        return escape(str(self))

    def format(self, *_: object, **values: object) -> LazyText:
        """Return the text with its `{name}` filled in, as marshmallow does with its messages; it is still lazy."""
        return LazyText(self._source, self._values, (*self._formats, values))


def _fill_in(
    text: str, values: dict[str, object], formats: tuple[dict[str, object], ...] = ()
) -> str:
    text %= values
    for found in formats:
        text = text.format(**found)
    return text


def lazy_gettext(text: str, **values: object) -> LazyText:
    """Mark a text for translation when it is shown; the values are filled in then."""
    return LazyText(text, values)


def install_in(environment: Environment) -> None:
    """Give templates `_`, `ngettext` and `{% trans %}`."""
    environment.add_extension("jinja2.ext.i18n")
    environment.policies["ext.i18n.trimmed"] = True
    extended: Any = environment
    extended.install_gettext_callables(_translate, _translate_number, newstyle=True)
    environment.globals["current_language"] = current_language


def _locale() -> Locale:
    return Locale.parse(_language.get(), sep="-")


def format_day(day: date) -> str:
    """Format a date without its year: `14 May`."""
    return dates.format_skeleton("MMMMd", day, locale=_locale())


def format_date(day: date) -> str:
    """Format a date with its year: `14 May 2026`."""
    return dates.format_date(day, "long", locale=_locale())


def format_month(day: date) -> str:
    """Format a month with its year: `May 2026`."""
    return dates.format_skeleton("yMMMM", day, locale=_locale())


def format_time(moment: datetime) -> str:
    """Format the time of day of a local time: `14:05`."""
    return dates.format_time(moment.time(), "short", locale=_locale())


def format_list(items: Sequence[str]) -> str:
    """Join texts as a list in a sentence: `a, b and c`."""
    texts = [str(item) for item in items]
    joined = lists.format_list(texts, locale=_locale())
    if _language.get() == "es" and len(texts) > 1 and SOUND_OF_I.match(texts[-1]):
        return f"{joined.removesuffix(f'y {texts[-1]}')}e {texts[-1]}"
    return joined


def language_name(language: str) -> str:
    """Return the name of a language in the current one: `Spanish`."""
    return Locale.parse(language, sep="-").get_language_name(_locale()) or language
