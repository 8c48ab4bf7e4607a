"""A document that cannot be made is tried three times and no more, whoever asks; all others are made."""

import subprocess
import sys
import threading

import pytest
from structlog.testing import capture_logs

from caseapp.cli.check import WARNING, check_pdf
from caseapp.core import pdf, settings
from caseapp.core.errors import RenderFailed, RuleBroken
from caseapp.core.sandbox import circuit_breaker, pool

pytestmark = pytest.mark.pdf

GOOD = '<html lang="en"><head><title>Good</title></head><body><p>Good.</p></body></html>'
SECRET = "Priya"
AGAIN = """
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


def poison(word):
    """Write a document that makes the engine stumble at once."""
    return f'<html lang="en"><head><title>{word}</title></head><body><p style="font-size:1e7px">{word} x'


@pytest.fixture(autouse=True)
def _nothing_counted(the_app):
    for path in circuit_breaker.failure_dir().glob("*"):
        path.unlink()


def fails(document, times=1):
    for _ in range(times):
        with pytest.raises(RenderFailed) as failed:
            pdf.render(document)
        assert failed.value.cause == "ZeroDivisionError"


def refused(document):
    with pytest.raises(RuleBroken) as found:
        pdf.render(document)
    (reason,) = found.value.reasons
    assert reason.code == "document_quarantined"
    assert "3 times" in reason.message
    return reason


def test_a_document_is_tried_three_times_and_others_are_made(monkeypatch):
    fails(poison("a"), 3)
    assert pdf.render(GOOD)
    monkeypatch.setattr(pdf._pool, "run", lambda _job: pytest.fail("it was tried again"))  # noqa: SLF001
    refused(poison("a"))
    with pytest.raises(RuleBroken):
        pdf.get_or_render("a", lambda: pdf.render(poison("a")))


def test_another_text_is_another_document():
    fails(poison("a"), 3)
    refused(poison("a"))
    fails(poison("b"))


@pytest.mark.process
def test_the_count_outlives_the_program(the_app):
    fails(poison("a"), 3)
    environ = {"CASEAPP_ENV": "test", "CASEAPP_DATA_DIR": str(settings.active().data_dir)}
    asked = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", AGAIN.format(document=poison("a"))],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.strip().splitlines()[-1] == "document_quarantined"


def test_the_operator_hears_of_it_and_may_let_it_be_tried_again():
    fails(poison("a"), 3)
    [found] = [result for result in check_pdf() if result.level == WARNING]
    assert str(circuit_breaker.failure_dir()) in found.text
    assert len(circuit_breaker.list_quarantined()) == 1
    for path in circuit_breaker.failure_dir().glob("*"):
        path.unlink()
    assert circuit_breaker.list_quarantined() == []
    fails(poison("a"))


def test_success_forgets_what_failed_before(monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(pdf, "_pool", Dead("ended"))
        for _ in range(2):
            with pytest.raises(RenderFailed):
                pdf.render(GOOD)
        assert [path.read_bytes() for path in circuit_breaker.failure_dir().glob("*")] == [b".."]
    assert pdf.render(GOOD)
    assert [*circuit_breaker.failure_dir().glob("*")] == []


def test_a_document_is_not_blamed_for_a_queue(monkeypatch):
    pdf.start_pool()
    monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", 0)
    for _ in range(5):
        with pytest.raises(RenderFailed) as failed:
            pdf.render(GOOD)
        assert failed.value.cause == "late"
    monkeypatch.undo()
    assert pdf.render(GOOD)


def test_what_failed_before_is_tried_by_one_at_a_time(monkeypatch):
    fails(poison("a"))
    began, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(pdf, "_pool", Slow(began, go_on))
    first = threading.Thread(target=lambda: pdf.render(poison("a")))
    first.start()
    assert began.wait(60)
    with pytest.raises(RenderFailed, match="right now") as second:
        pdf.render(poison("a"))
    go_on.set()
    first.join()
    assert second.value.cause == "late"


def test_neither_count_nor_log_tells_what_is_in_the_document():
    with capture_logs() as entries:
        fails(poison(SECRET), 3)
        refused(poison(SECRET))
    counts = [*circuit_breaker.failure_dir().glob("*")]
    assert [path.read_bytes() for path in counts] == [b"..."]
    assert [entry["event"] for entry in entries] == ["pdf.failed"] * 3 + ["pdf.quarantined"]
    assert SECRET not in f"{entries} {counts}"


class Dead:
    """Be a pool whose supervisor is gone for good."""

    def __init__(self, word):
        self.word = word

    def run(self, _job):
        raise pool.JobFailed(self.word)


class Slow:
    """Be a pool that takes its time."""

    def __init__(self, began, go_on):
        self.began, self.go_on = began, go_on

    def run(self, _job):
        self.began.set()
        assert self.go_on.wait(60)
        return b"%PDF"
