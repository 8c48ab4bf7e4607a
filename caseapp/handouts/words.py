"""Words: the few that stand around a sheet's text, in each language."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """Hold the few words that a sheet says around its text and about what is written in it, in one language.

    The four of `choose` to `unstorable` say what is wrong with an answer; marshmallow fills in `{max}` and `{input}`.
    """

    any_stage: str
    stage: str
    minutes: str
    version: str
    written: str
    draft: str
    drawn: str
    others: str
    and_: str
    months: tuple[str, ...]
    page: str
    of: str
    one: str
    blank: str
    so_far: str
    choose: str
    shorten: str
    one_day: str
    unstorable: str
    text_to: str
    or_text_to: str
    dedication: str
    week: str
    pack: str
    code: str
    code_spoken: str
    audiences: dict[str, str]
    languages: dict[str, str]


WORDS = {
    "en": Words(
        any_stage="For any time.",
        stage="Stage {number}, {title}.",
        minutes="About {minutes} minutes.",
        version="Version {number}, {month} {year}.",
        written="Written by {practice}.",
        draft="Draft, not published.",
        drawn="Drawn in part from articles by {authors}, in our own words.",
        others="others",
        and_="and",
        months=(
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ),
        page="Page",
        of="of",
        one="Choose one.",
        blank="No answer",
        so_far="Saved so far:",
        choose="Choose from what stands there.",
        shorten="Shorten this to {max} characters.",
        one_day="Choose the day: “{input}” cannot be read as just one.",
        unstorable="Take out the signs that are no letters.",
        text_to="Text {keyword} to {number}",
        or_text_to="or text {keyword} to {number}",
        dedication="For {called}, from {coach}",
        week="For the week of {day} {month}.",
        pack="Your reading",
        code="More to read",
        code_spoken="QR code that opens {address}",
        audiences={"women": "for women"},
        languages={"es": "in Spanish", "en": "in English"},
    ),
    "es": Words(
        any_stage="Para cualquier momento.",
        stage="Etapa {number}, {title}.",
        minutes="Unos {minutes} minutos.",
        version="Versión {number}, {month} de {year}.",
        written="Escrito por {practice}.",
        draft="Borrador, sin publicar.",
        drawn="Se basa en parte en artículos de {authors}, con nuestras palabras.",
        others="otras personas",
        and_="y",
        months=(
            "enero",
            "febrero",
            "marzo",
            "abril",
            "mayo",
            "junio",
            "julio",
            "agosto",
            "septiembre",
            "octubre",
            "noviembre",
            "diciembre",
        ),
        page="Página",
        of="de",
        one="Elige una.",
        blank="Sin respuesta",
        so_far="Guardado hasta ahora:",
        choose="Elige entre las opciones que aparecen aquí.",
        shorten="Acorta este texto a {max} caracteres como máximo.",
        one_day="Elige el día: “{input}” no se entiende como una sola fecha.",
        unstorable="Quita los caracteres que no son letras.",
        text_to="Escribe {keyword} al {number}",
        or_text_to="o escribe {keyword} al {number}",
        dedication="Para {called}, de {coach}",
        week="Para la semana del {day} de {month}.",
        pack="Tus lecturas",
        code="Más para leer",
        code_spoken="Código QR que abre {address}",
        audiences={"women": "para mujeres"},
        languages={"es": "en español", "en": "en inglés"},
    ),
}
