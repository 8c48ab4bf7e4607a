"""Encrypted PDFs that hold files beside their pages."""

from __future__ import annotations

import io

import pikepdf
import pytest

from caseapp.core import pdf
from caseapp.core.pdf_archive import Archive, ArchivedFile

PAGE = (
    '<!doctype html><html lang="en-GB"><head><title>Of the chestnut</title></head>'
    "<body><h1>Chestnut</h1></body></html>"
)
PASSPHRASE = "7KQ2-M9XD-AAAA"


@pytest.mark.pdf
def test_archive_opens_with_its_passphrase_only_and_shows_nothing_before(session_app):
    file = ArchivedFile("record.json", "Of the heron", '{"words": "Chestnut, ☃."}')
    made = pdf.render(PAGE, archive=Archive(PASSPHRASE, (file,)))
    for words in (b"hestnut", b"record.json", b"heron"):
        assert words not in made
    with pytest.raises(pikepdf.PasswordError):
        pikepdf.open(io.BytesIO(made))
    with pytest.raises(pikepdf.PasswordError):
        pikepdf.open(io.BytesIO(made), password=PASSPHRASE.lower())
    with pikepdf.open(io.BytesIO(made), password=PASSPHRASE) as document:
        assert (document.encryption.R, document.encryption.bits) == (6, 256)
        assert document.Root.MarkInfo.Marked
        assert [*document.attachments] == [file.name]
        assert document.attachments[file.name].get_file().read_bytes() == file.content.encode()
