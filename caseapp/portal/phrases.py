"""Spanish translations of the English texts around a handout, keyed by the English text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from markupsafe import escape

from caseapp.core.scanning import HARMFUL, NOT_CHECKED
from caseapp.domain.handouts.labels import LABELS
from caseapp.domain.worksheets.codes import UNREAD_REASONS
from caseapp.domain.worksheets.rules import MAX_UPLOADS_PER_WORKSHEET
from caseapp.http import template_helpers

if TYPE_CHECKING:
    from datetime import datetime

    from caseapp.core.errors import Reason

# Why an upload is rejected and not kept: the client can fix it, or it is better not passed on.
REJECTED_UPLOADS = {
    "not_pdf": "This is not a PDF. Choose the file that you saved from this page and filled in.",
    "too_big": "This file is larger than 5 MB. Make the file smaller, or write your answers here instead.",
    "locked": "This file is locked with a password. Save it without a password and try again.",
    "too_much": "This file took too long to read, so we stopped. Write your answers here instead.",
    "busy": "Files can’t be read right now. Try again in a minute.",
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
"""Messages for `autosave.js` by language. The English ones are in the script itself."""


@dataclass(frozen=True)
class Translator:
    """Translates the portal's English texts into one language; a text without a translation is returned unchanged."""

    language: str

    def __call__(self, text: str, **values: object) -> str:
        """Translate a text and fill in `values`; markup in the values is not escaped."""
        translated = TRANSLATIONS.get(self.language, {}).get(text, text)
        return escape(translated).format(**values) if values else translated

    def reason(self, reason: Reason) -> Reason:
        """Translate a reason."""
        return replace(reason, message=self(reason.message), way_out=self(reason.way_out))

    def errors(self, found: dict[str, list[str]]) -> dict[str, list[str]]:
        """Translate the errors of a form."""
        return {name: [self(text) for text in texts] for name, texts in found.items()}

    def day(self, moment: datetime) -> str:
        """Format a date without the year where it is the current one."""
        if self.language not in TRANSLATIONS:
            return template_helpers.day(moment)
        date, labels = template_helpers.local(moment).date(), LABELS[self.language]
        return (
            labels.format_day(date)
            if date.year == template_helpers.today().year
            else labels.format_date(date)
        )

    def long_day(self, moment: datetime) -> str:
        """Format a date in full."""
        return LABELS[self.language].format_date(template_helpers.local(moment).date())

    @property
    def autosave(self) -> dict[str, str]:
        """Return the autosave messages, empty for English."""
        return AUTOSAVE.get(self.language, {})


