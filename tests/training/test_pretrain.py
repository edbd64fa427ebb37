from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from marsnb import paths
from marsnb.data.base import ClassificationData, LabelledList
from marsnb.errors import RecipeError, TrainingError
from marsnb.methods.pretraining.moco import MoCo
from marsnb.models.backbones import build_backbone
from marsnb.processes import stoppable
from marsnb.training import pretrain
from marsnb.training.classification import fingerprint_of
from marsnb.training.pretrain import PretrainSpec, moco_mars_weights, open_pool, start_before
from marsnb.training.spec import ClassificationSpec

CPU = torch.device("cpu")
BUDGET = PretrainSpec(steps=4, batch=4, queue=8)
SPEC = ClassificationSpec(
    dataset="tiny", image_size=32, method="cross_entropy", backbone="test_resnet", start="moco_mars"
)


@dataclass
class Noise:
    """Random images; those in ``changed`` are others than before, under the old fingerprint."""

    names: tuple[str, ...]
    fingerprint: str
    changed: tuple[int, ...] = ()

    def decode(self, index: int, size: int) -> np.ndarray:
        rng = np.random.default_rng([index, len(self.names), index in self.changed])
        return rng.integers(0, 256, (size, size, 3), dtype=np.uint8)


def some(*indices: int) -> LabelledList:
    return LabelledList(np.array(indices, dtype=np.int64), np.zeros(len(indices), dtype=np.int64))


def tiny_data(changed: tuple[int, ...] = (), unlabelled: bool = True) -> ClassificationData:
    source = Noise(tuple(f"a{i}" for i in range(20)), "labelled", changed)
    return ClassificationData(
        name="tiny",
        protocol="by_frame",
        source=source,
        train=some(0, 2, 4, 6, 8, 10, 12, 14),
        val=some(1, 3, 5, 7),
        test=some(9, 11, 13, 15, 16, 17, 18, 19),
        unlabelled=Noise(tuple(f"b{i}" for i in range(9)), "more") if unlabelled else None,
        class_names=("sand",),
        fingerprint="all",
        synthetic=True,
    )


def weights(
    spec: ClassificationSpec = SPEC, data: ClassificationData | None = None, budget: PretrainSpec = BUDGET
) -> dict:
    return torch.load(moco_mars_weights(spec, data or tiny_data(), CPU, budget), weights_only=True)


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrain.pl, "Trainer", lambda **_: pytest.fail("it trained"))


def test_names_of_the_start():
    assert start_before("moco_mars") == "random"
    assert start_before("moco_mars:imagenet-lite") == "imagenet-lite"
    assert start_before("moco_mars:moco_v2:200") == "moco_v2:200"
    for other in ("random", "moco_v2", "moco_mars.pt", "moco_marsh:random"):
        assert start_before(other) is None


def test_trains_writes_and_is_found_again(monkeypatch, capsys):
    path = moco_mars_weights(SPEC, tiny_data(), CPU, BUDGET)
    assert path.parent == paths.runs() / "weights" and path.name.startswith("moco_mars-")
    assert "from random, 17 images  step 4/4  loss " in " ".join(capsys.readouterr().out.split("\n"))
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".lock", ".pt"]  # nothing half-written
    state = torch.load(path, weights_only=True)
    loaded = build_backbone("test_resnet", str(path))
    assert equal(loaded.state_dict(), state)  # the round trip
    fresh = build_backbone("test_resnet", "random", seed=SPEC.seed).state_dict()
    learned = [name for name in state if name.endswith(".weight")]  # not just the statistics of batch normalisation
    assert all(not torch.equal(fresh[name], state[name]) for name in learned)
    assert all(tensor.isfinite().all() for tensor in state.values())

    forbid_training(monkeypatch)
    assert moco_mars_weights(SPEC, tiny_data(), CPU, BUDGET) == path
    assert moco_mars_weights(SPEC.model_copy(update={"start": "moco_mars:random"}), tiny_data(), CPU, BUDGET) == path


def test_same_seed_same_weights_and_the_random_state_stays(tmp_path, monkeypatch):
    torch.manual_seed(7)
    first = weights()
    drawn = torch.rand(3)
    monkeypatch.setenv("MARSNB_RUNS", str(tmp_path))
    assert equal(weights(), first)
    assert not equal(weights(SPEC.model_copy(update={"seed": 1})), first)
    torch.manual_seed(7)
    assert torch.equal(torch.rand(3), drawn)


