"""A web server of one's own that breaks off when asked to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Web(ThreadingHTTPServer):
    """Serves what ``files`` holds, by path.

    Attributes:
        files: Contents.
        headers: Further headers for every file.
        breaks_off: Bytes after which an answer breaks off, one entry for each of the next answers.
        resumes: Whether it can begin in the middle.
        asked: Paths with the ranges asked for.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.breaks_off: list[int] = []
        self.resumes = True
        self.asked: list[tuple[str, str | None]] = []

    @property
    def address(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Web

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Range"]))
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        content = self.server.files.get(self.path.partition("?")[0])
        if content is None:
            self.send_error(404)
            return
        start = 0
        asked = self.headers["Range"] if self.server.resumes else None
        if asked:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        for name, value in self.server.headers.get(self.path.partition("?")[0], {}).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            stop = start + self.server.breaks_off.pop(0) if self.server.breaks_off else len(content)
            self.wfile.write(content[start:stop])


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
