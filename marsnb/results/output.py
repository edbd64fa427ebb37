"""Tables as files and on a page: a caption of facts, two decimals, "not run" where nothing was."""

from pathlib import Path

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from marsnb import paths, recipes
from marsnb.files import write_whole
from marsnb.results.intervals import OVER_SEEDS
from marsnb.results.tidy import summary, table

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
    """The reporting protocol of a table: what is reported, over how many seeds, on which data, at which profile.

    Args:
        frame: what `summary` gives.
        profile: name of the profile.
    """
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


def number(mean: float, sd: float = np.nan, low: float = np.nan, high: float = np.nan, sign: bool = False) -> str:
    """A number with two decimals and its spread, else its interval: ``79.28 ± 1.76``, ``79.28 [77.00, 81.40]``."""
    form = f"{'+' if sign else ''}.2f"
    if pd.isna(mean):
        return ""
    if pd.notna(sd):
        return f"{mean:{form}} ± {sd:.2f}"
    return f"{mean:{form}} [{low:{form}}, {high:{form}}]" if pd.notna(low) and pd.notna(high) else f"{mean:{form}}"


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """A summary as texts: one line per row, for each metric the paper's number, the measured one and their distance.

    Args:
        frame: what `summary` gives.

    Returns:
        Columns ``Category`` (where rows have one), ``Method``, per metric ``paper``, ``measured`` and ``difference``,
        ``n`` (seeds) and ``remarks``. Controls come last.
    """
    frame = frame.sort_values("control", kind="stable")
    metrics, found = list(dict.fromkeys(frame["metric"])), []
    for (_, whose), lines in frame.groupby(["row", "whose"], sort=False):
        first = lines.iloc[0]
        line = {"Category": "Control" if first["control"] else first["family"], "Method": first["label"]}
        if whose != "committed":
            line["Method"] += " (own data)"
        for one in lines.to_dict("records"):
            name = f"{NAMES.get(one['metric'], one['metric'])}, " if len(metrics) > 1 else ""
            line[f"{name}paper"] = number(one["paper"], one["paper_std"])
            line[f"{name}measured"] = number(one["mean"], one["sd"], one["low"], one["high"]) or NOT_RUN
            line[f"{name}difference"] = number(one["off"], sign=True)
        same = f"same run as {first['same_run_as']}" if first["same_run_as"] else ""
        line["n"] = str(first["seeds"]) if first["seeds"] else ""
        line["remarks"] = "; ".join(filter(None, [first["note"], first["ran_as"] if first["seeds"] else "", same]))
        found.append(line)
    texts = pd.DataFrame(found).fillna("")
    return texts.loc[:, [(texts[name] != "").any() or name == "n" for name in texts]]


def write_frame(stem: str, profile: str, numbers: pd.DataFrame, texts: pd.DataFrame, said: str) -> list[Path]:
    """Write ``stem.csv`` and ``stem.md`` into the profile's folder of figures.

    Args:
        stem: name of the two files.
        profile: name of the profile.
        numbers: for the CSV.
        texts: for the Markdown table.
        said: its caption; generated images are named there.
    """
    lines = ["| " + " | ".join(texts.columns) + " |", "|" + "---|" * texts.shape[1]]
    cells = texts.astype(str).map(lambda text: text.replace("|", "\\|").replace("\n", " "))
    lines += ["| " + " | ".join(row) + " |" for row in cells.itertuples(index=False)]
    tag = f"**{SYNTHETIC}** " if synthetic(profile) else ""
    at = paths.figures(profile)
    text = "\n".join([tag + said, "", *lines]) + "\n"
    return [write_csv(at / f"{stem}.csv", numbers), write_whole(at / f"{stem}.md", text)]


def write_table(number: int | str, profile: str) -> list[Path]:
    """Write ``tableNN.csv`` (one line per row and metric) and ``tableNN.md`` from the committed measurement.

    Returns:
        The two paths.
    """
    head, frame = recipes.load_table(number), summary(table(number, profile))
    name = f"Table {head.table}. " if isinstance(head.table, int) else ""
    note = f"{head.note.strip()} " if head.note else ""
    said = f"**{name}{head.title}.** {note}{caption(frame, profile)}"
    return write_frame(head.key, profile, frame, readable(frame), said)


def styled(frame: pd.DataFrame, profile: str = "") -> Styler:
    """A frame for the eye: two decimals, ``not run`` where there is no mean, the caption of `caption` over a summary.

    Args:
        frame: what `summary`, `differences` or anything else gives; columns that are empty everywhere are left out.
        profile: for the caption, of a summary or of generated images.
    """
    kept = [name for name in frame if not frame[name].isna().all() and not (frame[name].astype(str) == "").all()]
    hidden = {"table", "run", "labelled", "fingerprint", "control", "whose", "row", "after", "before", "data", "n"}
    hidden -= set() if "what" in frame or "label" in frame else {"row"}
    shown = frame[[name for name in kept if name not in hidden or name == frame.columns[0] == "row"]]
    floats = list(shown.select_dtypes("float"))
    view = shown.style.format(precision=2, na_rep="", subset=floats).hide(axis="index")
    if "mean" in shown:
        view = view.format("{:.2f}", na_rep=NOT_RUN, subset=["mean"])
    said = [SYNTHETIC] if profile and synthetic(profile) else []
    said += [caption(frame, profile)] if profile and {"seeds", "off"} <= set(frame) else []
    view = view.set_caption(" ".join(said)) if said else view
    return view.set_table_styles([{"selector": "caption", "props": "caption-side: bottom; text-align: left"}])


def rules(frame: pd.DataFrame) -> str:
    """What the intervals of a summary or of differences are, in words for a legend."""
    used = [rule for rule in dict.fromkeys(frame["rule"]) if rule]
    words = {OVER_SEEDS: "95 %, t over seeds"}
    return "; ".join(words.get(rule, f"95 % over {rule}") for rule in used)
