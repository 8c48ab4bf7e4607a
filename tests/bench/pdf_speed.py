"""PDF rendering in the sandbox compared with plain WeasyPrint, and its memory use."""

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
from caseapp.domain.practice.queries import HelpLines, Letterhead
from tests.bench.ratios import Ratio, compare
from tests.core.sandboxes import server_pid

if TYPE_CHECKING:
    from collections.abc import Iterator

HANDOUT = ("better-nights", "en")
PRACTICE = Letterhead("Bench", "Coaching", "0131 496 0142")
BATCH_SIZE = 6
DOCUMENT_COUNT = int(os.environ.get("PDFS", "1000"))
PLAIN_SCRIPT = (
    "import sys, weasyprint; weasyprint.HTML(filename=sys.argv[1]).write_pdf(sys.argv[2])"
)


def measure_pdfs(folder: Path, rounds: int) -> Iterator[Ratio]:
    """Compare a two-page handout rendered in the sandbox with WeasyPrint as its guide shows it.

    The other side shares nothing: the same page with its style sheet inside, the same fonts and the same form fields.
    It writes tags only with the options for it.
    """
    import weasyprint

    folder.mkdir(parents=True)
    environ = {"CASEAPP_ENV": "test", "CASEAPP_DATA_DIR": str(folder)}
    settings.use(settings.load_settings(environ))
    help_lines = HelpLines(countries()["GB"].lines, None, stale=False)
    html = render_print_html(library()[HANDOUT], PRACTICE, help_lines, faith=False)
    plain = _inline_style(html)
    file = folder / "handout.html"
    file.write_text(plain)
    for what, options in (
        ("plain WeasyPrint (form, no tags)", {}),
        ("WeasyPrint with the same tags", {"pdf_variant": "pdf/ua-1", "pdf_forms": True}),
    ):
        yield compare(
            f"PDF: sandbox (form, tags), against {what}",
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
        "PDF: first document of a new worker, against a new process",
        lambda: subprocess.run(  # noqa: S603 - our own interpreter and script
            [sys.executable, "-c", PLAIN_SCRIPT, str(file), str(folder / "handout.pdf")], check=True
        ),
        lambda: _run_on_new_worker(one, job),
        rounds=min(rounds, 9),
        each=1,
        at_most=0.3,
    )
    yield compare(
        f"PDF: {BATCH_SIZE} documents by two workers, against one (1 / 1.8)",
        lambda: _run_batch(one, job, 1),
        lambda: _run_batch(two, job, 2),
        rounds=min(rounds, 9),
        each=1,
        at_most=0.56,
    )
    one.close()
    yield _memory(two, job)
    two.close()


def _memory(sandbox_pool: SandboxPool, job: bytes) -> Ratio:
    """Compare the memory of the sandbox during the last tenth of many documents with the first tenth."""
    sizes = []
    for _ in range(DOCUMENT_COUNT // BATCH_SIZE):
        _run_batch(sandbox_pool, job, 2)
        sizes.append(_measure_memory(sandbox_pool))
    tenth = max(1, len(sizes) // 10)
    first, last = statistics.median(sizes[:tenth]), statistics.median(sizes[-tenth:])
    return Ratio(
        f"PDF: memory of the sandbox, last of {DOCUMENT_COUNT} documents against first",
        ratio=last / first,
        least=min(sizes) / first,
        most=max(sizes) / first,
        undisturbed=last / first,
        base_ms=first,
        ms=last,
        at_most=1.05,
        unit="MiB",
    )


def _inline_style(html: str) -> str:
    """Insert the style sheet into the page, with its fonts as file addresses."""
    style = pdf.style_text("handout.css")
    for face, path in pdf.get_font_files().items():
        style = style.replace(f"{pdf.FONT_SCHEME}{face}", path.as_uri())
    return html.replace("</head>", f"<style>{style}</style></head>", 1)


def _pool(workers: int) -> SandboxPool:
    return SandboxPool("caseapp.core.pdf", files=pdf.get_font_files, workers=workers)


def _run_on_new_worker(sandbox_pool: SandboxPool, job: bytes) -> bytes:
    """End the only worker with a failing job and run a job on the next one."""
    try:
        sandbox_pool.run(b"no such style")
    except JobFailed:
        return sandbox_pool.run(job)
    raise AssertionError


def _run_batch(sandbox_pool: SandboxPool, job: bytes, requests: int) -> None:
    def run_jobs() -> None:
        for _ in range(BATCH_SIZE // requests):
            sandbox_pool.run(job)

    threads = [threading.Thread(target=run_jobs) for _ in range(requests)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _measure_memory(sandbox_pool: SandboxPool) -> float:
    """Return the memory of the server and its workers in MiB, with shared memory counted once."""
    server = server_pid(sandbox_pool)
    workers = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    total = 0
    for process in (server, *workers):
        # A worker may have just exited.
        with suppress(FileNotFoundError, ProcessLookupError):
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
            [line] = [line for line in rollup.splitlines() if line.startswith("Pss:")]
            total += int(line.split()[1])
    return total / 1024
