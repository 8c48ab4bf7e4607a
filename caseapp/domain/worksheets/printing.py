"""PDFs of worksheets with the answers in them, all of what was saved; they have no fields to fill in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core import pdf
from caseapp.core.fonts import replace_missing_glyphs
from caseapp.core.i18n import format_date, gettext, in_language
from caseapp.domain.handouts.fields import print_answers
from caseapp.domain.handouts.printing import Written, get_logo_image, render_print_html
from caseapp.domain.handouts.variants import find_variety
from caseapp.domain.practice.queries import local_day

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.handouts.fields import Answer
    from caseapp.domain.practice.queries import Letterhead


def render_written_pdf(
    record: AssignmentRecord,
    answers: Mapping[str, Answer],
    moment: datetime,
    *,
    large: bool = False,
    discreet: bool,
) -> bytes:
    """Render a handout with answers as they were saved or shared at a moment; `discreet` makes the client's own copy.

    It is never stored: the answers that are for nobody else open with the client's PIN alone. Characters that our fonts
    lack are shown as question marks, and a line says so. Raises RuleBroken when a help-line block would be empty, and
    what `core.pdf` raises.
    """
    recipient = record.recipient
    printable = print_answers(answers, replace_missing_glyphs)
    with in_language(find_variety(record.handout.language)):
        mark = gettext("With answers, as of %(day)s.", day=format_date(local_day(moment)))
        if printable != dict(answers):
            unprintable = gettext("A question mark stands for a character that can’t be printed.")
            mark = f"{mark} {unprintable}"
    letterhead = _letterhead(recipient.practice_info.letterhead, discreet=discreet)
    with in_language(recipient.language):
        html = render_print_html(
            record.handout,
            letterhead,
            recipient.practice_info.help_lines,
            faith=recipient.faith,
            large=large,
            reviewed=record.reviewed,
            written=Written(printable, mark),
        )
    return pdf.render(html, logo=get_logo_image(letterhead))


def _letterhead(found: Letterhead, *, discreet: bool) -> Letterhead:
    return found.discreet() if discreet else found.without_qr_code()
