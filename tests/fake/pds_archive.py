"""A small archive of Mastcam and MAHLI volumes on this machine, laid out as the published one, that can misbehave."""

import io
import threading
import time
from collections import Counter
from functools import cache

import numpy as np
from PIL import Image

from tests.fake.server import Handler, Server

LABELLED = "0003ML0000000110100031"  # an exposure of MSL v1's train list
CODES = ("DRXX", "DRCX", "DRLX", "DRCL")
VOLUMES = {
    "MSLMST_0001": (1, 2, 3),
    "MSLMST_0002": (4, 5),
    "MSLMST_0003": (6, 7, 8),
    "MSLMHL_0001": (1, 3, 5),
    "MSLMHL_0002": (7, 9),
}
# columns of the published tables, first byte (from 1) and length, up to the sixth; the last two are somewhere behind
COLUMNS = {
    "VOLUME_ID": (2, 11),
    "RELEASE_ID": (16, 4),
    "PATH_NAME": (23, 29),
    "FILE_NAME": (55, 34),
    "PRODUCT_CREATION_TIME": (92, 23),
    "PRODUCT_ID": (118, 30),
    "DATA_SET_ID": (151, 29),
    "PLANET_DAY_NUMBER": (182, 5),
    "FILTER_NAME": (189, 20),
}
ROW_BYTES = 211


def exposure(sol: int, instrument: str, number: int) -> str:
    """The first 22 characters of a name."""
    return f"{sol:04d}{instrument}{number:06d}000{number:07d}"


