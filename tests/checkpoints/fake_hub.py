"""A local server that speaks the hub's protocol for files of weights that are never there: headers, and then only a size."""

import collections
import http.server
import json
import re
import socketserver
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BITS = {"BF16": 16, "F32": 32, "F8_E4M3": 8, "F16": 16, "I32": 32, "F4": 4, "BOOL": 8}


def header(
    tensors: Mapping[str, tuple[str, list[int]]], metadata: Mapping[str, str] | None = None
) -> tuple[bytes, int]:
    """Return the first bytes of a safetensors file, with the header in it, and the size of the whole file."""
    entries: dict[str, object] = {"__metadata__": metadata or {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in tensors.items():
        begin, size = end, BITS[dtype]
        for axis in shape:
            size *= axis
        end += size // 8
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # as the library aligns it
    return len(text).to_bytes(8, "little") + text, 8 + len(text) + end


@dataclass
class File:
    """A file: how it begins, and how large it is."""

    start: bytes
    size: int

    @classmethod
    def of(cls, content: bytes) -> "File":
        return cls(content, len(content))


@dataclass
class FakeHub:
    """What the server has, how it behaves, and what it was asked.

    Attributes:
        files: `org/name/file` to the file.
        latency: seconds before each answer.
        redirect: address of another server that has the files; None: this one sends them.
        behaviour: what goes wrong, by name.
        listing: `org/name` to the sizes that the API lists; empty: the API is not there.
        requests: of each kind: `GET org/name/file bytes=0-7`.
        sent: bytes of bodies that were sent.
        tokens: the Authorization headers that came.

    """

    files: dict[str, File]
    latency: float = 0
    redirect: str | None = None
    behaviour: str = ""
    commit: str = COMMIT
    listing: dict[str, dict[str, int]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    sent: collections.Counter[str] = field(default_factory=collections.Counter)
    tokens: set[str | None] = field(default_factory=set)


class Handler(http.server.BaseHTTPRequestHandler):
    """`/org/name/resolve/revision/file`, HEAD and GET, whole and in ranges; `/cdn/org/name/file` for redirects."""

    protocol_version = "HTTP/1.1"
    wbufsize = 2**16  # head and body in one packet: two of them wait 40 ms for each other
    server: "Server"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        hub = self.server.hub
        time.sleep(hub.latency)
        if not self.path.startswith("/api/agent"):  # the client's own question, which its version 2.4 asks once
            hub.tokens.add(self.headers.get("Authorization"))
        found = re.fullmatch(r"/(\S+/\S+?)/resolve/(\S+?)/(\S+)|/cdn/(\S+)", self.path)
        if found is None:
            self._list()
            return
        name = found[4] or f"{found[1]}/{found[3]}"
        asked = self.headers.get("Range")
        hub.requests.append(f"{self.command} {name} {asked or 'whole'}")
        file = hub.files.get(name)
        if found[2] == "nowhere":
            self._head(404, {"X-Error-Code": "RevisionNotFound", "Content-Length": "0"})
        elif hub.behaviour == "gated":
            self._head(403, {"X-Error-Code": "GatedRepo", "Content-Length": "0"})
        elif file is None:
            self._head(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": hub.commit, "Content-Length": "0"})
        elif found[1] and hub.redirect and name.endswith(".safetensors"):
            target = f"{hub.redirect}/cdn/{name}"
            linked = {"X-Linked-Size": str(file.size), "X-Repo-Commit": hub.commit, "X-Linked-ETag": '"etag"'}
            self._head(302, {"Location": target, "Content-Length": "0", **linked})
        else:
            self._send(name, file, asked, body=body)

    def _send(self, name: str, file: File, asked: str | None, *, body: bool) -> None:
        hub = self.server.hub
        extra = {"X-Repo-Commit": hub.commit, "ETag": '"etag"'}
        first, last = 0, file.size - 1
        status = 200
        if asked and hub.behaviour != "ignores ranges":
            first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
            last = min(last, file.size - 1)
            status = 206
            if first > last:
                self._head(416, {"Content-Range": f"bytes */{file.size}", "Content-Length": "0"})
                return
            shifted = int(hub.behaviour == "another range")
            extra["Content-Range"] = f"bytes {first + shifted}-{last + shifted}/{file.size}"
        content = file.start[first : last + 1]
        self._head(status, {"Content-Length": str(last - first + 1), **extra})
        if not body:
            return
        if asked and hub.behaviour == "breaks off":
            content = content[:3]
            self.close_connection = True
        if asked and hub.behaviour == "stalls":
            time.sleep(2)
        # A whole file of weights has no end: sent until nobody listens.
        endless = len(content) < last - first + 1 and not self.close_connection
        try:
            while True:
                self.wfile.write(content)
                hub.sent[name] += len(content)
                if not endless:
                    return
                content = bytes(2**16)
        except OSError:
            self.close_connection = True

    def _list(self) -> None:
        found = re.match(r"/api/models/(\S+?/\S+?)/revision/", self.path)
        sizes = self.server.hub.listing.get(found[1]) if found else None
        if sizes is None:
            self._head(404, {"Content-Length": "0"})
            return
        content = json.dumps({"siblings": [{"rfilename": name, "size": size} for name, size in sizes.items()]}).encode()
        self._head(200, {"Content-Length": str(len(content))})
        self.wfile.write(content)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Keep the output clean."""


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """One thread for each connection, without a wait for them at the end."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, hub: FakeHub) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hub = hub

    def handle_error(self, *args: object) -> None:
        """Readers hang up: that is what the tests are about."""


@contextmanager
def serving(hub: FakeHub) -> Iterator[str]:
    """Serve a hub and return its address."""
    server = Server(hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sharded(repository: str, shards: int, layers_each: int = 1) -> dict[str, File]:
    """Return the files of a checkpoint of so many shards, with its index."""
    files, weight_map, total = {}, {}, 0
    for number in range(1, shards + 1):
        name = f"model-{number:05}-of-{shards:05}.safetensors"
        tensors: dict[str, tuple[str, list[int]]] = {}
        for layer in range(layers_each * (number - 1), layers_each * number):
            tensors |= {
                f"model.layers.{layer}.mlp.{part}_proj.weight": ("BF16", [8192, 2048])
                for part in ("up", "gate", "down")
            }
            tensors |= {
                f"model.layers.{layer}.self_attn.{part}_proj.weight": ("F8_E4M3", [2048, 2048]) for part in "qkvo"
            }
            tensors |= {f"model.layers.{layer}.self_attn.{part}_proj.scale": ("F32", [16, 16]) for part in "qkvo"}
        start, size = header(tensors)
        files[f"{repository}/{name}"] = File(start, size)
        weight_map |= dict.fromkeys(tensors, name)
        total += size - len(start)
    index = json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}).encode()
    return files | {f"{repository}/model.safetensors.index.json": File.of(index)}
