"""A document that fails three times is no longer tried; all others are."""

import subprocess
import sys
import threading

import pytest
from structlog.testing import capture_logs

from caseapp.cli.check import WARNING, check_pdf
from caseapp.core import pdf, pdf_cache, settings
from caseapp.core.errors import RenderFailed, RuleBroken
from caseapp.core.sandbox import circuit_breaker, pool

pytestmark = pytest.mark.pdf

GOOD = '<html lang="en"><head><title>Good</title></head><body><p>Good.</p></body></html>'
SECRET = "Priya"
RENDER_AGAIN = """
import os
from caseapp.core import pdf, settings
from caseapp.core.errors import RuleBroken
settings.use(settings.load_settings(os.environ))
pdf.start_pool()
try:
    pdf.render({document!r})
except RuleBroken as fault:
    print(fault.reasons[0].code)
"""


def failing_document(word):
    """Return a document on which WeasyPrint fails at once."""
    return f'<html lang="en"><head><title>{word}</title></head><body><p style="font-size:1e7px">{word} x'


@pytest.fixture(autouse=True)
def _no_failures(session_app):
    for path in circuit_breaker.failure_dir().glob("*"):
        path.unlink()


def assert_fails(document, times=1):
    for _ in range(times):
        with pytest.raises(RenderFailed) as failed:
            pdf.render(document)
        assert failed.value.cause == "ZeroDivisionError"


def assert_quarantined(document):
    with pytest.raises(RuleBroken) as found:
        pdf.render(document)
    (reason,) = found.value.reasons
    assert reason.code == "document_quarantined"
    assert "3 times" in reason.message
    return reason


def test_render_after_three_failures_is_refused_for_that_document_only(monkeypatch):
    assert_fails(failing_document("a"), 3)
    assert pdf.render(GOOD)
    monkeypatch.setattr(pdf._pool, "run", lambda _job: pytest.fail("rendered again"))  # noqa: SLF001
    assert_quarantined(failing_document("a"))
    with pytest.raises(RuleBroken):
        pdf_cache.get_or_render("a", lambda: pdf.render(failing_document("a")))


def test_failures_are_counted_per_document():
    assert_fails(failing_document("a"), 3)
    assert_quarantined(failing_document("a"))
    assert_fails(failing_document("b"))


@pytest.mark.process
def test_failure_count_survives_a_restart(session_app):
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
    assert str(circuit_breaker.failure_dir()) in found.text
    assert len(circuit_breaker.list_quarantined()) == 1
    for path in circuit_breaker.failure_dir().glob("*"):
        path.unlink()
    assert circuit_breaker.list_quarantined() == []
    assert_fails(failing_document("a"))


def test_success_resets_the_failure_count(monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(pdf, "_pool", FailingPool("ended"))
        for _ in range(2):
            with pytest.raises(RenderFailed):
                pdf.render(GOOD)
        assert [path.read_bytes() for path in circuit_breaker.failure_dir().glob("*")] == [b".."]
    assert pdf.render(GOOD)
    assert [*circuit_breaker.failure_dir().glob("*")] == []


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
    counts = [*circuit_breaker.failure_dir().glob("*")]
    assert [path.read_bytes() for path in counts] == [b"..."]
    assert [entry["event"] for entry in entries] == ["pdf.failed"] * 3 + ["pdf.quarantined"]
    assert SECRET not in f"{entries} {counts}"


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
        return b"%PDF"
