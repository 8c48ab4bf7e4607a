from __future__ import annotations

import email
from dataclasses import replace
from email import policy

import pytest

from caseapp.core import mail, settings
from tests.support.loopback import MailServer


class Sink:
    """A mail server handler that accepts and keeps every mail."""

    def __init__(self):
        self.received = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's own name
        self.received.append(envelope)
        return "250 OK"


@pytest.fixture
def sink(session_app):
    found = Sink()
    server = MailServer(found)
    server.start()
    before = settings.active()
    settings.use(replace(before, smtp_url=server.url))
    yield found
    settings.use(before)
    server.stop()


@pytest.fixture
def stored(session_app, tmp_path):
    before = settings.active()
    settings.use(replace(before, data_dir=tmp_path))
    yield mail.mail_folder
    settings.use(before)


def test_send_without_a_server_stores_the_mail(stored):
    mail.send(mail.MailMessage("ines@example.test", "Your page", "Hello\nünïcode"))
    [file] = stored().iterdir()
    found = email.message_from_bytes(file.read_bytes(), policy=policy.default)
    assert found["To"] == "ines@example.test"
    assert found["Auto-Submitted"] == "auto-generated"
    assert found.get_content_type() == "text/plain"
    assert found.get_content() == "Hello\nünïcode\n"


def test_send_delivers_one_mail_to_one_recipient(sink):
    mail.send(mail.MailMessage("ines@example.test", "Your page", "Hello"))
    [envelope] = sink.received
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
def test_send_refuses_line_breaks_and_several_addresses(sink, stored, to, subject):
    with pytest.raises(ValueError, match=r"header|address"):
        mail.send(mail.MailMessage(to, subject, "Hello"))
    assert sink.received == []
    assert not stored().exists()


def test_body_cannot_add_headers_or_commands(sink):
    mail.send(
        mail.MailMessage("ines@example.test", "Your page", "A\r\n.\r\nBcc: all@example.test\r\n")
    )
    [envelope] = sink.received
    assert envelope.rcpt_tos == ["ines@example.test"]
    assert email.message_from_bytes(envelope.content)["Bcc"] is None
