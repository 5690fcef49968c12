"""Where files lie, a folder of this machine or a bucket, and how they are written so that no reader finds a part."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from scaling.errors import StorageError, UserError

T = TypeVar("T")
R = TypeVar("R")

READERS = 32
"""Files that are read at a time: a bucket, or a disk of the network, takes its time over each answer."""
SCHEMES = ["gs"]
"""Of URLs that are opened: others would lack what claims and checkpoints are built on, a file that of several writers
one alone can create, listings that are never old, and Orbax's mark of a finished checkpoint."""
OTHERS = ("s3", "az", "abfs", "hf", "http", "https")
"""Schemes that somebody may hope for; known where a slash is missing."""
PACKAGES = {"gs": "gcsfs"}
"""What pip must install for a scheme."""
CLIENTS = ("gcsfs", "aiohttp", "google", "requests")
"""Packages whose own exceptions say that a bucket refused something or could not be reached."""
WORKS = "a folder of this machine or of a disk that it has mounted, or gs://BUCKET/FOLDER"
SILENT_SECONDS = 10.0
"""A bucket that has not answered for so long is spoken of: its client tries again for a minute without a word."""
PASSING = frozenset(
    getattr(errno, name)
    for name in (
        *("EIO", "ESTALE", "EAGAIN", "EINTR", "EBUSY", "ETIMEDOUT", "ENOTCONN", "ECONNRESET", "ECONNREFUSED"),
        *(
            "ECONNABORTED",
            "EPIPE",
            "EHOSTDOWN",
            "EHOSTUNREACH",
            "ENETDOWN",
            "ENETUNREACH",
            "EREMOTEIO",
            "ESHUTDOWN",
        ),
    )
    if hasattr(errno, name)
)
"""Of the errors of a disk those that may pass by themselves, as where its server is started again."""
REMEDY = "mend that and run the same command again"


def as_path(place: str | os.PathLike[str]) -> Any:
    """A folder or file by its name: a pathlib.Path on this machine, the etils.epath.Path of a URL, which has the same
    methods. Raises UserError for a scheme that cannot be opened."""
    text = os.fspath(place)
    if half := re.match(f"({'|'.join((*SCHEMES, *OTHERS))}):/(?!/)", text):
        raise UserError(f"{text} has one slash too few: write {half[1]}://BUCKET/FOLDER")
    if "://" not in text:
        return Path(text)
    scheme, _, rest = text.partition("://")
    if scheme not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise UserError(
            f"{text} cannot be opened: {scheme}:// is none of {known}, which was tried; name {WORKS}"
        )
    if not rest or rest.startswith("/"):
        raise UserError(f"{text} names no bucket; write {scheme}://BUCKET/FOLDER")
    from etils import epath

    _prepare_client()
    return epath.Path(text)


def admit(scheme: str) -> None:
    """Let URLs of another scheme that epath knows be opened: for tests, whose stand-in keeps files in memory."""
    if scheme not in SCHEMES:
        SCHEMES.append(scheme)


def is_local(path: Any) -> bool:
    """Whether a path lies in this machine's file system, where a disk of the network may be too."""
    return isinstance(path, Path)


def read_whole(path: Any) -> bytes | None:
    """What a file holds, None where there is none.

    An object of a bucket comes in one piece; opened as a file it may be put anew between two parts.
    """
    path = as_path(path)
    with _answering(path), clear_storage_errors(f"cannot read {path}"):
        try:
            return path.read_bytes() if is_local(path) else _client(path).cat_file(os.fspath(path))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None


def children(folder: Any) -> list[str]:
    """The names of the files and folders in a folder, in order; none where there is no folder.

    Of a bucket this lists one level, where a pattern would list everything below.
    """
    folder = as_path(folder)
    with _answering(folder), clear_storage_errors(f"cannot read {folder}"):
        try:
            return sorted(path.name for path in folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []


def read_end(path: Any, most: int) -> bytes:
    """The last bytes of a file, at most so many; empty where there is none."""
    path = as_path(path)
    if not is_local(path):
        return _object_end(path, most)
    with clear_storage_errors(f"cannot read {path}"):
        try:
            with path.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - most))
                return bytes(file.read())
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return b""


