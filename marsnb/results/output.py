"""Tables as files and on a page: a caption of facts, two decimals, "not run" where nothing was."""

from pathlib import Path

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from marsnb import paths, recipes
from marsnb.files import write_whole
from marsnb.results.tidy import summary, table
from marsnb.training.measurement import COMMITTED

NAMES = {"top1": "Top-1", "acc": "ACC", "macc": "MACC", "facc": "FACC", "miou": "mIoU"}
MEANING = {
    "acc": "share of labelled pixels that are right", "macc": "mean of that share over classes",
    "facc": "IoU weighted by the classes' pixels", "miou": "mean IoU over classes",
}  # fmt: skip
"""What the metrics of segmentation are."""
NOT_RUN = "not run"
SYNTHETIC = "SYNTHETIC DATA: generated images, not comparable with the paper."


def write_csv(path: Path, frame: pd.DataFrame) -> Path:
    """Write a table of numbers as CSV, floats with 6 digits after the point, missing values empty."""
    return write_whole(path, frame.to_csv(index=False, float_format="%.6f", lineterminator="\n"))


def synthetic(profile: str) -> bool:
    """Whether a profile's images are generated."""
    return recipes.load_profile(profile).classification["dataset"] == "synthetic"


def caption(frame: pd.DataFrame, profile: str) -> str:
    """The reporting protocol of a `summary`: what is reported, over how many seeds, on which data, at which profile."""
    head = recipes.load_table(frame["table"].iloc[0])
    split = {"val": "validation"}.get(head.split, head.split)
    done = frame[frame["seeds"] > 0]
    what = f"Accuracy on {split} images, last checkpoint."
    if head.task == "segmentation":
        known = ", ".join(f"{NAMES[m]} ({MEANING[m]})" for m in dict.fromkeys(frame["metric"]) if m in MEANING)
        what = f"Last checkpoint, one confusion matrix of all labelled pixels of the {split} images: {known}."
    parts = [what]
    if (done["seeds"] > 1).any():
        parts.append("Mean ± sample standard deviation over n seeds.")
    if (done["seeds"] == 1).any():
        parts.append("One seed: 95 % interval over images in brackets.")
    parts.append(f"Profile {profile}: {recipes.load_profile(profile).says}")
    for (data, n), some in done.groupby(["data", "n"]):
        prints = ", ".join(sorted({text[:8] for text in some["fingerprint"]}))
        parts.append(f"Data: {data}, {n:,} {split} images, fingerprint {prints}.")
    return " ".join(parts if len(done) else [*parts, "Nothing was run yet."])


def _text(mean: float, sd: float = np.nan, low: float = np.nan, high: float = np.nan) -> str:
    """Two decimals, and the spread, else the interval: ``79.28 ± 1.76``, ``79.28 [77.00, 81.40]``."""
    if pd.isna(mean):
        return ""
    if pd.notna(sd):
        return f"{mean:.2f} ± {sd:.2f}"
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]" if pd.notna(low) and pd.notna(high) else f"{mean:.2f}"


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """A `summary` as texts: one line per row, for each metric the paper's number, the measured one and their distance.

    Returns:
        Columns ``Category`` (where rows have one), ``Method``, per metric ``paper``, ``measured`` and ``difference``,
        ``n`` (seeds) and ``remarks``. Controls come last.
    """
    frame = frame.sort_values("control", kind="stable")
    several, found = frame["metric"].nunique() > 1, []
    for (_, whose), lines in frame.groupby(["row", "whose"], sort=False):
        first = lines.iloc[0]
        own = "" if whose == COMMITTED else " (own data)"
        line = {"Category": "Control" if first["control"] else first["family"], "Method": first["label"] + own}
        for one in lines.to_dict("records"):
            name = f"{NAMES.get(one['metric'], one['metric'])}, " if several else ""
            line[f"{name}paper"] = _text(one["paper"], one["paper_std"])
            line[f"{name}measured"] = _text(one["mean"], one["sd"], one["low"], one["high"]) or NOT_RUN
            line[f"{name}difference"] = f"{one['off']:+z.2f}" if pd.notna(one["off"]) else ""
        line["n"] = str(first["seeds"]) if first["seeds"] else ""
        same = f"same run as {first['same_run_as']}" if first["same_run_as"] else ""
        remarks = [first["note"], first["ran_as"] if first["seeds"] else first["not_at"], same]
        found.append(line | {"remarks": "; ".join(filter(None, remarks))})
    texts = pd.DataFrame(found).fillna("")
    return texts.loc[:, [(texts[name] != "").any() or name == "n" for name in texts]]


