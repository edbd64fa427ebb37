"""Checks of a claim on numbers that notebooks keep beside the ledger, and the claims about Table 8."""

import pandas as pd
import pytest

from marsnb import paths, recipes
from marsnb.results import claims
from marsnb.results.claims import FAILS, HOLDS, OPEN, UNTESTED, Claim, Evidence, Judged, judge_one
from marsnb.results.claims.counts import ALL, BARE, CHANGE, LAYER
from marsnb.training.spec import row_runs
from tests.fake import ledger as fake

KINDS = ("intra", "silhouette")


def keep(stem: str, frame: pd.DataFrame) -> None:
    paths.figures("lite").mkdir(parents=True, exist_ok=True)
    frame.to_csv(paths.figures("lite") / f"{stem}.csv", index=False)


def judged(name: str, profile: str = "lite") -> Judged:
    """The verdict on a claim of the file."""
    claim = next(claim for claim in claims.load() if claim.id == name)
    return judge_one(claim.for_profile(profile), Evidence(profile))


def checked(check: str, **fields: object) -> Judged:
    made = {"id": "x", "section": "3", "quote": "q", "kind": "data", "check": check, **fields}
    return judge_one(Claim.model_validate(made), Evidence("lite"))


def test_shares_and_totals() -> None:
    assert "not measured at this profile" in checked("total", total="images", says=30).why
    table = pd.DataFrame({
        "row": ["a", "a", "b", "b"], "column": ["Train/Val", "Test"] * 2, "metric": "images",
        "paper_mean": [10, 5, 10, 5], "measured_mean": [10, 0, 10, 10],
    })  # fmt: skip
    keep("table01", table)
    assert checked("total", total="images", says=30).verdict == HOLDS
    assert checked("total", total="images", says=31).verdict == FAILS
    assert checked("total", total="classes", says=2).verdict == HOLDS
    assert checked("total", total="test classes", says=1).verdict == HOLDS
    assert checked("shares", table=1, classes={"a": "down"}).verdict == OPEN  # as far off the paper's as it fell
    keep("table01", table.assign(paper_mean=table["measured_mean"]))
    assert checked("shares", table=1, classes={"a": "down", "b": "up"}).verdict == HOLDS
    assert checked("shares", table=1, classes={"a": "up"}).verdict == FAILS


def test_early_pairs_are_a_share_with_an_interval() -> None:
    keep("fig02b", pd.DataFrame({"train_val_images": [600], "test_images": [400]}))
    assert checked("total", total="early pairs", says=60).verdict == HOLDS
    assert checked("total", total="early pairs", says=70).verdict == FAILS


@pytest.mark.parametrize(
    ("measured", "pairs", "expected"),
    [
        ((44, 45, 46), 6000, HOLDS),
        ((42, 43, 44), 6000, OPEN),
        ((42, 43, 44), 16386, FAILS),
        ((30, 31, 32), 6000, FAILS),
    ],
)
def test_unlabelled(measured: tuple[float, ...], pairs: int, expected: str) -> None:
    """Undecided where the experts' pairs, 2 % and not among those here, could make up the distance to 44.83."""
    ends = dict(zip(("_low", "", "_high"), measured, strict=True))
    rows = [{"row": BARE, "metric": f"unlabelled{e}", "measured_mean": v, "n": pairs} for e, v in ends.items()]
    keep("table02", pd.DataFrame(rows))
    item = judged("unlabelled")
    assert item.verdict == expected and f"of {pairs:,} of the paper's 16,386 pairs" in item.measured
    keep("table02", pd.DataFrame([{"row": "soil", "metric": "area", "measured_mean": 1}]))
    assert "written before" in judged("unlabelled").why


