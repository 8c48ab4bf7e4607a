"""PDFs beside plain WeasyPrint: the same sheet, made by hands apart and by a program that shares nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from caseapp.core import limited, pdf, settings
from caseapp.handouts.library import library
from caseapp.handouts.sheets import sheet_html
from caseapp.practice.helplines import countries
from caseapp.practice.queries import Letterhead, Numbers
from tests.bench.ratios import Ratio, compare

if TYPE_CHECKING:
    from collections.abc import Iterator

SHEET = ("better-nights", "en")
PRACTICE = Letterhead("Bench", "Coaching", "0131 496 0142")
BATCH = 6
MANY = 300
PLAIN = "import sys, weasyprint; weasyprint.HTML(filename=sys.argv[1]).write_pdf(sys.argv[2])"


def papers(folder: Path, rounds: int) -> Iterator[Ratio]:
    """Compare one two-page sheet made by our hands with what WeasyPrint does by itself."""
    import weasyprint

    folder.mkdir(parents=True)
    environ = {"CASEAPP_ENV": "test", "CASEAPP_DATA_DIR": str(folder)}
    settings.use(settings.from_environment(environ))
    numbers = Numbers(countries()["GB"].lines, None, stale=False)
    html = sheet_html(library()[SHEET], PRACTICE, numbers, faith=False)
    plain = _with_its_style(html)
    file = folder / "sheet.html"
    file.write_text(plain)
    yield compare(
        "PDF: by a hand apart (tagged, a form), against plain WeasyPrint",
        lambda: weasyprint.HTML(string=plain).write_pdf(),
        lambda: pdf.render(html),
        rounds=rounds,
        each=4,
        at_most=0.8,
    )
    yield compare(
        "PDF: the first document of a hand, against a cold process",
        lambda: subprocess.run(  # noqa: S603 - our own interpreter and script
            [sys.executable, "-c", PLAIN, str(file), str(folder / "sheet.pdf")], check=True
        ),
        lambda: pdf.render(html),
        rounds=min(rounds, 9),
        each=1,
        at_most=0.3,
    )
    job = f"handout.css\n{html}".encode()
    one, two = (_workshop(hands) for hands in (1, 2))
    yield compare(
        f"PDF: {BATCH} documents by two hands, against one (1 / 1.8)",
        lambda: _batch(one, job, 1),
        lambda: _batch(two, job, 2),
        rounds=min(rounds, 9),
        each=1,
        at_most=0.56,
    )
    one.close()
    before = _resident(two)
    for _ in range(MANY // BATCH):
        _batch(two, job, 2)
    after = _resident(two)
    two.close()
    grown = after / before
    yield Ratio(
        f"PDF: the foreman's memory after {MANY} more documents",
        ratio=grown,
        least=grown,
        most=grown,
        undisturbed=grown,
        base_ms=before,
        ms=after,
        at_most=1.02,
        unit="MiB",
    )


def _with_its_style(html: str) -> str:
    """Write the style sheet into the page, its fonts as files, as a program without a house would."""
    style = pdf.style_text("handout.css")
    for face, path in pdf.faces().items():
        style = style.replace(f"{pdf.FONT_SCHEME}{face}", path.as_uri())
    return html.replace("</head>", f"<style>{style}</style></head>", 1)


def _workshop(hands: int) -> limited.Workshop:
    return limited.Workshop("caseapp.core.pdf", pdf.told, hands=hands)


def _batch(shop: limited.Workshop, job: bytes, askers: int) -> None:
    def ask() -> None:
        for _ in range(BATCH // askers):
            shop.do(job)

    asking = [threading.Thread(target=ask) for _ in range(askers)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()


def _resident(shop: limited.Workshop) -> float:
    """Give the memory that the foreman holds, in MiB."""
    foreman = shop._foreman  # noqa: SLF001 - which process it is stands nowhere else
    status = Path(f"/proc/{foreman.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024
