"""Where the paper's words on segmentation meet its own numbers, computed from Tables 8 to 11 as printed."""

from itertools import pairwise

import numpy as np
import pandas as pd

from marsnb import recipes
from marsnb.report.evidence import printed
from marsnb.report.paper_points import Point, number
from marsnb.training.segmentation_metrics import acc_if_even, facc_if_even, summarise

EPOCHS = (60, 60, 60)
"""Contrastive pretraining, joint training, pseudo labels (section 7.1)."""
FEATURE_MAP = 128
"""Edge of the feature map that section 5.1 reckons with."""
BATCH = 16
"""Images a step (section 7.1)."""
OUTLIER = "table11/w-001"
PRINTED = ("acc", "macc", "facc", "miou")


def same_number() -> Point:
    """Table 8's ACC of ours is Table 9's FACC."""
    eight = number("table08/ours", "facc")  # the recipe has it under the metric that it is
    nine = printed("table09").loc["final"]
    return Point(
        "7, Tables 8, 9", "ACC of ours in Table 8",
        f"Table 8 prints {eight}, Table 9 has ACC {nine['acc']} and FACC {nine['facc']}: Table 8's ACC is FACC, for "
        "ours at least.", bool(eight == nine["acc"]),
    )  # fmt: skip


def facc_in_words() -> Point:
    """What FACC would be, taken literally."""
    rng = np.random.default_rng(0)
    matrix = rng.integers(1, 1000, size=(4, 4)) + np.diag([9000, 7000, 2000, 100])
    frequency = matrix.sum(axis=1) / matrix.sum()
    literal = float((frequency * np.diag(matrix) / matrix.sum(axis=1)).sum())
    acc, facc = (float(summarise(matrix, metric)) for metric in ("acc", "facc"))
    return Point(
        "7.3", 'FACC is accuracy "weighted and summed by the frequency of occurrence of each class"',
        f"Taken literally that is ACC again, Σ (n_c/N)(TP_c/n_c) = ΣTP_c/N: in an invented confusion matrix "
        f"{literal:.4f} and {acc:.4f}. With IoU in place of accuracy it is {facc:.4f}.",
    )  # fmt: skip


def facc_rows() -> pd.DataFrame:
    """Tables 9 to 11: ``row, acc, facc`` and ``predicted``, ACC / (2 - ACC), percent."""
    frames = [printed(f"table{n:02d}").assign(table=f"table{n:02d}") for n in (9, 10, 11)]
    found = pd.concat(frames).rename_axis("row").reset_index()
    found["row"] = found["table"] + "/" + found["row"]
    found = found.drop_duplicates(list(PRINTED))
    predicted = 100 * facc_if_even(found["acc"] / 100)
    return found.assign(predicted=predicted)[["row", "acc", "facc", "predicted"]].reset_index(drop=True)


def facc_as_iou() -> Point:
    """FACC behaves as frequency-weighted IoU; one row does not."""
    rows = facc_rows().set_index("row")
    off = (rows["facc"] - rows["predicted"]).drop(OUTLIER)
    odd = rows.loc[OUTLIER]
    wanted = (odd["facc"] - off.mean()) / 100
    return Point(
        "7.3, Tables 9-11", "ACC and FACC of each row",
        f"Were misses and false alarms even, frequency-weighted IoU would be ACC / (2 - ACC). {len(off)} of "
        f"{len(rows)} rows are within {off.abs().max():.2f} of it. λ_s = 0.01 is not: ACC {odd['acc']} gives "
        f"{odd['predicted']:.2f}, printed is {odd['facc']}; that needs ACC {100 * acc_if_even(wanted):.2f}, so "
        f"{odd['acc']} looks misprinted.",
    )  # fmt: skip


def naive_pairs() -> Point:
    """What Eq. 6 costs."""
    elements = FEATURE_MAP**2
    gib = 4 * elements**2 / 2**30
    return Point(
        "5.1", '"16,384 vectors, i.e., 268 million vector multiplications"',
        f"{FEATURE_MAP}² = {elements:,}; {elements:,}² = {elements**2 / 1e6:.0f} million, {gib:.0f} GiB of "
        f"similarities in 32 bit an image, {BATCH * gib:.0f} GiB a batch of {BATCH}. Whether that is \"impossible to "
        'calculate", notebook 11 measures.', fits=True,
    )  # fmt: skip


