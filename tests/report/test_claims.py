"""The claims: the file is sound, each check has a verdict for both sides and for neither, and nothing is pretended."""

from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from typer.testing import CliRunner

from marsnb import paths, recipes
from marsnb.cli import app
from marsnb.errors import RecipeError
from marsnb.report import claims
from marsnb.report.claim_checks import FAILS, HOLDS, OPEN, UNTESTED, agrees, within
from marsnb.report.claims import Claim, combine, judge_one
from marsnb.report.evidence import Evidence, Value, papers
from marsnb.report.figures import figure
from marsnb.training import ledger
from tests.conftest import REAL_DATA

PAPER = REAL_DATA.parent / "paper.txt"
PAIR = [["table04/moco-strong", "table04/baseline"]]


def claim(check: str, kind: str = "direction", **fields: object) -> Claim:
    return Claim.model_validate({"id": "x", "section": "6", "quote": "q", "kind": kind, "check": check, **fields})


def verdict(profile: str, *given: object, **fields: object) -> str:
    return judge_one(claim(*given, **fields), Evidence(profile)).verdict  # type: ignore[arg-type]


def curve(row: str, metric: str, values: list[float], profile: str = "lite") -> None:
    """Put another curve in the place of one of a row of Table 4."""
    key = Evidence(profile).key(f"table04/{row}")
    frame = ledger.read_curves(profile)
    mine = frame["run_id"].str.startswith(f"{key}-") & (frame["metric"] == metric)
    new = [{"run_id": f"{key}-abc123-s0", "epoch": i, "metric": metric, "value": v} for i, v in enumerate(values, 1)]
    pd.concat([frame[~mine], pd.DataFrame(new)]).to_csv(ledger.curves_path(profile), index=False)


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
            numbers = [papers(term, *c.metrics) for term in (c.pairs[0] if c.pairs else c.rows)]
            says = numbers[0] - (numbers[1] if c.pairs else 0)  # type: ignore[operator]
            assert f"{says:.2f}%" in c.quote or f"{says:.0f}%" in c.quote, c.id


def test_a_mistake_in_the_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = '{id: a, section: "3", kind: data, check: guess, quote: q}'
    (tmp_path / "claims.yaml").write_text(f"claims:\n  - {entry}\n", encoding="utf-8")
    monkeypatch.setattr(paths, "recipes", lambda: tmp_path)
    claims.load.cache_clear()
    with pytest.raises(RecipeError, match="unknown check 'guess'; known: above"):
        claims.load()
    claims.load.cache_clear()


@pytest.mark.parametrize("profile", recipes.profiles())
def test_of_an_empty_ledger_nothing_is_tested(profile: str) -> None:
    found = claims.frame(profile)
    assert set(found["verdict"]) == {UNTESTED} and (found["why"] != "").all()
    assert claims.tally(found).loc["all"].sum() == len(found)


def test_generated_images_show_mechanisms_only(fake_ledger: ModuleType) -> None:
    for number in (3, 4, 5, 6, 7):
        fake_ledger.fill("smoke", number=number, data="synthetic")
    curve("moco-lu", "embed_u/effective_rank", [1.5] * 6, "smoke")
    found = claims.frame("smoke").set_index("id")
    tested = found[found["verdict"] != UNTESTED]
    assert set(tested["kind"]) == {"mechanism"} and found.loc["lu-collapse-embedding", "verdict"] == HOLDS
    assert (found[found["kind"] != "mechanism"]["measured"] == "").all()
    assert "SYNTHETIC" in claims.tally_markdown("smoke")


