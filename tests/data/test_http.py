"""Servers and archives that mean no good: led elsewhere, sent without end or short, out of the folder, or swelling."""

import http.server
import json
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator

import pytest
import requests

from marsnb.data import _http
from marsnb.data._http import MEMBERS, Polite, get, leaves, open_session, swells, up_to, whole
from marsnb.data._transfer import RemoteFile, read_range, remote_file
from marsnb.errors import DataError

Handler = http.server.BaseHTTPRequestHandler


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Handler], None]], str]]:
    """Start a server that answers as a function does; its address."""
    servers = []

    def start(answer: Callable[[Handler], None]) -> str:
        class Answers(Handler):
            def do_GET(self) -> None:  # noqa: N802
                try:
                    answer(self)
                except OSError:  # who asked has gone
                    self.close_connection = True

            def log_message(self, *args: object) -> None:
                pass

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def sends(body: bytes, **headers: str) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(302 if "Location" in headers else 200)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return answer


def without_end(handler: Handler) -> None:
    handler.send_response(206)
    handler.send_header("Content-Range", "bytes 0-9/10")
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(2**16))


def test_an_answer_that_leads_to_another_server_is_not_followed(serve: Callable[..., str]) -> None:
    asked: list[str] = []
    other = serve(lambda handler: asked.append(handler.path))
    for target in (other, other.replace("127.0.0.1", "localhost"), f"//localhost:{other.rpartition(':')[2]}/x"):
        url = serve(sends(b"", Location=target))
        with pytest.raises(DataError, match="leads to another server"):
            get(open_session(), url, by_hand="x")
        with pytest.raises(DataError, match="leads to another server"):
            Polite(0).get(url)
    assert asked == []


def test_an_answer_that_leads_elsewhere_on_the_server_is_followed(serve: Callable[..., str]) -> None:
    def answer(handler: Handler) -> None:
        (sends(b"here", Content_Length="4") if handler.path == "/new" else sends(b"", Location="/new"))(handler)

    with get(open_session(), serve(answer), by_hand="x") as response:
        assert whole(response) == b"here"


@pytest.mark.parametrize(
    ("asked", "led", "stays"),
    [
        ("https://a.org/x", "https://a.org/y", True),
        ("http://a.org/x", "https://a.org/x", True),
        ("https://a.org/x", "http://a.org/x", False),
        ("https://a.org/x", "https://b.org/x", False),
        ("https://a.org/x", "https://a.org.b.org/x", False),
        ("https://a.org/x", "https://a.org@b.org/x", False),
        ("http://a.org/x", "http://a.org:8080/x", False),
        ("https://a.org/x", "file:///etc/passwd", False),
        ("https://a.org/x", "ftp://a.org/x", False),
    ],
)
def test_which_addresses_belong_to_the_server_that_was_asked(asked: str, led: str, stays: bool) -> None:
    if stays:
        _http.stays(asked, led)
    else:
        with pytest.raises(DataError, match="leads to another server"):
            _http.stays(asked, led)


def test_a_record_whose_file_is_elsewhere_is_refused(serve: Callable[..., str]) -> None:
    entry = {"key": "a.zip", "size": 3, "checksum": "md5:0", "links": {"self": "https://elsewhere.org/a.zip"}}
    url = serve(sends(json.dumps({"files": [entry]}).encode()))
    with pytest.raises(DataError, match=r"leads to another server, https://elsewhere\.org/a\.zip"):
        remote_file(open_session(), url, "a.zip", "the page")


def test_servers_that_never_end(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    url = serve(without_end)
    monkeypatch.setattr(_http, "MOST", 2**18)
    with get(open_session(), url, by_hand="x") as response:
        assert sum(map(len, up_to(response, 100_000))) == 100_000
    with get(open_session(), url, by_hand="x") as response, pytest.raises(DataError, match="sends more than 262,144"):
        whole(response, 2**18)
    remote = RemoteFile(url, 10, "md5:0", "by hand")
    assert b"".join(read_range(open_session(), remote, 0, 10)) == bytes(10)


@pytest.mark.parametrize(("said", "sent"), [("4", b"abc"), ("4", b"")])
def test_servers_that_send_less_than_they_say(serve: Callable[..., str], said: str, sent: bytes) -> None:
    url = serve(sends(sent, Content_Length=said))
    with get(open_session(), url, by_hand="x") as response, pytest.raises(requests.RequestException):
        whole(response)
    with pytest.raises(DataError, match="stopped in its answer"):
        remote_file(open_session(), url, "a.zip", "the page")


def test_servers_that_send_more_than_they_say(serve: Callable[..., str]) -> None:
    with get(open_session(), serve(sends(b"abcdef", Content_Length="4")), by_hand="x") as response:
        assert whole(response) == b"abcd"


@pytest.mark.parametrize(
    ("name", "kind", "out"),
    [
        ("a/b.JPG", stat.S_IFREG, False),
        ("a/b.JPG", 0, False),
        ("a/", stat.S_IFDIR, False),
        ("a/b.JPG", stat.S_IFLNK, True),
        ("a/null", stat.S_IFCHR, True),
        ("a/disk", stat.S_IFBLK, True),
        ("a/pipe", stat.S_IFIFO, True),
        ("/etc/passwd", stat.S_IFREG, True),
        ("a/../../b", stat.S_IFREG, True),
        ("a\\..\\..\\b", stat.S_IFREG, True),
        ("C:b", stat.S_IFREG, True),
    ],
)
def test_members_that_are_no_files_of_the_folder(name: str, kind: int, out: bool) -> None:
    member = zipfile.ZipInfo(name)
    member.external_attr = (kind | 0o644) << 16
    assert leaves(member) is out


def test_archives_that_swell() -> None:
    member = zipfile.ZipInfo("a.JPG")
    member.file_size = 1000
    assert not swells([member], 20)
    assert swells([member], 19)
    assert swells([zipfile.ZipInfo("a.JPG")] * (MEMBERS + 1), 10**9)
