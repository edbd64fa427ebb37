"""From rows and profiles to specs: every one resolves, equal runs share a key, and a mistake is one line."""

import pytest
from pydantic import ValidationError

from marsnb.errors import RecipeError
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import method_settings
from marsnb.recipes import Row, load_profile, load_table, profiles, trainable
from marsnb.training.spec import ClassificationSpec, make_spec, resolve, row_runs

FIELDS = {"dataset": "synthetic", "image_size": 64, "method": "semi_supervised", "backbone": "b", "start": "s"}
# Another value for each field of a spec but the seed.
OTHER = {
    "dataset": "msl", "protocol": "paper", "data_options": {"seed": 1}, "image_size": 65, "method": "inter_class",
    "settings": {"weight_u": 0.3}, "backbone": "c", "start": "t", "batchnorm": "frozen", "epochs": 31,
    "steps_per_epoch": 3, "batch_labelled": 17, "batch_unlabelled": 17, "lr_head": 0.1, "lr_projection": 0.1,
    "lr_backbone": 0.1, "milestones": (1,), "lr_decay": 0.5, "weight_decay": 0.1, "pretrain_steps": 7,
    "precision": "bf16-mixed",
    "train_on": "train+val", "evaluate": ("test",), "trunk": "layer2", "views": 3, "threads": 1, "compile": True,
}  # fmt: skip


def spec(**fields):
    return make_spec(**FIELDS | fields)


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("profile", profiles())
@pytest.mark.parametrize("table", trainable())
def test_every_row_resolves_in_every_profile(table, profile):
    runs = row_runs(table, profile)
    assert [row for row, _, _ in runs] == list(load_table(table).rows)
    scale, task = load_profile(profile), load_table(table).task
    for row, key, resolved in runs:
        assert resolved.key == key and len(key) == 10
        assert resolved.method == row.method
        assert resolved.backbone == scale.backbone(row.backbone, row.own_backbone)
        own = {**row.overrides, **row.at.get(profile, {})}
        assert resolved.task == task
        assert resolved.start == own.get("start", scale.start(row.start, task))
        wanted = {**getattr(scale, task), **own}
        for field, value in wanted.items():
            got = getattr(resolved, field)
            assert (list(got) if isinstance(got, tuple) else got) == value, field
        assert load_table(table).split in resolved.evaluate


def test_the_papers_settings():
    for row, _, resolved in row_runs(4, "paper"):
        if row.control:
            continue
        assert resolved.backbone == "resnet50" and resolved.start == row.start
        assert (resolved.epochs, resolved.milestones, resolved.lr_decay) == (30, (20, 25), 0.1)
        assert (resolved.lr_head, resolved.lr_projection, resolved.lr_backbone) == (1e-3, 1e-6, 1e-6)
        assert (resolved.batch_labelled, resolved.batch_unlabelled) == (16, 16)
        assert (resolved.weight_decay, resolved.batchnorm, resolved.settings) == (0, "labelled", {})
    assert spec().rates() == {"head": 1e-3, "projection": 1e-6, "backbone": 1e-6}
    assert (spec().milestones, spec().lr_decay) == ((20, 25), 0.1)


def test_rows_that_are_one_run_share_it():
    def keys(profile):
        return {row.id: key for row, key, _ in row_runs(4, profile)}

    # The lite profile has one set of start weights, so what differs in the start alone is one run there ...
    lite = keys("lite")
    assert lite["baseline"] == lite["moco"]
    assert lite["ls-lu"] == lite["final"]
    ran = [lite[row] for row in ("moco", "moco-strong", "moco-eq1", "moco-ls", "moco-lu", "final", "linear-probe")]
    assert len(set(ran)) == len(ran)
    # ... and none of the paper's rows in the paper's.
    paper = keys("paper")
    rows = [row.id for row in load_table(4).rows if not row.control]
    assert len({paper[row] for row in rows}) == len(rows)
    assert not set(paper.values()) & set(lite.values())


