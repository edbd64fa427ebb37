"""Table 2: labelled area per class, the paper's beside that of the pairs a profile uses, compared as shares."""

import re
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from marsnb import paths
from marsnb.data import SEGMENTATION_DATASETS
from marsnb.data.segmentation import SegmentationData, pixel_counts
from marsnb.errors import DataError
from marsnb.report.separation import draws, interval

COLUMNS = {"train_val": "Train/Val", "test": "Test"}
ALL, BARE = "All", "no label"
STOP = re.compile(r"EDR_[FD](\d{7})")
"""Site and drive in a Navcam name: equal where the rover stood still."""
DATASETS = {"smoke": "synthetic_terrain"}
"""Segmentation data set of a profile; ``ai4mars`` where nothing is said."""


@cache
def open_terrain(profile: str, protocol: str = "sol") -> SegmentationData:
    """The segmentation data set of a profile.

    Raises:
        DataError: it is not on this machine, or nothing stands for it at that profile.
    """
    name = DATASETS.get(profile, "ai4mars")
    if name not in SEGMENTATION_DATASETS:
        raise DataError(
            f"AI4Mars is not looked at in profile {profile}, which uses generated images alone: run profile lite"
        )
    return SEGMENTATION_DATASETS[name](protocol)


def missing(profile: str) -> str:
    """Why there is no AI4Mars to look at, as a sentence for a notebook; empty where it is there."""
    try:
        open_terrain(profile)
    except DataError as error:
        return f"> **Not shown.** {error}. The numbers of the lite profile are kept in `figures/lite/table02.md`."
    return ""


def recipe() -> dict[str, Any]:
    """What the paper says: ``title``, ``note``, ``unlabelled``, ``edge``, ``pairs``, ``experts``, ``rows``."""
    return yaml.safe_load((paths.recipes() / "table02.yaml").read_text(encoding="utf-8"))


def paper_areas() -> tuple[str, dict[str, list[float]]]:
    """Title of Table 2 and the paper's ``[train and validation, test]`` pixels per class."""
    head = recipe()
    return head["title"], head["rows"]


def shares(areas: NDArray[Any]) -> NDArray[np.float64]:
    """Areas as percent of their sum."""
    total = areas.sum()
    return 100 * areas / total if total else np.zeros(len(areas))


@cache
def pixel_areas(profile: str) -> NDArray[np.int64]:
    """Pixels of each class in each mask of a profile's data set, ``(N, C + 1)``; the last are those without a label."""
    data = open_terrain(profile)
    return pixel_counts(data.source, len(data.class_names))


def class_areas(profile: str) -> pd.DataFrame:
    """Labelled pixels per class: columns ``class``, ``train_val``, ``test``, ``data``."""
    data, counts = open_terrain(profile), pixel_areas(profile)[:, :-1]
    seen = np.concatenate([data.train, data.val])
    return pd.DataFrame({
        "class": list(data.class_names), "train_val": counts[seen].sum(axis=0), "test": counts[data.test].sum(axis=0),
        "data": data.name,
    })  # fmt: skip


def stop_of(name: str) -> str:
    """Where the rover stood when it took an image; the name itself where it does not say."""
    match = STOP.search(name)
    return match[1] if match else name


def unlabelled(profile: str) -> tuple[float, float, float]:
    """Share of the pixels without a label, in percent, with the middle 95 % of 1,000 resamples of the rover's stops.

    Images of one stop show much the same ground: drawn one by one they would seem surer than they are.
    """
    data, counts = open_terrain(profile), pixel_areas(profile)
    stops, at = np.unique([stop_of(name) for name in data.names], return_inverse=True)
    bare, whole = (np.bincount(at, weights=pixels) for pixels in (counts[:, -1], counts.sum(axis=1)))
    times = draws(len(stops))  # (1 + R, stops)
    return interval(100 * (times @ bare) / (times @ whole))


def table2(profile: str) -> pd.DataFrame:
    """Table 2 in long form: the areas in pixels, and their shares in percent, which alone can be compared.

    ``n`` is empty as in Table 1: nothing is trained. The paper's shares are computed from its areas. The last lines are
    not of the table but of section 5.2: the share of all pixels that has no label, of ``n`` pairs, and its interval.
    """
    mine, (_, paper) = class_areas(profile), paper_areas()
    theirs = pd.DataFrame(paper, index=list(COLUMNS)).T.reindex(mine["class"])
    found = []
    for split, column in COLUMNS.items():
        both = {"area": (theirs[split].to_numpy(), mine[split].to_numpy())}
        both["share"] = (shares(both["area"][0]), shares(both["area"][1]))
        for metric, (paper_values, measured) in both.items():
            for name, p, m in zip(mine["class"], paper_values, measured, strict=True):
                found.append({
                    "row": name, "column": column, "metric": metric, "recipe": f"table02/{name}", "paper_mean": p,
                    "paper_std": None, "measured_mean": m, "measured_std": None, "n": None,
                    "difference": m - p if metric == "share" else None,  # the areas are of another number of pixels
                })  # fmt: skip
    says, n = recipe()["unlabelled"], len(open_terrain(profile).names)
    for end, value in zip(("", "_low", "_high"), unlabelled(profile), strict=True):
        found.append({
            "row": BARE, "column": ALL, "metric": f"unlabelled{end}", "recipe": "table02/unlabelled",
            "paper_mean": None if end else says, "paper_std": None, "measured_mean": value, "measured_std": None,
            "n": n, "difference": None if end else value - says,
        })  # fmt: skip
    return pd.DataFrame(found).astype({"n": "Int64"})


