"""Archives: encrypted PDFs that hold files beside their pages, and that any viewer opens with a passphrase.

Only the workers that lay out documents make them (`core.pdf`), from a document of their own. The encryption is AES with
256 bits, as in PDF 2.0 (ISO 32000-2, 7.6): it covers pages, files and their names.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class ArchivedFile:
    """A JSON file in an archive; viewers show its name and description beside the pages."""

    name: str
    description: str
    content: str = field(repr=False)


@dataclass(frozen=True)
class Archive:
    """What makes an archive of a document: the passphrase that opens it, and the files that go along."""

    passphrase: str = field(repr=False)
    files: tuple[ArchivedFile, ...]

    def encode(self) -> bytes:
        """Return what a worker needs, as JSON."""
        return json.dumps(asdict(self)).encode()


def load() -> None:
    """Load pikepdf, before a worker may not be able to."""
    import pikepdf  # noqa: F401 - only workers need it


def encrypt_in_worker(document: bytes, archive: bytes) -> bytes:
    """Add the files of an encoded archive to a PDF and encrypt it; runs in a worker.

    Whoever knows the passphrase may print, copy and change it.
    """
    import pikepdf  # Only workers need it.

    wanted, made = json.loads(archive), io.BytesIO()
    with pikepdf.open(io.BytesIO(document)) as pdf:
        for file in wanted["files"]:
            pdf.attachments[file["name"]] = pikepdf.AttachedFileSpec(
                pdf,
                file["content"].encode(),
                filename=file["name"],
                description=file["description"],
                mime_type="application/json",
                creation_date="",
                mod_date="",
            )
        passphrase = wanted["passphrase"]
        pdf.save(made, encryption=pikepdf.Encryption(owner=passphrase, user=passphrase, R=6))
    return made.getvalue()
