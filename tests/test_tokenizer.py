"""Bytes in, the same bytes out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.data.tokenizer import TOKENIZERS, TokenizerError, token_dtype, tokenizer


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(deadline=None)  # other processes share the cores
@given(text=st.binary(max_size=300))
def test_decoding_gives_back_what_was_encoded(name, text):
    words = tokenizer(name)
    assert words.decode(words.encode(text)) == text


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(deadline=None)  # other processes share the cores
@given(text=st.binary(max_size=300))
def test_text_never_contains_the_end_of_a_document(name, text):
    words = tokenizer(name)
    tokens = words.encode(text)
    assert tokens.dtype == token_dtype(words.vocab)
    assert not np.any(tokens == words.eod)
    assert np.all(tokens < words.vocab)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_tokenizer_is_known_by_its_own_name(name):
    assert tokenizer(name).name == name


def test_bytes_has_a_token_a_byte_and_one_for_the_end():
    words = tokenizer("bytes")
    assert (words.vocab, words.eod) == (257, 256)
    np.testing.assert_array_equal(words.encode("aé".encode()), [97, 0xC3, 0xA9])


def test_the_end_of_a_document_stands_for_no_text():
    assert tokenizer("bytes").decode([104, 105, 256, 33, 256]) == b"hi!"


def test_tokens_take_two_bytes_as_long_as_the_vocabulary_fits():
    assert token_dtype(2**16) is np.uint16
    assert token_dtype(2**16 + 1) is np.uint32


@pytest.mark.parametrize("token", [-1, 257, 70_000])
def test_a_token_outside_the_vocabulary_is_refused(token):
    with pytest.raises(TokenizerError, match=rf"token {token} is not of tokenizer 'bytes'"):
        tokenizer("bytes").decode([1, token])


def test_an_unknown_tokenizer_is_refused_with_the_nearest_known_one():
    with pytest.raises(
        TokenizerError, match=r"no tokenizer 'byte': did you mean 'bytes'.*known tokenizers: bytes"
    ):
        tokenizer("byte")
