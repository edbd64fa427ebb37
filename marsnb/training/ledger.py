"""The ledger: every measured number, tidy, one line per run, split and metric. Only training writes it."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile

import pandas as pd

from marsnb import paths
from marsnb.files import clear_left_behind, locked, read_table, write_whole

COLUMNS = [
    "run_id", "recipe", "task", "method", "backbone", "start", "data", "fingerprint", "labelled", "split", "seed",
    "metric", "value", "n", "epochs", "steps", "device", "seconds", "images_per_s", "peak_memory", "versions", "commit",
    "date",
]  # fmt: skip
CURVE_COLUMNS = ["run_id", "epoch", "metric", "value"]
AGAIN = r"-a\d+$"  # end of the id of a run that was measured once more


def ledger_path(profile: str) -> Path:
    """``figures/<profile>/runs.csv``."""
    return paths.figures(profile) / "runs.csv"


def curves_path(profile: str) -> Path:
    """``figures/<profile>/curves.csv``: per epoch, of the runs in the ledger."""
    return paths.figures(profile) / "curves.csv"


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    names = ("run_id", "recipe", "fingerprint", "labelled", "commit", "metric", "split")
    text = {c: str for c in names if c in columns}
    if not path.exists():
        return pd.DataFrame(columns=columns)
    return read_table(path, columns, dtype=text)


def read(profile: str) -> pd.DataFrame:
    """All lines of a profile's ledger; empty, with its columns, where nothing was measured.

    Columns: ``run_id, recipe, task, method, backbone, start, data, fingerprint, labelled, split, seed, metric, value,
    n, epochs, steps, device, seconds, images_per_s, peak_memory (bytes), versions, commit, date``. ``fingerprint`` is
    of all images that the run saw, ``labelled`` of the labelled ones and their splits alone: rows that share it can be
    compared. Accuracies are fractions.
    """
    return _read(ledger_path(profile), COLUMNS)


def read_curves(profile: str) -> pd.DataFrame:
    """Per-epoch values of the runs in the ledger: ``run_id, epoch, metric, value``; epochs count from 1."""
    return _read(curves_path(profile), CURVE_COLUMNS)


def check_writable(profile: str) -> None:
    """Raise now what writing to the ledger would raise after hours of training."""
    paths.figures(profile).mkdir(parents=True, exist_ok=True)
    TemporaryFile(dir=paths.figures(profile)).close()


def append(profile: str, rows: Iterable[dict], curves: Iterable[dict]) -> None:
    """Add one run's lines to the ledger and its curves beside it; two processes may append at once.

    A run that is there already is replaced, so that a run measured twice has one set of lines.
    """
    new, new_curves = pd.DataFrame(rows, columns=COLUMNS), pd.DataFrame(curves, columns=CURVE_COLUMNS)
    with locked(paths.runs() / f"ledger-{profile}.lock"):
        # whoever wrote them held the lock that we hold
        clear_left_behind(paths.figures(profile), (".runs.csv.*.partial", ".curves.csv.*.partial"), age=0)
        # curves first: the ledger's line is what makes a run count as measured
        for path, added, columns in (
            (curves_path(profile), new_curves, CURVE_COLUMNS),
            (ledger_path(profile), new, COLUMNS),
        ):
            old = _read(path, columns)
            old = old[~old["run_id"].isin(set(new["run_id"]))]
            table = pd.concat([old, added], ignore_index=True) if len(old) else added
            write_whole(path, table.to_csv(index=False, float_format="%.8g", lineterminator="\n"))


def measured(profile: str) -> set[str]:
    """The run ids in the ledger."""
    return set(read(profile)["run_id"])
