"""What a training step of Table 8's methods costs beside ours: above all ReCo, which the paper says costs more.

``make bench`` runs it, on an accelerator if there is one, at the profile that ``MARSNB_BENCH_PROFILE`` names (lite).
``MARSNB_BENCH_STEPS`` sets the steps of each kind.
"""

import os

import pytest

from marsnb.bench.steps import PAIRS, measured
from marsnb.results import cost_ratios

PROFILE = os.environ.get("MARSNB_BENCH_PROFILE", "lite")
STEPS = int(os.environ.get("MARSNB_BENCH_STEPS", str(PAIRS)))


@pytest.mark.slow
def bench_rivals() -> None:
    """Median step and peak memory of every step of every method, one batch, network and machine for all."""
    frame = measured(PROFILE, STEPS)
    first = frame.iloc[0]
    print(
        f"\n{first['backbone']} at {first['image_size']} px, {first['batch']} images, {first['device']}, "
        f"medians of {STEPS} steps, each beside one of cross entropy alone:"
    )
    print("method                    step        ms/step   baseline   ratio   peak MiB")
    for _, line in frame.iterrows():
        print(
            f"{line['label']:25} {line['step']:9} {line['ms']:9.1f} {line['base_ms']:10.1f} "
            f"{line['ms'] / line['base_ms']:7.2f} {line['peak'] / 2**20:10.0f}"
        )
    for name, value in cost_ratios(frame, "reco", "ours").items():
        print(f"  ReCo / ours, {name}: {value.value:.2f} [{value.low:.2f}, {value.high:.2f}]")
    assert {"reco", "ours"} <= set(frame["row"])
