"""Our own line drawings: small pictures beside a title or in a text, as SVG files of one stroke and one colour.

None shows people or hearts: a handout that lies about says nothing at a glance. On paper each has a text
alternative; on a page it decorates.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from caseapp.core.i18n import lazy_gettext
from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from caseapp.domain.handouts.library import Handout

FOLDER = ROOT / "caseapp" / "static" / "drawings"
DRAWINGS = {
    "bowl": lazy_gettext("A bowl of something warm, with a spoon"),
    "clock-night": lazy_gettext("A bedside clock at three, under a moon"),
    "fact-guess-memory": lazy_gettext(
        "A camera, a cloud with a question mark, and a framed picture"
    ),
    "ladder": lazy_gettext("A ladder leaning on a ledge, with a plant beside it"),
    "phone-face-down": lazy_gettext("A phone lying face down beside a cup, seen from above"),
    "stage-path": lazy_gettext("A path of seven stones through open country"),
    "two-chairs": lazy_gettext("Two chairs facing each other, with a small table between"),
    "wave": lazy_gettext("A wave that rises, reaches its top and falls again"),
}
"""Each drawing by the name of its file, and what it shows."""
BESIDE_TITLE = {
    "better-nights": "clock-night",
    "enough-to-eat": "bowl",
    "first-days-pause": "phone-face-down",
    "hold-back-list": "wave",
    "my-part-not-my-part": "fact-guess-memory",
    "reaching-out": "phone-face-down",
    "step-by-step-home": "ladder",
    "when-we-are-flooded": "wave",
}
"""The drawing beside the title of a library handout, and of a practice handout based on it."""
OF_KIND = {"conversation-practice": "two-chairs"}
INK = "#1d5b55"
"""The colour on paper; the renderer of PDFs ignores that of the text around an SVG."""


def name_title_drawing(handout: Handout) -> str:
    """Name the drawing beside a handout's title where its text has none there; empty for none."""
    known = BESIDE_TITLE.get(handout.based_on or handout.id)
    return known or OF_KIND.get(handout.kind, "")


@cache
def _read(name: str) -> tuple[str, str]:
    """Read the size and the shapes of a drawing."""
    source = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    found = re.search(r'viewBox="([\d ]+)">\s*<title>[^<]*</title>(.*)</svg>', source, re.DOTALL)
    assert found, name  # noqa: S101 - a file of ours
    return found[1], found[2].strip()


def draw(name: str, *, on_paper: bool, stage: int = 0) -> Markup:
    """Return a drawing as SVG: on paper with its text alternative, on a page as decoration.

    On the path of stages the stone of `stage` is filled.
    """
    box, shapes = _read(name)
    shapes = shapes.replace(f'class="s{stage}"', 'fill="currentColor"')
    look = f'color="{INK}"' if on_paper else 'aria-hidden="true" focusable="false"'
    _, _, width, height = map(int, box.split())
    if width > height:
        look = f'class="broad" {look}'
    told = Markup("<title>{}</title>").format(str(DRAWINGS[name])) if on_paper else ""
    return Markup(  # noqa: S704 - a file of ours
        f'<svg {look} fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" '
        f'stroke-linejoin="round" viewBox="{box}">{escape(told)}{shapes}</svg>'
    )
