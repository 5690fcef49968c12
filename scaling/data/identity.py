"""What a study's data are, found out before anything is trained, so that it is part of every run's identity."""

from __future__ import annotations

import dataclasses
import os

from scaling.data.corpora import identify, source
from scaling.data.languages import fingerprint, is_language, language, scored_of
from scaling.data.sources import Progress
from scaling.data.tokenizer import tokenizer
from scaling.models import check_kind
from scaling.spec import Data, Model, SpecError, Study

DEFAULT_TOKENIZER, NO_TOKENIZER = Data().tokenizer, "none"


def resolve(study: Study, folder: str | os.PathLike[str] = "data", progress: Progress | None = None) -> Study:
    """The study with the hash of its corpus, and of its tokenizer's file, in every run's Data.

    A hash that the spec gives is kept, and held to when the rows are prepared. What is found of a large corpus is
    remembered in `folder`. Raises SpecError for an unknown kind of model or a vocabulary that the tokenizer does not
    have, CorpusError or TokenizerError for unknown names and for what cannot be read.
    """
    for model, data in {(run.model, run.data) for run in study.runs}:
        _check_model(model, data)
    resolved = {data: _with_hash(data, folder, progress) for data in {run.data for run in study.runs}}
    runs = tuple(dataclasses.replace(run, data=resolved[run.data]) for run in study.runs)
    return dataclasses.replace(study, runs=runs)


def _with_hash(data: Data, folder: str | os.PathLike[str], progress: Progress | None) -> Data:
    if is_language(data.corpus):
        return _with_language(data)
    source(data.corpus)
    sha256 = data.sha256 or identify(data.corpus, folder, progress)
    return dataclasses.replace(data, sha256=sha256, tokenizer=tokenizer(data.tokenizer).name)


def _with_language(data: Data) -> Data:
    """A language's tokens are its own: the tokenizer becomes NO_TOKENIZER."""
    if data.tokenizer not in (DEFAULT_TOKENIZER, NO_TOKENIZER):
        raise SpecError(
            f"Data.tokenizer = {data.tokenizer!r} cannot be: {data.corpus!r} is a language with tokens of its own; "
            "leave the tokenizer out"
        )
    found = fingerprint(data.corpus)
    if data.sha256 not in ("", found):
        raise SpecError(
            f"Data.sha256 = {data.sha256!r} is not that of {data.corpus!r} here, {found}: the spec was planned with "
            "another version of the language; plan again with an empty Data.sha256"
        )
    return dataclasses.replace(data, tokenizer=NO_TOKENIZER, sha256=found)


def _check_model(model: Model, data: Data) -> None:
    check_kind(model)
    if is_language(data.corpus):
        what, has = f"language {data.corpus!r}", language(data.corpus).vocab
        if not model.causal and scored_of(data) is not None:
            raise SpecError(
                f"Model.objective = {model.objective!r} cannot be: of {data.corpus!r} only some next tokens are part "
                "of the loss, and hidden ones may be others; use causal, or a language whose every token counts"
            )
    else:
        source(data.corpus)
        what, has = f"tokenizer {data.tokenizer!r}", tokenizer(data.tokenizer).vocab
    if model.vocab != has:
        raise SpecError(
            f"Model.vocab = {model.vocab} cannot be: the {what} has {has} tokens; set Model.vocab to {has}"
        )
