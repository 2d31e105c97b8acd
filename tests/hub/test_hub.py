"""`--model org/name` through the real huggingface_hub client, against a local server that speaks the hub's protocol."""

import collections
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import ClassVar

import pytest

CONFIG = {
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """The hub's `resolve` endpoint: HEAD for the metadata, GET for the file; the repository's name says what goes wrong."""

    protocol_version = "HTTP/1.1"
    sent: ClassVar[collections.Counter[str]] = collections.Counter()

    def _answer(self, *, body: bool) -> None:
        repository = "/".join(self.path.split("/")[1:3])
        revision = self.path.split("/resolve/")[1].split("/")[0] if "/resolve/" in self.path else "main"
        content = json.dumps(CONFIG).encode()
        errors = {
            "acme/missing": (404, "RepoNotFound"),
            "acme/gated": (403, "GatedRepo"),
            "acme/empty": (404, "EntryNotFound"),
            "acme/broken": (500, ""),
        }
        other_file = not self.path.endswith("/config.json")  # these repositories hold no weights
        if repository in errors or revision == "nowhere" or other_file:
            nothing = (404, "EntryNotFound") if other_file else (404, "RevisionNotFound")
            status, code = errors.get(repository, nothing)
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if repository == "acme/slow":
            time.sleep(3)
        if repository == "acme/not-json":
            content = b'{"model_type": "llama", '
        size = 10**9 if repository == "acme/huge" else len(content)
        self.send_response(200)
        self.send_header("ETag", f'"{repository.replace("/", "-")}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if body:
            if repository == "acme/truncated":
                content = content[:20]
                self.close_connection = True
            self.wfile.write(content)
            self.sent[repository] += len(content)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def kvplan(model: str, home: object, endpoint: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `kvplan estimate --model ... --json` with a hub of our own and an empty cache."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    env = {
        **keep,
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_ETAG_TIMEOUT": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "2",
    }
    command = [sys.executable, "-m", "kvplan", "estimate", "--model", model, "--json"]
    return subprocess.run(command, capture_output=True, text=True, env=env | extra, timeout=60, check=False)


def test_a_hub_id_is_read_and_works_offline_afterwards(hub, tmp_path):
    """A model is planned from the hub, and from its cached copy once the hub is gone, which is said."""
    online = kvplan("acme/tiny", tmp_path, hub)
    assert online.returncode == 0, online.stderr
    # 4 layers x 2 KV heads x (64 + 64) x 2 bytes
    assert json.loads(online.stdout)["cache"]["bytes_per_token"] == 4 * 2 * 128 * 2

    offline = kvplan("acme/tiny", tmp_path, "http://127.0.0.1:9")
    assert offline.returncode == 0, offline.stderr
    assert json.loads(offline.stdout)["cache"] == json.loads(online.stdout)["cache"]
    assert "using the cached copy of acme/tiny" in offline.stderr

    told = kvplan("acme/tiny", tmp_path, hub, HF_HUB_OFFLINE="1")
    assert told.returncode == 0
    assert "HF_HUB_OFFLINE is set" in told.stderr


@pytest.mark.parametrize(
    "model, says, then",
    [
        ("acme/missing", "There is no model acme/missing on the hub.", "hf auth login"),
        ("acme/tiny@nowhere", "acme/tiny has no revision 'nowhere' on the hub.", ""),
        ("acme/gated", "acme/gated is gated", "Ask for access"),
        ("acme/empty", "acme/empty is on the hub, but has no config.json.", "config.json for its base model"),
        ("acme/huge", "has 1,000,000,000 bytes: not a model configuration.", ""),
        ("acme/not-json", "acme/not-json/config.json is not JSON: line 1", ""),
        ("acme/slow", "no copy of acme/slow is cached", "kvplan models"),
        ("acme/broken", "no copy of acme/broken is cached", "kvplan models"),
        ("acme/truncated", "no copy of acme/truncated is cached", "Try again online"),
    ],
)
def test_each_way_the_hub_can_fail_is_one_clear_message(hub, tmp_path, model, says, then):
    """What went wrong and what to do, exit code 2, no traceback, nothing on stdout."""
    done = kvplan(model, tmp_path, hub)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert says in done.stderr
    assert then in done.stderr
    assert "Traceback" not in done.stderr


def test_offline_without_a_copy_is_said(tmp_path):
    """No hub and no cached copy: the message says both and names the ways out."""
    done = kvplan("acme/tiny", tmp_path, "http://127.0.0.1:9")
    assert done.returncode == 2
    assert "no copy of acme/tiny is cached" in done.stderr


def test_an_oversized_file_is_never_transferred(hub, tmp_path):
    """A config.json that announces a gigabyte is refused before a byte of it is fetched."""
    assert kvplan("acme/huge", tmp_path, hub).returncode == 2
    assert Hub.sent["acme/huge"] == 0
