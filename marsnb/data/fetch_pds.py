"""Unlabelled Mastcam and MAHLI images from the Planetary Data System: few at a time, checked, resumed, verified."""

import csv
import hashlib
import io
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import requests
from PIL import Image as PilImage
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from marsnb import paths
from marsnb.data._http import AGAIN, INTERVAL, TRIES, BusyError, Polite, space, whole
from marsnb.data._tree import read_lines
from marsnb.data.fetch_pds_index import ADDRESS
from marsnb.data.msl import DEFAULT_UNLABELLED
from marsnb.data.pds_index import Entry
from marsnb.data.verify import Verified, report
from marsnb.errors import DataError
from marsnb.files import clear_left_behind, write_whole

CONNECTIONS = 4
FOLDERS = {"browse": DEFAULT_UNLABELLED, "full": "pds-full"}  # by size
MEAN_BYTES = {"browse": 9_000, "full": 900_000}  # of a file, about; MSL v1 is made of browse images
MANIFEST, LEFT_OUT = "manifest.csv", "left-out.txt"
OFTEN = 500  # images between two writes of the manifest
TRAIL = 2048  # bytes at the end of a file, in which a JPEG's last marker has to be
IN_A_ROW = 20  # images that do not come before it is taken for the server's fault
_GONE = frozenset({403, 404, 410})  # an archive on an object store answers 403 where there is nothing


class Fetched(NamedTuple):
    """What a download left."""

    folder: Path
    images: int  # of those asked for
    missing: int  # that the archive lists and does not have
    grey: int  # left out
    others: int  # of the folder, not asked for; they are read with it


class Row(NamedTuple):
    """A row of the manifest: the volume an image comes from, its bytes and SHA-256."""

    volume: str
    size: int
    digest: str


def fetch_pds(
    chosen: Sequence[Entry],
    root: Path | None = None,
    *,
    size: str = "browse",
    again: bool = False,
    address: str = ADDRESS,
    interval: float = INTERVAL,
    progress: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> Fetched:
    """Download images; what is there is not asked for again.

    Images lie in a folder for each sol, each written whole or not at all, beside ``manifest.csv`` with their sizes
    and SHA-256, and ``left-out.txt`` with what the archive lacks and what is grey.

    Args:
        chosen: the products; see ``find_products``.
        root: folder of data sets; ``paths.data()`` by default.
        size: ``browse`` (some 250 px, into ``pds-browse/``) or ``full`` (into ``pds-full/``).
        again: whether to ask again for what was left out before.
        address: of the archive's volumes.
        interval: seconds between two requests.
        progress: whether to show a progress bar.
        say: told in a line what will be done, before it is.

    Raises:
        DataError: network, disk, or images that did not come; the message names the fix.
    """
    if size not in FOLDERS:
        raise DataError(f"unknown size {size!r}: choose one of {', '.join(FOLDERS)}")
    folder = (paths.data() if root is None else root) / FOLDERS[size]
    left_out, manifest = _read_left_out(folder), read_manifest(folder)
    asked = [entry for entry in chosen if again or entry.name not in left_out]
    wanted = [entry for entry in asked if not _is_whole(folder, entry.name, manifest)]
    needed = len(wanted) * MEAN_BYTES[size]
    done = len(chosen) - len(wanted)
    say(
        f"{len(chosen):,} images, {done:,} of them in {folder} or known to be of no use; to fetch: {len(wanted):,}, "
        f"about {needed / 2**20:,.0f} MiB, in {len(wanted) * interval / 60:,.0f} minutes or more, one each {interval} s"
    )
    with space(folder, needed):
        folder.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(folder).free) < needed:
            raise DataError(
                f"{folder} needs about {needed / 2**30:,.1f} GiB and {free / 2**30:,.1f} GiB are free: free some, take "
                "fewer images, or set MARSNB_DATA to another disk"
            )
        for place in (folder, *folder.glob("[0-9]*/")):
            clear_left_behind(place, [".*.partial"], age=0)
        try:
            failed = _bring(wanted, folder, size, address, Polite(interval), left_out, manifest, progress)
        finally:
            _write_manifest(folder, chosen, manifest)
    if failed:
        name, reason = next(iter(failed.items()))
        raise DataError(f"{len(failed):,} of {len(wanted):,} images did not come, e.g. {name} ({reason}): {AGAIN}")
    names = {entry.name for entry in chosen}
    there = {path.stem for path in folder.rglob("*.JPG")}
    grey = sum(left_out.get(name) == "grey" for name in names - there)
    return Fetched(folder, len(names & there), len(names - there) - grey, grey, len(there - names))


def verify_pds(
    root: Path | None = None, *, watch: Callable[[list[str]], Iterable[str]] = lambda names: names
) -> Verified:
    """Compare the images that were fetched, of whatever size, with their manifest, as ``verify_msl`` does its own."""
    root = paths.data() if root is None else root
    folders = [root / name for name in FOLDERS.values() if (root / name / MANIFEST).is_file()]
    if not folders:
        raise DataError(f"no {MANIFEST} in {root / FOLDERS['browse']}: run `marsnb data fetch pds`")
    problems: list[str] = []
    notes: list[str] = []
    for folder in folders:
        manifest = read_manifest(folder)
        missing: list[str] = []
        changed: list[str] = []
        for name in watch(sorted(manifest)):
            path = _file(folder, name)
            if not path.is_file():
                missing.append(path.name)
            elif hashlib.sha256(path.read_bytes()).hexdigest() != manifest[name].digest:
                changed.append(path.name)
        found = report("images missing", missing) + report("images that are not those that were fetched", changed)
        problems += [f"{folder.name}: {problem}" for problem in found]
        others = len({path.stem for path in folder.rglob("*.JPG")} - manifest.keys())
        notes.append(f"{len(manifest):,} images in {folder.name} as its {MANIFEST} has them, {others:,} others")
    return Verified(root, problems, "; ".join(notes), "remove those files and run `marsnb data fetch pds` as before")


