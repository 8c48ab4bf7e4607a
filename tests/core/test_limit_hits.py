"""A document that reached its own limits three times in a day is left alone; all others are rendered."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from caseapp.cli.check_result import WARNING
from caseapp.cli.installation_checks import check_pdf
from caseapp.core import clock, pdf, pdf_cache, settings
from caseapp.core.errors import RenderFailed, RuleBroken
from caseapp.core.sandbox import limit_hits, pool
from caseapp.core.sandbox.protocol import Limits
from tests.core.sandboxes import server_pid
from tests.support.processes import children

pytestmark = pytest.mark.pdf

GOOD = '<html lang="en"><head><title>Good</title></head><body><p>Good.</p></body></html>'
SECRET = "Priya"


def cpu_seconds(pid):
    """Return the processor time of a process; 0 when it has ended, waited for or not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    if fields[0] == "Z":
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


RENDER_AGAIN = """
import os
from caseapp.core import pdf, settings
from caseapp.core.errors import RuleBroken
settings.use(settings.load_settings(os.environ))
try:
    pdf.render({document!r})
except RuleBroken as fault:
    print(fault.reasons[0].code)
"""


def failing_document(word):
    """Return a document with more pages than `assert_fails` lets it have."""
    pages = "<p style='break-after: page'>x" * 2
    return f'<html lang="en"><head><title>{word}</title></head><body>{word} {pages}'


BROKEN = '<html lang="en"><head><title>a</title></head><body><p style="font-size:1e7px">a x'
"""A document on which WeasyPrint fails at once."""


@pytest.fixture(autouse=True)
def _no_hits(session_app):
    for path in limit_hits.hit_dir().glob("*"):
        path.unlink()


def hits():
    """Return how often each document has reached a limit."""
    return [len(path.read_text().splitlines()) for path in limit_hits.hit_dir().glob("*")]


def assert_fails(document, times=1, cause="too_big"):
    for _ in range(times):
        with pytest.raises(RenderFailed) as failed:
            pdf.render(document, max_pages=1)
        assert failed.value.cause == cause


def assert_quarantined(document):
    with pytest.raises(RuleBroken) as found:
        pdf.render(document)
    (reason,) = found.value.reasons
    assert reason.code == "document_quarantined"
    assert "3 times" in reason.message
    return reason


def test_render_after_three_hits_is_refused_for_that_document_only(monkeypatch):
    assert_fails(failing_document("a"), 3)
    assert pdf.render(GOOD)
    monkeypatch.setattr(pdf._pool, "run", lambda _job: pytest.fail("rendered again"))  # noqa: SLF001
    assert_quarantined(failing_document("a"))
    with pytest.raises(RuleBroken):
        pdf_cache.get_or_render("a", lambda: pdf.render(failing_document("a")))


def test_hits_are_counted_per_document():
    assert_fails(failing_document("a"), 3)
    assert_quarantined(failing_document("a"))
    assert_fails(failing_document("b"))


@pytest.mark.process
def test_count_survives_a_restart(session_app):
    assert_fails(failing_document("a"), 3)
    environ = {"CASEAPP_ENV": "test", "CASEAPP_DATA_DIR": str(settings.active().data_dir)}
    result = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", RENDER_AGAIN.format(document=failing_document("a"))],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip().splitlines()[-1] == "document_quarantined"


def test_check_lists_quarantined_documents_and_deleting_the_count_releases_them():
    assert_fails(failing_document("a"), 3)
    [found] = [result for result in check_pdf() if result.level == WARNING]
    assert str(limit_hits.hit_dir()) in found.text
    assert len(limit_hits.list_quarantined()) == 1
    for path in limit_hits.hit_dir().glob("*"):
        path.unlink()
    assert limit_hits.list_quarantined() == []
    assert_fails(failing_document("a"))


