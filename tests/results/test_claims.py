"""The claims: the file is sound, each check has a verdict for both sides and for neither, and nothing is pretended."""

import importlib
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from marsnb import paths, recipes
from marsnb.cli import app
from marsnb.errors import RecipeError
from marsnb.results import claims
from marsnb.results.claims import FAILS, HOLDS, OPEN, UNTESTED, Claim, Evidence, Judged, judge_one
from marsnb.results.claims.evidence import name_of, paper_of
from marsnb.results.claims.model import agrees, combine, within
from marsnb.results.intervals import Value
from marsnb.training import ledger
from marsnb.training.spec import row_runs
from tests.conftest import REAL_DATA
from tests.fake import ledger as fake

PAPER = REAL_DATA.parent / "paper.txt"
PAIR = [["table04/moco-strong", "table04/baseline"]]


def judged(profile: str, check: str, kind: str = "direction", **fields: object) -> Judged:
    claim = Claim.model_validate({"id": "x", "section": "6", "quote": "q", "kind": kind, "check": check, **fields})
    return judge_one(claim, Evidence(profile))


def verdict(profile: str, check: str, kind: str = "direction", **fields: object) -> str:
    return judged(profile, check, kind, **fields).verdict


def test_claims_are_sound() -> None:
    found = claims.load()
    assert len(found) >= 40 and len({c.id for c in found}) == len(found)
    assert {c.section[0] for c in found} == set("34567")
    for c in found:
        assert (c.check == "untested") == bool(c.why), c.id
        assert "\\" not in c.plain and "*" not in c.plain and "_{" not in c.plain, c.plain


@pytest.mark.parametrize("profile", recipes.profiles())
def test_every_row_of_a_table_there_is_exists(profile: str) -> None:
    terms = [term for c in claims.load() for term in c.for_profile(profile).terms]
    for term in terms:
        table, row = term.split("@")[0].split("/", 1)
        assert recipes.load_table(table).row(row)


@pytest.mark.skipif(not PAPER.is_file(), reason=f"no {PAPER}: the paper's text is not part of the project")
def test_quotes_are_the_papers_words() -> None:
    text = " ".join(PAPER.read_text(encoding="utf-8").split())
    for c in claims.load():
        assert [part for part in c.quote.split(" ... ") if part not in text] == [], c.id


def test_amounts_are_those_of_the_sentence() -> None:
    for c in claims.load():
        if c.check == "amount":
            numbers = [paper_of(term, *c.metrics) for term in (c.pairs[0] if c.pairs else c.rows)]
            says = numbers[0] - (numbers[1] if c.pairs else 0)  # type: ignore[operator]
            assert f"{says:.2f}%" in c.quote or f"{says:.0f}%" in c.quote, c.id


def test_a_mistake_in_the_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = importlib.import_module("marsnb.results.claims.model")
    (tmp_path / "profiles").symlink_to(paths.recipes() / "profiles")
    monkeypatch.setattr(paths, "recipes", lambda: tmp_path)
    for entry, message in (
        ('{id: a, section: "3", kind: data, check: guess, quote: q}', "a: unknown check 'guess'; known: above"),
        ('{id: a, section: "3", kind: data, check: total}', r"claims.yaml: quote: field required"),
    ):
        (tmp_path / "claims.yaml").write_text(f"claims:\n  - {entry}\n", encoding="utf-8")
        model.load.cache_clear()
        with pytest.raises(RecipeError, match=message):
            claims.judge("lite")
    model.load.cache_clear()


@pytest.mark.parametrize("profile", recipes.profiles())
def test_of_an_empty_ledger_nothing_is_tested(profile: str) -> None:
    found = claims.frame(profile)
    assert set(found["verdict"]) == {UNTESTED} and (found["why"] != "").all()
    assert claims.tally(found).loc["all"].sum() == len(found)


def test_generated_images_show_mechanisms_only() -> None:
    for number in (3, 4, 5, 6, 7):
        fake.fill("smoke", number=number, data="synthetic", seeds=3)
    key = next(key for row, key, _ in row_runs(4, "smoke") if row.id == "moco-lu")
    curves = ledger.read_curves("smoke")
    mine = curves["run_id"].str.startswith(key) & (curves["metric"] == "embed_u/effective_rank")
    curves.loc[mine, "value"] = 1.5
    curves.to_csv(ledger.curves_path("smoke"), index=False)
    found = claims.frame("smoke").set_index("id")
    tested = found[found["verdict"] != UNTESTED]
    assert set(tested["kind"]) == {"mechanism"} and found.loc["lu-collapse-embedding", "verdict"] == HOLDS
    assert (found[found["kind"] != "mechanism"]["measured"] == "").all()
    assert "SYNTHETIC" in claims.write_claims("smoke")[1].read_text(encoding="utf-8")