@cache
def jpeg(seed: int, *, grey: bool = False) -> bytes:
    """A small noisy picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    (image.convert("L") if grey else image).save(buffer, "JPEG")
    return buffer.getvalue()


def table_row(volume: str, name: str, filter_name: str, place: str = "SURFACE") -> bytes:
    """A row: quoted, padded, with commas between the columns."""
    sol = name[:4]
    cells = {
        "VOLUME_ID": volume,
        "RELEASE_ID": volume[-4:],
        "PATH_NAME": f"DATA/RDR/{place}/{sol}/",
        "FILE_NAME": f"{name}.LBL",
        "PRODUCT_CREATION_TIME": "2013-05-20T00:00:00.000",
        "PRODUCT_ID": name,
        "DATA_SET_ID": "MSL-M-MASTCAM-4-RDR-IMG-V1.0",
        "FILTER_NAME": filter_name,
    }
    parts = [f'"{text:<{COLUMNS[column][1]}}"' for column, text in cells.items()]
    parts.insert(7, f"{int(sol):5d}")
    row = ",".join(parts).encode("ascii")
    assert len(row) == ROW_BYTES - 2
    return row + b"\r\n"


def label_of(rows: int, columns: dict[str, tuple[int, int]] = COLUMNS) -> bytes:
    """The label beside a table of so many rows."""
    lines = [
        "PDS_VERSION_ID = PDS3",
        "RECORD_TYPE = FIXED_LENGTH",
        f"RECORD_BYTES = {ROW_BYTES}",
        f"FILE_RECORDS = {rows}",
        '^INDEX_TABLE = "RDRINDEX.TAB"',
        "OBJECT = INDEX_TABLE",
        "  INTERCHANGE_FORMAT = ASCII",
        f"  ROWS = {rows}",
        f"  COLUMNS = {len(columns)}",
    ]
    for number, (name, (start, length)) in enumerate(columns.items(), 1):
        lines += [
            "  OBJECT = COLUMN",
            f"    COLUMN_NUMBER = {number}",
            f"    NAME = {name}",
            "    DATA_TYPE = CHARACTER",
            f"    START_BYTE = {start}",
            f"    BYTES = {length}",
            '    DESCRIPTION = "A column; NAME = none of its own."',
            "  END_OBJECT = COLUMN",
        ]
    return "\r\n".join([*lines, "END_OBJECT = INDEX_TABLE", "END", ""]).encode("ascii")


class PdsArchive(Server):
    """The archive.

    ``plan`` holds for a path the words of its next answers, used up in order: ``cut`` (half of what is left, then the
    connection ends), ``busy`` (429 with ``retry_after``), ``down`` (503), ``forbidden`` (403), ``page`` (HTML with
    status 200), ``half`` (half a file that says it is whole). After them, and for other paths: as asked.

    Attributes:
        files: content by path.
        good: products of which an image may be fetched, one of each exposure.
        missing: one that is listed and has no file.
        grey: one whose JPEG is greyscale.
        asked: requests in order: path, ``Range`` header, time.
        open: requests that wait for their answer, and the most there were at a time.
    """

    def __init__(self, each: int = 2) -> None:
        super().__init__(_Handler)
        self.files: dict[str, bytes] = {}
        self.good: set[str] = set()
        self.plan: dict[str, list[str]] = {}
        self.retry_after = "7"
        self.delay = 0.0
        self.asked: list[tuple[str, str | None, float]] = []
        self.open = self.most_open = 0
        self.lock = threading.Lock()
        self._make(each)

    def _make(self, each: int) -> None:
        for volume, sols in VOLUMES.items():
            rows: list[bytes] = []
            for sol in sols:
                for instrument in ("ML", "MR") if volume.startswith("MSLMST") else ("MH",):
                    for number in range(each):
                        rows += self._exposure(volume, exposure(sol, instrument, number), number, good=True)
            first = sols[0]
            camera = "ML" if volume.startswith("MSLMST") else "MH"
            grey_filter = exposure(first, camera, 900)  # through a geology filter
            rows += self._exposure(volume, grey_filter, 0, filters="MASTCAM_L3_751NM")
            rows += self._exposure(volume, exposure(first, camera, 901), 0, types=("D01",))
            rows += self._exposure(volume, exposure(first, camera, 902), 0, types=("I01",))
            rows += self._exposure(volume, exposure(first, camera, 903), 0, place="CRUISE")
            if volume == "MSLMST_0001":
                rows += self._exposure(volume, LABELLED, 0)
                self.grey = f"{exposure(2, 'ML', 904)}E01_DRCL"
                rows += self._exposure(volume, self.grey[:22], 0, grey=True)
                self.missing = f"{exposure(2, 'MR', 905)}E01_DRCL"
                rows += self._exposure(volume, self.missing[:22], 0)
                del self.files[self.image(self.missing, volume)]
            self.publish(volume, rows)

    def _exposure(
        self,
        volume: str,
        frame: str,
        number: int,
        *,
        good: bool = False,
        types: tuple[str, ...] = (),
        filters: str = "",
        place: str = "SURFACE",
        grey: bool = False,
    ) -> list[bytes]:
        """Rows and files of an exposure, in all its versions."""
        kinds = types or (("E01", "I01"), ("E01", "E02"), ("C00", "E01"), ("F01",))[number % 4]
        name = filters or {"ML": "MASTCAM_L0_CLEAR", "MR": "MASTCAM_R0_CLEAR"}.get(frame[4:6], "MAHLI")
        for kind in kinds:
            product = f"{frame}{kind}_DRCL"
            seed = int.from_bytes(product.encode(), "little") % 2**32
            self.files[self.image(product, volume)] = jpeg(seed, grey=grey or kind[0] == "D")
            self.files[self.image(product, volume, "FULL")] = jpeg(seed, grey=grey) + bytes(1000)
        if good:
            best = {"E01I01": "E01", "E01E02": "E02", "C00E01": "C00", "F01": "F01"}["".join(kinds)]
            self.good.add(f"{frame}{best}_DRCL")
        return [table_row(volume, f"{frame}{kind}_{code}", name, place) for kind in kinds for code in CODES]

    def publish(self, volume: str, rows: list[bytes], label: bytes | None = None) -> None:
        """Set a volume's index table."""
        self.files[f"/{volume}/INDEX/RDRINDEX.LBL"] = label_of(len(rows)) if label is None else label
        self.files[f"/{volume}/INDEX/RDRINDEX.TAB"] = b"".join(rows)

    @staticmethod
    def image(product: str, volume: str, size: str = "BROWSE") -> str:
        """Path of an image."""
        return f"/{volume}/EXTRAS/RDR/SURFACE/{size}/{product[:4]}/{product}.JPG"

    def path_of(self, product: str) -> str:
        """Path of a product's browse image."""
        return next(path for path in self.files if path.endswith(f"/BROWSE/{product[:4]}/{product}.JPG"))

    @property
    def requests(self) -> Counter[str]:
        """How often each file was asked for, by the last part of its path."""
        return Counter(path.rpartition("/")[2].removesuffix(".JPG") for path, _, _ in self.asked)


class _Handler(Handler):
    server: PdsArchive

    def get(self) -> None:
        archive = self.server
        with archive.lock:
            archive.asked.append((self.path, self.headers.get("Range"), time.monotonic()))
            archive.open += 1
            archive.most_open = max(archive.most_open, archive.open)
            plan = archive.plan.get(self.path, [])
            word = plan.pop(0) if plan else ""
        time.sleep(archive.delay)
        with archive.lock:  # not after the answer: who has all of it may ask again before this thread goes on
            archive.open -= 1
        self._answer(archive, word)

    def _answer(self, archive: PdsArchive, word: str) -> None:
        content = archive.files.get(self.path)
        status = {"busy": 429, "down": 503, "forbidden": 403}.get(word, 404 if content is None else 200)
        if status != 200:
            self._send(status, b"", {"Retry-After": archive.retry_after} if word in ("busy", "down") else {})
            return
        assert content is not None
        if word == "page":
            self._send(200, b"<!DOCTYPE html><html>Please sign in</html>")
            return
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        if start >= len(content):
            self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        body = content[start:]
        span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if asked else {}
        sent = body[: len(body) // 2] if word in ("cut", "half") else body
        self._send(206 if asked else 200, sent, span, length=len(sent) if word == "half" else len(body))

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True