def test_success_resets_the_count(monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(pdf, "_pool", FailingPool("memory"))
        for _ in range(2):
            with pytest.raises(RenderFailed):
                pdf.render(GOOD)
        assert hits() == [2]
    assert pdf.render(GOOD)
    assert hits() == []


def test_timeout_in_the_queue_is_not_counted(monkeypatch):
    pdf.start_pool()
    monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", 0)
    for _ in range(5):
        with pytest.raises(RenderFailed) as failed:
            pdf.render(GOOD)
        assert failed.value.cause == "late"
    monkeypatch.undo()
    assert pdf.render(GOOD)


def test_document_that_failed_before_is_rendered_by_one_process_at_a_time(monkeypatch):
    assert_fails(failing_document("a"))
    began, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(pdf, "_pool", SlowPool(began, go_on))
    first = threading.Thread(target=lambda: pdf.render(failing_document("a")))
    first.start()
    assert began.wait(60)
    with pytest.raises(RenderFailed, match="already being created") as second:
        pdf.render(failing_document("a"))
    go_on.set()
    first.join()
    assert second.value.cause == "late"


def test_count_and_log_contain_nothing_of_the_document():
    with capture_logs() as entries:
        assert_fails(failing_document(SECRET), 3)
        assert_quarantined(failing_document(SECRET))
    counts = [*limit_hits.hit_dir().glob("*")]
    assert hits() == [3]
    assert [entry["event"] for entry in entries] == ["pdf.failed"] * 3 + ["pdf.quarantined"]
    assert SECRET not in f"{entries} {counts} {[path.read_text() for path in counts]}"


@pytest.mark.parametrize(
    ("cause", "counted"),
    [
        ("time", 3),
        ("memory", 3),
        ("too_big", 3),
        ("ended", 0),
        ("late", 0),
        ("invalid_answer", 0),
        ("outside", 0),
        ("ZeroDivisionError", 0),
        ("other", 0),
    ],
)
def test_only_limits_of_the_document_itself_are_counted(monkeypatch, cause, counted):
    monkeypatch.setattr(pdf, "_pool", FailingPool(cause))
    assert_fails(GOOD, 3, cause)
    assert sum(hits()) == counted


def test_document_that_fails_at_once_is_tried_again():
    assert_fails(BROKEN, 4, "ZeroDivisionError")
    assert hits() == []


def test_hits_are_forgotten_after_a_day():
    now = clock.now()
    for hours in (0, 1, 2):
        with clock.at(now + timedelta(hours=hours)):
            assert_fails(failing_document("a"))
    with clock.at(now + timedelta(hours=23)):
        assert_quarantined(failing_document("a"))
    with clock.at(now + timedelta(hours=24, minutes=1)):
        assert limit_hits.list_quarantined() == []
        assert_fails(failing_document("a"))
        assert_quarantined(failing_document("a"))
        limit_hits.delete_expired()
        assert hits() == [4]
    with clock.at(now + timedelta(hours=49)):
        limit_hits.delete_expired()
        assert hits() == []


def test_counts_of_earlier_releases_are_ignored():
    assert_fails(failing_document("a"))
    [count] = limit_hits.hit_dir().glob("*")
    count.write_bytes(b"...")
    assert limit_hits.list_quarantined() == []
    assert_fails(failing_document("a"))
    limit_hits.delete_expired()
    assert hits() == []


@pytest.mark.process
def test_worker_killed_from_outside_is_not_blamed_on_the_document(monkeypatch):
    """Another process kills the worker in the middle of a document, as the kernel does when memory runs out."""
    slow = BROKEN.replace("font-size:1e7px", "").replace(
        "a x", "<table><tr><td colspan=100000>x</td></tr></table>"
    )
    pdf.start_pool()
    server = server_pid(pdf._pool)  # noqa: SLF001
    for _ in range(3):
        failed = []
        before = {pid: cpu_seconds(pid) for pid in children(server)}
        thread = threading.Thread(target=lambda: failed.append(get_cause(slow)))  # noqa: B023
        thread.start()
        while not (
            busy := [pid for pid in children(server) if cpu_seconds(pid) - before.get(pid, 0) > 0.5]
        ):
            assert thread.is_alive(), failed
            time.sleep(0.01)
        os.kill(busy[0], signal.SIGKILL)
        thread.join()
        assert failed == ["ended"]
    assert hits() == []


def get_cause(document):
    with pytest.raises(RenderFailed) as failed:
        pdf.render(document)
    return failed.value.cause


@pytest.mark.process
def test_time_that_a_document_takes_is_counted(monkeypatch):
    slow = f"{GOOD}<table><tr><td colspan=100000>x</td></tr></table>"
    impatient = Limits(seconds=pool.MAX_WAIT_SECONDS, cpu_seconds=1)
    with closing(
        pool.SandboxPool("caseapp.core.pdf", files=pdf.get_font_files, limits=impatient)
    ) as own:
        monkeypatch.setattr(pdf, "_pool", own)
        assert get_cause(slow) == "time"
    assert hits() == [1]


class FailingPool:
    """A pool in which every job fails."""

    def __init__(self, word):
        self.word = word

    def run(self, _job):
        raise pool.JobFailed(self.word)


class SlowPool:
    """A pool that waits for an event before it returns."""

    def __init__(self, began, go_on):
        self.began, self.go_on = began, go_on

    def run(self, _job):
        self.began.set()
        assert self.go_on.wait(60)
        return pdf.MAGIC
