"""Words: the few that stand around a sheet's text, in each language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date


@dataclass(frozen=True)
class Labels:
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
    day: str
    year: str
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
    keyword_to: str
    just_to: str
    dedication: str
    week: str
    pack: str
    help_now: str
    code: str
    code_spoken: str
    audiences: dict[str, str]
    languages: dict[str, str]
    phrases: dict[str, str]
    """What the shipped help lines say in English, phrase by phrase; nothing for English itself."""

    def format_day(self, day: date) -> str:
        """Write a date without its year."""
        return self.day.format(day=day.day, month=self.months[day.month - 1])

    def format_date(self, day: date) -> str:
        """Write a date in full."""
        return self.year.format(day=self.format_day(day), year=day.year)


LABELS = {
    "en": Labels(
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
        day="{day} {month}",
        year="{day} {year}",
        page="Page",
        of="of",
        one="Choose one.",
        blank="No answer",
        so_far="Saved so far:",
        choose="Choose from what stands there.",
        shorten="Shorten this to {max} characters.",
        one_day="Choose the day: “{input}” cannot be read as just one.",
        unstorable="Take out the signs that are no letters.",
        text_to="Text {what}",
        or_text_to="or text {what}",
        keyword_to="{keyword} to {number}",
        just_to="{number}",
        dedication="For {preferred_name}, from {coach}",
        week="For the week of {day}.",
        pack="Your reading",
        help_now="If you need help now",
        code="More to read",
        code_spoken="QR code that opens {address}",
        audiences={"women": "for women", "men": "for men", "carers": "for carers"},
        languages={"es": "in Spanish", "en": "in English"},
        phrases={},
    ),
    "es": Labels(
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
        day="{day} de {month}",
        year="{day} de {year}",
        page="Página",
        of="de",
        one="Elige una.",
        blank="Sin respuesta",
        so_far="Guardado hasta ahora:",
        choose="Elige entre las opciones que aparecen aquí.",
        shorten="Acorta este texto a {max} caracteres como máximo.",
        one_day="Elige el día: “{input}” no se entiende como una sola fecha.",
        unstorable="Quita los caracteres que no son letras.",
        text_to="Escribe {what}",
        or_text_to="o escribe {what}",
        keyword_to="{keyword} al {number}",
        just_to="al {number}",
        dedication="Para {preferred_name}, de {coach}",
        week="Para la semana del {day}.",
        pack="Tus lecturas",
        help_now="Si necesitas ayuda ahora",
        code="Más para leer",
        code_spoken="Código QR que abre {address}",
        audiences={
            "women": "para mujeres",
            "men": "para hombres",
            "carers": "para quienes cuidan",
        },
        languages={"es": "en español", "en": "en inglés"},
        phrases={
            "England": "Inglaterra",
            "Scotland": "Escocia",
            "Wales": "Gales",
            "Northern Ireland": "Irlanda del Norte",
            "Alberta": "Alberta",
            "Nova Scotia": "Nueva Escocia",
            "Catalonia": "Cataluña",
            "State of Mexico": "Estado de México",
            "24/7": "24 h",
            "24/7; in South Australia 8:30am-10pm": "24 h; en Australia Meridional, 8:30-22 h",
            "Daily 8am-midnight AET": "todos los días, 8-24 h del este de Australia",
            "Mon-Fri 3pm-8pm": "lun. a vie., 15-20 h",
            "Mon-Fri 9:30am-5:30pm": "lun. a vie., 9:30-17:30 h",
            "Mon-Fri 9am-5pm": "lun. a vie., 9-17 h",
            "Free to call.": "Llamada gratuita.",
            "Choose option 1.": "Elige la opción 1.",
            "Choose option 2.": "Elige la opción 2.",
            "999 works too.": "También sirve el 999.",
            "112 works too. If you cannot speak, call from a mobile and press 55.": (
                "También sirve el 112. Si no puedes hablar, llama desde un móvil y marca 55."
            ),
            "If you cannot speak, stay silent and press 55.": (
                "Si no puedes hablar, guarda silencio y marca 55."
            ),
            "Some areas have no 911: call the local police number there.": (
                "En algunas zonas no hay 911: llama allí al número de la policía local."
            ),
            "Press 1 for veterans, 2 for Spanish.": (
                "Marca 1 si serviste en las fuerzas armadas, 2 para hablar en español."
            ),
            "Finds treatment and support near you; it is not counselling.": (
                "Busca tratamiento y apoyo cerca de ti; no es un servicio de terapia."
            ),
            "For people of any gender.": "Para personas de cualquier género.",
            "Its Shielded Site web chat is made to leave no browser history.": (
                "Su chat Shielded Site está hecho para no dejar rastro en el historial del navegador."
            ),
            "For families and carers. If it is you who struggles to eat, call or text 1737.": (
                "Para familias y personas cuidadoras. Si eres tú quien tiene problemas con la comida, "
                "llama o escribe al 1737."
            ),
            "Also for people worried about their own behaviour.": (
                "También para quien se preocupa por su propia conducta."
            ),
            "It can stay in the phone's call log: delete it there. WhatsApp, messages only: 600 000 016.": (
                "La llamada puede quedar en el registro del teléfono: bórrala ahí. "
                "WhatsApp, solo mensajes: 600 000 016."
            ),
        },
    ),
}
