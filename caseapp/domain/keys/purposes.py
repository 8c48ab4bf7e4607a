"""What the keys of the ring are for."""

from __future__ import annotations

from typing import Literal, get_args

Purpose = Literal[
    "index",
    "drafts",
    "safety",
    "audit",
    "signatures",
    "credentials",
    "writing",
    "process_notes",
    "fingerprint_email",
    "fingerprint_phone",
    "fingerprint_name",
    "fingerprint_coach",
    "fingerprint_attempt",
]
"""`index`: blind indexes; `drafts`: unsent forms and intakes; `safety`: sealed safety data; `audit`: the chain of the
log; `signatures`: signed notes; `credentials`: what people sign in with; `writing`: the keys of what clients wrote for
nobody else, which need the PIN as well; `process_notes`: what staff write for themselves alone; the others: keyed
hashes for exact look-ups, a key for each kind."""
FingerprintKind = Literal["email", "phone", "name", "coach", "attempt"]

PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
FINGERPRINT_PURPOSES: dict[FingerprintKind, Purpose] = {
    "email": "fingerprint_email",
    "phone": "fingerprint_phone",
    "name": "fingerprint_name",
    "coach": "fingerprint_coach",
    "attempt": "fingerprint_attempt",
}
# Releases before the key ring derived these from the vault key, and stored hashes were made with them. The key of
# failed tries may change: they are forgotten after three days, and a device whose mark can't be checked is a new one.
ONCE_DERIVED: tuple[FingerprintKind, ...] = ("email", "phone", "name", "coach")
