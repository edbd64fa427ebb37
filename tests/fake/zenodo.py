"""A small Zenodo on this machine, for tests of the download."""

import hashlib
import json

from marsnb.data.msl import MSL
from tests.fake.server import Handler, Server


class Archive(Server):
    """A small Zenodo on this machine, which can be told to misbehave.

    ``plan`` holds a word per request of the file, used up in order: ``cut`` (half of what is left, then the connection
    ends), ``whole`` (the range is ignored), ``busy`` (429 with ``retry_after``), ``gone`` (404). After it: as asked.
    """

    def __init__(self, content: bytes, record: str = MSL.record, key: str = MSL.file) -> None:
        super().__init__(_Handler)
        self.record, self.key = record, key
        self.publish(content)
        self.sent = 0  # bytes of the file
        self.plan: list[str] = []
        self.record_plan: list[str] = []
        self.retry_after = "7"
        self.asked: list[tuple[str, dict[str, str]]] = []

    def publish(self, content: bytes) -> None:
        """Serve another file from now on."""
        self.content = content
        self.checksum = f"md5:{hashlib.md5(content).hexdigest()}"

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for path, headers in self.asked if path == "/content"]


class _Handler(Handler):
    server: Archive

    def get(self) -> None:
        archive = self.server
        archive.asked.append((self.path, dict(self.headers)))
        record = self.path == f"/{archive.record}"
        plan = archive.record_plan if record else archive.plan
        word = plan.pop(0) if plan else ""
        if word in ("busy", "gone"):
            self._send(429 if word == "busy" else 404, b"", {"Retry-After": archive.retry_after})
        elif record:
            links = {"self": f"{archive.url}/content"}
            entry = {"key": archive.key, "size": len(archive.content), "checksum": archive.checksum, "links": links}
            self._send(200, json.dumps({"files": [entry]}).encode())
        else:
            asked = self.headers.get("Range") if word != "whole" else None
            first, _, last = (asked or "bytes=0-").removeprefix("bytes=").partition("-")
            start, total = int(first), len(archive.content)
            body = archive.content[start : int(last) + 1 if last else total]
            sent = body[: len(body) // 2] if word == "cut" else body
            span = {"Content-Range": f"bytes {start}-{start + len(body) - 1}/{total}"} if asked else {}
            archive.sent += len(sent)
            self._send(206 if asked else 200, sent, span, length=len(body))

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True