def markdown2(profile: str) -> str:
    """Table 2 as Markdown: the paper's areas, their shares, the shares counted here and the difference in points."""
    data, head = open_terrain(profile), recipe()
    long = table2(profile)
    numbers = long[["paper_mean", "measured_mean", "difference"]].astype(float).to_dict("records")
    value = dict(zip(zip(long["row"], long["metric"], long["column"], strict=True), numbers, strict=True))
    far = long.loc[long["metric"] == "share", "difference"].abs().max()
    bare, low, high = (value[BARE, f"unlabelled{end}", ALL]["measured_mean"] for end in ("", "_low", "_high"))
    tag = " **SYNTHETIC DATA: generated images, not comparable with the paper.**" if data.synthetic else ""
    text = [
        f"**Table 2. {head['title']}.**{tag} Areas in pixels as printed; shares in percent of the labelled area of the "
        f"split. The largest difference is {far:.2f} points. Profile `{profile}`. {data.note}",
        "",
        "| Class | " + " | ".join(f"Paper, {c} | Share | Counted | Difference" for c in COLUMNS.values()) + " |",
        "|---|" + "---:|" * 8,
    ]
    for name in data.class_names:
        cells = [name]
        for column in COLUMNS.values():
            area, share = value[name, "area", column], value[name, "share", column]
            cells.append(f"{area['paper_mean']:.2e}".replace("e+0", "e"))
            cells += [f"{share['paper_mean']:.2f}", f"{share['measured_mean']:.2f}", f"{share['difference']:+.2f}"]
        text.append(f"| {' | '.join(cells)} |")
    text.append(
        f"\nOf all pixels, {bare:.2f} % have no label (paper: {head['unlabelled']}); 95 % of the resamples of the "
        f"rover's stops lie between {low:.2f} and {high:.2f}."
    )
    return "\n".join(text) + "\n"


def what_we_see(profile: str) -> str:
    """What the areas say, and where the paper does not fit itself, as Markdown."""
    data, counts, head = open_terrain(profile), pixel_areas(profile), recipe()
    mine, rows = class_areas(profile).set_index("class"), head["rows"]
    before, after = (dict(zip(mine.index, shares(mine[split].to_numpy()), strict=True)) for split in COLUMNS)
    labelled = sum(map(sum, rows.values()))
    images = labelled / (1 - head["unlabelled"] / 100) / head["edge"] ** 2
    empty = int((counts[:, :-1].sum(axis=1) == 0).sum())
    seen = len(data.train) + len(data.val)
    verdict = " (generated so)" if data.synthetic else ": both of its descriptions are one split"
    return (
        f"- **How many images the paper used.** Its areas add up to {labelled / 1e9:.3f} billion labelled pixels. With "
        f"{head['unlabelled']} % unlabelled, that is {images:,.0f} images of {head['edge']} x {head['edge']} pixels: "
        f"within the rounding of the areas, the {head['pairs']:,} labelled Navcam images of Curiosity, experts' labels "
        'included. The "35K images" of section 3 are all of AI4Mars, other cameras and rovers included, and cannot be '
        "what Table 2 counts.\n"
        f"- **The split.** {100 * seen / len(data.names):.1f} % of the {len(data.names):,} pairs here are of sols up "
        f'to 1486, where the paper says "the first 60 %"{verdict}.\n'
        f"- **The gap.** *soil* goes from {before['soil']:.1f} % of train and validation to {after['soil']:.1f} % of "
        f"test, *sand* from {before['sand']:.1f} % to {after['sand']:.1f} %, *bedrock* from {before['bedrock']:.1f} % "
        f"to {after['bedrock']:.1f} %. *big rock* is {before['big rock']:.2f} % and {after['big rock']:.2f} %.\n"
        f"- **Unlabelled** are {100 * counts[:, -1].sum() / counts.sum():.1f} % of the pixels (paper: "
        f"{head['unlabelled']} %); {empty} of {len(data.names):,} masks {'has' if empty == 1 else 'have'} no label at "
        "all, and stay."
    )
