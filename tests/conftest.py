"""What every test has: a folder of its own for solved problems, never the user's."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def _no_cache_of_the_user(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLSYSIM_CACHE", str(tmp_path_factory.mktemp("solved")))
        yield
