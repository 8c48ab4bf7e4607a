"""Labels around a handout's text, in each language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date


@dataclass(frozen=True)
class Labels:
    """The labels of a handout in one language.

    `invalid_choice`, `too_long`, `invalid_date` and `unstorable` are error messages; marshmallow fills in `{max}` and
    `{input}`.
    """

    any_stage: str
    stage: str
    minutes: str
    version: str
    written_by: str
    draft: str
    based_on: str
    other_authors: str
    and_: str
    months: tuple[str, ...]
    day_format: str
    date_format: str
    page: str
    page_of: str
    choose_one: str
    no_answer: str
    saved_so_far: str
    invalid_choice: str
    too_long: str
    invalid_date: str
    unstorable: str
    text_to: str
    or_text_to: str
    keyword_to: str
    number_only: str
    dedication: str
    for_week: str
    packet_title: str
    help_now: str
    qr_label: str
    qr_alternative: str
    audiences: dict[str, str]
    languages: dict[str, str]
    phrases: dict[str, str]
    """Translations of the phrases in the shipped help lines; empty for English."""

    def format_day(self, day: date) -> str:
        """Format a date without its year."""
        return self.day_format.format(day=day.day, month=self.months[day.month - 1])

    def format_date(self, day: date) -> str:
        """Format a date with its year."""
        return self.date_format.format(day=self.format_day(day), year=day.year)


LABELS = {
    "en": Labels(
        any_stage="For use at any time.",
        stage="Stage {number}, {title}.",
        minutes="About {minutes} minutes.",
        version="Version {number}, {month} {year}.",
        written_by="Written by {practice}.",
        draft="Draft, not published.",
        based_on="Based partly on articles by {authors}, in our own words.",
        other_authors="others",
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
        day_format="{day} {month}",
        date_format="{day} {year}",
        page="Page",
        page_of="of",
        choose_one="Choose one.",
        no_answer="No answer",
        saved_so_far="Saved so far:",
        invalid_choice="Choose one of the options.",
        too_long="Shorten this to {max} characters.",
        invalid_date="Choose a date. We can’t tell which date “{input}” means.",
        unstorable="Remove the characters that can’t be stored.",
        text_to="Text {what}",
        or_text_to="or text {what}",
        keyword_to="{keyword} to {number}",
        number_only="{number}",
        dedication="For {preferred_name}, from {coach}",
        for_week="For the week of {day}.",
        packet_title="Your reading",
        help_now="If you need help now",
        qr_label="More to read",
        qr_alternative="QR code that opens {address}",
        audiences={"women": "for women", "men": "for men", "carers": "for carers"},
        languages={"es": "in Spanish", "en": "in English"},
        phrases={},
    ),
    "es": Labels(
        any_stage="Para cualquier momento.",
        stage="Etapa {number}, {title}.",
        minutes="Unos {minutes} minutos.",
        version="Versión {number}, {month} de {year}.",
        written_by="Escrito por {practice}.",
        draft="Borrador, sin publicar.",
        based_on="Se basa en parte en artículos de {authors}, con nuestras palabras.",
        other_authors="otras personas",
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
        day_format="{day} de {month}",
        date_format="{day} de {year}",
        page="Página",
        page_of="de",
        choose_one="Elige una.",
        no_answer="Sin respuesta",
        saved_so_far="Guardado hasta ahora:",
        invalid_choice="Elige entre las opciones que aparecen aquí.",
        too_long="Acorta este texto a {max} caracteres como máximo.",
        invalid_date="Elige el día: no sabemos a qué fecha corresponde “{input}”.",
        unstorable="Quita los caracteres que no se pueden guardar.",
        text_to="Escribe {what}",
        or_text_to="o escribe {what}",
        keyword_to="{keyword} al {number}",
        number_only="al {number}",
        dedication="Para {preferred_name}, de {coach}",
        for_week="Para la semana del {day}.",
        packet_title="Tus lecturas",
        help_now="Si necesitas ayuda ahora",
        qr_label="Más para leer",
        qr_alternative="Código QR que abre {address}",
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
            "In areas without 911, call the local police number.": (
                "En algunas zonas no hay 911: llama allí al número de la policía local."
            ),
            "Press 1 for veterans, 2 for Spanish.": (
                "Marca 1 si serviste en las fuerzas armadas, 2 para hablar en español."
            ),
            "Helps you find treatment and support near you. It does not provide counselling.": (
                "Te ayuda a encontrar tratamiento y apoyo cerca de ti. No es un servicio de terapia."
            ),
            "For people of any gender.": "Para personas de cualquier género.",
            "Its Shielded Site web chat is designed not to leave any browser history.": (
                "Su chat Shielded Site está hecho para no dejar rastro en el historial del navegador."
            ),
            "For families and carers. If you have an eating problem yourself, call or text 1737.": (
                "Para familias y personas cuidadoras. Si eres tú quien tiene problemas con la comida, "
                "llama o escribe al 1737."
            ),
            "Also for people worried about their own behaviour.": (
                "También para quien se preocupa por su propia conducta."
            ),
            "The call may stay in the phone's call log, so delete it there. WhatsApp, messages only: 600 000 016.": (
                "La llamada puede quedar en el registro del teléfono: bórrala ahí. "
                "WhatsApp, solo mensajes: 600 000 016."
            ),
        },
    ),
}
