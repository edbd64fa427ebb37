"""The only place that knows a folder.

``MARSNB_DATA`` names the folder of data sets, ``MARSNB_RUNS`` the one of checkpoints, predictions and caches,
``MARSNB_FIGURES`` the one of everything generated and kept, ``MARSNB_BUILD`` the one of executed notebooks and the
site. All are read at each call, so that a test or a notebook may set them after the import.
"""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent
FOLDERS = ("MARSNB_DATA", "MARSNB_RUNS", "MARSNB_FIGURES", "MARSNB_BUILD")


def _folder(variable: str, default: Path) -> Path:
    value = os.environ.get(variable, "")
    return Path(value).expanduser().resolve() if value else default


def data() -> Path:
    """Folder of the data sets: ``msl-images/``, ``pds-browse/``, ``ai4mars-dataset-merged-0.1/``."""
    return _folder("MARSNB_DATA", ROOT / "data")


def runs() -> Path:
    """Folder of what a run leaves behind that is not committed: ``<run_id>/`` and ``cache/``."""
    return _folder("MARSNB_RUNS", ROOT / "runs")


def cache() -> Path:
    """Folder of decoded images."""
    return runs() / "cache"


def figures(profile: str) -> Path:
    """Folder of a profile's ledger, tables and figures."""
    return _folder("MARSNB_FIGURES", ROOT / "figures") / profile


def images(profile: str) -> Path:
    """Folder of the figures that show images of a data set; git ignores it."""
    return figures(profile) / "images"


def build(profile: str) -> Path:
    """Folder of executed notebooks; ``build("site")`` is the site."""
    return _folder("MARSNB_BUILD", ROOT / "build") / profile


def notebooks() -> Path:
    """Folder of the numbered notebooks."""
    return ROOT / "notebooks"


def docs() -> Path:
    """Folder of the site's own pages."""
    return ROOT / "docs"


def recipes() -> Path:
    """Folder of the recipes, one YAML file a table."""
    return PACKAGE / "recipes"


def splits() -> Path:
    """Folder of the committed split lists."""
    return PACKAGE / "data" / "splits"
