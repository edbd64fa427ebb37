"""A measurement in a process of its own, so that it neither grows the caller nor takes it along."""

import contextlib
import json
import os
import subprocess
import sys
from typing import Any

from marsnb.errors import TrainingError


def run_apart(module: str, *arguments: object, what: str, fix: str) -> Any:
    """What ``python -m MODULE ARGUMENTS`` prints as JSON in its last line.

    Args:
        module: dotted name.
        arguments: of its command line.
        what: is measured, for the error.
        fix: what to do where memory runs out, for the error.

    Raises:
        TrainingError: the process ended early, most likely for want of memory, or printed nothing.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    quiet = {**os.environ, "KINETO_LOG_LEVEL": "99"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    found: Any = None
    with contextlib.suppress(ValueError, IndexError):
        found = json.loads(done.stdout.splitlines()[-1])
    if done.returncode or not found:
        last = (done.stderr.splitlines() or ["no message"])[-1]
        raise TrainingError(f"measuring {what} ended early ({last}): {fix}")
    return found
