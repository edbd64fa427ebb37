"""Fig. 11: accuracy and mIoU over the epochs, baseline against the final method, and what the paper says about them."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from marsnb.errors import RecipeError
from marsnb.recipes import load_profile
from marsnb.report.curves import MARKS, line
from marsnb.report.measured import PERCENT
from marsnb.report.readings import reading
from marsnb.report.sentences import scale_note
from marsnb.report.steps import PRETRAIN, PSEUDO, changes, course, mark, scored, seeds_text
from marsnb.report.style import BLUE, GREY, ORANGE, caption, make
from marsnb.report.turning_points import CONVERGED, drop_at, settled

ROWS = {"final": BLUE, "baseline": ORANGE}
"""Rows of Table 9 that the figure compares, with their colours."""
METRICS = {"acc": "accuracy", "miou": "mIoU"}

NOT_SCORED = "Epochs around the change were not scored: train with `--score-every 1`."


def curves(profile: str) -> pd.DataFrame:
    """The numbers of Fig. 11, in percent where they are scores.

    Returns:
        The columns of ``steps.course`` and ``at``, the epoch counted from the first with cross entropy, as in the paper
        (0 and below: pretraining). ``metric``: ``acc``, ``miou``, ``element_wise`` while pretraining, and ``ce``,
        which, unlike the scores, every other epoch has.

    Raises:
        RecipeError: one of the two rows has no curves, or no scores among them.
    """
    frame = course(9, profile, tuple(ROWS))
    alone = frame["step"] == PRETRAIN
    before = frame[alone].groupby("row")["epoch"].max().reindex(list(ROWS)).fillna(0).astype(int)
    frame["at"] = frame["epoch"] - frame["row"].map(before)
    scores = frame["metric"].isin([f"test/{metric}" for metric in METRICS])
    if frame[scores].empty:
        raise RecipeError("the curves of Table 9 hold no scores: delete its lines and run it again")
    kept = frame[scores | (frame["metric"] == "ce") | (alone & (frame["metric"] == "element_wise"))].copy()
    kept["metric"] = kept["metric"].str.removeprefix("test/")
    kept["value"] *= kept["metric"].isin(METRICS).map({True: PERCENT, False: 1.0})
    return kept


def fig11(profile: str) -> Path:
    """Fig. 11: accuracy (left) and mIoU (right) over the epochs; the pretraining apart."""
    return make("fig11", profile, curves, _draw)


def _draw(frame: pd.DataFrame) -> Figure:
    apart = frame[frame["metric"] == "element_wise"]
    fig, axes = plt.subplots(1, 3, figsize=(11.5, 3.6), width_ratios=[2, 2, 1])
    for ax, (metric, name) in zip(axes, METRICS.items(), strict=False):
        for i, (row, colour) in enumerate(ROWS.items()):
            mine = _part(frame, row, metric)
            label = frame.loc[frame["row"] == row, "label"].iloc[0]
            line(ax, _mean(mine), colour, marker=MARKS[i], linestyle="--" if row == "baseline" else "-", label=label)
        ax.set(title=f"{name} (%)", xlabel="epoch, from the first with cross entropy")
        final = frame[(frame["row"] == "final") & (frame["at"] > 0)]
        mark(ax, changes(final.assign(epoch=final["at"])))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    values = apart.groupby("epoch")["value"].mean()
    line(axes[2], values, GREY)
    axes[2].set(title="apart: pretraining,\nloss of Eq. 7", xlabel="epoch")
    mark(axes[2], {})
    text = "Arrow: the final method changes its losses; where the learning rate begins anew, it does so for both."
    caption(
        fig,
        f"{text} {seeds_text(frame)} Test images scored after each epoch. Data: {frame['data'].iloc[0]}.",
        width=150,
    )
    return fig


def _part(frame: pd.DataFrame, row: str, metric: str) -> pd.DataFrame:
    return frame[(frame["row"] == row) & (frame["metric"] == metric) & (frame["at"] > 0)]


def _mean(frame: pd.DataFrame) -> pd.Series:
    return frame.groupby("at")["value"].mean()


def change_of(frame: pd.DataFrame) -> float:
    """Where pseudo labels join, in the figure's epochs."""
    final = frame[(frame["row"] == "final") & (frame["at"] > 0)]
    found = {name: x for x, name in changes(final.assign(epoch=final["at"])).items()}
    return found[PSEUDO]


