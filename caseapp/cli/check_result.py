"""What a check finds: fine, worth a look, or a fault."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, FAULT = "ok", "look", "FAULT"


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check: ok, worth a look, or a fault that must be fixed."""

    level: str
    text: str
