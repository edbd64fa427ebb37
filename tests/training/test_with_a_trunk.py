"""Every method takes steps on a cut network from the bank, and the bank's views give what their pixels give."""

import numpy as np
import pytest
import torch

from marsnb import paths
from marsnb.data.bank import BankSpec, encode, open_bank
from marsnb.data.cache import open_cached
from marsnb.methods import methods_of
from marsnb.methods.classification import METHODS
from marsnb.methods.segmentation import METHODS as SEGMENTATION
from marsnb.training.run import run, work_of
from marsnb.training.spec import make_spec

CPU = torch.device("cpu")
SMALL = {
    "dataset": "synthetic", "image_size": 64, "backbone": "test_resnet", "start": "random", "epochs": 1,
    "milestones": [], "steps_per_epoch": 2, "trunk": "layer2", "views": 2, "threads": 1, "lr_backbone": 1e-3,
}  # fmt: skip
TERRAIN = {
    "task": "segmentation", "dataset": "synthetic_terrain", "image_size": 64, "backbone": "test_resnet",
    "start": "random", "epochs": 1, "steps_per_epoch": 2, "batch_labelled": 4, "decoder_channels": 16,
    "trunk": "layer2", "views": 2, "crop": False, "threads": 1,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _one_bank(tmp_path_factory):
    """All tests of this file share the banks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARSNB_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setenv("MARSNB_FIGURES", str(tmp_path_factory.mktemp("figures")))
        yield


@pytest.fixture(autouse=True)
def _shared(_one_bank, monkeypatch, request):
    """Undo the folder of its own that each test has."""
    monkeypatch.undo()


def prepared(**fields):
    spec = make_spec(**fields)
    return work_of(spec).prepare(spec, work_of(spec).open_data(spec), CPU)


def two_steps(work, methods):
    """Two steps in each stage: finite losses, a gradient in the tail, none in the trunk, which stays to the bit."""
    method = work.method.train()
    network = method.model.backbone if hasattr(method.model, "backbone") else method.model
    inner = network.network
    trunk = [inner.get_submodule(p) for p in [*getattr(network, "low_parts", []), *network.trunk_parts]]
    before = [t.clone() for module in trunk for t in module.state_dict().values()]
    lengths = method.stage_epochs()
    for stage in range(len(lengths)):
        method.begin_epoch(sum(lengths[:stage]))
        if hasattr(work.batches, "streams_at") and work.batches.streams_at is not None:
            names = method.streams_of(stage)
        else:
            names = method.streams
        for batch in work.batches.train_dataloader():
            fed = work.batches.on_after_batch_transfer(batch, 0)
            if set(names) - set(
                fed
            ):  # a later stage's streams: the loader asks the trainer for its epoch, and has none
                continue
            losses = method.step(**fed)
            assert all(torch.isfinite(v).all() for v in losses.values())
            method.zero_grad()
            losses["loss"].backward()
    assert all(p.grad is None for module in trunk for p in module.parameters())
    after = [t for module in trunk for t in module.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", METHODS)
def test_every_classification_method_steps_from_the_bank(name):
    work = prepared(method=name, **SMALL)
    arrays = work.batches.arrays
    if not METHODS[name].precompute:
        assert set(arrays.banks) == set(work.method.streams) - set(work.method.pixels)
    two_steps(work, METHODS)


@pytest.mark.parametrize("name", SEGMENTATION)
def test_every_segmentation_method_steps_from_the_bank(name):
    two_steps(prepared(method=name, **TERRAIN), SEGMENTATION)


@pytest.mark.parametrize("mixing", ["none", "cutmix"])
def test_reco_asks_for_images_where_it_mixes(mixing):
    work = prepared(method="reco", settings={"mixing": mixing}, **TERRAIN)
    assert work.batches.arrays.pixels == (() if mixing == "none" else ("unlabelled",))
    two_steps(work, SEGMENTATION)


def test_images_that_are_to_be_mixed_bring_what_the_trunk_makes_of_them():
    """The teacher sees them unmixed, so it need not pass them through the trunk again; mirrored ones are mirrored."""
    work = prepared(method="cutmix", **TERRAIN)
    arrays, network = work.batches.arrays, work.method.model.eval()
    first = next(iter(work.batches.train_dataloader()))
    raw, masks = first["unlabelled"]["images"].clone(), first["unlabelled"]["masks"].clone()
    fed = work.batches.on_after_batch_transfer(first, 0)
    batch, labelled = fed["unlabelled"], fed["labelled"]
    assert batch.images.shape[1] == 3 and batch.unchanged is batch.kept and labelled.unchanged is labelled.images
    with torch.no_grad():
        one, other = network(batch.images), network(batch.kept)
    assert (one - other).abs().max() <= 0.005 * other.std() and (one.argmax(1) == other.argmax(1)).float().mean() > 0.99
    known = [torch.tensor(arrays.masks[i]) for i in arrays.splits["train"]]
    pictures = [torch.tensor(arrays.images[i]).movedim(2, 0) for i in arrays.splits["train"]]
    flips = set()
    for image, mask in zip(raw, masks, strict=True):
        at = [
            (i, flip)
            for i, (x, y) in enumerate(zip(pictures, known, strict=True))
            for flip in (False, True)
            if torch.equal(image, (x.flip(-1) if flip else x).expand_as(image))
            and torch.equal(mask, y.flip(-1) if flip else y)
        ]
        assert len(at) == 1
        flips.add(at[0][1])
    assert flips == {False, True}


def test_logits_from_the_bank_are_those_of_the_pixels():
    """Half precision is all that lies between: logits agree to 0.5 % of their spread, classes on 99.9 % of images."""
    spec = make_spec(method="cross_entropy", **SMALL)
    data = work_of(spec).open_data(spec)
    work = work_of(spec).prepare(spec, data, CPU)
    model, labelled = work.method.model.eval(), np.sort(np.concatenate([data.train.indices, data.val.indices]))
    bank = open_bank(BankSpec(data.source, 64, labelled, "strong", 2, model.backbone, "layer2"))
    chosen = labelled[:32]  # a chunk, whose seed the bank's key names
    images = open_cached(data.source, 64)
    with torch.no_grad():
        for view in range(2):
            kept = torch.from_numpy(bank.gather(chosen, np.full(32, view))[0]).float()
            import hashlib

            name = hashlib.sha256(f"{data.source.fingerprint}:strong:64".encode()).hexdigest()
            seed = hashlib.sha256(f"{name}:{view}:{chosen[0]}".encode()).digest()
            torch.manual_seed(int.from_bytes(seed[:7], "big"))
            fresh = encode(model.backbone, images[chosen], "strong", 64, view)[0]
            one, other = model(kept), model(fresh)
            assert (one - other).abs().max() <= 0.005 * other.std()
            assert (one.argmax(1) == other.argmax(1)).float().mean() >= 0.999


@pytest.mark.parametrize("fields", [SMALL | {"method": "inter_class"}, TERRAIN | {"method": "semi_supervised"}])
def test_a_run_from_the_bank_is_the_same_twice(fields, tmp_path, monkeypatch):
    values = []
    for at in ("a", "b"):
        monkeypatch.setenv("MARSNB_FIGURES", str(tmp_path / at))
        monkeypatch.setenv("MARSNB_RUNS", str(tmp_path / at))
        result = run(make_spec(**fields), "smoke")
        assert result.metrics["device"].str.startswith("cpu x1").all()
        values.append(result.metrics["value"].tolist())
    assert values[0] == values[1] and (paths.runs() / "bank").is_dir()


def test_the_registries_are_whole():
    assert len(list(methods_of("classification"))) >= 20 and len(list(methods_of("segmentation"))) >= 10
