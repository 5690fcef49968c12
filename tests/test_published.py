"""Text data sets of TFDS: found, read without TensorFlow, split anew, and refused with a reason."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from scaling.data import corpora, published
from scaling.data.builder import Documents
from scaling.data.corpora import prepare
from scaling.data.published import Published
from scaling.data.rows import prepare_rows
from scaling.data.sources import CorpusError
from scaling.data.splits import SPLITS, split_of
from scaling.data.stdlib import fingerprint
from scaling.spec import Data

TEXTS = [f"document {i}: " + "é words\n" * (i % 17) for i in range(300)]


class Given:
    """A source of texts, one of them twice under two names."""

    origin = "a list"

    def documents(self):
        return ((f"{i}", text) for i, text in enumerate([*TEXTS, TEXTS[0]]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of data sets as TFDS keeps them, with `tiny_text` in it."""
    folder = tmp_path_factory.mktemp("tfds")
    Documents("tiny_text", Given(), folder, dict.fromkeys(SPLITS, 301)).download_and_prepare()
    return folder


@pytest.fixture(autouse=True)
def there(folder, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))


def features(folder: Path, **kinds) -> Path:
    """A prepared data set with these features, one example."""
    example = {name: b"x" if isinstance(kind, tfds.features.Text) else 0 for name, kind in kinds.items()}

    class Odd(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        name = "odd"

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(kinds))

        def _split_generators(self, manager):
            return {"train": [(0, example)]}

        def _generate_examples(self):
            return []

    tfds.disable_progress_bar()
    builder = Odd(data_dir=folder, file_format="array_record")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    return folder / "odd" / "1.0.0"


@pytest.mark.parametrize("by", ["name", "folder"])
def test_a_prepared_data_set_is_split_anew_by_hash_without_duplicates(folder, tmp_path, by):
    name = "tiny_text" if by == "name" else folder / "tiny_text" / "1.0.0"
    corpus = prepare(f"tfds:{name}", tmp_path)
    for split in SPLITS:
        assert sorted(corpus.texts(split)) == sorted(t.encode() for t in TEXTS if split_of(t) == split)
    assert corpus.sha256 == fingerprint(("", text) for text in TEXTS)


def test_rows_come_from_a_data_set_without_tensorflow(tmp_path):
    rows = prepare_rows(Data(corpus="tfds:tiny_text", context=16), tmp_path)
    assert sum(rows[split].documents for split in SPLITS) == len(TEXTS)
    assert sum(rows[split].bytes for split in SPLITS) == len("".join(TEXTS).encode())
    assert "tensorflow" not in sys.modules


def test_parts_hold_every_document_once(monkeypatch):
    monkeypatch.setattr(published, "PARTS", 7)
    monkeypatch.setattr(published, "PART_BYTES", 100)
    parts = Published("tiny_text").parts()
    assert len(parts) > 7
    assert sorted(text.decode() for part in parts for _, text in part.documents()) == sorted(
        [*TEXTS, TEXTS[0]]
    )


def test_the_only_text_of_a_data_set_is_its_document(tmp_path):
    path = features(tmp_path, body=tfds.features.Text(), label=tfds.features.Scalar(np.int64))
    (part,) = Published(str(path)).parts()
    assert list(part.documents()) == [("train@0", b"x")]


@pytest.mark.parametrize("names", [("a", "b"), ()])
def test_a_data_set_without_one_text_is_refused_with_its_features(tmp_path, names):
    kinds = {"label": tfds.features.Scalar(np.int64)} | {name: tfds.features.Text() for name in names}
    path = features(tmp_path, **kinds)
    with pytest.raises(
        CorpusError, match=rf"has {len(names)} text features and none is called 'text' \(.*'label' \(Scalar\)"
    ):
        Published(str(path)).parts()


def test_an_unknown_data_set_is_refused_with_near_names(tmp_path):
    with pytest.raises(
        CorpusError, match=r"TFDS has no data set 'wiki40/en': did you mean .*'wiki40b'.*catalog"
    ):
        corpora.identify("tfds:wiki40/en", tmp_path)


@pytest.mark.parametrize("name", ["lm1b", "c4/en", "wiki40b/en"])
def test_the_catalogue_of_tfds_is_known(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert published._text_feature(name, published._looked_up(name, tfds).info.features) == "text"


def test_a_data_set_that_cannot_be_fetched_is_a_clear_error(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ConnectionError("Name or service not known\nat line 3")

    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "empty"))
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(
        CorpusError,
        match=r"cannot prepare the data set 'lm1b' \(Name or service not known\): mend the network",
    ):
        corpora.identify("tfds:lm1b", tmp_path)


def test_a_hugging_face_data_set_without_the_package_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        CorpusError, match=r"'huggingface:imdb' needs the package `datasets`: pip install datasets"
    ):
        corpora.identify("tfds:huggingface:imdb", tmp_path)


def test_a_folder_that_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"is no TFDS data set .*give the folder of one version"):
        corpora.identify(f"tfds:{tmp_path}", tmp_path / "data")


def test_damaged_files_of_a_data_set_are_a_clear_error(tmp_path):
    Documents("damaged", Given(), tmp_path, dict.fromkeys(SPLITS, 301)).download_and_prepare()
    (record,) = tmp_path.rglob("*-train.array_record*")
    content = bytearray(record.read_bytes())
    content[500] ^= 255
    record.write_bytes(content)
    with pytest.raises(CorpusError, match=r"cannot be read \(.*damaged or not in ArrayRecord"):
        corpora.identify(f"tfds:{tmp_path / 'damaged' / '1.0.0'}", tmp_path / "data")
