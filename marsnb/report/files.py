"""Tables of numbers as files."""

from pathlib import Path

import pandas as pd

from marsnb.files import write_whole


def write_csv(path: Path, frame: pd.DataFrame) -> Path:
    """Write a table of numbers as CSV, floats with 6 digits after the point, missing values empty."""
    return write_whole(path, frame.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