def test_generated_images_in_a_real_profile_are_refused() -> None:
    fake.fill("lite", data="synthetic", seeds=3)
    assert verdict("lite", "above", pairs=PAIR) == UNTESTED


@pytest.mark.parametrize(("top1", "expected"), [(0.90, HOLDS), (0.70, FAILS)])
def test_above(top1: float, expected: str) -> None:
    fake.fill("lite", seeds=3, top1={"moco-strong": top1, "baseline": 0.80, "moco": 0.80, "bn-frozen": 0.80})
    assert verdict("lite", "above", pairs=PAIR) == expected


def test_above_is_undecided_where_the_seeds_disagree_or_are_fewer_than_three() -> None:
    keys = {row.id: key for row, key, _ in row_runs(4, "lite")}
    for seed, (one, other) in enumerate([(0.82, 0.80), (0.78, 0.80), (0.84, 0.80)]):
        for row, value in (("moco-strong", one), ("baseline", other)):
            ledger.append("lite", fake.run_lines(keys[row], seed, value), [])
    assert verdict("lite", "above", pairs=PAIR) == OPEN
    fake.fill("lite", seeds=2, top1={"moco-ls": 0.95, "moco-lu": 0.5})
    item = judged("lite", "above", pairs=[["table04/moco-ls", "table04/moco-lu"]])
    assert (item.verdict, item.why) == (OPEN, "2 seeds, and a verdict needs 3")
    assert item.measured.startswith("+45.00 [") and item.measured.endswith("n = 2")


def test_one_seed_decides_nothing_however_far_apart() -> None:
    fake.fill("lite", top1={"moco-strong": 0.95, "baseline": 0.5, "moco": 0.5, "bn-frozen": 0.5})
    item = judged("lite", "above", pairs=PAIR)
    assert (item.verdict, item.why) == (OPEN, "one seed, and a verdict needs 3")


def test_a_sentence_of_several_rows_fails_with_one_and_is_not_tested_without_one() -> None:
    top1 = {"baseline": 0.8, "moco": 0.8, "bn-frozen": 0.8, "moco-strong": 0.9, "moco-eq1": 0.9, "moco-lu": 0.6}
    fake.fill("lite", leave_out=("moco-ls",), seeds=3, top1=top1)
    pairs = [[f"table04/{row}", "table04/baseline"] for row in ("moco-strong", "moco-eq1", "moco-ls", "moco-lu")]
    assert verdict("lite", "above", pairs=pairs) == FAILS
    item = judged("lite", "above", pairs=pairs[:3])
    assert (item.verdict, item.why) == (UNTESTED, "not run: table04/moco-ls")
    assert item.measured.startswith("2 hold, 1 not tested; MoCo V2 + ")
    assert combine([HOLDS, OPEN]) == OPEN and combine([HOLDS, HOLDS]) == HOLDS and combine([]) == UNTESTED


def test_what_is_no_comparison_is_not_tested() -> None:
    fake.fill("lite", seeds=3)
    fake.fill("lite", number=5, seeds=3)
    why = {
        "one run at this profile": [["table04/moco", "table04/baseline"]],
        "ImageNet weights need a download: table05/vgg16-ours": [["table05/vgg16-ours", "table05/vgg16-baseline"]],
        "no recipe yet: table99": [["table99/a", "table99/b"]],
        "no such row yet: table04/soon": [["table04/soon", "table04/baseline"]],
        "its runs have no miou": [["table04/final@miou", "table04/baseline"]],
    }
    for text, pairs in why.items():
        item = judged("lite", "above", pairs=pairs)
        assert item.verdict == UNTESTED and text in item.why, text


