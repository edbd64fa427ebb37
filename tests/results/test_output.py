"""Tables as files and on a page."""

import re

import pandas as pd
import pytest

from marsnb import paths, results
from tests.fake import ledger as fake


def test_readable_tables_have_two_decimals_and_say_what_was_not_run() -> None:
    fake.fill("lite", leave_out=("moco-eq1",), seeds=3, top1={"moco-ls": 0.8})
    texts = results.readable(results.summary(results.table(4, "lite"))).set_index("Method")
    ls = texts.loc["MoCo V2 pretraining + L_s"]
    assert (ls["paper"], ls["measured"], ls["difference"], ls["n"]) == ("93.82 ± 1.57", "80.20 ± 0.20", "-13.62", "3")
    eq1 = texts.loc["MoCo V2 pretraining + Eq.(1)"]
    assert (eq1["measured"], eq1["difference"], eq1["n"]) == ("not run", "", "")
    assert "same run as ResNet-50 (baseline)" in texts.loc["MoCo V2 pretraining", "remarks"]
    assert texts["Category"].iloc[-1] == "Control" and "every class as often" in " ".join(texts["remarks"])


def test_a_table_of_several_metrics_has_columns_for_each() -> None:
    fake.fill("lite", number=9)
    texts = results.readable(results.summary(results.table(9, "lite")))
    assert [name for name in texts if name.startswith("mIoU")] == ["mIoU, paper", "mIoU, measured", "mIoU, difference"]
    assert texts["mIoU, measured"].iloc[0].count("[") == 1


def test_a_row_that_cannot_be_run_says_why() -> None:
    texts = results.readable(results.summary(results.table(5, "lite"))).set_index("Method")
    assert "need a download" in texts.loc["VGG-16, ours", "remarks"]


def test_the_caption_says_data_seeds_and_profile() -> None:
    fake.fill("lite", seeds=3)
    text = results.caption(results.summary(results.table(4, "lite")), "lite")
    assert (
        "last checkpoint" in text
        and "over n seeds" in text
        and "Data: msl, 720 test images, fingerprint abc123de." in text
    )
    assert "One seed" not in text and "Profile lite: Real images" in text
    assert "Nothing was run yet" in results.caption(results.summary(results.table(4, "paper")), "paper")
    fake.fill("lite", number=9)
    assert "mIoU (mean IoU over classes)" in results.caption(results.summary(results.table(9, "lite")), "lite")


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7, 8, 9, 10, 11, "choice", "choice_segmentation"])
def test_every_table_is_written_run_or_not(number: int | str) -> None:
    for filled in (False, True):
        if filled:
            fake.fill("lite", number=number)
        csv, text = results.write_table(number, "lite")
        frame = pd.read_csv(csv)
        assert csv.parent == paths.figures("lite") and len(frame) and frame["mean"].notna().any() == filled
        assert (
            f"{frame['label'].iloc[0]}".replace("|", "\\|") in text.read_text() and "SYNTHETIC" not in text.read_text()
        )


def test_generated_images_are_named_in_the_file_and_on_the_page() -> None:
    fake.fill("smoke", data="synthetic")
    assert "**SYNTHETIC DATA" in results.write_table(4, "smoke")[1].read_text()
    assert "SYNTHETIC DATA" in results.styled(results.summary(results.table(4, "smoke")), "smoke").to_html()


def test_a_styled_frame_hides_what_is_empty_or_internal() -> None:
    fake.fill("lite", seeds=3, leave_out=("moco-eq1",))
    frame = results.table(4, "lite")
    html = results.styled(results.summary(frame), "lite").to_html()
    assert "not run" in html and "abc123def<" not in html and "last checkpoint" in html and ">sd<" in html
    assert ">family<" not in html  # empty in this table
    gaps = results.differences(frame, "baseline")
    html = results.styled(gaps).to_html()
    assert "same run" in html and "told_apart" in html and "last checkpoint" not in html
    cells = re.findall(r">([^<>]*)</td>", html)  # `why` says it, once for each; nothing is told of what has no mean
    unknown = int(gaps["mean"].isna().sum())
    assert cells.count("not run") + cells.count("same run") == unknown > 1
    assert cells.count("True") + cells.count("False") == len(gaps) - unknown > 1


def test_numbers_are_written_with_six_digits_and_nothing_for_nothing() -> None:
    path = results.write_csv(paths.figures("lite") / "x.csv", pd.DataFrame({"a": [1 / 3, None], "b": ["x", ""]}))
    assert path.read_text() == "a,b\n0.333333,x\n,\n"


def test_a_tall_table_has_a_line_for_each_row_and_metric() -> None:
    fake.fill("lite", number=9, seeds=3)
    summary = results.summary(results.table(9, "lite"))
    found = results.tall(summary)
    assert len(found) == len(summary) and list(found) == ["paper", "measured", "difference"]
    assert list(found.loc[("Final Method", "3")].index) == ["mIoU", "ACC", "MACC", "FACC"]
    wide = results.readable(summary).set_index("Method").loc["Final Method"]
    assert found.loc[("Final Method", "3", "FACC")].to_list() == wide[[f"FACC, {name}" for name in found]].to_list()