ENGLISH = Translator("en")
TRANSLATIONS: dict[str, dict[str, str]] = {
    "es": LABELS["es"].phrases
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
        # A handout's labels and actions.
        "For the week of {day}": "Para la semana del {day}",
        "No. {number}": "N.º {number}",
        "About {minutes} minutes": "Unos {minutes} minutos",
        "With space to write": "Con espacio para escribir",
        "With a checklist": "Con casillas para marcar",
        "The practice": "Tu equipo",
        "the practice": "tu equipo",
        "Reading list": "Lista de lecturas",
        "{coach_name} wrote": "{coach_name} escribió",
        "You marked this as read on {day}.": "Marcaste esto como leído el {day}.",
        "I have read this": "Ya lo he leído",
        "Save PDF": "Guardar PDF",
        "Save PDF in large print": "Guardar PDF en letra grande",
        # Around the form.
        "{who} can’t see this while you write.": "{who} no ve esto mientras escribes.",
        "Only you can see it until you share it, and nobody is checking it. "
        "If you need help now, don’t write it here: call": (
            "Solo tú puedes verlo hasta que lo compartas, y nadie lo está mirando. "
            "Si necesitas ayuda ahora, no lo escribas aquí: llama al"
        ),
        "or": "o",
        "Nothing written yet": "Aún no hay nada escrito",
        "Not saved yet": "Sin guardar todavía",
        "Saved at {time}": "Guardado a las {time}",
        "Save": "Guardar",
        "That didn’t work": "No ha funcionado",
        "Check your answers": "Revisa tus respuestas",
        "Open the page again. We can't tell which version this form came from.": (
            "Abre la página de nuevo: no podemos saber de qué versión procede este formulario."
        ),
        "Unknown field.": "Ese campo no existe.",
        "There is nothing to share yet.": "Todavía no hay nada que compartir.",
        "Write something first.": "Escribe algo antes.",
        # Answers saved elsewhere, or others in an uploaded file.
        "This worksheet was saved in another window or on another device at {theirs}. "
        "What you wrote here at {ours} isn’t saved yet.": (
            "Esta hoja se guardó desde otra ventana u otro dispositivo a las {theirs}. "
            "Lo que escribiste aquí a las {ours} aún no está guardado."
        ),
        "These are the answers in your file. They aren’t saved yet.": (
            "Estas son las respuestas de tu archivo. Aún no están guardadas."
        ),
        "In one place you had already written something different. It’s shown next to the new answer.": (
            "En un lugar ya habías escrito otra cosa. La verás junto a la respuesta nueva."
        ),
        "In {number} places you had already written something different. It’s shown next to each new answer.": (
            "En {number} lugares ya habías escrito otra cosa. La verás junto a cada respuesta nueva."
        ),
        "Nothing is lost. First {link}. Then make any changes here and keep this version.": (
            "No se ha perdido nada. Primero {link}. Después cambia aquí lo que quieras y quédate con esta versión."
        ),
        "see what is saved": "mira lo que está guardado",
        "in a new tab": "en otra pestaña",
        "Select Save to keep this version.": "Pulsa Guardar para conservar esta versión.",
        "Keep this version": "Quedarme con esta versión",
        # Sharing.
        "Share this worksheet with {who}?": "¿Compartir esta hoja con {who}?",
        "You shared this worksheet on {day} at {time}.": (
            "Compartiste esta hoja el {day} a las {time}."
        ),
        "Only you can see what you’ve changed since then.": (
            "Lo que has cambiado desde entonces solo puedes verlo tú."
        ),
        "Share it as it is now": "Compartirla como está ahora",
        "Stop sharing": "Dejar de compartir",
        "Until you share it, only you can read what you write here. If you share it, {who}, a supervisor at the "
        "practice and anyone else there who works with you can read every answer on this worksheet as it is now, "
        "but not anything you write later.": (
            "Hasta que la compartas, solo tú puedes leer lo que escribes aquí. Si la compartes, {who}, quien supervisa "
            "el equipo y cualquier otra persona del equipo que trabaje contigo podrán leer todas las respuestas de "
            "esta hoja tal como están ahora, pero nada de lo que escribas después."
        ),
        "Share with {who}": "Compartir con {who}",
        # Uploads.
        "Filled in the PDF?": "¿Has rellenado el PDF?",
        "File {number}, {day}.": "Archivo {number}, {day}.",
        "{coach_name} has been able to see it since {day}.": "{coach_name} puede verlo desde el {day}.",
        "Only you can see that it’s here. It’s kept until {day} and then deleted, unless you send it.": (
            "Solo tú puedes ver que está aquí. Se guarda hasta el {day} y después se borra, "
            "salvo que lo envíes."
        ),
        "Send it to {who} as it is": "Enviárselo a {who} tal como está",
        "Delete": "Borrar",
        "file {number}": "archivo {number}",
        "The file you filled in": "El archivo que has rellenado",
        "Choose the PDF of this worksheet or of your whole list, up to 5 MB. We’ll copy your answers from it. "
        "Only you can see them.": (
            "Elige el PDF de esta hoja o el de toda tu lista, de hasta 5 MB. Copiaremos tus respuestas del archivo. "
            "Solo tú puedes verlas."
        ),
        "Get my answers from this file": "Copiar mis respuestas de este archivo",
        "Choose a file first.": "Elige antes un archivo.",
        HARMFUL: "No hemos aceptado este archivo porque parece dañino.",
        NOT_CHECKED: (
            "No hemos podido comprobar si este archivo es dañino, así que no se ha aceptado. "
            "Inténtalo de nuevo en un minuto."
        ),
        REJECTED_UPLOADS["not_pdf"]: (
            "Esto no es un PDF. Elige el archivo que guardaste desde esta página y rellenaste."
        ),
        REJECTED_UPLOADS["too_big"]: (
            "Este archivo ocupa más de 5 MB. Redúcelo, o escribe aquí tus respuestas."
        ),
        REJECTED_UPLOADS["locked"]: (
            "Este archivo está protegido con contraseña. Guárdalo sin ella e inténtalo de nuevo."
        ),
        REJECTED_UPLOADS["too_much"]: (
            "La lectura de este archivo tardaba demasiado y la hemos detenido. Escribe aquí tus respuestas."
        ),
        REJECTED_UPLOADS[
            "busy"
        ]: "Ahora no se pueden leer archivos. Inténtalo de nuevo en un minuto.",
        UNREAD_REASONS["no_form"]: (
            "Este archivo no tiene campos: quizá sea un escaneo, una foto o un PDF impreso de nuevo como PDF."
        ),
        UNREAD_REASONS["wrong_form"]: (
            "Los campos de este archivo no son los de esta hoja: quizá sea una versión anterior."
        ),
        UNREAD_REASONS["broken"]: (
            "Este archivo está dañado, o tiene un formato que no podemos leer."
        ),
        "This file belongs to {handout}. Open that page and upload it there.": (
            "Este archivo es de {handout}. Abre esa hoja y envíalo desde allí."
        ),
        "This file belongs to {handouts} and {handout}. Open one of those pages and upload it there.": (
            "Este archivo es de {handouts} y {handout}. Abre una de esas hojas y envíalo desde allí."
        ),
        f"You can keep {MAX_UPLOADS_PER_WORKSHEET} files with a worksheet, and 20 MB in total.": (
            f"Puedes guardar {MAX_UPLOADS_PER_WORKSHEET} archivos con cada hoja, y 20 MB en total."
        ),
        "Delete one you no longer need, then try again.": (
            "Borra uno que ya no necesites e inténtalo de nuevo."
        ),
        # Flashed messages.
        template_helpers.MESSAGES["worksheet_saved"]: "Guardado. Solo tú puedes verlo.",
        template_helpers.MESSAGES["worksheet_shared"]: (
            "Compartido. Lo que escribas desde ahora solo podrás verlo tú, hasta que lo compartas otra vez."
        ),
        template_helpers.MESSAGES["worksheet_unshared"]: (
            "Ya no está compartido. Lo que escribiste sigue aquí y solo tú puedes verlo."
        ),
        template_helpers.MESSAGES["answers_read"]: (
            "Hemos leído y guardado tus respuestas del archivo. Solo tú puedes verlas. Comprueba que son correctas."
        ),
        template_helpers.MESSAGES["other_answers_read"]: (
            "El archivo tenía también respuestas de otras hojas. Están guardadas en ellas y solo tú puedes verlas."
        ),
        template_helpers.MESSAGES["other_worksheet_unread"]: (
            "No hemos podido guardar las respuestas de otra hoja de este archivo. "
            "Si esa hoja está en tu lista, envía el archivo también desde ella."
        ),
        template_helpers.MESSAGES["upload_unreadable"]: (
            "No hemos podido leer las respuestas de ese archivo. No se ha perdido nada: mira más abajo."
        ),
        template_helpers.MESSAGES["upload_sent"]: "El archivo se ha enviado.",
        template_helpers.MESSAGES["upload_removed"]: "El archivo se ha borrado.",
        # Help lines.
        "If you are in danger": "Si estás en peligro",
        "Call {phone}.": "Llama al {phone}.",
        "Call {phone}": "Llamar al {phone}",
        "If you need to talk to someone now": "Si necesitas hablar con alguien ahora",
        "More ways to get help, and how to use this page safely": (
            "Más formas de pedir ayuda y cómo usar esta página sin riesgo (en inglés)"
        ),
    },
}
"""Translations by language, then by English text; a test checks that none is missing."""
