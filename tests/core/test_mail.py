from __future__ import annotations

import email
from dataclasses import replace
from email import policy

import pytest

from caseapp.core import mail, settings
from tests.support.loopback import MailServer


class Sink:
    """Take every mail in and keep it."""

    def __init__(self):
        self.taken = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's own name
        self.taken.append(envelope)
        return "250 OK"


@pytest.fixture
def sink(the_app):
    found = Sink()
    server = MailServer(found)
    server.start()
    before = settings.active()
    settings.use(replace(before, smtp_url=server.url))
    yield found
    settings.use(before)
    server.stop()


@pytest.fixture
def kept(the_app, tmp_path):
    before = settings.active()
    settings.use(replace(before, data_dir=tmp_path))
    yield mail.mail_folder
    settings.use(before)


def test_without_a_server_mail_is_kept(kept):
    mail.send(mail.MailMessage("ines@example.test", "Your page", "Hello\nünïcode"))
    [file] = kept().iterdir()
    found = email.message_from_bytes(file.read_bytes(), policy=policy.default)
    assert found["To"] == "ines@example.test"
    assert found["Auto-Submitted"] == "auto-generated"
    assert found.get_content_type() == "text/plain"
    assert found.get_content() == "Hello\nünïcode\n"


def test_a_server_gets_one_mail_for_one_recipient(sink):
    mail.send(mail.MailMessage("ines@example.test", "Your page", "Hello"))
    [envelope] = sink.taken
    assert envelope.rcpt_tos == ["ines@example.test"]
    assert b"Bcc" not in envelope.content


@pytest.mark.parametrize(
    ("to", "subject"),
    [
        ("ines@example.test\r\nBcc: all@example.test", "Your page"),
        ("ines@example.test\nBcc: all@example.test", "Your page"),
        ("ines@example.test", "Your page\r\nBcc: all@example.test"),
        ("ines@example.test", "Your page\n\nA body of another's"),
        ("ines@example.test", "Your page\rX: y"),
        ("ines@example.test, all@example.test", "Your page"),
        ("ines,all@example.test", "Your page"),
        ("Ines <ines@example.test>", "Your page"),
        ("ines@example.test>", "Your page"),
        ("", "Your page"),
        ("nobody", "Your page"),
    ],
)
def test_nothing_slips_into_a_header(sink, kept, to, subject):
    with pytest.raises(ValueError, match=r"header|address"):
        mail.send(mail.MailMessage(to, subject, "Hello"))
    assert sink.taken == []
    assert not kept().exists()


def test_a_body_stays_a_body(sink):
    mail.send(
        mail.MailMessage("ines@example.test", "Your page", "A\r\n.\r\nBcc: all@example.test\r\n")
    )
    [envelope] = sink.taken
    assert envelope.rcpt_tos == ["ines@example.test"]
    assert email.message_from_bytes(envelope.content)["Bcc"] is None