def convergence_table(profile: str) -> str:
    """Epochs until a curve stays within 5 and 1 % of its last value, as Markdown."""
    frame = curves(profile)
    head = " | ".join(f"{name} within {PERCENT * near:.0f} %" for name in METRICS.values() for near in CONVERGED)
    text = [scale_note(profile), f"| | Last accuracy | Last mIoU | {head} |", "|---|" + "---:|" * (2 + 4)]
    for row, label in _labels(frame):
        values = [_mean(_part(frame, row, metric)) for metric in METRICS]
        cells = [f"{v.iloc[-1]:.2f}" for v in values] + [str(settled(v, near)) for v in values for near in CONVERGED]
        text.append(f"| {label} | {' | '.join(cells)} |")
    extra = int(frame.loc[frame["metric"] == "element_wise", "epoch"].max())
    text.append(
        "\nFirst epoch, from the first with cross entropy, from which on the curve stays that near to its last value. "
        f"The final method's {extra} epochs of pretraining come before; they are not counted here, nor in the paper. "
        f"{scored(load_profile(profile).segmentation.get('curve_images'))}"
    )
    return "\n".join(text)


def _labels(frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    for row in ROWS:
        yield row, str(frame.loc[frame["row"] == row, "label"].iloc[0])


def what_we_see(profile: str) -> str:
    """The paper's sentences about Fig. 11, judged as notebook 19 judges them, with what the curves do, as Markdown."""
    frame = curves(profile)
    text = [scale_note(profile)]
    for title, claim, facts in _READINGS:
        text += [
            f"- *{title}*, {name}: {reading(profile, claim, metric)}. {facts(frame, metric)}"
            for metric, name in METRICS.items()
        ]
    text.append(
        "\nIn brackets: epochs before pseudo labels join in which the baseline's end is passed; epochs that the "
        "baseline converges later; points of the fall, or of the fall beyond the baseline's, whichever is less; points "
        "gained since pseudo labels joined. The verdicts are those of notebook 19, which says how the intervals come "
        "about: a curve wavers by itself, and what it gains by less is *undecided*. The learning rate begins anew with "
        "each step, in the baseline too; what both curves do there is not owed to pseudo labels. " + seeds_text(frame)
    )
    return "\n".join(text)


def _pair(frame: pd.DataFrame, metric: str) -> tuple[pd.Series, pd.Series]:
    return _mean(_part(frame, "final", metric)), _mean(_part(frame, "baseline", metric))


def _quick(frame: pd.DataFrame, metric: str) -> str:
    """The paper: with pretraining "the network quickly achieves segmentation accuracy that exceeds the baseline"."""
    ours, base = _pair(frame, metric)
    both = pd.concat([ours, base], axis=1, keys=["ours", "base"]).dropna()
    ahead = int((both["ours"] > both["base"]).sum())
    over = ours.index[ours > base.iloc[-1]]
    when = f"first in epoch {over[0]}" if len(over) else "never"
    joined = f", and pseudo labels join after epoch {change_of(frame) - 0.5:.0f}"
    return (
        f"The final method is above the baseline in {ahead} of {len(both)} epochs, and above the baseline's last value "
        f"{when}{joined}."
    )


def _earlier(frame: pd.DataFrame, metric: str) -> str:
    """The paper: "our network converges at about 60 epochs, while the baseline needs more than 100"."""
    both = [[settled(values, near) for near in CONVERGED] for values in _pair(frame, metric)]
    (ours, *strict), (base, *other) = both
    pretraining = int(frame.loc[frame["metric"] == "element_wise", "epoch"].max())
    with_it = ours + pretraining
    fair = "still earlier" if with_it < base else "the same" if with_it == base else "later"
    return (
        f"It stays within {PERCENT * CONVERGED[0]:.0f} % of its last value from epoch {ours} on, the baseline from "
        f"epoch {base} on. With the pretraining counted it is epoch {with_it}, {fair}. Within "
        f"{PERCENT * CONVERGED[1]:.0f} %: epochs {strict[0]} and {other[0]}."
    )


def _drops(frame: pd.DataFrame, metric: str) -> str:
    """The paper: where pseudo labels join, "the performance suddenly drops"."""
    change = change_of(frame)
    ours, base = (drop_at(values, change) for values in _pair(frame, metric))
    if ours is None or base is None:
        return NOT_SCORED
    fell, also = ours.after - ours.before, base.after - base.before
    return (
        f"It goes from "
        f"{ours.before:.2f} to {ours.after:.2f} ({fell:+.2f} points, lowest of the step {ours.lowest:.2f}); the "
        f"baseline, whose learning rate begins anew as well, changes by {also:+.2f}."
    )


def _recovers(frame: pd.DataFrame, metric: str) -> str:
    """The paper: then the feature space "is gradually refined", which "leads to a higher" score."""
    found = drop_at(_pair(frame, metric)[0], change_of(frame))
    if found is None:
        return NOT_SCORED
    when = f"the value before is passed in epoch {found.back} of the step" if found.back else "it is never passed again"
    return f"{found.before:.2f} before, {found.end:.2f} at the end; {when}."


_READINGS = (
    ("Quickly exceeds the baseline", "pretraining-quick", _quick),
    ("Converges earlier", "converges", _earlier),
    ("Drops at the change of losses", "sudden-drop", _drops),
    ("Ends higher than before the change", "ends-higher", _recovers),
)
