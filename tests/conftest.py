import gc
import os

import pytest

# Before numpy is loaded: two workers of two threads each on two cores wait for one another, and take thrice as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_collection_finish():
    """Keep what is loaded by now from being looked through at each collection, which takes a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test finds what a user, or another test session, has measured before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Keep torch to one thread too."""
    import torch

    torch.set_num_threads(1)