def features(change: float, soil_sand: float, spread: float, data: str = "ai4mars", seeds: int = 3) -> None:
    """What is kept of features: by how much ours is better in each respect, and distances between three classes."""
    signs = {"silhouette": 1, "intra": -1, "inter": 1}
    rows = [(CHANGE, ALL, metric, sign * change) for metric, sign in signs.items()]
    for series in ("baseline", "ours"):
        distances = {"soil, sand": soil_sand, "soil, bedrock": 0.5, "bedrock, sand": 0.6}
        rows += [(series, pair, "between", value) for pair, value in distances.items()]
    frame = pd.DataFrame(rows, columns=["series", "class", "metric", "value"])
    frame = frame.assign(layer=LAYER, low=frame["value"] - 0.01, high=frame["value"] + 0.01)
    other = frame.assign(layer="decoder", value=-frame["value"], low=-1, high=1)  # not the paper's layer
    every = pd.concat([frame, other])
    moves = every["class"].isin([ALL, "soil, sand"])  # what is claimed; the rest is alike in all seeds
    every = pd.concat([every.assign(seed=s, value=every["value"] + moves * (s - 1) * spread) for s in range(seeds)])
    keep("fig_separation", every.assign(images=40, data=data))


@pytest.mark.parametrize(
    ("change", "soil_sand", "spread", "compact", "near"),
    [
        (0.2, 0.3, 0.005, HOLDS, HOLDS),
        (-0.2, 0.7, 0.005, FAILS, FAILS),
        (0.02, 0.48, 0.05, OPEN, OPEN),
    ],
)
def test_features(change: float, soil_sand: float, spread: float, compact: str, near: str) -> None:
    assert "a notebook writes it: fig_separation.csv" in judged("compact").why
    features(change, soil_sand, spread)
    first, second = judged("compact"), judged("soil-sand")
    assert (first.verdict, second.verdict) == (compact, near)
    assert len(first.parts) == 3 and "40 images" in first.measured and "hundredths" in second.measured


def test_what_all_distances_of_a_seed_share_does_not_widen_a_difference() -> None:
    features(0.2, 0.3, 0.0)
    frame = pd.read_csv(paths.figures("lite") / "fig_separation.csv")
    keep("fig_separation", frame.assign(value=frame["value"] + 0.5 * (frame["seed"] - 1)))
    assert judged("soil-sand").verdict == HOLDS and judged("compact").verdict == OPEN


def test_one_pair_of_models_decides_nothing_about_features() -> None:
    features(0.2, 0.3, 0.0, seeds=1)
    assert (judged("compact").verdict, judged("compact").why) == (OPEN, "one seed, and a verdict needs 3")


def test_features_of_generated_images_say_nothing_about_mars() -> None:
    features(0.2, 0.3, 0.005, data="synthetic_terrain")
    assert "generated images" in judged("compact").why