def test_other_start_weights_than_the_papers_are_another_question(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [
        "{id: a, label: A, method: cross_entropy, start: random}",
        "{id: b, label: B, method: info_nce, start: random, at: {lite: {start: imagenet-lite}}}",
        "{id: c, label: C, method: inter_class, start: imagenet, at: {lite: {start: random}}}",
    ]
    recipe = "table: 3\ntitle: Invented\nrows:\n" + "".join(f"  - {row}\n" for row in rows)
    fake.invent(monkeypatch, tmp_path, recipe)
    fake.fill("lite", number=3, seeds=3)
    assert "other start weights" in judged("lite", "above", pairs=[["table03/a", "table03/b"]]).why
    assert "from random weights here" in judged("lite", "above", pairs=[["table03/c", "table03/a"]]).why


@pytest.mark.parametrize(("best", "expected"), [(0.95, HOLDS), (0.70, FAILS)])
def test_best(best: float, expected: str) -> None:
    rows = ("ls-0.3", "ls-0.5", "ls-1", "ls-2", "ls-5")
    fake.fill("lite", number=6, seeds=3, top1=dict.fromkeys(rows, 0.8) | {"ls-1": best})
    assert verdict("lite", "best", rows=["table06/ls-1"]) == expected


@pytest.mark.parametrize(("middle", "expected"), [(0.8, HOLDS), (0.6, FAILS), (0.95, FAILS)])
def test_ordered(middle: float, expected: str) -> None:
    fake.fill("lite", number=6, seeds=3, top1={"ls-0.3": 0.9, "ls-0.5": middle, "ls-1": 0.7})
    assert verdict("lite", "ordered", rows=["table06/ls-0.3", "table06/ls-0.5", "table06/ls-1"]) == expected


@pytest.mark.parametrize(("gap", "expected"), [(0.001, HOLDS), (0.2, FAILS)])
def test_alike(gap: float, expected: str) -> None:
    fake.fill("lite", number=6, seeds=3, top1={"ls-0.3": 0.7 + gap, "ls-0.5": 0.7})
    assert verdict("lite", "alike", pairs=[["table06/ls-0.3", "table06/ls-0.5"]]) == expected
    assert within(Value(0, -0.5, 0.5), -1, 1) == HOLDS and within(Value(0, -2, 0.5), -1, 1) == OPEN


@pytest.mark.parametrize(("top1", "expected"), [(0.8493, HOLDS), (0.95, FAILS)])
def test_amount_of_a_gain(top1: float, expected: str) -> None:
    """The paper's is 4.93."""
    fake.fill("paper", seeds=3)
    keys = {row.id: key for row, key, _ in row_runs(4, "paper")}
    for seed, off in enumerate((-0.001, 0.0, 0.001)):
        ledger.append("paper", fake.run_lines(keys["moco"], seed, top1 + off), [])
        ledger.append("paper", fake.run_lines(keys["moco-strong"], seed, 0.80), [])
    pairs = [["table04/moco", "table04/moco-strong"]]
    assert verdict("paper", "amount", "amount", pairs=pairs) == expected
    fake.fill("lite", seeds=3)
    item = judged("lite", "amount", "amount", pairs=pairs)
    assert item.verdict == UNTESTED and "the paper's own settings" in item.why and item.measured


def test_of_a_class_that_is_right_already_no_gain_is_asked() -> None:
    """The fake ledger has *drt side* 8 points above the whole: at 0.95 both rows have all of it right."""
    pairs, metrics = [["table04/final", "table04/baseline"]], ["top1/drt side"]
    rows = ("baseline", "moco", "bn-frozen")
    fake.fill("lite", seeds=3, top1=dict.fromkeys(rows, 0.95) | {"final": 0.95})
    item = judged("lite", "above", pairs=pairs, metrics=metrics)
    why = "nothing to gain, every test image is right without it: ResNet-50 (baseline), drt side"
    assert (item.verdict, item.why) == (UNTESTED, why)


def test_rows_are_named_by_their_labels() -> None:
    assert name_of("table04/final") == "Final" and name_of("table04/moco-ls") == "MoCo V2 + L_s"
    assert name_of("table08/reco-imagenet-cutmix", "miou") == "ReCo from ImageNet + CutMix, mIoU"
    assert name_of("table09/without-pretraining@acc") == "w/o Pretraining, ACC"
    assert name_of("table99/a") == "a" and name_of("table04/soon") == "soon"
    fake.fill("lite", seeds=3)
    inlet = judged("lite", "above", pairs=[["table04/final", "table04/final@top1/inlet"]])
    assert [part.label for part in inlet.parts] == ["all images over inlet"]


def test_amount_without_an_interval_is_undecided() -> None:
    unknown = Value(5, float("-inf"), float("inf"), 1)
    assert agrees(unknown, 5, difference=False) == OPEN
    assert agrees(Value(95, 94, 96, 3), 95.86, difference=False) == HOLDS
    assert agrees(Value(90, 89, 91, 3), 95.86, difference=False) == FAILS
    assert agrees(Value(1, -1, 3, 3), 2, difference=True) == OPEN


def test_a_wide_interval_confirms_no_amount() -> None:
    """The paper's own of Table 3's last row is 95.86 +- 1.63 of three runs, 4.05 to each side."""
    key = next(key for row, key, _ in row_runs(3, "paper") if row.id == "ours")
    for off, expected in ((0.058, OPEN), (0.01, HOLDS)):
        for seed in range(3):
            ledger.append("paper", fake.run_lines(key, seed, 0.9586 + off * (seed - 1)), [])
        assert verdict("paper", "amount", "amount", rows=["table03/ours"]) == expected
        ledger.ledger_path("paper").unlink()


def test_no_change_at_all_is_undecided() -> None:
    assert within(Value(0, 0, 0, 3), 0, 1) == OPEN and within(Value(-1, -2, 0, 3), 0, 1) == OPEN
    assert within(Value(-1, -2, -0.1, 3), 0, 1) == FAILS


def test_the_part_that_decides_is_the_nearest_to_its_bound() -> None:
    fake.fill("lite", number=3, seeds=3, top1={"mixup": 0.80, "cutmix": 0.84, "dropout": 0.83})
    rows = [f"table03/{row}" for row in ("mixup", "cutmix", "dropout")]
    item = judged("lite", "within", "amount", rows=rows, between=[0, 85])
    assert item.measured.startswith("of 3; CutMix: 84.20") and item.papers == "80.61 %"


@pytest.mark.parametrize(("top1", "expected"), [(0.70, HOLDS), (0.95, FAILS), (0.849, OPEN)])
def test_within(top1: float, expected: str) -> None:
    fake.fill("paper", number=3, seeds=3, top1={"mixup": top1})
    assert verdict("paper", "within", "amount", rows=["table03/mixup"], between=[0, 85]) == expected


def test_perfect_counts_classes() -> None:
    fake.fill("paper", seeds=3, top1={"final": 0.97, "moco": 0.5})  # inlet, drt side and ground reach 1
    for row, says, expected in (("final", 3, HOLDS), ("moco", 3, FAILS)):
        item = judged("paper", "perfect", "amount", rows=[f"table04/{row}"], says=says)
        assert item.verdict == expected
        assert item.measured.startswith("3.00 classes" if row == "final" else "0.00 classes")


def test_the_test_images_of_a_class_are_held_against_all() -> None:
    fake.fill("lite", seeds=3, top1={"final": 0.8, "ls-lu": 0.8})
    pairs = [["table04/final@top1/inlet", "table04/final"]]  # 9 points above
    assert verdict("lite", "above", pairs=pairs) == HOLDS


def test_the_paper_prints_the_same_rows_in_tables_9_to_11() -> None:
    for metric in ("acc", "macc", "facc", "miou"):
        assert (
            paper_of("table09/final", metric) == paper_of("table10/t-09", metric) == paper_of("table11/w-0001", metric)
        )
    assert paper_of("table08/ours", "miou") == paper_of("table09/final", "miou")
    assert paper_of("table04/balanced") is None and paper_of("table04/final@top1/inlet") is None


def test_frame_tally_files_and_command() -> None:
    same = dict.fromkeys(("moco", "baseline", "bn-frozen"), 0.7)
    fake.fill("lite", seeds=3, top1={"moco-ls": 0.95} | same)
    found = claims.frame("lite").set_index("id")
    line = found.loc["ls-remarkable"]
    assert (line["verdict"], line["value"], line["n"], line["unit"]) == (HOLDS, pytest.approx(25), 3, "points")
    assert line["paper"] == "+12.26 points"
    csv, text = claims.write_claims("lite")
    assert len(pd.read_csv(csv)) == len(claims.load()) and "✓ holds" in text.read_text(encoding="utf-8")
    shown = CliRunner().invoke(app, ["claims", "--profile", "lite"])
    assert shown.exit_code == 0 and "How many hold" in shown.output
