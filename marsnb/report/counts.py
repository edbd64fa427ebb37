"""Table 1: images per class, the paper's beside those of the data set a profile uses."""

from functools import cache

import numpy as np
import pandas as pd
import yaml

from marsnb import paths, recipes
from marsnb.data import DATASETS
from marsnb.data.base import ClassificationData
from marsnb.data.pds import FRAME_LENGTH

COLUMNS = {"train_val": "Train/Val", "test": "Test"}


@cache
def open_data(profile: str, protocol: str = "by_frame") -> ClassificationData:
    """The classification data set of a profile.

    Raises:
        DataError: it is not on this machine.
    """
    return DATASETS[recipes.load_profile(profile).classification["dataset"]](protocol)


def class_counts(profile: str) -> pd.DataFrame:
    """Images per class: columns ``class``, ``train_val``, ``test``, ``data``."""
    data = open_data(profile)
    classes = len(data.class_names)
    seen = np.bincount(np.concatenate([data.train.labels, data.val.labels]), minlength=classes)
    return pd.DataFrame({
        "class": list(data.class_names), "train_val": seen,
        "test": np.bincount(data.test.labels, minlength=classes), "data": data.name,
    })  # fmt: skip


def paper_counts() -> tuple[str, dict[str, list[int]]]:
    """Title of Table 1 and the paper's ``[train and validation, test]`` images per class."""
    recipe = yaml.safe_load((paths.recipes() / "table01.yaml").read_text(encoding="utf-8"))
    return recipe["title"], recipe["rows"]


def table1(profile: str) -> pd.DataFrame:
    """Table 1 in long form; what is counted is images, so there is no spread and ``n`` is empty."""
    mine, (_, paper) = class_counts(profile), paper_counts()
    found = []
    for line in mine.to_dict("records"):
        for split, theirs in zip(COLUMNS, paper.get(str(line["class"]), [None, None]), strict=True):
            found.append({
                "row": line["class"], "column": COLUMNS[split], "metric": "images",
                "recipe": f"table01/{line['class']}", "paper_mean": theirs, "paper_std": None,
                "measured_mean": line[split], "measured_std": None, "n": None,
                "difference": None if theirs is None else line[split] - theirs,
            })  # fmt: skip
    return pd.DataFrame(found).astype({"paper_mean": "Int64", "measured_mean": "Int64", "difference": "Int64"})


def markdown1(profile: str) -> str:
    """Table 1 as Markdown: the paper's counts beside those of the profile's data set, and what differs."""
    data, (title, _) = open_data(profile), paper_counts()
    long = table1(profile)
    wide = long.pivot(index="row", columns="column", values=["paper_mean", "measured_mean", "difference"])
    tag = " **SYNTHETIC DATA: generated images, scaled down from the paper's counts.**" if data.synthetic else ""
    differ = int((wide["difference"] != 0).to_numpy().sum())
    verdict = (
        f"{differ} of {wide['difference'].size} counts differ from the paper's." if differ else "All counts agree."
    )
    text = [f"**Table 1. {title}.**{tag} {verdict} Profile `{profile}`. {data.note}", ""]
    text += ["| Class | Paper, Train/Val | Counted | Paper, Test | Counted |", "|---|---:|---:|---:|---:|"]
    shown = [wide[(kind, split)] for split in COLUMNS.values() for kind in ("paper_mean", "measured_mean")]
    for name in data.class_names:
        text.append(f"| {name} | " + " | ".join(f"{column[name]:,}" for column in shown) + " |")
    text.append("| **all** | " + " | ".join(f"**{column.sum():,}**" for column in shown) + " |")
    return "\n".join(text) + "\n"


def twins(profile: str) -> pd.DataFrame:
    """What splitting image by image leaks: validation images whose frame is in train as well, per split protocol.

    A frame is one exposure; Curiosity sends many of them twice, as the full image and as a thumbnail.

    Returns:
        Columns ``protocol``, ``val`` (images), ``with_twin`` (images), ``share`` (%).
    """
    found = []
    for protocol in ("paper", "by_frame", "chronological"):
        data = open_data(profile, protocol)
        train = {data.source.names[i][:FRAME_LENGTH] for i in data.train.indices}
        leaked = sum(data.source.names[i][:FRAME_LENGTH] in train for i in data.val.indices)
        share = 100 * leaked / max(len(data.val), 1)
        found.append({"protocol": protocol, "val": len(data.val), "with_twin": leaked, "share": round(share, 1)})
    return pd.DataFrame(found)


def frames(profile: str) -> tuple[int, int]:
    """Number of frames among the labelled images, and of those that occur more than once."""
    times = pd.Series([name[:FRAME_LENGTH] for name in open_data(profile).source.names]).value_counts()
    return len(times), int((times > 1).sum())
