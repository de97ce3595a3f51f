import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test finds what a user, or another test session, has measured before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Keep torch to one thread: two workers of two threads each on two cores take thrice as long."""
    import torch

    torch.set_num_threads(1)
