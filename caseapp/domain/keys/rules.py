"""The rule of the start: the listed vault keys have to open everything that is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def list_start_blockers(
    client_keys: Mapping[str, int], ring_keys: Mapping[str, int], listed: Collection[str]
) -> list[Reason]:
    """List why an application may not start with the listed vault keys.

    `client_keys` and `ring_keys` are numbers of stored keys by the id of the vault key that wraps them.
    """
    return [
        Reason(
            "wrong_vault_key",
            f"The vault key {unknown} is not listed. It wraps {client_keys.get(unknown, 0)} client keys and "
            f"{ring_keys.get(unknown, 0)} keys of the installation in this database, and nothing else opens them. "
            f"Listed: {', '.join(listed)}.",
            "Add the file of that key to CASEAPP_VAULT_KEY_FILE, then start again.",
        )
        for unknown in sorted((client_keys.keys() | ring_keys.keys()) - {*listed})
    ]