def test_key_is_of_everything_but_the_seed():
    assert set(ClassificationSpec.model_fields) - {"seed", "task"} == set(OTHER), (
        "a new field needs another value in OTHER"
    )
    base = spec(evaluate=("test",))  # so that train+val is allowed
    assert spec(evaluate=("test",), seed=7).key == base.key
    keys = {field: spec(**{"evaluate": ("test",), field: value}).key for field, value in OTHER.items()}
    assert keys.pop("evaluate") == base.key  # the base's own value
    assert base.key not in keys.values() and len(set(keys.values())) == len(keys)
    assert base.key != spec().key


def test_what_equals_a_default_does_not_enter_the_key():
    defaults = {
        name: field.default for name, field in ClassificationSpec.model_fields.items() if not field.is_required()
    }
    assert spec(**defaults).key == spec().key
    for name in METHODS:
        settings = method_settings(METHODS[name], {})
        assert spec(method=name, settings=settings) == spec(method=name)
    assert spec(settings={"weight_s": 1}).settings == {}  # 1 is 1.0
    assert spec(settings={"weight_u": 0.3, "temperature": 0.2}).settings == {"weight_u": 0.3}
    assert spec(settings={"weight_u": 0.3}).key == spec(settings={"temperature": 0.2, "weight_u": 0.3}).key


def test_order_does_not_enter_the_key():
    assert spec(data_options={"a": 1, "b": 2}).key == spec(data_options={"b": 2, "a": 1}).key
    assert make_spec(**dict(reversed(FIELDS.items()))).key == spec().key


def test_keys_of_old_runs_stay():
    """What the ledger's ids are made of: a change here orphans every measured run."""
    old = spec(settings={"weight_u": 0.3}, epochs=5, milestones=[3, 4], lr_backbone=3e-5, evaluate=["test"], seed=4)
    assert old.key == "600b4e88cf"


def test_spec_is_frozen():
    with pytest.raises(ValidationError):
        spec().epochs = 3  # type: ignore[misc]


def test_seeds_share_a_key():
    row, scale = load_table(4).row("final"), load_profile("paper")
    assert [resolve(row, scale, seed).seed for seed in range(3)] == [0, 1, 2]
    assert len({resolve(row, scale, seed).key for seed in range(3)}) == 1


def test_val_is_not_scored_when_trained_on():
    for evaluate in (("val", "test"), ("val",)):
        with pytest.raises(RecipeError, match="val is trained on: leave it out of evaluate") as caught:
            spec(train_on="train+val", evaluate=evaluate)
        one_line(caught)
    assert spec(train_on="train+val", evaluate=("test",)).train_on == "train+val"


@pytest.mark.parametrize(
    ("overrides", "settings", "message"),
    [
        ({"lr_backbon": 1e-5}, {}, "run setting 'lr_backbon'.*known: .*lr_backbone"),
        ({"epochs": 0}, {}, "run setting 'epochs'.*at least 1"),
        ({"epochs": "many"}, {}, "run setting 'epochs'.*integer"),
        ({"image_size": -1}, {}, "run setting 'image_size'.*at least 1"),
        ({"batchnorm": "off"}, {}, "run setting 'batchnorm'.*'train', 'frozen' or 'labelled'"),
        ({"evaluate": ["tset"]}, {}, r"run setting 'evaluate\.0'.*'val' or 'test'"),
        ({"precision": "half"}, {}, "run setting 'precision'.*32-true"),
        ({}, {"weigth_u": 1}, "method setting 'weigth_u' is unknown to SemiSupervised; known: .*weight_u"),
    ],
)
def test_a_wrong_row_is_one_line(overrides, settings, message):
    row = Row(id="x", label="x", method="semi_supervised", overrides=overrides, settings=settings)
    with pytest.raises(RecipeError, match=message) as caught:
        resolve(row, load_profile("smoke"))
    one_line(caught)


def test_an_unknown_method_names_the_known():
    row = Row(id="x", label="x", method="semi_supervized")
    with pytest.raises(RecipeError, match=r"did you mean 'semi_supervised'.*known: .*cross_entropy") as caught:
        resolve(row, load_profile("smoke"))
    one_line(caught)


def test_a_wrong_key_of_a_profile_is_one_line():
    scale = load_profile("smoke")
    wrong = scale.model_copy(update={"classification": {**scale.classification, "imagesize": 3}})
    with pytest.raises(RecipeError, match=r"run setting 'imagesize'.*known: .*image_size") as caught:
        resolve(load_table(4).row("final"), wrong)
    one_line(caught)