def own_baseline() -> Point:
    """Table 9's baseline against Table 8's rivals."""
    rivals = printed("table08").drop(index="ours")
    scratch = rivals[~rivals.index.str.contains("imagenet")]
    best, base = str(scratch["miou"].idxmax()), printed("table09").loc["baseline"]
    return Point(
        "7.2, 7.3, Tables 8, 9", "the rivals are state of the art",
        f"The plain baseline of Table 9, which Table 8 leaves out, has mIoU {base['miou']} and FACC {base['facc']}; "
        f"the best of {len(scratch)} rivals without ImageNet has mIoU {scratch['miou'].max()} ({best}), and none of "
        f"all {len(rivals)} has an ACC above {rivals['acc'].max()}.",
    )  # fmt: skip


def _gain(table: str, row: str, over: str, metrics: tuple[str, ...]) -> dict[str, float]:
    return {metric: number(f"{table}/{row}", metric) - number(f"{table}/{over}", metric) for metric in metrics}


def mixing() -> Point:
    """Whether CutMix hurts ReCo."""
    change = {name: _gain("table08", f"reco-{name}", "reco", ("acc", "miou")) for name in ("cutmix", "classmix")}
    texts = [f"{name}: ACC {gain['acc']:+.2f}, mIoU {gain['miou']:+.2f}" for name, gain in change.items()]
    return Point(
        "7.2, Table 8", '"ClassMix and CutMix may even hurt the performance of ReCo"', f"{'; '.join(texts)}.",
        all(value < 0 for gain in change.values() for value in gain.values()),
    )  # fmt: skip


def pseudo_labels() -> Point:
    """What online pseudo labels add."""
    gain = _gain("table09", "final", "without-pseudo-labels", PRINTED)
    return Point(
        "7.3, Table 9", '"online pseudo labeling further promotes the comprehensive performance"',
        ", ".join(f"{metric} {gain[metric]:+.2f}" for metric in PRINTED) + ": hundredths, one of them a loss, and no "
        "spread is given.", all(value > 0 for value in gain.values()),
    )  # fmt: skip


def thresholds() -> Point:
    """Whether ACC and mIoU fall with the threshold."""
    rows = printed("table10")[["acc", "miou"]]
    falls = all(a > b for metric in rows for a, b in pairwise(rows[metric]))
    return Point(
        "7.3, Table 10", '"as the threshold decreases, the accuracy and the mIoU of the segmentation task drop along"',
        f"From 0.99 down, ACC: {_chain(rows['acc'])}; mIoU: {_chain(rows['miou'])}, which rises first.", falls,
    )  # fmt: skip


def weights() -> Point:
    """Whether accuracy rises as the weight falls, and which weight is best."""
    rows, labels = printed("table11"), {row.id: row.label for row in recipes.load_table(11).rows}
    best = {metric: labels[str(rows[metric].idxmax())] for metric in PRINTED}
    rises = all(a < b for a, b in pairwise(rows["acc"]))
    return Point(
        "7.3, Table 11", "ACC becomes higher as λ_s decreases, and 0.001 is the best",
        f"From 0.1 down, ACC: {_chain(rows['acc'])}. Best weight by "
        + ", ".join(f"{metric}: {weight}" for metric, weight in best.items()) + ".",
        rises and len(set(best.values())) == 1,
    )  # fmt: skip


def _chain(values: pd.Series) -> str:
    return " → ".join(f"{value:.2f}" for value in values)


def joint() -> Point:
    """Which module adds most."""
    rows = printed("table09")
    lost = (rows.loc["final"] - rows.drop(index=["final", "baseline"]))["miou"]
    return Point(
        "7.3, Table 9", "joint training contributes most, pretraining 1 point of mIoU",
        ", ".join(f"{str(name).replace('-', ' ')} it loses {value:.2f}" for name, value in lost.items()) + ".",
        lost.idxmax() == "without-joint",
    )  # fmt: skip


def sixtieth_epoch() -> Point:
    """When the semi-supervised loss begins."""
    return Point(
        "7.1, 7.3, Fig. 11", '"At the 60th epoch, we add the semi-supervised loss"',
        f"By section 7.1 it begins after {EPOCHS[0]} + {EPOCHS[1]} = {sum(EPOCHS[:2])} of {sum(EPOCHS)} epochs, and "
        f"the first {EPOCHS[0]} have no segmentation loss. So Fig. 11 can only count from epoch {EPOCHS[0]}, and what "
        f'"converges at about 60 epochs" has had {EPOCHS[0]} + 60 = {EPOCHS[0] + 60}, the baseline "more than 100".',
    )  # fmt: skip


POINTS = (
    naive_pairs, joint, own_baseline, same_number, facc_in_words, facc_as_iou, mixing, pseudo_labels, thresholds,
    weights, sixtieth_epoch,
)  # fmt: skip
