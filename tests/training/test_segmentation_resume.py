"""A run of a method with a teacher, a frozen copy or auxiliary decoders, stopped in an epoch and taken up again."""

import pandas as pd
import pytest
import torch

from marsnb.training.recorder import Recorder
from marsnb.training.run import make_spec, run

TINY = {
    "task": "segmentation", "dataset": "synthetic_terrain", "data_options": {"train": 8, "test": 4}, "image_size": 32,
    "backbone": "test_resnet", "start": "random", "epochs": 1, "steps_per_epoch": 2, "batch_labelled": 4,
    "decoder_channels": 16, "curve_images": 4,
}  # fmt: skip


class StoppedError(Exception):
    """Ends a run where it is."""


def finished(spec):
    result = run(spec, "smoke", device="cpu")
    return result, torch.load(result.folder / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize(
    ("method", "settings", "bookkeeping"),
    [
        ("mean_teacher", {}, "teacher.updates"),
        ("classmix", {"threshold": 0.3}, "teacher.updates"),
        ("reco", {"mixing": "cutmix", "weak": 0.3}, "teacher.updates"),
        ("less", {"pairs": "cross", "threshold": 0.3}, "labeller.updates"),
        ("cct", {"decoders": 1}, "auxiliary.adversarial.0.0.weight"),
    ],
)
def test_a_stopped_run_ends_with_the_same_numbers(method, settings, bookkeeping, monkeypatch, tmp_path):
    spec = make_spec(**TINY, method=method, settings=settings)
    expected, state = finished(spec)
    assert state[bookkeeping].abs().sum() > 0
    monkeypatch.setenv("MARSNB_FIGURES", str(tmp_path / "stopped"))
    monkeypatch.setenv("MARSNB_RUNS", str(tmp_path / "stopped-runs"))
    real = Recorder.on_train_batch_end
    last = int(expected.metrics["steps"].iloc[0])

    def stop(self, trainer, *rest):
        real(self, trainer, *rest)
        if trainer.global_step == last - 1:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_train_batch_end", stop)
        with pytest.raises(StoppedError):
            run(spec, "smoke", device="cpu")
    result, resumed = finished(spec)
    same = ["split", "metric", "value", "n"]
    pd.testing.assert_frame_equal(result.metrics[same], expected.metrics[same], check_exact=True)
    pd.testing.assert_frame_equal(result.curves, expected.curves, check_exact=True)
    assert state.keys() == resumed.keys() and all(torch.equal(state[name], resumed[name]) for name in state)
