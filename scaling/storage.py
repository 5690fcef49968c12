"""Where files lie, a folder of this machine or a bucket, and how they are written so that no reader finds a part."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any, Literal

from etils import epath

from scaling.errors import UserError

SCHEMES = ("gs", "s3", "az", "hf")
"""Of URLs that etils.epath opens; each needs the fsspec package of its own."""
PACKAGES = {"gs": "gcsfs", "s3": "s3fs", "az": "adlfs", "hf": "huggingface_hub"}
"""What pip must install for a scheme."""
CLIENTS = ("gcsfs", "aiohttp", "google", "requests", "s3fs", "botocore", "adlfs", "azure", "huggingface_hub")
"""Packages whose own exceptions say that a bucket refused something or could not be reached."""
REMEDY = "mend that and run the same command again"


def as_path(place: str | os.PathLike[str]) -> epath.Path:
    """A folder or file by its name, local or a URL; raises UserError for a scheme that cannot be opened."""
    text = os.fspath(place)
    if "://" not in text:
        return epath.Path(text)
    scheme, _, rest = text.partition("://")
    if scheme not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise UserError(
            f"{text} cannot be opened: {scheme}:// is none of {known} and no folder of this machine"
        )
    if not rest.strip("/"):
        raise UserError(f"{text} names no bucket; write {scheme}://BUCKET/FOLDER")
    _prepare_client()
    return epath.Path(text)


def is_local(path: epath.Path) -> bool:
    """Whether a path lies in this machine's file system, which a disk of a network may hold."""
    return "://" not in os.fspath(path)


def write_whole(path: Any, text: str) -> None:
    """Write a text file so that a reader finds the old content or the new, never a part; a full disk is a UserError."""
    put_whole(path, text.encode())


def put_whole(path: Any, content: bytes) -> None:
    """Write a file so that a reader finds the old content or the new, never a part; raises UserError.

    In a bucket an object appears when all of it is there; on a disk a finished file takes the name of the old one.
    """
    path = as_path(path)
    with clear_storage_errors(f"cannot write {path}"):
        if not is_local(path):
            _client(path).pipe_file(os.fspath(path), content)
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(temporary, content, "wb")
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def create_whole(path: Any, text: str) -> bool:
    """Write a file that is not there yet; False, and nothing done, where it is: of several writers one succeeds."""
    path = as_path(path)
    with clear_storage_errors(f"cannot write {path}"):
        try:
            if is_local(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(path, text.encode(), "xb")
            else:
                _client(path).pipe_file(os.fspath(path), text.encode(), mode="create")
        except FileExistsError:
            return False
    return True


def check_writable(place: Any, option: str = "--out") -> None:
    """Raise UserError unless files can be made in a folder or bucket."""
    folder = as_path(place)
    remedy = f"name another folder with {option}"
    with clear_storage_errors(f"cannot write to {folder}", remedy):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_text("")
        probe.unlink()


@contextlib.contextmanager
def clear_storage_errors(failed: str, remedy: str = REMEDY) -> Iterator[None]:
    """Turn what a disk or bucket refuses into a UserError: what `failed`, why, and the remedy."""
    try:
        yield
    except Exception as error:
        reason = storage_reason(error)
        if reason is None:
            raise
        raise UserError(f"{failed} ({reason}); {remedy}") from None


def storage_reason(error: BaseException) -> str | None:
    """Why a disk, bucket or network refused, in a few words; None where the error is of another kind."""
    text = " ".join(str(error).split())[:200]
    if isinstance(error, ImportError) and (named := re.search("|".join(PACKAGES.values()), text)):
        return f"the package {named[0]} is not installed: pip install {named[0]}"
    module = type(error).__module__.split(".")[0]
    if "bucket does not exist" in text:
        return "there is no such bucket"
    if module in CLIENTS and "getaddrinfo" not in text and "onnect" not in text:
        return text or type(error).__name__
    if module in CLIENTS or isinstance(error, ConnectionError | TimeoutError):
        return f"the storage cannot be reached: {text or type(error).__name__}"
    if isinstance(error, OSError):
        return error.strerror or text or type(error).__name__
    return None


def _write(path: epath.Path, content: bytes, mode: Literal["wb", "xb"]) -> None:
    with open(path, mode) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _client(path: epath.Path) -> Any:
    """The fsspec file system of a URL: the one that epath uses."""
    return epath.backend.fsspec_backend.fs(path)


def _prepare_client() -> None:
    """Let fsspec ask the bucket each time: it remembers listings, and others write there too."""
    import fsspec.config

    os.environ.setdefault(
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false"
    )  # asks another service for each bucket's kind
    for scheme in ("gcs", "gs", "s3"):
        fsspec.config.conf.setdefault(scheme, {}).setdefault("use_listings_cache", False)
