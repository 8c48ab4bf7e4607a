"""Read what coverage measured, print the ten weakest files, and fail under the floors.

Run after the tests: `python -m tests.support.coverage_floor`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

TOTAL_FLOOR = 95.0
FILE_FLOOR = 85.0
SHOWN = 10


def main() -> int:
    """Print totals and the weakest files in per cent, branches included; return 1 under a floor."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "coverage", "json", "--quiet", "-o", str(path)], check=True
        )
        found = json.loads(path.read_text(encoding="utf-8"))
    total = found["totals"]["percent_covered"]
    files = sorted(
        (one["summary"]["percent_covered"], name) for name, one in found["files"].items()
    )
    for percent, name in files[:SHOWN]:
        print(f"{percent:6.2f}  {name}")  # noqa: T201 - this is what the program is for
    print(f"{total:6.2f}  in total, over {len(files)} files")  # noqa: T201
    low = [name for percent, name in files if percent < FILE_FLOOR]
    if low:
        print(f"Under {FILE_FLOOR} %: {', '.join(low)}")  # noqa: T201
    if total < TOTAL_FLOOR:
        print(f"The total is under {TOTAL_FLOOR} %.")  # noqa: T201
    return int(bool(low) or total < TOTAL_FLOOR)


if __name__ == "__main__":
    sys.exit(main())
