"""The site: what is staged, what Sphinx makes of it, and that it needs no network."""

import json
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from marsnb import cli, pages, paths, recipes, reproduce, results, site
from marsnb.errors import MarsnbError, NotebookError
from tests.fake import ledger as fake

ROOT = Path(__file__).resolve().parents[1]
LOG = "".join(f"epoch {i}\n" for i in range(9))
TEXT = "# Title of 01\n\nSo $x^2$. See [the next](02_b.ipynb#two), [how](../docs/how.md) and [code](../marsnb/cli.py)."
INDEX = """# Front

![A picture](../figures/lite/fig.png) and `[no](../link.md)`

:::{toctree}
:caption: Start
notebooks/01_a
how
:::

<!-- generated: more-notebooks -->
<!-- end -->

<!-- generated: profiles -->
<!-- end -->
"""


def write(path: Path, *cells: nbformat.NotebookNode) -> None:
    """A notebook with these cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"language_info": {"name": "python"}, "marsnb": {"paper": "Tables 3, 6-7"}}
    nbformat.write(new_notebook(cells=list(cells), metadata=metadata), path)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two notebooks and two pages, with the real project's configuration of Sphinx."""
    root = tmp_path / "project"
    monkeypatch.setattr(paths, "ROOT", root)
    monkeypatch.setattr(paths, "notebooks", lambda: root / "notebooks")
    monkeypatch.setattr(paths, "docs", lambda: root / "docs")
    monkeypatch.setenv("MARSNB_FIGURES", str(root / "figures"))
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    shutil.copytree(ROOT / "docs", root / "docs", ignore=shutil.ignore_patterns("*.md", "__pycache__"))
    (root / "docs" / "index.md").write_text(INDEX)
    (root / "docs" / "how.md").write_text("# How\n\nBack to [01](../notebooks/01_a.ipynb).\n")
    (root / "marsnb").mkdir()
    (root / "marsnb" / "cli.py").write_text("")
    picture = root / "figures" / "lite" / "fig.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes((ROOT / "figures" / "lite" / "fig02a.png").read_bytes())
    write(root / "notebooks" / "01_a.ipynb", new_markdown_cell(TEXT), new_code_cell("1 + 1"))
    write(root / "notebooks" / "02_b.ipynb", new_markdown_cell("# Title of 02\n\n## Two"))
    return root


def executed(path: Path) -> None:
    """A copy as papermill leaves it: a training's log, a formula, an answer and a solution."""
    log = new_output("stream", name="stdout", text=LOG)
    formula = new_output("display_data", data={"text/markdown": "so $y^3$", "text/plain": "so"})
    answer = new_output("execute_result", data={"text/plain": "42"}, execution_count=2)
    cells = [new_code_cell("train()", outputs=[log]), new_code_cell("6 * 7", outputs=[formula, answer])]
    solution = "<details><summary>Solution</summary>\n\n```python\nanswer = 7\n```\n\n</details>"
    write(path, new_markdown_cell(TEXT), *cells, new_markdown_cell(solution))


def page(name: str) -> str:
    """A staged page; of a notebook, its Markdown."""
    path = paths.build("site-source") / "pages" / name
    if path.suffix != ".ipynb":
        return path.read_text()
    return "\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")


