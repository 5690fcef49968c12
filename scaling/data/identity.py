"""What a study's data are, found out before anything is trained, so that it is part of every run's identity."""

from __future__ import annotations

import dataclasses

from scaling.data.corpora import source
from scaling.data.tokenizer import tokenizer
from scaling.models import check_kind
from scaling.spec import Data, Model, SpecError, Study


def resolve(study: Study) -> Study:
    """The study with the hash of its corpus in every run's Data.

    A hash that the spec gives is kept, and held to when the rows are prepared. Raises SpecError for an unknown kind of
    model or a vocabulary that the tokenizer does not have, CorpusError or TokenizerError for unknown names.
    """
    resolved = {data: _with_hash(data) for data in {run.data for run in study.runs}}
    for model, data in {(run.model, run.data) for run in study.runs}:
        _check_model(model, data)
    runs = tuple(dataclasses.replace(run, data=resolved[run.data]) for run in study.runs)
    return dataclasses.replace(study, runs=runs)


def _with_hash(data: Data) -> Data:
    tokenizer(data.tokenizer)
    known = source(data.corpus)
    return data if data.sha256 else dataclasses.replace(data, sha256=known.fingerprint())


def _check_model(model: Model, data: Data) -> None:
    check_kind(model)
    has = tokenizer(data.tokenizer).vocab
    if model.vocab != has:
        raise SpecError(
            f"Model.vocab = {model.vocab} cannot be: the tokenizer {data.tokenizer!r} has {has} tokens; "
            f"set Model.vocab to {has}"
        )
