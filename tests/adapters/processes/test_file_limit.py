"""The limit of open files is raised as far as it may be, and never lowered."""

import resource
from collections.abc import Iterator

import pytest

from adapters.processes.file_limit import raise_file_limit


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_low_limit_is_raised_to_what_is_wanted_and_allowed() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    assert raise_file_limit(1000) == 1000
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1000, hard)
    if hard != resource.RLIM_INFINITY:
        assert raise_file_limit(hard + 1) == hard


def test_a_high_limit_stays() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
    assert raise_file_limit(1000) == 2000
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (2000, hard)