def test_links_lead_where_the_pages_are(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.stage()
    front, first = page("index.md"), page("notebooks/01_a.ipynb")
    assert "![A picture](pictures/lite/fig.png) and `[no](../link.md)`" in front
    assert (paths.build("site-source") / "pages" / "pictures" / "lite" / "fig.png").is_file()
    assert "[01](notebooks/01_a.ipynb)" in page("how.md")
    assert "[the next](../notebooks/02_b.ipynb#two), [how](../how.md) and code." in first
    monkeypatch.setenv("MARSNB_FIGURES", str(project / "empty"))
    monkeypatch.setenv("GITHUB_REPOSITORY", "some/one")
    site.stage()
    assert "*A picture: not drawn yet.*" in page("index.md")
    assert "[code](https://github.com/some/one/blob/HEAD/marsnb/cli.py)" in page("notebooks/01_a.ipynb")


def test_a_page_is_the_best_copy_and_says_what_it_is(project: Path) -> None:
    site.stage()
    assert page("notebooks/01_a.ipynb").startswith("# 01 · Title of 01\n\n:::{note}\nNot drawn on this machine yet")
    executed(paths.build("lite") / "01_a.ipynb")
    executed(paths.build("smoke") / "01_a.ipynb")
    site.stage()
    assert page("notebooks/01_a.ipynb").startswith("# 01 · Title of 01\n\nSo $x^2$")
    assert page("smoke/01_a.ipynb").startswith("# 01 · Title of 01 (SYNTHETIC)\n\n:::{warning}\nSYNTHETIC images")
    assert "[the next](../notebooks/02_b.ipynb#two)" in page("smoke/01_a.ipynb")  # it was not run at smoke
    executed(paths.build("smoke") / "02_b.ipynb")
    site.stage()
    assert "[the next](../smoke/02_b.ipynb#two)" in page("smoke/01_a.ipynb")
    assert "(SYNTHETIC)" in page("smoke/index.md") and "smoke/index" in page("index.md")
    executed(paths.build("lite") / "failed" / "01_a.ipynb")
    shutil.rmtree(paths.build("smoke"))
    site.stage()
    assert "failed at `lite`" in page("notebooks/01_a.ipynb")
    assert not (paths.build("site-source") / "pages" / "smoke").exists() and "smoke/index" not in page("index.md")


def test_what_did_not_change_is_left_alone(project: Path) -> None:
    site.stage()
    path = paths.build("site-source") / "pages" / "how.md"
    before = path.stat().st_mtime_ns
    (project / "docs" / "index.md").write_text(INDEX.replace("# Front", "# New front"))
    site.stage()
    assert path.stat().st_mtime_ns == before and "# New front" in page("index.md")


def test_a_notebook_that_the_front_page_does_not_name_is_in_the_navigation(project: Path) -> None:
    site.stage()
    assert ":caption: More notebooks\n\nnotebooks/02_b\n" in page("index.md")


def test_outdated_are_those_without_a_copy_or_older_than_their_ledger(project: Path) -> None:
    assert site.outdated() == ["01_a", "02_b"]
    for stem in ("01_a", "02_b"):
        executed(paths.build("lite") / f"{stem}.ipynb")
    assert site.outdated() == []
    (paths.figures("lite") / "runs.csv").write_text("run_id\n")
    assert site.outdated() == ["01_a", "02_b"]


def test_the_site_needs_no_network(project: Path) -> None:
    for profile in ("lite", "smoke"):
        executed(paths.build(profile) / "01_a.ipynb")
    front = site.build()
    assert front == site.html() == paths.build("site") / "index.html"
    body = site.html("lite", "01_a").read_text()
    for one in sorted(front.parent.rglob("*.html")):
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|import\(|url\(["']?http""", one.read_text()), one.name
    styles = "".join(path.read_text() for path in (front.parent / "_static").rglob("*.css"))
    assert not re.search(r"""(?:@import|url\()\s*["']?(?:https?:)?//""", styles)
    assert body.count("<math") == 2 and not re.search(r"<script[^>]*mathjax", body, re.IGNORECASE)
    assert "$" not in re.sub(r"<script.*?</script>", "", body, flags=re.DOTALL)
    assert re.search(r'<span class="formula"><math display="inline">[^$]*?</math>\.</span>', body)
    assert re.search(r'<details class="fold log"><summary>9 lines of output</summary>.*?epoch 8', body, re.DOTALL)
    assert body.count('<details class="fold code" open>') == 2
    assert re.search(r"<details><summary>Solution</summary>.*?answer.*?</details>", body, re.DOTALL)
    synthetic = site.html("smoke", "01_a").read_text()
    assert re.search(r"<title>01 · Title of 01 \(SYNTHETIC\)", synthetic) and "SYNTHETIC images" in synthetic
    index = json.loads((front.parent / "searchindex.js").read_text().removeprefix("Search.setIndex(").removesuffix(")"))
    found = index["terms"]["epoch"]  # a number of one page, or a list of several
    assert [index["docnames"][i] for i in ([found] if isinstance(found, int) else found)] == ["notebooks/01_a"]


def test_a_warning_of_sphinx_is_an_error_of_one_line(project: Path) -> None:
    (project / "docs" / "how.md").write_text("# How\n\n[nowhere](nowhere.md)\n")
    with pytest.raises(MarsnbError, match=r"^the site was not built \(exit code 1\): [^\n]*nowhere\.md") as caught:
        site.build()
    assert "\n" not in str(caught.value)


def test_a_site_without_sphinx_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "NEEDED", ("sphinx", "no_such_theme"))
    with pytest.raises(MarsnbError, match=r"needs no_such_theme, which is not installed: pip install -e '\.\[site\]'"):
        site.build()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("git@github.com:some/one.git", "some/one"),
        ("https://github.com/some/one-b.c", "some/one-b.c"),
        ("/disk/one", ""),
    ],
)
def test_the_address_of_the_repository(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, name: str
) -> None:
    git = tmp_path / "git"
    git.write_text(f"#!/bin/sh\necho {url}\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert site.repository() == name
    monkeypatch.setenv("GITHUB_REPOSITORY", "its/own")
    assert site.repository() == "its/own"


def test_the_notebooks_of_colab_begin_with_a_cell_that_installs(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(site, "repository", lambda: "")
    with pytest.raises(MarsnbError, match="GITHUB_REPOSITORY"):
        site.colab(tmp_path)
    monkeypatch.setattr(site, "repository", lambda: "some/one")
    written = site.colab(tmp_path / "colab")
    assert [path.name for path in written] == ["01_a.ipynb", "02_b.ipynb"]
    notebook = nbformat.read(written[0], as_version=4)
    nbformat.validate(notebook)
    first, *rest = notebook.cells
    stored = nbformat.read(project / "notebooks" / "01_a.ipynb", as_version=4).cells
    assert "https://github.com/some/one " in first.source and [c.source for c in rest] == [c.source for c in stored]


def test_reproduce_names_the_page_to_open(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[tuple[object, ...]] = []
    monkeypatch.setattr(reproduce, "reproduce", lambda *given: ran.append(given))
    monkeypatch.setattr(site, "build", lambda: ran.append(("built",)) or site.html())

    def said(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["marsnb", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
        return capsys.readouterr().out.strip()

    assert said("reproduce", "-p", "smoke", "-p", "lite") == f"open {paths.build('site') / 'index.html'}"
    assert ran == [(["smoke", "lite"], None, {}, None), ("built",)]
    assert said("reproduce", "--only", "2") == f"open {paths.build('site') / 'smoke' / '02_b.html'}"
    assert said("reproduce", "-p", "lite", "--only", "02") == f"open {paths.build('site') / 'notebooks' / '02_b.html'}"
    ran.clear()
    assert said("site", "--no-draw") == f"open {paths.build('site') / 'index.html'}" and ran == [("built",)]
    assert said("site") and ran[1:] == [("lite", ["01_a", "02_b"], {}, None), ("built",)]


def test_a_notebook_that_fails_is_named_after_the_site_is_built(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*given: object) -> None:
        executed(paths.build("smoke") / "failed" / "01_a.ipynb")
        raise NotebookError("notebook 01_a failed in cell 3: ValueError: no")

    built: list[Path] = []
    monkeypatch.setattr(reproduce, "reproduce", fails)
    monkeypatch.setattr(site, "build", lambda: built.append(site.stage()))
    monkeypatch.setattr("sys.argv", ["marsnb", "reproduce"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1 and "marsnb: notebook 01_a failed in cell 3" in capsys.readouterr().err
    assert built and "failed at `smoke`" in page("smoke/01_a.ipynb")


def test_tables_that_a_text_names() -> None:
    assert pages._numbers("Tables 3, 6-7, Figs 8, 9") == {3, 6, 7} and pages._numbers("Table 10") == {10}
    assert pages._numbers("Eqs 4-5, Fig. 6") == set()


def test_the_front_page_names_every_notebook_once() -> None:
    front = (ROOT / "docs" / "index.md").read_text()
    named = re.findall(r"^notebooks/(\w+)$", front, re.MULTILINE)
    assert len(named) == len(set(named))
    assert set(named) <= {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    parts = re.findall(r"^:caption: (.+)$", front, re.MULTILINE)
    assert parts == ["Start", "Learn", "Data", "Classification", "Segmentation", "Verdict", "Reference"]


def test_a_table_of_several_metrics_is_as_wide_as_a_page() -> None:
    rows = {"row": ["a", "b", "c"], "label": ["A", "B", "C"], "control": [False, False, True], "family": ""}
    first = {"seeds": [2, 0, 0], "sd": [0.5, np.nan, np.nan], "low": np.nan, "high": np.nan, "note": ["why", "", ""]}
    ran = {"ran_as": "small", "same_run_as": "", "not_at": "", "whose": "committed", "paper_std": np.nan, "off": np.nan}
    of = [("acc", 90.0, 91.0), ("miou", 70.0, 71.0)]
    parts = [
        pd.DataFrame(rows | first | ran | {"metric": m, "mean": [v, np.nan, np.nan], "paper": [p, p, np.nan]})
        for m, v, p in of
    ]
    texts, notes = pages._noted(pages._side_by_side(results.readable(pd.concat(parts))))
    assert list(texts) == ["Category", "Method", "mIoU", "ACC", "n"]
    assert list(texts["mIoU"]) == ["71.00 / 70.00<br>± 0.50", "71.00 / not run", "not run"]
    assert list(texts["Method"]) == ["A <sup>1, 2</sup>", "B", "C"]
    assert notes == "<sup>1</sup> why  \n<sup>2</sup> small"


def test_the_front_page_counts_what_is_measured() -> None:
    assert pages._state().startswith("So far 0 of the 82 rows of Tables 3 to 11 are measured. Of ")
    fake.fill("lite", seeds=3)
    assert " 0 of the" not in pages._state() and " hold, " in pages._state()


def test_the_front_page_and_the_readme_say_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    lite = paths.ROOT / "figures" / "lite"
    cost = pd.read_csv(lite / "fig_cost.csv").query("images == 1 and side == 64").set_index("equation")
    ratio = cost.loc["Eq. 6", ["seconds", "peak"]] / cost.loc["Eq. 7", ["seconds", "peak"]]
    assert ratio["seconds"] > 200 and ratio["peak"] > 50
    steps = pd.read_csv(lite / "fig_table04_steps.csv").set_index("what")
    parts = ["strong augmentation alone", "strong augmentation against both losses", "inter-class contrast, L_s"]
    seen = steps.loc[[*parts, "control: balanced sampling"]]
    assert seen["told_apart"].all() and seen["mean"].round(1).to_list() == [5.1, 2.1, 3.1, 4.2]
    assert seen["seeds"].eq(5).all() and seen["paper"].iloc[[0, 2]].round(1).to_list() == [-4.9, 12.3]
    duel = pd.read_csv(lite / "fig_table03_ours.csv").set_index("before").loc["ldam-drw"]
    assert (
        duel["told_apart"] and duel["seeds"] == 5 and [round(duel["mean"], 1), round(duel["paper"], 1)] == [-3.0, 5.1]
    )
    over = pd.read_csv(lite / "fig_table03_gains.csv").set_index("after").loc["ldam-drw"]
    assert over["told_apart"] and over["seeds"] == 5 and round(over["mean"], 1) == 6.1
    rows = {row.id: row.paper.mean for row in recipes.load_table(3).rows if row.paper}
    assert round(rows["ours"] - rows["ldam-drw"], 1) == 13.7
    two = pd.read_csv(lite / "fig_table03_two.csv")
    assert len(two) == 13 and round(two["mean"].corr(two["two classes"]), 2) == 0.93
    slow = pd.read_csv(lite / "fig_table04_rate.csv").set_index("after").loc["paper-rate-strong"]
    assert slow["told_apart"] and slow["seeds"] == 3 and round(slow["mean"], 1) == 4.8
    printed = {row.id: row.paper.mean for row in recipes.load_table(4).rows if row.paper}
    assert round(printed["moco-strong"] - printed["baseline"], 1) == -2.7
    assert round(printed["ls-lu"] - printed["baseline"], 1) == 7.9
    assert abs(steps.loc["L_u on top of L_s", "mean"]) < 0.05
    assert steps.loc["L_u on top of L_s", ["low", "high"]].abs().max() < 0.3
    plain = steps.loc["plain contrast, Eq. 1"]
    assert plain["told_apart"] and [round(plain["mean"], 1), round(plain["paper"], 1)] == [1.6, -5.9]
    off = {n: pd.read_csv(lite / f"table{n:02d}.csv") for n in (1, 2)}
    assert (off[1]["measured_mean"] == off[1]["paper_mean"]).all()
    shares = off[2].query("metric == 'share'")
    assert (shares["measured_mean"] - shares["paper_mean"]).abs().max() < 1
    points = yaml.safe_load((paths.recipes() / "inconsistencies.yaml").read_text(encoding="utf-8"))["points"]
    assert sum(point["fits"] is False for point in points) == 12
    monkeypatch.delenv("MARSNB_FIGURES")
    pairs = {"all": ("final", "baseline"), "contrast": ("without-pseudo-labels", "without-joint")}
    terrain = results.differences(results.table(9, "lite", "miou"), pairs).set_index("what")
    assert terrain["seeds"].eq(3).all() and not terrain["told_apart"].any()
    seen = terrain[["mean", "low", "high", "paper"]].astype(float).round(2)
    assert seen.loc["all"].to_list() == [0.05, -0.56, 0.66, 4.11]
    assert seen.loc["contrast"].to_list() == [0.0, -0.14, 0.14, 3.67]
    choice = results.differences(results.table("choice", "lite"), "rate-1e-4").set_index("after")
    assert len(choice) == 4 and choice["seeds"].eq(3).all() and not choice["told_apart"].any()
    assert choice.loc["cut-4", ["mean", "low", "high"]].astype(float).round(1).to_list() == [4.7, -1.9, 11.4]
    rivals = pd.read_csv(lite / "fig_table08_gaps.csv").query("metric != 'facc' and before != 'baseline'")
    rivals = rivals.dropna(subset="mean")
    assert rivals["before"].nunique() == 9 and rivals["seeds"].eq(1).all()
    most = rivals["mean"].abs().groupby(rivals["metric"]).max().round(1)
    assert most["acc"] < 0.4 and most["miou"] == 1.8
    ends = rivals.groupby("metric")["paper"].agg(["min", "max"]).round(1)
    assert ends.loc[["acc", "miou"]].to_numpy().tolist() == [[8.6, 26.0], [1.2, 19.1]]
