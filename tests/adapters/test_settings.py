"""Settings come from `STEMMA_*` variables and from what `stemma up` left in the data folder."""

from pathlib import Path

import msgspec
import pytest

from adapters.settings import RUNTIME_FILE, Runtime, Settings, SettingsError, load_settings
from domain.access.roles import GroupRole, Role

RUNTIME = Runtime(
    database_url="postgresql://app@up/db",
    database_admin_url="postgresql://admin@up/db",
    nats_url="nats://up",
    blobs_url="file:///up",
    api_url="http://up",
    api_key="stemma_key",
    nats_seed="/up/operator.seed",
)


def load(data: Path, **variables: str) -> Settings:
    named = {f"STEMMA_{name.upper()}": value for name, value in variables.items()}
    return load_settings({"STEMMA_DATA": str(data), "HOME": "/root"} | named)


def write_runtime(data: Path) -> None:
    (data / RUNTIME_FILE).write_bytes(msgspec.json.encode(RUNTIME))


def test_what_needs_no_server_has_a_default(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.data, settings.api_port, settings.queue) == (tmp_path, 8300, "default")
    assert settings.database_url is None
    assert settings.worker_name


def test_variables_are_read_as_what_they_are(tmp_path: Path) -> None:
    settings = load(tmp_path, api_port="9000", checkpoint_seconds="1.5", queue="7", device="cpu")
    assert (settings.api_port, settings.checkpoint_seconds) == (9000, 1.5)
    assert (settings.queue, settings.device) == ("7", "cpu")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_port", "many"),
        ("api_port", "99999"),
        ("checkpoint_seconds", "soon"),
        ("max_upload_bytes", "1.5"),
        ("workers", "0"),
    ],
)
def test_a_wrong_value_names_its_variable(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"STEMMA_{name.upper()}"):
        load(tmp_path, **{name: value})


@pytest.mark.parametrize("below", [(), ("folder", "in it")])
def test_a_data_folder_that_is_a_file_is_named(tmp_path: Path, below: tuple[str, ...]) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SettingsError, match=f"STEMMA_DATA is wrong: {file} is not a folder"):
        load(file.joinpath(*below))


def test_a_missing_url_names_its_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"STEMMA_NATS_URL.*stemma up"):
        load(tmp_path).require("nats_url")


def test_the_servers_that_up_runs_are_found(tmp_path: Path) -> None:
    write_runtime(tmp_path)
    settings = load(tmp_path)
    for name, value in msgspec.structs.asdict(RUNTIME).items():
        assert settings.require(name) == value


def test_a_variable_wins_over_what_up_runs(tmp_path: Path) -> None:
    write_runtime(tmp_path)
    settings = load(tmp_path, nats_url="nats://elsewhere", blobs_url="")
    assert settings.require("nats_url") == "nats://elsewhere"
    assert settings.require("blobs_url") == RUNTIME.blobs_url


def test_the_seed_of_the_servers_that_up_runs_is_not_for_another_nats(tmp_path: Path) -> None:
    write_runtime(tmp_path)
    assert load(tmp_path, nats_url="nats://elsewhere").nats_seed == ""
    other = load(tmp_path, nats_url="nats://elsewhere", nats_seed="/mine.seed")
    assert other.nats_seed == "/mine.seed"


@pytest.mark.parametrize("name", ["worker_name", "queue"])
@pytest.mark.parametrize("value", ["a.b", "*", "two words", "é", "x" * 65])
def test_what_stands_in_a_subject_is_a_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"STEMMA_{name.upper()}.*letters, digits"):
        load(tmp_path, **{name: value})
    assert load(tmp_path, **{name: "gpu-1_a"})


def test_a_host_with_dots_gives_a_worker_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "gpu1.example.com")
    assert load(tmp_path).worker_name.startswith("gpu1-example-com-")


def test_a_single_database_url_serves_as_both(tmp_path: Path) -> None:
    settings = load(tmp_path, database_url="postgresql://one")
    assert settings.require("database_admin_url") == "postgresql://one"


def test_a_relative_data_folder_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(Path("here")).data == tmp_path / "here"
    assert load_settings({}).data == tmp_path / ".stemma"


def test_unknown_variables_are_left_alone(tmp_path: Path) -> None:
    assert load(tmp_path, colour="blue") == msgspec.structs.replace(
        load(tmp_path), worker_name=load(tmp_path).worker_name
    )


def test_roles_of_groups_are_read_from_one_line() -> None:
    told = "staff=viewer; CN=ml,OU=x = trainer @ p-1;/it=administrator;"
    found = load_settings({"STEMMA_OIDC_GROUP_ROLES": told}).group_roles()
    assert found == {
        GroupRole("staff", Role.VIEWER),
        GroupRole("CN=ml,OU=x", Role.TRAINER, "p-1"),
        GroupRole("/it", Role.ADMINISTRATOR),
    }
    assert load_settings({}).group_roles() == frozenset()


@pytest.mark.parametrize("told", ["staff", "staff=boss", "=viewer", "staff=viewer@"])
def test_a_role_of_a_group_that_is_none_is_named(told: str) -> None:
    with pytest.raises(SettingsError, match="STEMMA_OIDC_GROUP_ROLES"):
        load_settings({"STEMMA_OIDC_GROUP_ROLES": told}).group_roles()
