"""The page of departures names every method that there is, and states defaults as the code has them."""

import re
from pathlib import Path

import pytest

from marsnb.methods._base import method_settings
from marsnb.methods.classification import METHODS
from marsnb.methods.segmentation import METHODS as SEGMENTATION

PAGE = (Path(__file__).parents[2] / "docs" / "departures.md").read_text()
# The baseline, the paper's own and its controls have no reference to depart from.
OWN = {"cross_entropy", "strong_augmentation", "class_balanced_sampling", "linear_probe", "info_nce"}
OWN |= {"inter_class", "similarity", "semi_supervised", "fresh_views"}


def named(part):
    """Methods in the first column of a part of the page."""
    first = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
    return {name for cell in first for name in re.findall(r"`(\w+)`", cell)}


def part(title):
    return PAGE.split(f"## {title}")[1].split("\n## ")[0]


@pytest.mark.parametrize(("title", "registry"), [("Classification", METHODS), ("Segmentation", SEGMENTATION)])
def test_every_rival_is_on_the_page_and_nothing_else(title, registry):
    assert named(part(title)) == set(registry) - OWN


def test_the_page_of_statistics_names_methods_that_have_another_stream():
    several = {name for name in METHODS if len(METHODS[name].streams) > 1 and len(METHODS[name].stages) == 1}
    assert several <= named(part("Statistics")) <= set(METHODS)


@pytest.mark.parametrize(
    ("registry", "name", "setting", "said"),
    [
        (METHODS, "mixup", "alpha", "0.2; the neighbour"),
        (METHODS, "dropout", "rate", "0.5 on the pooled features"),
        (METHODS, "triplet_loss", "margin", "0.2 between distances"),
        (METHODS, "s4l_jigsaw", "embed", "| 128 | data and networks"),
        (METHODS, "pseudo_label", "threshold", "threshold 0.95,"),
        (METHODS, "pseudo_label", "warmup", "warm-up over 0.4"),
        (METHODS, "lws", "rate_scale", "at 10 times the head's rate"),
        (METHODS, "class_balanced_loss", "beta", "beta 0.9999"),
        (SEGMENTATION, "classmix", "threshold", "threshold 0.97 |"),
        (SEGMENTATION, "mean_teacher", "weight", "| 100 by default;"),
        (SEGMENTATION, "less", "threshold", "pseudo labels, 0.9 |"),
    ],
)
def test_defaults_are_as_the_page_says(registry, name, setting, said):
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| `") and f"`{name}`" in line and said in line]
    value = method_settings(registry[name], {})[setting]
    assert f"{value:g}" in re.findall(r"\d+(?:\.\d+)?", said) and row


def test_stages_are_as_long_as_the_page_says():
    for name in ("crt", "lws", "supcon_linear", "supcon_all"):
        assert METHODS[name].stages == (1.0, 1.0)
