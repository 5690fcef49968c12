"""Text data sets of TensorFlow Datasets by name, read as ArrayRecord without TensorFlow."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.data.sources import CorpusError, Found, Part

PART_BYTES, PARTS, TOGETHER = 32 * 2**20, 1024, 32
"""Size of the parts, about; how many parts a split has at most; and documents that are fetched at a time."""


@dataclass(frozen=True)
class Published:
    """The data set `name` of TFDS, every split of it: `lm1b`, `c4/en`, `huggingface:...`, or a prepared folder.

    It is looked for where TFDS keeps data sets (TFDS_DATA_DIR, or ~/tensorflow_datasets), and else downloaded and
    prepared there by TFDS. The document is the feature `text`, or the only feature that is text.
    """

    name: str

    @property
    def origin(self) -> str:
        """The data set and where it lies."""
        return f"the TFDS data set {self.name!r}"

    def state(self) -> str:
        """Names, sizes and times of the files of the data set, hashed."""
        place = Path(_builder(self.name).data_path)
        seen = hashlib.sha256(f"{place}\n".encode())
        for path in sorted(path for path in place.iterdir() if path.is_file()):
            seen.update(f"{path.name}\0{path.stat().st_size} {path.stat().st_mtime_ns}\n".encode())
        return seen.hexdigest()

    def parts(self) -> list[Part]:
        """Documents that follow one another, in each split of the data set."""
        info = _builder(self.name).info
        feature = _text_feature(self.name, info.features)
        parts: list[Part] = []
        for split in sorted(info.splits):
            count, size = info.splits[split].num_examples, info.splits[split].num_bytes
            step = max(1, count // min(PARTS, 1 + size // PART_BYTES))
            for start in range(0, count, step):
                stop = min(start + step, count)
                parts.append(
                    PublishedPart(self.name, feature, split, start, stop, size * (stop - start) // count)
                )
        return parts


@dataclass(frozen=True)
class PublishedPart:
    """Documents `start` to `stop` of a split of a data set."""

    name: str
    feature: str
    split: str
    start: int
    stop: int
    size: int

    def documents(self) -> Iterator[Found]:
        """The texts that are not empty; raises CorpusError for one that is not UTF-8 and for damaged files."""
        for number, text in self._texts():
            try:
                text.decode()
            except UnicodeDecodeError:
                raise CorpusError(
                    f"document {number} of the split {self.split!r} of the TFDS data set {self.name!r} is not UTF-8:"
                    " it is no text that can be trained on here; use another data set"
                ) from None
            if text and not text.isspace():
                yield f"{self.split}@{number}", text

    def _texts(self) -> Iterator[tuple[int, bytes]]:
        try:
            source = _builder(self.name).as_data_source(self.split)
            for start in range(self.start, self.stop, TOGETHER):
                numbers = range(start, min(start + TOGETHER, self.stop))
                for number, document in zip(numbers, source.__getitems__(numbers), strict=True):
                    yield number, document[self.feature]
        except Exception as error:  # what TFDS and ArrayRecord raise differs by what is damaged
            raise CorpusError(
                f"the TFDS data set {self.name!r} cannot be read ({_first_line(error)}): it is damaged or not in"
                " ArrayRecord; delete it, so that TFDS prepares it again"
            ) from error


def _builder(name: str) -> Any:
    """The builder of a data set that lies on this machine; downloads and prepares it where it does not."""
    import tensorflow_datasets as tfds

    if Path(name).is_absolute():
        try:
            return tfds.builder_from_directory(name)
        except Exception as error:
            remedy = "give the folder of one version, which holds dataset_info.json"
            raise CorpusError(f"{name!r} is no TFDS data set ({_first_line(error)}): {remedy}") from None
    if name.startswith("huggingface:") and not importlib.util.find_spec("datasets"):
        raise CorpusError(f"the data set {name!r} needs the package `datasets`: pip install datasets")
    builder = _looked_up(name, tfds)
    if not builder.is_prepared():
        try:
            config = tfds.download.DownloadConfig(try_download_gcs=False)
            builder.download_and_prepare(download_config=config)
        except Exception as error:
            raise CorpusError(
                f"TFDS cannot prepare the data set {name!r} ({_first_line(error)}): mend the network or what is"
                " missing, or prepare it elsewhere with file_format='array_record' and copy it to"
                f" {builder.data_path}"
            ) from None
    return builder


def _looked_up(name: str, tfds: Any) -> Any:
    options = {"file_format": "array_record", "data_dir": os.environ.get("TFDS_DATA_DIR")}
    try:
        try:
            return tfds.builder(name, **options)
        except tfds.core.DatasetNotFoundError:
            importlib.import_module("tensorflow_datasets.text")  # the data sets that are known only then
            return tfds.builder(name, **options)
    except tfds.core.DatasetNotFoundError:
        raise _unknown(name, tfds) from None
    except Exception as error:  # from the code of any data set, and from the network
        raise CorpusError(
            f"TFDS cannot look up the data set {name!r} ({_first_line(error)}): mend the name, or the network"
        ) from None


def _unknown(name: str, tfds: Any) -> CorpusError:
    known = tfds.list_builders(with_community_datasets=False)
    near = difflib.get_close_matches(name.partition("/")[0], known, n=3)
    meant = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return CorpusError(
        f"TFDS has no data set {name!r}: {meant}its catalogue is at https://www.tensorflow.org/datasets/catalog"
    )


def _text_feature(name: str, features: Any) -> str:
    import tensorflow_datasets as tfds

    texts = [key for key in features if isinstance(features[key], tfds.features.Text)]
    if "text" in texts:
        return "text"
    if len(texts) == 1:
        return texts[0]
    shown = ", ".join(f"{key!r} ({type(features[key]).__name__})" for key in features)
    raise CorpusError(
        f"the TFDS data set {name!r} has {len(texts)} text features and none is called 'text' (its features: {shown}):"
        " use a data set with one text"
    )


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[
        :200
    ]