@pytest.mark.parametrize(
    ("spread", "silhouette", "expected"),
    [(0.8, -0.3, HOLDS), (0.3, 0.4, FAILS), (0.8, 0.4, FAILS), (0.61, -0.3, OPEN), (0.8, 0.01, OPEN)],
)
def test_scattered_needs_the_widest_spread_and_the_smallest_silhouette(
    spread: float, silhouette: float, expected: str
) -> None:
    lines = [("soil", 0.5, 0.1), ("sand", 0.6, 0.02), ("big rock", spread, silhouette), (ALL, 9.0, -9.0)]
    rows = [
        (series, name, metric, value + off * (name == "big rock"), seed)
        for seed, off in enumerate((-0.03, 0.0, 0.03))
        for series in ("baseline", "ours")
        for name, *values in lines
        for metric, value in zip(KINDS, values, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["series", "class", "metric", "value", "seed"])
    keep("fig_separation", frame.assign(layer=LAYER, low=0.0, high=0.0, images=40, data="ai4mars"))
    item = judged("big-rocks")
    assert item.verdict == expected and len(item.parts) == 4
    assert {part.label.rpartition(" ")[2] for part in item.parts} == {"sand"}  # the hardest to beat in both


@pytest.mark.parametrize(
    ("powers", "spread", "expected"), [((2, 1), 0, HOLDS), ((1, 2), 0, FAILS), ((1.1, 1), 0.9, OPEN)]
)
def test_bank(powers: tuple[float, float], spread: float, expected: str) -> None:
    assert "a notebook writes it: fig_cost.csv" in judged("bank-cheaper").why
    lines = []
    for equation, power in zip(("Eq. 6", "Eq. 7"), powers, strict=True):
        for i, side in enumerate((16, 32, 64, 128)):
            value = (side * side) ** power * (1 + spread * (i % 2))
            lines.append({"equation": equation, "side": side, "elements": side * side, "seconds": value, "peak": value})
    keep("fig_cost", pd.DataFrame(lines).assign(images=1, device="cpu", data="random features"))
    assert judged("bank-cheaper").verdict == expected


def steps(reco: float, memory: int, noise: float = 1.0) -> None:
    """Measured steps: ours takes 2 times the baseline's step and 200 bytes."""
    rows = [("baseline", "joint", 8, 2.0, 10, 100), ("reco", "joint", 8, 2.0 * reco, memory // 10, memory)]
    rows += [("ours", step, 4, 4.0, 20, 200) for step in ("pretrain", "joint", "pseudo")]
    frame = pd.DataFrame(rows, columns=["row", "step", "epochs", "ms", "state", "peak"])
    frame["base_ms"] = [2.0, 2.0, 2.0, 2.0, 2.0 * noise]
    spec = row_runs(9, "lite")[0][2]
    frame = frame.assign(label=frame["row"], backbone=spec.backbone, trunk=spec.trunk, image_size=spec.image_size)
    keep("fig_steps", frame.assign(batch=spec.batch_labelled, device="cpu", data="random images"))


@pytest.mark.parametrize(
    ("reco", "memory", "noise", "expected"),
    [(6, 400, 1, HOLDS), (1, 100, 1, FAILS), (6, 100, 1, FAILS), (3.2, 400, 1.5, OPEN)],
)
def test_resources_are_those_that_were_measured(reco: float, memory: int, noise: float, expected: str) -> None:
    assert "a notebook writes it: fig_steps.csv" in judged("fewer-resources").why
    steps(reco, memory, noise)
    item = judged("fewer-resources")
    assert item.verdict == expected and len(item.parts) == 4 and "batches of 16, cpu" in item.measured


def test_steps_measured_at_other_settings_say_nothing() -> None:
    steps(6, 400)
    frame = pd.read_csv(paths.figures("lite") / "fig_steps.csv")
    keep("fig_steps", frame.drop(columns="trunk").assign(image_size=96))
    item = judged("fewer-resources")
    assert item.verdict == UNTESTED and "other settings, trunk none, image_size 96: fig_steps.csv" in item.why


def test_methods_whose_steps_were_not_measured_are_not_compared() -> None:
    steps(6, 400)
    assert (
        "its steps were not measured" in checked("cost", kind="direction", pairs=[["table08/cct", "table08/ours"]]).why
    )


ABOVE = {
    "seg-best": ("ours",), "cutout-helps-reco": ("reco-cutout",), "mixing-hurts-reco": ("reco",),
    "imagenet-helps": ("reco-imagenet",), "imagenet-no-further": ("reco-imagenet",),
}  # fmt: skip
"""Claims of Table 8, and the rows that they put above others."""


@pytest.mark.parametrize("name", ABOVE)
@pytest.mark.parametrize(("value", "expected"), [(0.9, HOLDS), (0.3, FAILS)])
def test_claims_of_table_8_are_answered_once_it_is_run(name: str, value: float, expected: str) -> None:
    assert judged(name, "paper").why.startswith("not run: table08/")
    rows = [row.id for row in recipes.load_table(8).rows]
    top1 = dict.fromkeys(rows, 0.6) | dict.fromkeys(ABOVE[name], value)
    fake.fill("paper", number=8, seeds=3, top1=top1)
    assert judged(name, "paper").verdict == expected


def test_at_lite_ours_is_not_held_against_random_weights() -> None:
    assert judged("without-imagenet").verdict == UNTESTED
    fake.fill("paper", number=8, seeds=3, top1={"ours": 0.99})
    assert judged("without-imagenet", "paper").verdict == HOLDS and judged("seg-best", "paper").verdict == HOLDS


def test_every_claim_of_table_8_has_an_answer_from_a_whole_table() -> None:
    fake.fill("paper", number=8, seeds=3)
    steps(6, 400)
    for claim in claims.load():
        if any(term.startswith("table08/") for term in claim.terms) and claim.check != "cost":
            assert judged(claim.id, "paper").verdict != UNTESTED, claim.id