def test_generated_images_in_a_real_profile_are_refused(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", data="synthetic")
    assert verdict("lite", "above", pairs=PAIR) == UNTESTED


@pytest.mark.parametrize(("top1", "expected"), [(0.90, HOLDS), (0.70, FAILS), (0.81, OPEN)])
def test_above(fake_ledger: ModuleType, top1: float, expected: str) -> None:
    fake_ledger.fill("lite", top1={"moco-strong": top1, "baseline": 0.80})
    assert verdict("lite", "above", pairs=PAIR) == expected


def test_a_sentence_of_several_rows_fails_with_one_and_is_not_tested_without_one(fake_ledger: ModuleType) -> None:
    top1 = {"baseline": 0.8, "moco-strong": 0.9, "moco-eq1": 0.9, "moco-lu": 0.6}
    fake_ledger.fill("lite", leave_out=("moco-ls",), top1=top1)
    pairs = [[f"table04/{row}", "table04/baseline"] for row in ("moco-strong", "moco-eq1", "moco-ls", "moco-lu")]
    assert verdict("lite", "above", pairs=pairs) == FAILS
    item = judge_one(claim("above", pairs=pairs[:3]), Evidence("lite"))
    assert (item.verdict, item.why) == (UNTESTED, "not run: table04/moco-ls")
    assert item.measured.startswith("2 of 3 hold, 1 not tested; moco-")
    assert combine([HOLDS, OPEN]) == OPEN and combine([HOLDS, HOLDS]) == HOLDS and combine([]) == UNTESTED


def test_what_is_no_comparison_is_not_tested(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite")
    fake_ledger.fill("lite", number=5)
    why = {
        "one run at this profile": [["table04/moco", "table04/baseline"]],
        "from random weights here": [["table05/vgg16-ours", "table05/vgg16-baseline"]],
        "no recipe yet: table99": [["table99/a", "table99/b"]],
        "no such row yet: table04/soon": [["table04/soon", "table04/baseline"]],
        "its runs have no miou": [["table04/final@miou", "table04/baseline"]],
    }
    for text, pairs in why.items():
        item = judge_one(claim("above", pairs=pairs), Evidence("lite"))
        assert item.verdict == UNTESTED and text in item.why


@pytest.mark.parametrize(("best", "expected"), [(0.95, HOLDS), (0.70, FAILS), (0.81, OPEN)])
def test_best(fake_ledger: ModuleType, best: float, expected: str) -> None:
    rows = ("ls-0.3", "ls-0.5", "ls-1", "ls-2", "ls-5")
    fake_ledger.fill("lite", number=6, top1=dict.fromkeys(rows, 0.8) | {"ls-1": best})
    assert verdict("lite", "best", rows=["table06/ls-1"]) == expected


@pytest.mark.parametrize(("middle", "expected"), [(0.8, HOLDS), (0.6, FAILS), (0.9, OPEN)])
def test_ordered(fake_ledger: ModuleType, middle: float, expected: str) -> None:
    fake_ledger.fill("lite", number=6, top1={"ls-0.3": 0.9, "ls-0.5": middle, "ls-1": 0.7})
    assert verdict("lite", "ordered", rows=["table06/ls-0.3", "table06/ls-0.5", "table06/ls-1"]) == expected


@pytest.mark.parametrize(("gap", "expected"), [(0.001, OPEN), (0.2, FAILS)])
def test_alike(fake_ledger: ModuleType, gap: float, expected: str) -> None:
    fake_ledger.fill("lite", number=6, top1={"ls-0.3": 0.7 + gap, "ls-0.5": 0.7})
    assert verdict("lite", "alike", pairs=[["table06/ls-0.3", "table06/ls-0.5"]]) == expected
    assert within(Value(0, -0.5, 0.5), -1, 1) == HOLDS


@pytest.mark.parametrize(("top1", "expected"), [(0.851, HOLDS), (0.95, FAILS), (0.825, OPEN)])
def test_amount_of_a_gain(fake_ledger: ModuleType, top1: float, expected: str) -> None:
    """The paper's is 4.93."""
    one_run = dict.fromkeys(("moco", "bn-trained", "paper-rate"), top1)  # three rows of one spec at that profile
    fake_ledger.fill("paper", top1=one_run | {"moco-strong": 0.80})
    pairs = [["table04/moco", "table04/moco-strong"]]
    assert verdict("paper", "amount", "amount", pairs=pairs) == expected
    fake_ledger.fill("lite", top1={"moco": top1, "baseline": top1, "bn-frozen": top1, "moco-strong": 0.80})
    item = judge_one(claim("amount", "amount", pairs=pairs), Evidence("lite"))
    assert item.verdict == UNTESTED and "the paper's own settings" in item.why and item.measured


def test_amount_without_an_interval_is_undecided() -> None:
    unknown = Value(5, float("-inf"), float("inf"), 1)
    assert agrees(unknown, 5, difference=False) == OPEN
    assert agrees(Value(95, 94, 96, 1), 95.86, difference=False) == HOLDS
    assert agrees(Value(90, 89, 91, 1), 95.86, difference=False) == FAILS


@pytest.mark.parametrize(("top1", "expected"), [(0.70, HOLDS), (0.95, FAILS), (0.85, OPEN)])
def test_within(fake_ledger: ModuleType, top1: float, expected: str) -> None:
    fake_ledger.fill("paper", number=3, top1={"mixup": top1})
    assert verdict("paper", "within", "amount", rows=["table03/mixup"], between=[0, 85]) == expected


def test_perfect_counts_classes(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("paper", top1={"final": 0.97, "moco": 0.5})  # inlet, drt side and ground reach 1
    for row, says, expected in (("final", 3, OPEN), ("moco", 3, OPEN)):
        item = judge_one(claim("perfect", "amount", rows=[f"table04/{row}"], says=says), Evidence("paper"))
        assert item.verdict == expected  # one seed says nothing of another
        assert item.measured.startswith("3 classes" if row == "final" else "0 classes")


def test_classes_have_wilsons_interval(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", top1={"final": 0.5})
    value = Evidence("lite").value("table04/final", "top1/wheel")  # 150 of 300
    assert (value.value, value.low, value.high) == pytest.approx((50, 44.37, 55.63), abs=0.01)


def test_intervals_of_a_difference_and_over_seeds(fake_ledger: ModuleType) -> None:
    gain = Value(80, 77, 82, 1) - Value(70, 66, 74, 1)
    assert (gain.value, gain.low, gain.high) == pytest.approx((10, 5, 10 + 20**0.5))
    fake_ledger.fill("lite", seeds=3, top1={"final": 0.8})
    value = Evidence("lite").value("table04/final")
    assert (value.n, value.value, value.high - value.value) == (3, pytest.approx(80.2), pytest.approx(0.4969, abs=1e-3))


def test_tally_table_figures_and_command(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", top1={"moco-ls": 0.95, "moco": 0.7, "baseline": 0.7, "bn-frozen": 0.7})
    csv, text = claims.write_claims("lite")
    assert len(pd.read_csv(csv)) == len(claims.load()) and "✓ holds" in text.read_text(encoding="utf-8")
    assert figure("claims", "lite").is_file() and figure("claims_tally", "lite").is_file()
    assert figure("claims", "smoke").is_file()  # nothing to draw, and it says so
    shown = CliRunner().invoke(app, ["claims", "--profile", "lite"])
    assert shown.exit_code == 0 and "How many hold" in shown.output