def _file(folder: Path, name: str) -> Path:
    return folder / name[:4] / f"{name}.JPG"


def read_manifest(folder: Path) -> dict[str, Row]:
    """The images that were fetched into a folder, by product; none without a manifest, ``DataError`` with another."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        if not path.read_bytes().endswith(b"\n"):
            raise ValueError("its last line is cut off")
        rows = list(csv.DictReader(read_lines(path)))
        return {row["product"]: Row(row["volume"], int(row["bytes"]), row["sha256"]) for row in rows}
    except (KeyError, ValueError, TypeError):
        raise DataError(f"{path} is not what was written there: remove it and run `marsnb data fetch pds`") from None


def _write_manifest(folder: Path, chosen: Sequence[Entry], manifest: dict[str, Row]) -> None:
    """Add the whole images that have no row to the manifest; a damaged one keeps its row, and comes again."""
    for entry in chosen:
        if entry.name not in manifest and _is_whole(folder, entry.name, manifest):
            content = _file(folder, entry.name).read_bytes()
            manifest[entry.name] = Row(entry.volume, len(content), hashlib.sha256(content).hexdigest())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("product", "volume", "bytes", "sha256"))
    writer.writerows((name, *row) for name, row in sorted(manifest.items()))
    write_whole(folder / MANIFEST, text.getvalue())


def _is_whole(folder: Path, name: str, manifest: dict[str, Row]) -> bool:
    """Whether an image is there: of the size in the manifest, or, as after a killed download, whole without a row."""
    path = _file(folder, name)
    if name in manifest:
        return path.is_file() and path.stat().st_size == manifest[name].size
    try:
        return _mode(path.read_bytes()) != ""
    except OSError:
        return False


def _mode(content: bytes) -> str:
    """Pillow's mode of a JPEG, ``L`` for grey; empty if it is not a whole one."""
    try:
        with PilImage.open(io.BytesIO(content), formats=["JPEG"]) as image:
            image.load()
            return image.mode if b"\xff\xd9" in content[-TRAIL:] else ""
    except (OSError, SyntaxError, ValueError):
        return ""


def _bring(
    wanted: Sequence[Entry],
    folder: Path,
    size: str,
    address: str,
    server: Polite,
    left_out: dict[str, str],
    manifest: dict[str, Row],
    progress: bool,
) -> dict[str, str]:
    """Fetch products, and add to what is left out and to the manifest; returns those that did not come and why."""
    failed: dict[str, str] = {}
    gone: dict[str, str] = {}  # whether the archive lacks them or refuses all is known when another one comes
    in_a_row = came = 0
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not progress) as bar, ThreadPoolExecutor(CONNECTIONS) as pool:
        task = bar.add_task("images", total=len(wanted))
        futures = {
            pool.submit(_one, f"{address}/{e.path(size)}", _file(folder, e.name), server): e.name for e in wanted
        }
        try:
            for future in as_completed(futures):
                name, outcome = futures[future], future.result()
                bar.advance(task)
                if outcome in ("", "grey"):
                    manifest.pop(name, None)  # of the file that was there before
                    _leave_out(folder, left_out, gone | {name: outcome})
                    gone, in_a_row, came = {}, 0, came + 1
                    if came % OFTEN == 0:
                        _write_manifest(folder, wanted, manifest)
                    continue
                if outcome.startswith("missing") and left_out.get(name, "").startswith("missing"):
                    continue  # which tells nothing new of the server either
                (gone if outcome.startswith("missing") else failed)[name] = outcome
                in_a_row += 1
                if in_a_row >= IN_A_ROW:
                    raise DataError(
                        f"{in_a_row} images in a row did not come, the last one {name} ({outcome}): {AGAIN} later, or "
                        f"find out whether {address} is still the archive's address"
                    )
        except BaseException:
            server.stop()
            pool.shutdown(cancel_futures=True)
            raise
    _leave_out(folder, left_out, gone)
    return failed


def _one(url: str, path: Path, server: Polite) -> str:
    """Fetch one product; returns why it is not there: grey, missing, or what failed."""
    reason = ""
    for _ in range(TRIES):
        try:
            with server.get(url) as response:
                if response.status_code in _GONE:
                    return f"missing, HTTP {response.status_code}"
                if not response.ok:
                    return f"HTTP {response.status_code}"
                content = whole(response)
        except BusyError as error:
            return error.reason
        except requests.RequestException as error:
            reason = f"the connection was cut, {type(error).__name__}"
            continue
        mode = _mode(content)
        if mode == "L":
            return "grey"
        if mode:
            write_whole(path, content, sync=False)
            return ""
        reason = f"no whole JPEG, it begins with {content[:15]!r}"
    return reason


def _read_left_out(folder: Path) -> dict[str, str]:
    """Products that were left out, with the reason."""
    path = folder / LEFT_OUT
    rows = (line.partition(" ") for line in (read_lines(path) if path.is_file() else []))
    return {name: reason for name, _, reason in rows}


def _leave_out(folder: Path, left_out: dict[str, str], new: dict[str, str]) -> None:
    """Note products that are left out, or, of those without a reason, that they no longer are."""
    if any(left_out.get(name, "") != reason for name, reason in new.items()):
        left_out |= new
        rows = sorted((name, reason) for name, reason in left_out.items() if reason)
        write_whole(folder / LEFT_OUT, "".join(f"{name} {reason}\n" for name, reason in rows))
