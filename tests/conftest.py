"""What every test has: a folder of its own for solved problems, never the user's."""

import pytest
from browser import chromium, new_tab, tab  # noqa: F401 (fixtures of every test)


@pytest.fixture(autouse=True, scope="session")
def _no_cache_of_the_user(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLSYSIM_CACHE", str(tmp_path_factory.mktemp("solved")))
        yield
