"""Parts of a file on the hub, by range requests through huggingface_hub's own session: its endpoint, token and proxies hold."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

from kvplan.errors import CheckpointError, HubError
from kvplan.hub import full_name, told

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 10
# A transfer may take a minute, and then as long as ten kilobytes a second need: a server that trickles does not hold us for ever.
_SECONDS, _BYTES_PER_SECOND = 60, 10_000


class RangeReader:
    """A file on the hub whose bytes are read by range requests, and never beyond what is asked for.

    One reader serves one thread; all readers share one pool of connections. Redirects are followed, and later reads go straight
    to where the first one led; the token goes to the hub's own address alone.

    Args:
        repository: `org/name`.
        file: path in the repository.
        revision: branch, tag or commit; None: the default branch.
        url: where the hub has it, if it is no file of the repository.

    Attributes:
        commit: of the revision, once something was read, where the hub tells it.

    Raises:
        HubNotFoundError: the repository's name cannot be one.

    """

    def __init__(self, repository: str, file: str, revision: str | None = None, *, url: str | None = None) -> None:
        from huggingface_hub import hf_hub_url  # noqa: PLC0415
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined] # noqa: PLC0415  loaded lazily there

        self._repository, self._file, self._revision = repository, file, revision
        self._where = f"{full_name(repository, revision)}/{file}"
        self._size: int | None = None
        self.commit: str | None = None
        with told(self._repository, self._revision, self._file):
            self._hub_url = self._url = url or hf_hub_url(repository, file, revision=revision)
            # Identity: a compressed answer has another number of bytes.
            self._headers = build_hf_headers(library_name="kvplan", headers={"Accept-Encoding": "identity"})

    @property
    def size(self) -> int:
        """Bytes of the whole file. Known after the first read; before it, one byte is read to learn it.

        Raises:
            HubError: as `read`.

        """
        if self._size is None:
            self.read(0, 1)
        if self._size is None:
            raise HubError(f"{self._where}: the hub does not say how large it is.")
        return self._size

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes from `start`: `length` of them, or fewer where the file ends.

        Raises:
            HubNotFoundError: no such repository, revision or file.
            HubGatedError: the repository asks for access.
            HubOfflineError: the hub cannot be reached, or the transfer broke off.
            HubError: the server ignores ranges, or answers with something else.

        """
        if length <= 0 or (self._size is not None and start >= self._size):
            return b""
        return self._twice(lambda: self._read(start, length))

    def read_whole(self, limit: int) -> bytes:
        """Return the whole file, if it has at most `limit` bytes.

        Raises:
            CheckpointError: it is larger.
            HubError: as `read`.

        """
        return self._twice(lambda: self._read_whole(limit))

    def _twice(self, transfer: Callable[[], bytes]) -> bytes:
        with told(self._repository, self._revision, self._file):
            try:
                return transfer()
            except Exception as error:
                # Once more, for a connection that the server closed while it lay idle; a time-out has waited long enough.
                if _is_answer(error) or "Timeout" in type(error).__name__:
                    raise
            return transfer()

    def _read(self, start: int, length: int) -> bytes:
        with self._answer({"Range": f"bytes={start}-{start + length - 1}"}) as answer:
            if answer.status_code == 416 and (size := _total(answer.headers, r"\*")) is not None and start >= size:
                self._size = size
                return b""
            _raise_for_status(answer)
            if answer.status_code != 206:
                raise HubError(
                    f"{self._where}: the server ignores byte ranges, so the whole file would have to be read."
                )
            size = _total(answer.headers, rf"{start}-\d+")
            if size is None:
                raise HubError(f"{self._where}: the server answers with another range than was asked for.")
            self._size = size
            expected = min(length, size - start)
            content = _body(answer, expected)
        if len(content) != expected:
            raise HubError(f"{self._where}: the server sends another number of bytes than the {expected:,} asked for.")
        return content

    def _read_whole(self, limit: int) -> bytes:
        with self._answer({}) as answer:
            _raise_for_status(answer)
            content = _body(answer, limit)
        if len(content) > limit:
            raise CheckpointError(f"{self._where} is larger than {limit:,} bytes, which it cannot be.")
        return content

    @contextmanager
    def _answer(self, headers: Mapping[str, str]) -> Iterator[Any]:
        """Open the answer to a request, of which nothing but the head is read yet."""
        from huggingface_hub import constants, get_session  # noqa: PLC0415  the client costs 0.2 s: only on use

        session, url = get_session(), self._url
        for _ in range(_MOST_REDIRECTS):
            sent = {**self._headers, **headers}
            if not _same_server(url, self._hub_url):
                sent.pop("authorization", None)
            timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
            with session.stream("GET", url, headers=sent, timeout=timeout, follow_redirects=False) as answer:
                self.commit = answer.headers.get("X-Repo-Commit") or self.commit
                if answer.status_code not in _REDIRECTS or "Location" not in answer.headers:
                    if answer.is_success:
                        self._url = url
                    yield answer
                    return
                url = urljoin(url, answer.headers["Location"])
        raise HubError(f"{self._where}: the hub redirects more than {_MOST_REDIRECTS} times.")


def _same_server(one: str, other: str) -> bool:
    return urlsplit(one)[:2] == urlsplit(other)[:2]


def _raise_for_status(answer: Any) -> None:
    """Raise the client's own error for an answer that is none, without its body, which nothing limits."""
    from huggingface_hub import hf_raise_for_status  # noqa: PLC0415  the client costs 0.2 s: only on use

    if not answer.is_success:
        said = {name: value for name, value in answer.headers.items() if name.lower().startswith("x-")}
        hf_raise_for_status(type(answer)(answer.status_code, headers=said, request=answer.request))


def _total(headers: Mapping[str, str], bounds: str) -> int | None:
    """Return the file's size from `Content-Range: bytes 0-7/1234`, if the range is the one that was asked for."""
    match = re.fullmatch(rf"bytes {bounds}/(\d{{1,18}})", headers.get("Content-Range", "").strip())
    return int(match[1]) if match else None


def _body(answer: Any, limit: int) -> bytes:
    """Return what follows the head of an answer, as soon as it exceeds the limit no more of it."""
    chunks, length, start = [], 0, time.monotonic()
    for chunk in answer.iter_raw():
        chunks.append(chunk)
        length += len(chunk)
        if length > limit:
            break
        if time.monotonic() - start > _SECONDS + length / _BYTES_PER_SECOND:
            raise TimeoutError("the server sends too slowly")
    return b"".join(chunks)


def _is_answer(error: Exception) -> bool:
    """Whether the server answered, so that asking again would change nothing."""
    return isinstance(error, HubError | CheckpointError) or getattr(error, "response", None) is not None
