"""The registry: it fills itself, and says what is wrong in one line."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from marsnb.errors import RecipeError
from marsnb.registry import Registry

PACKAGE = "marsnb_registry_probe"
ENTRY = "from {package} import THINGS\n\n\n@THINGS.register({name!r})\ndef thing():\n    return {name!r}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package on disk with a registry of its own and the entries ``info_nce`` and ``similarity``."""
    package = tmp_path / PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text(
        f"from marsnb.registry import Registry\n\nTHINGS = Registry('thing', {PACKAGE!r})\n"
    )
    for name in ("similarity", "info_nce"):
        (package / f"{name}.py").write_text(ENTRY.format(package=PACKAGE, name=name))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    for name in [module for module in sys.modules if module.split(".")[0] == PACKAGE]:
        del sys.modules[name]


def things() -> Registry:
    """The registry of the package on disk, imported afresh."""
    from importlib import import_module

    return import_module(PACKAGE).THINGS


def test_it_fills_itself_and_sorts_its_names(folder: Path) -> None:
    registry = things()
    assert list(registry) == ["info_nce", "similarity"]
    assert len(registry) == 2
    assert "info_nce" in registry
    assert "cutmix" not in registry
    assert registry["similarity"]() == "similarity"


def test_a_new_file_is_enough(folder: Path) -> None:
    (folder / "triplet.py").write_text(ENTRY.format(package=PACKAGE, name="triplet"))
    assert "triplet" in things()


def test_nothing_is_imported_before_it_is_asked_for(folder: Path) -> None:
    (folder / "broken.py").write_text("raise OSError('not now')\n")
    assert things().kind == "thing"


def test_files_with_an_underscore_are_left_out(folder: Path) -> None:
    (folder / "_parts.py").write_text("raise AssertionError('imported')\n")
    assert list(things()) == ["info_nce", "similarity"]


def test_an_unknown_name_is_answered_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"unknown thing 'info_nec' \(did you mean 'info_nce'\?\); known: info_nce"):
        things()["info_nec"]


def test_an_unknown_name_like_no_other_gets_no_guess(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"unknown thing 'zzz'; known: info_nce, similarity"):
        things()["zzz"]


def test_a_name_taken_twice_raises(folder: Path) -> None:
    (folder / "zz_again.py").write_text(ENTRY.format(package=PACKAGE, name="similarity"))
    with pytest.raises(RecipeError, match="two things are called 'similarity'"):
        list(things())


def test_a_failing_import_is_never_skipped(folder: Path) -> None:
    (folder / "broken.py").write_text("import a_module_that_is_not_there\n")
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        len(things())


@pytest.mark.parametrize(
    ("module", "name", "entry"),
    [
        ("marsnb.data", "DATASETS", "msl"),
        ("marsnb.data", "DATASETS", "synthetic"),
        ("marsnb.losses", "LOSSES", "inter_class"),
        ("marsnb.methods.classification", "METHODS", "cross_entropy"),
    ],
)
def test_the_registries_of_the_package_fill(module: str, name: str, entry: str) -> None:
    from importlib import import_module

    assert entry in getattr(import_module(module), name)
