"""Recipes and profiles: complete, of known methods, and a mistake in a file is one line that names the file."""

import inspect

import pytest
import yaml

from marsnb import paths
from marsnb.data import DATASETS, SEGMENTATION_DATASETS
from marsnb.errors import RecipeError
from marsnb.methods import methods_of
from marsnb.methods._base import method_settings
from marsnb.models.backbones import build_backbone
from marsnb.models.moco_checkpoint import CHECKPOINTS
from marsnb.recipes import load_profile, load_table, profiles, tables, trainable
from marsnb.training.pretrain import start_before
from marsnb.training.spec import row_runs

GOOD_ROW = {"id": "a", "label": "A", "method": "cross_entropy"}
each_table = pytest.mark.parametrize("key", trainable())
each_profile = pytest.mark.parametrize("name", profiles())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of recipes that the package reads instead of its own."""
    monkeypatch.setattr(paths, "recipes", lambda: tmp_path)
    (tmp_path / "profiles").mkdir()
    return tmp_path


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_table_is_found():
    assert "table04" in trainable() and "choice" in trainable()
    assert "table01" not in trainable()  # counts, nothing to train
    assert 4 in tables() and all(isinstance(number, int) for number in tables())
    assert load_table(4) == load_table("4") == load_table("table04") == load_table("04")
    assert load_table("choice").key == "choice"


@each_table
def test_rows_are_sound(key):
    table = load_table(key)
    assert table.key == key and table.rows and table.title
    ids = [row.id for row in table.rows]
    assert len(set(ids)) == len(ids)
    methods = methods_of(table.task)
    for row in table.rows:
        assert row.method in methods, f"{row.id} names the method {row.method!r}, which is not registered"
        assert set(row.settings) <= set(method_settings(methods[row.method], {}))
        silent = {"facc"} if key == "table08" and row.id != "ours" else set()  # it prints two columns of our three
        assert set(row.also) == (set() if row.control else set(table.more_metrics) - silent)
        assert (row.paper is None) == row.control, f"{row.id}: a row of the paper has its number, a control has none"
        assert table.row(row.id) is row
        assert row.label.isprintable() and row.id == row.id.lower()
        if row.paper is not None:
            assert 1 < row.paper.mean <= 100  # percent
            assert row.paper.std is None or 0 <= row.paper.std < 20


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_every_method_has_a_row(task):
    found = [load_table(key) for key in trainable()]
    used = {row.method for table in found if table.task == task for row in table.rows}
    assert set(methods_of(task)) == used, "a method without a recipe is never trained"


def test_table_8_is_the_papers():
    table = load_table(8)
    printed = [(row.label, row.paper.mean, row.also["miou"].mean) for row in table.rows if not row.control]
    assert printed == [
        ("Mean Teacher", 72.24, 55.34), ("ClassMix", 70.67, 53.84), ("CutOut", 75.31, 58.01), ("CutMix", 74.81, 57.70),
        ("CCT", 77.08, 48.19), ("LESS Within-image", 83.65, 51.24), ("LESS Cross-image", 85.37, 53.60),
        ("ReCo", 72.67, 55.34), ("ReCo + ClassMix", 68.01, 51.25), ("ReCo + CutOut", 75.61, 58.19),
        ("ReCo + CutMix", 73.63, 56.76), ("ReCo [†]", 83.29, 69.15), ("ReCo [†] + ClassMix", 83.14, 68.77),
        ("ReCo [†] + CutOut", 83.23, 68.73), ("ReCo [†] + CutMix", 83.11, 68.78), ("Ours", 94.02, 70.34),
    ]  # fmt: skip
    assert table.row("ours").also["facc"].mean == 88.82  # printed as ACC; the ACC of that run is Table 9's
    assert (table.row("ours").paper, table.row("ours").also["miou"]) == (
        load_table(9).row("final").paper,
        load_table(9).row("final").also["miou"],
    )


@each_profile
def test_ours_of_table_8_is_the_run_of_table_9(name):
    runs = {row.id: (key, spec.start) for row, key, spec in row_runs(8, name)}
    assert runs["ours"][0] == {row.id: key for row, key, _ in row_runs(9, name)}["final"]
    # ReCo with and without [†] is one run where the profile has one start for both, and no other two rows are.
    one_start = runs["reco"][1] == runs["reco-imagenet"][1]
    assert one_start == (name in ("smoke", "lite"))
    assert len({key for key, _ in runs.values()}) == len(runs) - (4 if one_start else 0)


def test_table_9_is_the_papers():
    table = load_table(9)
    printed = {r.id: (r.paper.mean, *(r.also[m].mean for m in table.more_metrics)) for r in table.rows if r.paper}
    assert printed == {
        "baseline": (92.61, 71.71, 86.28, 66.23), "without-joint": (92.81, 72.41, 86.71, 66.64),
        "without-pretraining": (93.78, 74.75, 88.39, 69.30), "without-pseudo-labels": (94.00, 75.70, 88.77, 70.31),
        "final": (94.02, 75.68, 88.82, 70.34),
    }  # fmt: skip


def test_table_4_is_the_papers():
    printed = {row.id: (row.paper.mean, row.paper.std) for row in load_table(4).rows if row.paper}
    assert printed == {
        "baseline": (79.28, 1.76), "moco": (81.56, 1.36), "moco-strong": (76.63, 3.06), "moco-eq1": (75.66, 1.13),
        "moco-ls": (93.82, 1.57), "moco-lu": (78.65, 1.53), "ls-lu": (87.20, 0.93), "final": (95.86, 1.63),
    }  # fmt: skip


def test_runs_that_choose_do_not_see_the_test_list():
    for row in load_table("choice").rows:
        assert row.overrides["evaluate"] == ["val"]
        assert row.overrides["protocol"] == "chronological"
        assert row.overrides["train_on"] == "train"


def test_runs_that_choose_for_segmentation_do_not_see_later_sols():
    for row in load_table("choice_segmentation").rows:
        assert row.overrides["evaluate"] == ["val"]
        assert row.overrides["protocol"] == "choice"


@each_profile
def test_profiles_are_sound(name):
    profile = load_profile(name)
    assert profile.name == name and profile.says and profile.seeds >= 1
    assert profile.classification["dataset"] in DATASETS
    assert profile.segmentation["dataset"] in SEGMENTATION_DATASETS
    assert ("SYNTHETIC" in profile.says) == profile.segmentation["dataset"].startswith("synthetic")
    known = inspect.signature(DATASETS[profile.classification["dataset"]]).parameters
    assert set(profile.classification.get("data_options", {})) <= set(known)
    assert ("SYNTHETIC" in profile.says) == (profile.classification["dataset"] == "synthetic")


def test_what_stands_for_what():
    smoke, lite, paper = (load_profile(name) for name in ("smoke", "lite", "paper"))
    assert (paper.backbone("resnet50"), paper.start("moco_v2")) == ("resnet50", "moco_v2")
    assert (lite.backbone("vgg16"), lite.start("imagenet")) == ("tf_efficientnet_lite0", "imagenet-lite")
    assert lite.start("random") == "random"
    assert lite.start("random", "segmentation") == "imagenet-lite"
    assert paper.start("random", "segmentation") == "random"
    assert (smoke.backbone("vgg16"), smoke.start("moco_v2")) == ("test_resnet", "random")
    assert (lite.backbone("vgg16", own=True), lite.start("imagenet")) == ("vgg16", "imagenet-lite")
    assert (paper.backbone("vgg16", own=True), paper.start("imagenet")) == ("vgg16", "imagenet")
    assert smoke.backbone("vgg16", own=True) != smoke.backbone("resnet18", own=True)
    exact = lite.model_copy(update={"backbones": {"*": "a", "vgg16": "b"}})
    assert (exact.backbone("vgg16"), exact.backbone("resnet50")) == ("b", "a")


def test_start_weights_of_every_row_are_known():
    rows = [row for key in trainable() for row in load_table(key).rows]
    tasks = ("classification", "segmentation")
    starts = {load_profile(name).start(row.start, task=task) for name in profiles() for row in rows for task in tasks}
    starts = {start_before(start) or start for start in starts}  # pretraining on Mars begins from one, too
    assert starts <= {"random", "imagenet", "imagenet-lite", *CHECKPOINTS}
    assert build_backbone(load_profile("smoke").backbone("resnet50")).num_features > 0


@pytest.mark.parametrize(("profile", "different"), [("smoke", 3), ("paper", 11)])
def test_the_networks_of_table_5_exist(profile, different):
    scale, rows = load_profile(profile), load_table(5).rows
    names = {scale.backbone(row.backbone, row.own_backbone) for row in rows}
    assert len(names) == different and len(rows) == 2 * 11
    for name in sorted(names - {"vgg16", "resnet101", "resnet152"}):  # these three take seconds to make
        assert build_backbone(name, "random", seed=0).num_features > 0


def test_an_unknown_name_lists_the_known():
    with pytest.raises(RecipeError, match=r"there is no table 99 to train; known: .*table04") as caught:
        load_table(99)
    one_line(caught)
    with pytest.raises(RecipeError, match="there is no table 'table01'"):
        load_table("table01")
    with pytest.raises(RecipeError, match="unknown profile 'ligth'; known: lite, paper, smoke") as caught:
        load_profile("ligth")
    one_line(caught)
    with pytest.raises(RecipeError, match=r"table04 has no row 'finale'; its rows: .*final") as caught:
        load_table(4).row("finale")
    one_line(caught)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"titel": "x"}, r"table07\.yaml: titel: extra inputs are not permitted"),
        ({"title": None}, r"table07\.yaml: title: "),
        ({"rows": [{**GOOD_ROW, "methode": "x"}]}, r"table07\.yaml: rows\.0\.methode: extra inputs"),
        ({"rows": [GOOD_ROW, {"id": "b", "label": "B"}]}, r"table07\.yaml: rows\.1\.method: field required"),
        ({"rows": [{**GOOD_ROW, "paper": {"mean": "high"}}]}, r"rows\.0\.paper\.mean: .*number"),
        ({"rows": [GOOD_ROW, GOOD_ROW]}, r"table07\.yaml: row 'a' is there twice: give it another id; see"),
        (
            {"rows": [{**GOOD_ROW, "at": {"Lite": {}}}]},
            r"table07\.yaml: rows\.0\.at: unknown profile 'Lite'; known",
        ),
        ({"rows": [{**GOOD_ROW, "not_at": {"papre": "x"}}]}, r"rows\.0\.not_at: unknown profile 'papre'; known: lite"),
        ({"rows": [{**GOOD_ROW, "overrides": [1]}]}, r"rows\.0\.overrides: .*dictionary"),
    ],
)
def test_a_wrong_table_is_one_line(folder, change, message):
    good = {"table": 7, "title": "T", "rows": [GOOD_ROW]}
    (folder / "profiles" / "lite.yaml").touch()
    (folder / "table07.yaml").write_text(yaml.safe_dump(good | change))
    with pytest.raises(RecipeError, match=message) as caught:
        load_table(7)
    assert "CONTRIBUTING.md" in one_line(caught)


def test_a_right_table_is_read(folder):
    (folder / "table07.yaml").write_text(yaml.safe_dump({"table": 7, "title": "T", "rows": [GOOD_ROW]}))
    table = load_table(7)
    assert (table.metric, table.split, table.task, tables()) == ("top1", "test", "classification", [7])
    (folder / "table07.yaml").write_text(yaml.safe_dump({"table": 7, "title": "Edited", "rows": [GOOD_ROW]}))
    assert load_table(7).title == "Edited"
    (folder / "table07.yaml").write_text("title: no rows any more")
    assert trainable() == []
    row = table.row("a")
    assert (row.backbone, row.start, row.control, row.paper) == ("resnet50", "moco_v2", False, None)


@pytest.mark.parametrize("content", [
    b"rows: [\n  {id: a\n", b"!!python/object/apply:os.mkdir [pwned]\n", b"table: !!python/name:os.system\n",
    b"\xff\xfe\x80",
])  # fmt: skip
def test_a_table_that_is_not_yaml_or_has_code_in_it_is_one_line(folder, content, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "table07.yaml").write_bytes(content)
    with pytest.raises(RecipeError, match=r"table07\.yaml is not YAML") as caught:
        load_table(7)
    one_line(caught)
    assert not (folder / "pwned").exists()


def test_a_profile_that_is_wrong_is_one_line(folder):
    (folder / "profiles" / "mine.yaml").write_text("name: mine\nsays: x\nclassification: {}\nseed: 3\n")
    with pytest.raises(RecipeError, match=r"mine\.yaml: seed: extra inputs are not permitted") as caught:
        load_profile("mine")
    one_line(caught)
    (folder / "profiles" / "mine.yaml").write_text("name: [\n")
    with pytest.raises(RecipeError, match=r"mine\.yaml is not YAML") as caught:
        load_profile("mine")
    one_line(caught)
