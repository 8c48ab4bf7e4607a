"""Do the same thing many times at once, each time in a thread with a context of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from caseapp.core.clock import at, now


def run_concurrently(app, times, call):
    """Run `call(number)` in `times` threads that start at the same moment; give results and errors in order."""
    gate, moment = Barrier(times), now()

    def one(number):
        with app.app_context(), at(moment):
            gate.wait(timeout=60)
            try:
                return call(number)
            except Exception as fault:  # noqa: BLE001 - the caller looks at what came out
                return fault

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))
