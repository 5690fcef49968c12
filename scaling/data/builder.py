"""The TFDS builder behind every corpus; apart from `corpora`, since importing TFDS takes a second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from scaling.data.sources import Progress, Source
from scaling.data.splits import SPLITS, split_of


class Documents(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """The data set `name` of the documents of `source`, split by their hashes, in ArrayRecord: no TensorFlow.

    `sizes` are the documents of each split. A prepared one is read by `tfds.builder_from_directory`.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(
        self,
        name: str,
        source: Source,
        folder: Path,
        sizes: Mapping[str, int],
        progress: Progress | None = None,
    ) -> None:
        self.name = name
        self._source = source
        self._sizes = sizes
        self._progress = progress
        tfds.disable_progress_bar()
        super().__init__(data_dir=folder, file_format="array_record")

    def download_and_prepare(self, **options: Any) -> None:
        """Write the files, unless they are there; nothing is looked for on the network."""
        config = tfds.download.DownloadConfig(try_download_gcs=False)
        super().download_and_prepare(**{"download_config": config, **options})

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict({"name": tfds.features.Text(), "text": tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, description=self._source.origin, features=features)

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, str]]]]:
        return {split: self._generate_examples(split) for split in SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, str]]]:
        done = 0
        for name, text in self._source.documents():
            if split_of(text) != split:
                continue
            yield name, {"name": name, "text": text}
            done += 1
            if self._progress:
                self._progress(f"writing {split} documents", done, self._sizes[split])

    def _log_download_bytes(self) -> None:
        """Says nothing: TFDS would print through the live progress of the run."""

    def _log_download_done(self) -> None:
        """Says nothing, as above."""