def tall(frame: pd.DataFrame) -> pd.DataFrame:
    """A `summary` of several metrics as texts, one line per row and metric: as wide as a page, however many there are.

    Returns:
        Columns ``paper``, ``measured`` and ``difference`` as in `readable`, indexed by the row's label, its seeds, and
        the metric, mIoU first.
    """
    texts = readable(frame).set_index(["Method", "n"]).drop(columns=["Category", "remarks"], errors="ignore")
    texts.columns = pd.MultiIndex.from_tuples([tuple(str(name).split(", ")) for name in texts])
    metrics = sorted(dict.fromkeys(texts.columns.get_level_values(0)), key=lambda name: name != NAMES["miou"])
    lines: pd.DataFrame = texts[metrics].stack(level=0, future_stack=True)  # type: ignore[assignment]
    return lines


def write_frame(stem: str, profile: str, numbers: pd.DataFrame, texts: pd.DataFrame, said: str) -> list[Path]:
    """Write ``stem.csv`` of the numbers and ``stem.md`` of the texts, below what is ``said`` of them; the two paths.

    They are in the profile's folder of figures; generated images are named above.
    """
    lines = ["| " + " | ".join(texts.columns) + " |", "|" + "---|" * texts.shape[1]]
    cells = texts.astype(str).map(lambda text: text.replace("|", "\\|").replace("\n", " "))
    lines += ["| " + " | ".join(row) + " |" for row in cells.itertuples(index=False)]
    tag = f"**{SYNTHETIC}** " if synthetic(profile) else ""
    at = paths.figures(profile)
    text = "\n".join([tag + said, "", *lines]) + "\n"
    return [write_csv(at / f"{stem}.csv", numbers), write_whole(at / f"{stem}.md", text)]


def write_table(number: int | str, profile: str) -> list[Path]:
    """Write ``tableNN.csv`` (one line per row and metric) and ``tableNN.md`` from the committed measurement."""
    head, frame = recipes.load_table(number), summary(table(number, profile))
    name = f"Table {head.table}. " if isinstance(head.table, int) else ""
    note = f"{head.note.strip()} " if head.note else ""
    said = f"**{name}{head.title}.** {note}{caption(frame, profile)}"
    return write_frame(head.key, profile, frame, readable(frame), said)


def styled(frame: pd.DataFrame, profile: str = "") -> Styler:
    """A frame for the eye: two decimals, ``not run`` where there is no mean, the caption of `caption` over a summary.

    Columns that are empty everywhere are left out. A frame with a column ``why`` says there why a mean is missing, so
    that its place stays empty. The ``profile`` is for the caption, of a summary or of generated images.
    """
    hidden = {"table", "run", "labelled", "fingerprint", "control", "whose", "after", "before", "data", "n"}
    hidden |= {"row"} if {"label", "what"} & set(frame) else set()
    if {"mean", "told_apart"} <= set(frame):  # of what was not measured nothing is told
        frame = frame.assign(told_apart=frame["told_apart"].astype(object).where(frame["mean"].notna(), ""))
    filled = [name for name in frame if not (frame[name].isna() | (frame[name].astype(str) == "")).all()]
    shown = frame[[name for name in filled if name not in hidden]]
    view = shown.style.format(precision=2, na_rep="", subset=list(shown.select_dtypes("float"))).hide(axis="index")
    if "mean" in shown:
        view = view.format("{:.2f}", na_rep="" if "why" in shown else NOT_RUN, subset=["mean"])
    said = [SYNTHETIC] if profile and synthetic(profile) else []
    said += [caption(frame, profile)] if profile and {"table", "off"} <= set(frame) else []
    view = view.set_caption(" ".join(said)) if said else view
    return view.set_table_styles([{"selector": "caption", "props": "caption-side: bottom; text-align: left"}])
