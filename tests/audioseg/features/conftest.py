"""Corpora of a few seconds."""

import pytest
from extract_with_fake import hashes, run
from recordings import write_corpus


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "corpus")


@pytest.fixture
def reference(corpus):
    """The hashes of an undisturbed run over the same corpus; its records are removed again."""
    assert run(corpus) == 0
    found = hashes(corpus / "embeddings")
    (corpus / "embeddings").rename(corpus / "reference")
    return found