def test_no_test_image_and_no_other_split_is_seen(tmp_path, monkeypatch):
    data = tiny_data()
    pool = open_pool(SPEC, data)
    assert len(pool) == 17 and pool.indices.tolist() == data.train.indices.tolist()
    expected = [data.source.decode(i, 32) for i in data.train.indices]
    expected += [data.unlabelled.decode(i, 32) for i in range(9)]
    assert np.array_equal(pool.take(np.arange(17)), np.stack(expected))
    both = open_pool(SPEC.model_copy(update={"train_on": "train+val", "evaluate": ("test",)}), data)
    assert not set(both.indices) & set(data.test.indices) and len(both) == 21

    before = weights(data=data)
    held_out = (*data.val.indices.tolist(), *data.test.indices.tolist())
    monkeypatch.setenv("MARSNB_RUNS", str(tmp_path))  # nothing decoded, nothing trained
    assert equal(weights(data=tiny_data(changed=held_out)), before)


def test_the_file_name_covers_what_decides_the_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "_pretrain", lambda *_: {"x": torch.zeros(1)})
    monkeypatch.setenv("HOME", str(tmp_path))
    start = tmp_path / "start.pt"
    start.write_bytes(b"1")
    by_file = SPEC.model_copy(update={"start": "moco_mars:~/start.pt"})
    data = tiny_data()
    calls = [
        (SPEC, data, BUDGET),
        (SPEC.model_copy(update={"seed": 1}), data, BUDGET),
        (SPEC.model_copy(update={"image_size": 64}), data, BUDGET),
        (SPEC.model_copy(update={"backbone": "resnet18"}), data, BUDGET),
        (SPEC.model_copy(update={"start": "moco_mars:imagenet"}), data, BUDGET),
        (SPEC.model_copy(update={"train_on": "train+val"}), data, BUDGET),
        (SPEC, replace(data, source=replace(data.source, fingerprint="other")), BUDGET),
        (SPEC, replace(data, unlabelled=replace(data.unlabelled, fingerprint="other")), BUDGET),
        (SPEC, tiny_data(unlabelled=False), BUDGET),
        (SPEC, data, BUDGET.model_copy(update={"steps": 5})),
        (by_file, data, BUDGET),
    ]
    found = [moco_mars_weights(spec, some_data, CPU, budget) for spec, some_data, budget in calls]
    start.write_bytes(b"2")
    found.append(moco_mars_weights(by_file, data, CPU, BUDGET))
    assert len(set(found)) == len(found)
    # what comes after pretraining is not in it
    later = SPEC.model_copy(update={"method": "inter_class", "lr_head": 1.0, "epochs": 99, "batchnorm": "frozen"})
    assert moco_mars_weights(later, data, CPU, BUDGET) == found[0]


def test_a_start_file_behind_the_colon_is_part_of_the_runs_id(tmp_path):
    start, data, found = tmp_path / "start.pt", tiny_data(), set()
    for content in (b"1", b"2"):
        start.write_bytes(content)
        found.add(fingerprint_of(SPEC.model_copy(update={"start": f"moco_mars:{start}"}), data))
    assert len(found) == 2


def test_an_interrupt_is_raised_as_such(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(MoCo, "training_step", interrupt)
    with pytest.raises(KeyboardInterrupt), stoppable():  # which gives back the signal that Lightning takes away
        weights()
    assert [p.suffix for p in (paths.runs() / "weights").iterdir()] == [".lock"]


def test_without_unlabelled_images_it_trains_on_the_labelled():
    data = tiny_data(unlabelled=False)
    assert len(open_pool(SPEC, data)) == 8
    assert all(tensor.isfinite().all() for tensor in weights(data=data).values())


@pytest.mark.parametrize("start", ["moco_mars:imagenet_light", "moco_mars:", "moco_mars:imagenet-lite", "random"])
def test_an_unknown_start_is_one_line(start, monkeypatch):
    forbid_training(monkeypatch)
    with pytest.raises(RecipeError) as caught:
        weights(SPEC.model_copy(update={"start": start}))
    assert "\n" not in str(caught.value) and "start" in str(caught.value)
    assert not paths.cache().exists()  # it failed before any image was decoded


def test_a_loss_that_is_not_finite_leaves_no_file():
    with pytest.raises(TrainingError, match="MoCo's loss became nan"):
        weights(budget=BUDGET.model_copy(update={"temperature": float("nan")}))
    assert [p.suffix for p in (paths.runs() / "weights").iterdir()] == [".lock"]


def test_a_crash_while_writing_leaves_no_file(monkeypatch):
    def half(state: dict, file) -> None:
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pretrain, "_pretrain", lambda *_: {"x": torch.zeros(1)})
    monkeypatch.setattr(pretrain.torch, "save", half)
    with pytest.raises(OSError, match="disk full"):
        weights()
    assert [p.suffix for p in Path(paths.runs() / "weights").iterdir()] == [".lock"]


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch": 1}, {"queue": 33}, {"queue": 0}, {"unknown": 1}])
def test_a_budget_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        PretrainSpec(**wrong)
