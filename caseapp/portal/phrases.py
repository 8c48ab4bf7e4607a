"""Words around a sheet, in the language of the sheet: Spanish ones for the English that our templates say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from markupsafe import escape

from caseapp.core.scanning import HARMFUL, NOT_CHECKED
from caseapp.domain.handouts.labels import WORDS
from caseapp.domain.worksheets.operations import MOST_FILES
from caseapp.domain.worksheets.schemas import WHY_WORDS
from caseapp.http import template_helpers

if TYPE_CHECKING:
    from datetime import datetime

    from caseapp.core.errors import Reason

# Whoever wants a file read that is not kept can do something about it, or it is better not passed on.
NOT_KEPT = {
    "not_pdf": "This is not a PDF. Choose the file that you saved from this page and filled in.",
    "too_big": "This file is larger than 5 MB. Save it again in a smaller size, or write here.",
    "locked": "This file is locked with a password. Save it without one and try again.",
    "too_much": "Reading this file took too much and was stopped. Write your answers here instead.",
    "busy": "Files cannot be read just now. Try again in a minute.",
}
AUTOSAVE = {
    "es": {
        "saving": "Guardando…",
        "saved": "Guardado a las {time}",
        "again": "No se ha guardado. Lo intentamos otra vez…",
        "signedOut": "La sesión se ha cerrado. Entra de nuevo en otra pestaña; lo escrito sigue aquí.",
        "elsewhere": "No se ha guardado. Se guardó desde otra ventana.",
        "invalid": "No se ha guardado. {why}",
        "closed": "No se ha guardado. Esta hoja no admite cambios ahora.",
    }
}
"""What `app.js` says while a sheet saves itself; English stands there."""


@dataclass(frozen=True)
class Speech:
    """Say in one language what the pages say in English; what has no other words is left as it is."""

    language: str

    def __call__(self, words: str, **values: object) -> str:
        """Give the words, with `values` put in; markup in those stays markup."""
        said = PHRASES.get(self.language, {}).get(words, words)
        return escape(said).format(**values) if values else said

    def reason(self, reason: Reason) -> Reason:
        """Give a reason in this language."""
        return replace(reason, message=self(reason.message), how=self(reason.how))

    def errors(self, found: dict[str, list[str]]) -> dict[str, list[str]]:
        """Give what is wrong with a form in this language."""
        return {name: [self(text) for text in texts] for name, texts in found.items()}

    def day(self, moment: datetime) -> str:
        """Write a date as short as it is clear."""
        if self.language not in PHRASES:
            return template_helpers.day(moment)
        day, words = template_helpers.local(moment).date(), WORDS[self.language]
        return (
            words.day_of(day) if day.year == template_helpers.today().year else words.in_full(day)
        )

    def long_day(self, moment: datetime) -> str:
        """Write a date in full."""
        return WORDS[self.language].in_full(template_helpers.local(moment).date())

    @property
    def autosave(self) -> dict[str, str]:
        """Give what a sheet says while it saves itself, where that is not English."""
        return AUTOSAVE.get(self.language, {})


ENGLISH = Speech("en")
PHRASES: dict[str, dict[str, str]] = {
    "es": WORDS["es"].phrases
    | {
        # On every page.
        "Skip to main content": "Saltar al contenido",
        "Leave this site": "Salir de este sitio",
        "Leave now": "Salir ya",
        "Demo practice: every person here is made up.": (
            "Consulta de demostración: todas las personas son inventadas."
        ),
        "Help and safety": "Ayuda y seguridad",
        "Who sees what": "Quién ve qué",
        "Sign out": "Cerrar sesión",
        # What a sheet is called and does.
        "For the week of {day}": "Para la semana del {day}",
        "No. {number}": "N.º {number}",
        "About {minutes} minutes": "Unos {minutes} minutos",
        "With room to write": "Con espacio para escribir",
        "With a checklist": "Con casillas para marcar",
        "The practice": "Tu equipo",
        "the practice": "tu equipo",
        "Reading list": "Lista de lecturas",
        "{guide} wrote": "{guide} escribió",
        "You marked this as read on {day}.": "Marcaste esto como leído el {day}.",
        "I have read this": "Ya lo he leído",
        "Save PDF": "Guardar PDF",
        "Save PDF in large print": "Guardar PDF en letra grande",
        # Beside what is written.
        "{who} does not see this while you write.": "{who} no ve esto mientras escribes.",
        "It is saved for you alone, and nobody is watching it. If you need somebody now, do not write it here: call": (
            "Se guarda solo para ti y nadie lo está mirando. "
            "Si necesitas a alguien ahora, no lo escribas aquí: llama al"
        ),
        "or": "o",
        "Nothing written yet": "Aún no hay nada escrito",
        "Not saved yet": "Sin guardar todavía",
        "Saved at {time}": "Guardado a las {time}",
        "Save": "Guardar",
        "That was not done": "Eso no se ha hecho",
        "Some answers need a look": "Algo necesita otra mirada",
        "Open the page again; this form does not say where it started.": (
            "Abre la página de nuevo: este formulario no dice de dónde partió."
        ),
        "There is no such field.": "Ese campo no existe.",
        "There is nothing to share yet.": "Todavía no hay nada que compartir.",
        "Write something first.": "Escribe algo antes.",
        # Two windows, or a file that says something else.
        "This sheet was saved in another window or on another device at {theirs}. "
        "What stands here, from {ours}, is not saved yet.": (
            "Esta hoja se guardó desde otra ventana u otro aparato a las {theirs}. "
            "Lo que ves aquí, de las {ours}, aún no está guardado."
        ),
        "This is what your file says. It is not saved yet.": (
            "Esto es lo que dice tu archivo. Aún no está guardado."
        ),
        "You had written something else in one place; it stands beside it.": (
            "En un lugar habías escrito otra cosa; la verás al lado."
        ),
        "You had written something else in {number} places; it stands beside each.": (
            "En {number} lugares habías escrito otra cosa; la verás al lado de cada uno."
        ),
        "Nothing is lost: {link}, change here what you like, then keep this one.": (
            "No se ha perdido nada: {link}, cambia aquí lo que quieras y quédate con esta."
        ),
        "see what is saved": "mira lo que está guardado",
        "in a new tab": "en otra pestaña",
        "Save keeps this one.": "Con Guardar te quedas con esta.",
        "Keep this version": "Quedarme con esta versión",
        # Sharing.
        "Show it to {who}?": "¿Quieres que {who} lo lea?",
        "You shared this sheet on {day} at {time}.": (
            "Compartiste esta hoja el {day} a las {time}."
        ),
        "What you changed since then is still yours alone.": (
            "Lo que has cambiado desde entonces sigue siendo solo tuyo."
        ),
        "Share it as it is now": "Compartirla como está ahora",
        "Stop sharing": "Dejar de compartir",
        "Until you share it, nobody but you can read what you write here. If you do, {who} and a supervisor of the "
        "practice can read every answer on this sheet as it stands now, and nothing that you write later.": (
            "Hasta que la compartas, nadie más que tú puede leer lo que escribes aquí. Si la compartes, {who} y quien "
            "supervisa el equipo podrán leer todas las respuestas de esta hoja tal como están ahora, y nada de lo que "
            "escribas después."
        ),
        "Share with {who}": "Compartir con {who}",
        # The PDF that comes back.
        "Filled in the PDF?": "¿Has rellenado el PDF?",
        "File {number}, {day}.": "Archivo {number}, {day}.",
        "{guide} can see it since {day}.": "{guide} puede verlo desde el {day}.",
        "Nobody but you can see that it is here. It is kept until {day} and then removed, unless you send it.": (
            "Nadie más que tú puede ver que está aquí. Se guarda hasta el {day} y después se borra, "
            "salvo que lo envíes."
        ),
        "Send it to {who} as it is": "Enviárselo a {who} tal como está",
        "Remove": "Quitar",
        "file {number}": "archivo {number}",
        "The file you filled in": "El archivo que has rellenado",
        "This sheet, or the PDF with several of yours, up to 5 MB. We read your answers from it and put them in, "
        "for you alone.": (
            "Esta hoja, o el PDF con varias de las tuyas, de hasta 5 MB. Leemos tus respuestas y las ponemos aquí, "
            "solo para ti."
        ),
        "Read my answers from it": "Leer mis respuestas del archivo",
        "Choose a file first.": "Elige antes un archivo.",
        HARMFUL: "No hemos aceptado este archivo: la comprobación de archivos dañinos lo rechaza.",
        NOT_CHECKED: (
            "No hemos podido comprobar si este archivo es dañino, así que no se ha aceptado. "
            "Inténtalo de nuevo en un minuto."
        ),
        NOT_KEPT["not_pdf"]: (
            "Esto no es un PDF. Elige el archivo que guardaste desde esta página y rellenaste."
        ),
        NOT_KEPT["too_big"]: (
            "Este archivo ocupa más de 5 MB. Guárdalo otra vez en un tamaño menor, o escribe aquí."
        ),
        NOT_KEPT["locked"]: (
            "Este archivo está cerrado con contraseña. Guárdalo sin ella e inténtalo de nuevo."
        ),
        NOT_KEPT["too_much"]: (
            "Leer este archivo costaba demasiado y lo hemos parado. Escribe aquí tus respuestas."
        ),
        NOT_KEPT["busy"]: "Ahora no se pueden leer archivos. Inténtalo de nuevo en un minuto.",
        WHY_WORDS["no_form"]: (
            "Este archivo no tiene campos: quizá sea un escaneo, una foto o un PDF impreso de nuevo como PDF."
        ),
        WHY_WORDS["other_sheet"]: (
            "Los campos de este archivo no son los de esta hoja: quizá sea una versión anterior."
        ),
        WHY_WORDS["broken"]: (
            "Este archivo está dañado, o hecho de un modo que aquí no se puede leer."
        ),
        "This file belongs to {sheet}. Open that sheet and send it from there.": (
            "Este archivo es de {sheet}. Abre esa hoja y envíalo desde allí."
        ),
        "This file belongs to {sheets} and {sheet}. Open one of them and send it from there.": (
            "Este archivo es de {sheets} y {sheet}. Abre una de esas hojas y envíalo desde allí."
        ),
        f"There is room for {MOST_FILES} files with a sheet, and for 20 MB in all.": (
            f"Hay sitio para {MOST_FILES} archivos con cada hoja, y para 20 MB en total."
        ),
        "Remove one that is no longer needed, then try again.": (
            "Quita uno que ya no haga falta e inténtalo de nuevo."
        ),
        # Said once, after something was done.
        template_helpers.MESSAGES["sheet_saved"]: "Guardado, solo para ti.",
        template_helpers.MESSAGES["sheet_shared"]: (
            "Compartido. Lo que escribas desde ahora es solo tuyo hasta que lo compartas otra vez."
        ),
        template_helpers.MESSAGES["sheet_taken_back"]: (
            "Ya no se comparte. Lo que escribiste sigue aquí, solo para ti."
        ),
        template_helpers.MESSAGES["pdf_read"]: (
            "Hemos leído tus respuestas del archivo y están guardadas, solo para ti. Repásalas."
        ),
        template_helpers.MESSAGES["others_read"]: (
            "El archivo tenía también respuestas de otras hojas. Están guardadas en ellas, solo para ti."
        ),
        template_helpers.MESSAGES["others_left"]: (
            "Otra hoja del archivo necesita que la mires. Conserva el archivo y envíalo también desde esa hoja, "
            "si está en tu lista."
        ),
        template_helpers.MESSAGES["file_waits"]: (
            "No hemos podido leer las respuestas de ese archivo. No se ha perdido nada: mira más abajo."
        ),
        template_helpers.MESSAGES["file_sent"]: "El archivo está enviado.",
        template_helpers.MESSAGES["file_removed"]: "El archivo está borrado.",
        # Whom to ring.
        "If you are in danger": "Si estás en peligro",
        "Call {phone}.": "Llama al {phone}.",
        "Call {phone}": "Llamar al {phone}",
        "If you need to talk to someone now": "Si necesitas hablar con alguien ahora",
        "More ways to get help, and how to use this page safely": (
            "Más formas de pedir ayuda y cómo usar esta página sin riesgo (en inglés)"
        ),
    },
}
"""By language, what stands in English in our templates and messages; a test holds that nothing is left out."""
