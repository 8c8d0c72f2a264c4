"""Pushing, with the real client, to a server of our own that speaks as much of the Hub's protocol as that takes."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.errors import ConfigError
from leaderboard.hub import PushError, push

pytest.importorskip("huggingface_hub")
REPOSITORY = "/api/datasets/someone/results"


class Hub(ThreadingHTTPServer):
    """Remembers what it was sent."""

    refuses = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.created: list[dict[str, Any]] = []
        self.committed: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def answer(self, method: str, path: str, body: bytes) -> Any:
        path = path.partition("?")[0]
        if path == "/api/repos/create":
            self.created.append(json.loads(body))
            return {"url": f"{self.url}/datasets/someone/results", "id": "someone/results"}
        if path == f"{REPOSITORY}/tree/main":
            names = ("tables/old.csv", "kept.txt")
            return [{"type": "file", "path": name, "size": 1, "oid": "0" * 40} for name in names]
        if path == f"{REPOSITORY}/preupload/main":
            names = [file["path"] for file in json.loads(body)["files"]]
            return {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}
        if path == f"{REPOSITORY}/commit/main":
            self.committed += [json.loads(line) for line in body.splitlines()]
            url = f"{self.url}/datasets/someone/results/commit/1"
            return {"commitUrl": url, "commitOid": "0" * 40, "success": True}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        pytest.fail(f"the client asked for {method} {path}")


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        refused = self.server.refuses
        content = {"error": "who are you?"} if refused else self.server.answer(self.command, self.path, body)
        data = json.dumps(content).encode()
        self.send_response(401 if refused else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.do_POST()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", "hf_nobodys")
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out" / "tables").mkdir(parents=True)
    (tmp_path / "out" / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# Results\n")
    (tmp_path / "out" / "tables" / "new.csv").write_bytes(b"a,b\n")
    return tmp_path / "out"


def test_the_folder_becomes_one_commit_of_a_data_set_repository(hub: Hub, folder: Path) -> None:
    assert push(folder, "hf:someone/results", hub.url) == f"{hub.url}/datasets/someone/results/commit/1"
    (created,) = hub.created
    assert (created["type"], created["organization"], created["name"]) == ("dataset", "someone", "results")
    sent = {line["value"]["path"]: line["value"]["content"] for line in hub.committed if line["key"] == "file"}
    assert sorted(sent) == ["README.md", "tables/new.csv"]
    assert base64.b64decode(sent["tables/new.csv"]) == b"a,b\n"
    deleted = [line["value"]["path"] for line in hub.committed if line["key"] == "deletedFile"]
    assert deleted == ["tables/old.csv"]


def test_a_refusal_says_what_the_hub_said(hub: Hub, folder: Path) -> None:
    hub.refuses = True
    with pytest.raises(PushError, match=r"did not take .* as someone/results"):
        push(folder, "hf:someone/results", hub.url)


@pytest.mark.parametrize("target", ["gh:someone/results", "hf:results", "hf:a/b/c", "hf:../x y", "https://x"])
def test_other_targets_are_refused_with_what_to_do(target: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match="hf:owner/name"):
        push(folder, target)


def test_other_targets_are_refused_before_anything_is_published(lab, tmp_path: Path) -> None:
    lab.add("a", [0.5])
    arguments = ["publish", str(tmp_path / "out"), "--table", str(lab.table()), "--push", "someone/results"]
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 1
    assert "--push takes hf:owner/name, got 'someone/results'" in found.output
    assert not (tmp_path / "out").exists()


def test_without_the_client_the_command_says_what_to_install(
    lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.add("a", [0.5])
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    arguments = ["publish", str(tmp_path / "out"), "--table", str(lab.table()), "--push", "hf:someone/results"]
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 1
    assert "pip install 'debias-bench[hub]'" in found.output