def stamps(folder: Any) -> dict[str, object]:
    """The names in a folder, each with something that is another once the file was written anew; none where there is no
    folder. In a bucket this lists one level, and reads no object."""
    folder = as_path(folder)
    with _answering(folder), clear_storage_errors(f"cannot read {folder}"):
        try:
            if is_local(folder):
                with os.scandir(folder) as entries:
                    return dict(sorted((entry.name, _stamp(entry.path)) for entry in entries))
            found = _client(folder).ls(os.fspath(folder), detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return {}
    marks = ("generation", "etag", "mtime", "created")
    return {
        info["name"].rstrip("/").rpartition("/")[2]: (
            info.get("size"),
            next((info[mark] for mark in marks if info.get(mark)), object()),
        )
        for info in found
    }


def stamp(path: Any) -> object:
    """Something that is another once a file of this machine was written anew; None where there is none."""
    with clear_storage_errors(f"cannot read {path}"):
        return _stamp(path)


def pooled(read: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """What `read` gives for each item, in order, many at a time; the first error is raised and ends it."""
    asked = list(items)
    if len(asked) < 2:
        return [read(item) for item in asked]
    size = max(1, min(16, len(asked) // (4 * READERS)))  # of thousands on a disk, a few a thread at once
    parts = [asked[start : start + size] for start in range(0, len(asked), size)]
    with ThreadPoolExecutor(min(READERS, len(parts))) as readers:
        found = readers.map(lambda part: [read(item) for item in part], parts)
        return [answer for part in found for answer in part]


def write_whole(path: Any, text: str) -> None:
    """Write a text file so that a reader finds the old content or the new, never a part; a full disk is a UserError."""
    put_whole(path, text.encode())


def put_whole(path: Any, content: bytes) -> None:
    """Write a file so that a reader finds the old content or the new, never a part; raises UserError.

    In a bucket an object appears when all of it is there; on a disk a finished file takes the name of the old one.
    """
    path = as_path(path)
    with _answering(path), clear_storage_errors(f"cannot write {path}"):
        if not is_local(path):
            _client(path).pipe_file(os.fspath(path), content)
            return
        temporary = path.with_name(f".{path.name}.{_unique()}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        with _gone_where_it_fails(temporary):
            _write(temporary, content)
            os.replace(temporary, path)


def create_whole(path: Any, text: str) -> bool:
    """Write a file that is not there yet; False, and nothing done, where it is: of several writers one succeeds.

    Raises UserError where it cannot be written, and then leaves nothing behind.
    """
    path = as_path(path)
    with _answering(path), clear_storage_errors(f"cannot write {path}"):
        try:
            if is_local(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
                with _gone_where_it_fails(path):  # an empty claim would count for one
                    _write(path, text.encode())
            else:
                _client(path).pipe_file(os.fspath(path), text.encode(), mode="create")
        except FileExistsError:
            return False
    return True


def check_writable(place: Any, option: str = "--out") -> None:
    """Raise UserError unless files can be made in a folder or bucket."""
    folder = as_path(place)
    remedy = f"name another folder with {option}"
    with _answering(folder), clear_storage_errors(f"cannot write to {folder}", remedy):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{_unique()}"
        with _gone_where_it_fails(probe):
            probe.write_text("")
            probe.unlink()
        if os.fspath(folder).startswith("gs://"):  # Orbax asks of what kind the bucket is
            _client(folder).call("GET", "b/{}", folder.parts[2], json_out=True)


@contextlib.contextmanager
def clear_storage_errors(failed: str, remedy: str = REMEDY) -> Iterator[None]:
    """Turn what a disk or bucket refuses into a StorageError: what `failed`, why, and the remedy."""
    try:
        yield
    except Exception as error:
        reason = storage_reason(error)
        if reason is None:
            raise
        raise StorageError(f"{failed} ({reason}); {remedy}", _passes(error, reason)) from None


def _passes(error: Exception, reason: str) -> bool:
    """Whether an error may pass by itself."""
    if isinstance(error, OSError) and error.errno:
        return error.errno in PASSING
    lasting = r"\b40[0134]\b|[Ff]orbidden|[Dd]enied|[Uu]nauthori|[Pp]ermission|credentials|not installed"
    return not re.search(lasting, reason)


def storage_reason(error: BaseException) -> str | None:
    """Why a disk, bucket or network refused, in a few words; None where the error is of another kind."""
    text = " ".join(re.sub(r"https?://\S+", "", str(error)).split())[:200]
    if isinstance(error, ImportError) and (named := re.search("|".join(PACKAGES.values()), text)):
        return f"the package {named[0]} is not installed: pip install {named[0]}"
    named_by_url = isinstance(error, FileNotFoundError) and not error.errno and "://" in str(error)
    if named_by_url or "ucket does not exist" in text or "BucketNotFound" in text:
        return "there is no such bucket, or none that these credentials may see"
    if isinstance(error, ConnectionError | TimeoutError) or re.search(
        r"[Cc]onnect|getaddrinfo|UNAVAILABLE", text
    ):
        known = isinstance(error, OSError) or type(error).__module__.split(".")[0] in (*CLIENTS, "builtins")
        return f"the storage cannot be reached: {text or type(error).__name__}" if known else None
    if type(error).__module__.split(".")[0] in CLIENTS:
        return text or type(error).__name__
    if isinstance(error, OSError):
        return error.strerror or text or type(error).__name__
    return None


def _stamp(path: str | os.PathLike[str]) -> object:
    try:
        told = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return told.st_mtime_ns, told.st_size, told.st_ino


def _object_end(path: Any, most: int) -> bytes:
    """By a range from the end, in one request; an empty object has no such range, and is read whole."""
    with contextlib.suppress(Exception), _answering(path):
        return bytes(_client(path).cat_file(os.fspath(path), start=-most))
    return (read_whole(path) or b"")[-most:]


def _unique() -> str:
    """A name that no other process has, on any machine, nor this one again."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40]
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _gone_where_it_fails(path: Any) -> Iterator[None]:
    """Remove a file that could not be written to its end."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _answering(path: Any) -> Iterator[None]:
    """Say that a bucket is waited for, where it does not answer for a while."""
    if is_local(path):
        yield
        return
    timer = threading.Timer(SILENT_SECONDS, _say_silent, (path,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


_said = threading.Lock()


def _say_silent(path: Any) -> None:
    """One line for all that wait at that time."""
    if _said.acquire(blocking=False):
        said = f"no answer for {SILENT_SECONDS:.0f} s about {path}: it is tried again for about a minute"
        print(said, file=sys.stderr, flush=True)
        again = threading.Timer(60.0, _said.release)
        again.daemon = True
        again.start()


def _client(path: Any) -> Any:
    """The fsspec file system of a URL: the one that epath uses."""
    from etils import epath

    return epath.backend.fsspec_backend.fs(path)


def _prepare_client() -> None:
    """Let fsspec ask the bucket each time: it remembers listings, and others write there too."""
    import fsspec.config

    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # what it could not do is told here
    os.environ.setdefault(
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false"
    )  # asks another service for each bucket's kind
    for scheme in ("gcs", *SCHEMES):
        fsspec.config.conf.setdefault(scheme, {}).setdefault("use_listings_cache", False)
