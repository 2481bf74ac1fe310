"""What tests of Hugging Face's data sets share."""

import os

import pytest


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """Nothing is asked of the network, and what `datasets` keeps is kept with the test's cache."""
    import datasets

    cache = os.path.join(os.environ["TIGON_CACHE"], "hf")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.chdir(tmp_path)
