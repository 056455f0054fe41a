"""One application after another is run with the same routes."""

from pathlib import Path

from adapters.settings import Settings
from api.app import all_routes, with_settings


def test_what_runs_next_has_nothing_of_the_one_before(tmp_path: Path) -> None:
    app = all_routes()
    strict = Settings(data=tmp_path, api_hosts="stemma.example", streams=1, rate_limit=1)
    before = with_settings(app, strict).state
    before.backend = object()
    after = with_settings(app, Settings(data=tmp_path)).state
    assert "stemma.example" in before.hosts
    assert "stemma.example" not in after.hosts
    assert "backend" not in after
    counting = ("metrics", "rate", "failures", "streams", "behind_in")
    assert all(after[name] is not before[name] for name in counting)
