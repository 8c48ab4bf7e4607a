"""PDFs beside plain WeasyPrint: the same sheet, made by hands apart and by a program that shares nothing."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from caseapp.core import pdf, settings
from caseapp.core.sandbox.pool import JobFailed, SandboxPool
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.printing import render_print_html
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.practice.queries import Letterhead, HelpLines
from tests.bench.ratios import Ratio, compare

if TYPE_CHECKING:
    from collections.abc import Iterator

SHEET = ("better-nights", "en")
PRACTICE = Letterhead("Bench", "Coaching", "0131 496 0142")
BATCH = 6
MANY = int(os.environ.get("PAPERS", "1000"))
PLAIN = "import sys, weasyprint; weasyprint.HTML(filename=sys.argv[1]).write_pdf(sys.argv[2])"


def papers(folder: Path, rounds: int) -> Iterator[Ratio]:
    """Compare one two-page sheet made by our hands with what WeasyPrint does by itself.

    The other side is WeasyPrint as its guide shows it, with nothing shared: the same page with its style in it, the
    same faces and the same form fields, which the style sheet asks for. It makes tags only where told to.
    """
    import weasyprint

    folder.mkdir(parents=True)
    environ = {"CASEAPP_ENV": "test", "CASEAPP_DATA_DIR": str(folder)}
    settings.use(settings.load_settings(environ))
    numbers = HelpLines(countries()["GB"].lines, None, stale=False)
    html = render_print_html(library()[SHEET], PRACTICE, numbers, faith=False)
    plain = _with_its_style(html)
    file = folder / "sheet.html"
    file.write_text(plain)
    for what, options in (
        ("plain WeasyPrint (a form, no tags)", {}),
        ("WeasyPrint with the same tags", {"pdf_variant": "pdf/ua-1", "pdf_forms": True}),
    ):
        yield compare(
            f"PDF: by a hand apart (a form, tagged), against {what}",
            lambda options=options: weasyprint.HTML(  # type: ignore[misc]
                string=plain
            ).write_pdf(**options),
            lambda: pdf.render(html),
            rounds=rounds,
            each=4,
            at_most=0.8,
        )
    job = pdf.encode_job(html)
    one, two = (_pool(workers) for workers in (1, 2))
    yield compare(
        "PDF: a new hand and its first document, against a cold process",
        lambda: subprocess.run(  # noqa: S603 - our own interpreter and script
            [sys.executable, "-c", PLAIN, str(file), str(folder / "sheet.pdf")], check=True
        ),
        lambda: _first(one, job),
        rounds=min(rounds, 9),
        each=1,
        at_most=0.3,
    )
    yield compare(
        f"PDF: {BATCH} documents by two hands, against one (1 / 1.8)",
        lambda: _batch(one, job, 1),
        lambda: _batch(two, job, 2),
        rounds=min(rounds, 9),
        each=1,
        at_most=0.56,
    )
    one.close()
    yield _memory(two, job)
    two.close()


def _memory(sandbox_pool: SandboxPool, job: bytes) -> Ratio:
    """Compare what foreman and hands hold among the last tenth of many documents with the first tenth."""
    held = []
    for _ in range(MANY // BATCH):
        _batch(sandbox_pool, job, 2)
        held.append(_held(sandbox_pool))
    tenth = max(1, len(held) // 10)
    first, last = statistics.median(held[:tenth]), statistics.median(held[-tenth:])
    return Ratio(
        f"PDF: memory of foreman and hands, the last of {MANY} documents against the first",
        ratio=last / first,
        least=min(held) / first,
        most=max(held) / first,
        undisturbed=last / first,
        base_ms=first,
        ms=last,
        at_most=1.05,
        unit="MiB",
    )


def _with_its_style(html: str) -> str:
    """Write the style sheet into the page, its fonts as files, as a program without a house would."""
    style = pdf.style_text("handout.css")
    for face, path in pdf.get_font_files().items():
        style = style.replace(f"{pdf.FONT_SCHEME}{face}", path.as_uri())
    return html.replace("</head>", f"<style>{style}</style></head>", 1)


def _pool(workers: int) -> SandboxPool:
    return SandboxPool("caseapp.core.pdf", pdf.list_pool_arguments, workers=workers)


def _first(sandbox_pool: SandboxPool, job: bytes) -> bytes:
    """End the only hand of a workshop by a job that fails, and have the next one do its first."""
    try:
        sandbox_pool.run(b"no such style")
    except JobFailed:
        return sandbox_pool.run(job)
    raise AssertionError


def _batch(sandbox_pool: SandboxPool, job: bytes, requests: int) -> None:
    def ask() -> None:
        for _ in range(BATCH // requests):
            sandbox_pool.run(job)

    asking = [threading.Thread(target=ask) for _ in range(requests)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()


def _held(sandbox_pool: SandboxPool) -> float:
    """Give the memory that the foreman and its hands hold, what they share counted once, in MiB."""
    supervisor_process = sandbox_pool._supervisor.pid  # noqa: SLF001 - which process it is stands nowhere else
    workers = (
        Path(f"/proc/{supervisor_process}/task/{supervisor_process}/children").read_text().split()
    )
    total = 0
    for process in (supervisor_process, *workers):
        # A hand may have done its last job just now.
        with suppress(FileNotFoundError, ProcessLookupError):
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
            [line] = [line for line in rollup.splitlines() if line.startswith("Pss:")]
            total += int(line.split()[1])
    return total / 1024
