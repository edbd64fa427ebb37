"""The command line as a user meets it: one line and exit code 1 for a mistake, and what was computed is kept."""

import errno

import pytest

from marsnb import cli, paths
from marsnb.errors import MarsnbError
from marsnb.training import ledger


def call(monkeypatch, capsys, *words):
    monkeypatch.setattr("sys.argv", ["marsnb", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    shown = capsys.readouterr()
    return stop.value.code, shown.out, shown.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--table", "99", "--profile", "smoke"], "there is no table '99' to train; known: "),
        (["run", "--table", "4", "--profile", "huge"], "unknown profile 'huge'; known: lite, paper, smoke"),
        (["run", "--table", "4", "--row", "best"], "table04 has no row 'best'; its rows: baseline, moco"),
        (["run", "--table", "4", "--device", "tpu", "--row", "baseline"], "device 'tpu' is not on this machine"),
        (["run", "--table", "4", "--profile", "lite", "--row", "baseline"], "marsnb data fetch msl"),
        (["run", "--table", "4", "--seed", "1", "--seeds", "3"], "--seeds counts them: give one of the two"),
        (["run", "--table", "3", "--row", "alexnet", "--profile", "lite"], "table03 has no row 'alexnet' at lite"),
        (["run", "--table", "choice", "--profile", "smoke"], "choice is of profile lite: give --profile lite"),
        (["run", "--table", "4", "--on", "slurm"], "--on slurm is unknown: give --on ray"),
        (["run", "--table", "4", "--per-gpu", "2"], "--address and --per-gpu are Ray's: give --on ray"),
        (["reproduce", "--set", "profil=smoke", "--only", "00"], "profil"),
        (["reproduce", "--set", "profile"], "NAME=VALUE"),
        (["reproduce", "--set", "profile=lite", "--only", "00"], "give it as --profile"),
        (["reproduce", "--set", "steps=abc", "--only", "03"], "steps='abc' is no number, as 200 is"),
        (["run"], "--table"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_fix(monkeypatch, capsys, words, message):
    code, _, err = call(monkeypatch, capsys, *words)
    assert code == 1
    assert message in err
    assert err.startswith("marsnb: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize("given", ["profil=smoke", "profile=lite", "steps"])
def test_a_wrong_parameter_builds_no_site(given, monkeypatch, capsys):
    paths.build("smoke").mkdir(parents=True)
    monkeypatch.setattr("marsnb.site.build", lambda: pytest.fail("a site was built"))
    code, _, err = call(monkeypatch, capsys, "reproduce", "--set", given, "--only", "00")
    assert code == 1 and "building the site" not in err and err.count("\n") == 1


def test_unknown_recipe_key_is_named(monkeypatch, capsys, tmp_path):
    from marsnb import recipes

    (tmp_path / "table04.yaml").write_text("table: 4\ntitle: t\nrows:\n  - {id: a, label: A, methud: cross_entropy}\n")
    (tmp_path / "profiles").symlink_to(paths.recipes() / "profiles")
    monkeypatch.setattr(recipes.paths, "recipes", lambda: tmp_path)
    code, _, err = call(monkeypatch, capsys, "run", "--table", "4")
    assert code == 1
    assert "table04.yaml: rows.0.meth" in err


def test_run_prints_each_row_and_a_full_disk_keeps_what_was_measured(monkeypatch, capsys):
    words = ("run", "--table", "4", "--row", "linear-probe", "--device", "cpu")
    code, out, _ = call(monkeypatch, capsys, *words)
    assert (code, "(measured)" in out, "table04/linear-probe" in out) == (0, True, True)
    code, out, _ = call(monkeypatch, capsys, *words)
    assert (code, "(in the ledger)" in out) == (0, True)
    before = ledger.ledger_path("smoke").read_text()

    def full(*rest):
        raise OSError(errno.ENOSPC, "No space left on device", "last.ckpt")

    monkeypatch.setattr("pytorch_lightning.Trainer.save_checkpoint", full)
    code, _, err = call(monkeypatch, capsys, "run", "--table", "4", "--row", "moco-strong", "--device", "cpu")
    assert code == 1
    assert err.count("\n") == 1
    assert "the disk is full while writing last.ckpt" in err
    assert ledger.ledger_path("smoke").read_text() == before


def test_run_prints_the_metrics_of_segmentation(monkeypatch, capsys):
    from marsnb.recipes import load_profile, load_table
    from marsnb.training.run import resolve, run_id_of, work_of

    spec = resolve(load_table(9).row("final"), load_profile("smoke"), 0, "segmentation")
    run_id, fingerprint = run_id_of(spec, work_of(spec).open_data(spec))
    line = dict.fromkeys(ledger.COLUMNS, "x") | {
        "run_id": run_id,
        "fingerprint": fingerprint,
        "split": "test",
        "seed": 0,
    }
    line |= {"images_per_s": 1.0, "recipe": "table09/final", "date": "2026-01-01"}
    rows = [line | {"metric": "miou", "value": 0.4321}, line | {"metric": "acc", "value": 0.8765}]
    ledger.append("smoke", rows, [])
    code, out, _ = call(monkeypatch, capsys, "run", "--table", "9", "--row", "final")
    assert code == 0 and "test mIoU  43.21 %  ACC  87.65 %" in out and "(in the ledger)" in out


def test_status_and_version(monkeypatch, capsys):
    code, out, _ = call(monkeypatch, capsys, "status", "--profile", "smoke")
    assert code == 0
    assert "table04" in out
    code, out, _ = call(monkeypatch, capsys, "--version")
    assert code == 0
    assert out.startswith("marsnb 0.")


def test_errors_are_one_line_whatever_their_text(monkeypatch, capsys):
    monkeypatch.setattr(cli, "app", lambda **_: (_ for _ in ()).throw(MarsnbError("a\n b")))
    code, _, err = call(monkeypatch, capsys)
    assert (code, err) == (1, "marsnb: a b\n")
