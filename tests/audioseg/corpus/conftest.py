"""A small corpus, composed once."""

import pytest
from small_corpus import make_corpus


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A small corpus with its sources; returns its data folder and its table."""
    data = tmp_path_factory.mktemp("data")
    return data, make_corpus(data)
