"""docker-compose.yml, the Dockerfile and NATS' configuration, as far as no Docker is needed."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import jsonschema
import msgspec
import nats
import pytest
import yaml
from click.testing import CliRunner

from adapters.nats.access import NatsAccess
from adapters.nats.login import NatsLogin, new_seed
from adapters.nats.roles import NatsRole
from adapters.processes.processes import spawn, stop_by_degrees, wait_until
from adapters.servers.embedded import LOOPBACK, _free_port
from adapters.servers.nats import _binary
from adapters.settings import Settings
from scripts.lock import PARTS, requirements
from tests.small_disk import SmallDisk, small_disk
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[1]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
FILE = yaml.safe_load(COMPOSE)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
IMAGES = {"stemma": "backend", "stemma-worker": "worker"}
"""Our images, and the targets of the Dockerfile that they are built from."""
OURS = {name: service for name, service in SERVICES.items() if service["image"] in IMAGES}
PASSWORDS = {"POSTGRES_ADMIN_PASSWORD", "POSTGRES_APP_PASSWORD"}

NOT_AT_RUN_TIME = {".pyc", ".mako"}  # the second is what Alembic makes new migrations from


def test_the_file_keeps_to_the_compose_specification() -> None:
    """The schema is the one that the package check-jsonschema carries."""
    schema = files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    validator = jsonschema.Draft202012Validator(json.loads(schema.read_text()))
    assert [error.message for error in validator.iter_errors(FILE)] == []
    broken = FILE | {"services": SERVICES | {"api": SERVICES["api"] | {"comand": ["stemma"]}}}
    assert not validator.is_valid(broken)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_only_for_what_can_come_true(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        match how["condition"]:
            case "service_healthy":
                assert "healthcheck" in SERVICES[other]
            case "service_completed_successfully":
                assert SERVICES[other]["restart"] == "no"
            case _:
                pytest.fail(f"{name} waits for {other} to have {how['condition']}")


def test_volumes_are_declared_and_used() -> None:
    mounted = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    }
    files_of_ours = {source for source in mounted if source.startswith("./")}
    assert mounted - files_of_ours == set(FILE["volumes"])
    assert all((ROOT / source).exists() for source in files_of_ours)


def test_images_are_named_without_a_registry_and_servers_with_a_version() -> None:
    assert all("/" not in service["image"] for service in SERVICES.values())
    assert all(":" in SERVICES[name]["image"] for name in SERVICES.keys() - OURS.keys())


@pytest.mark.parametrize("name", OURS)
def test_only_the_worker_has_torch(name: str) -> None:
    image, build = OURS[name]["image"], OURS[name]["build"]
    assert image == ("stemma-worker" if name == "worker" else "stemma")
    assert build == {"context": ".", "target": IMAGES[image]}


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    from cli.main import main

    program, command, *_ = OURS[name]["command"]
    assert program == "stemma"
    assert command in main.list_commands(click.Context(main))


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str) -> None:
    known = {f"STEMMA_{field.name.upper()}" for field in msgspec.structs.fields(Settings)}
    assert set(OURS[name]["environment"]) <= known


def test_no_secret_has_a_default() -> None:
    named = set(re.findall(r"\$\{(\w+)", COMPOSE))
    assert named == PASSWORDS | {"STEMMA_API_HOSTS"}
    assert set(re.findall(r"\$\{(\w+):\?[^}]+\}", COMPOSE)) == PASSWORDS
    assert COMPOSE.count("$") == len(re.findall(r"\$\{", COMPOSE))


def test_only_migrate_has_the_owner_of_the_log() -> None:
    holders = {
        name for name, service in SERVICES.items() if "POSTGRES_ADMIN_PASSWORD" in str(service)
    }
    assert holders == {"postgres", "migrate"}
    assert "STEMMA_DATABASE_ADMIN_URL" in OURS["migrate"]["environment"]


def test_the_worker_has_a_gpu_and_no_database() -> None:
    (device,) = OURS["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert "STEMMA_DATABASE_URL" not in OURS["worker"]["environment"]


@pytest.mark.parametrize("public", ["", "stemma.example", "stemma.example,images.example"])
def test_the_worker_reaches_the_api_by_its_name_whatever_the_public_names(
    public: str, tmp_path: Path
) -> None:
    url = urlsplit(OURS["worker"]["environment"]["STEMMA_API_URL"])
    written = OURS["api"]["environment"]["STEMMA_API_HOSTS"]
    settings = Settings(data=tmp_path, api_hosts=written.replace("${STEMMA_API_HOSTS:-}", public))
    assert settings.hosts() == (url.hostname, *public.split(",")[: len(public)])


def test_the_worker_stops_before_the_api_to_which_it_hands_its_job_back() -> None:
    """Compose stops services in the reverse order of their dependencies."""
    assert OURS["worker"]["depends_on"] == {"api": {"condition": "service_healthy"}}
    assert {"migrate", "streams"} == set(OURS["api"]["depends_on"])


def test_nothing_is_published_beyond_this_host() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8300:8300"]
    assert not any("network_mode" in service for service in SERVICES.values())


SEEDS = "/var/lib/stemma/nats/access"


@pytest.mark.parametrize("name", [name for name in OURS if "STEMMA_NATS_SEED" in str(OURS[name])])
def test_a_service_has_the_seed_that_it_names_and_no_other(name: str) -> None:
    """`streams` has the operator's volume, and only reads it."""
    seed = Path(OURS[name]["environment"]["STEMMA_NATS_SEED"])
    mounted = [volume for volume in OURS[name]["volumes"] if SEEDS in volume]
    where = SEEDS if name == "streams" else seed.parent
    assert [volume.split(":")[1:] for volume in mounted] == [[str(where), "ro"]]
    made = {
        "backend": ("backend", "backend"),
        "api": ("api", "api"),
        "worker": ("worker", "local"),
        "streams": ("operator", "operator"),
    }
    folder, user = made.get(name, made["backend"])
    assert seed == Path(SEEDS, folder, f"{user}.seed")


@dataclass
class ComposedNats:
    """nats-server as in docker-compose.yml, but for ports and folders, on what `access` made."""

    url: str
    http_port: int
    access: NatsAccess
    data: Path
    process: subprocess.Popen[bytes]

    def check(self, tools: Path) -> int:
        """The exit status of the container's health check. `nc` and `wget` are from `tools`."""
        _, check = SERVICES["nats"]["healthcheck"]["test"]
        for there, here in (
            ("8222", str(self.http_port)),
            ("/data", str(self.data)),
            ("kill 1", f"kill {self.process.pid}"),
        ):
            check = check.replace(there, here)
        path = {"PATH": f"{tools}:{os.environ['PATH']}"}
        return subprocess.run(["sh", "-c", check], env=path, check=False).returncode


@pytest.fixture
def composed_nats(tmp_path: Path) -> Iterator[ComposedNats]:
    from cli.main import main

    port, http_port = _free_port(), _free_port()
    folder = tmp_path / "access"
    _, *init = OURS["access"]["command"]
    made = CliRunner().invoke(main, [*init, "--folder", str(folder)])
    assert made.exit_code == 0, made.output
    access = NatsAccess(folder)
    service = SERVICES["nats"]
    environment = {
        name: value.replace("0.0.0.0:4222", f"{LOOPBACK}:{port}").replace(
            "/data", str(tmp_path / "data")
        )
        for name, value in service["environment"].items()
    }
    read = {volume.split(":")[0]: volume.split(":")[1] for volume in service["volumes"]}
    written = dict(volume.split(":") for volume in OURS["access"]["volumes"])
    assert written["nats-server"] == f"{SEEDS}/server"
    server_folder = str(access.configuration.parent)
    command = [
        argument.replace(read["nats-server"], server_folder).replace("8222", str(http_port))
        for argument in service["command"]
    ]
    log = tmp_path / "log"
    server = spawn([_binary(), *command], log=log, env=environment)
    try:
        ready = wait_until(lambda: b"Server is ready" in log.read_bytes(), HANG_SECONDS)
        assert ready, log.read_text()
        url = f"nats://{LOOPBACK}:{port}"
        yield ComposedNats(url, http_port, access, tmp_path / "data", server)
    finally:
        stop_by_degrees(server, [(signal.SIGTERM, 5.0)])


def test_nats_asks_for_a_key_and_syncs_before_it_acknowledges(
    composed_nats: ComposedNats,
) -> None:
    url, http_port, access = composed_nats.url, composed_nats.http_port, composed_nats.access

    async def connect(**options: Any) -> None:
        client = await nats.connect(url, allow_reconnect=False, max_reconnect_attempts=0, **options)
        await client.close()

    for role, name in (
        (NatsRole.OPERATOR, ""),
        (NatsRole.BACKEND, ""),
        (NatsRole.API, ""),
        (NatsRole.WORKER, "local"),
    ):
        asyncio.run(connect(**NatsLogin(url, str(access.seed_file(role, name))).options()))
    for nobody in ({}, {"user": "stemma", "password": ""}, {"nkeys_seed_str": new_seed()}):
        with pytest.raises(nats.errors.Error, match="Authorization"):
            asyncio.run(connect(**nobody))
    with urllib.request.urlopen(f"http://{LOOPBACK}:{http_port}/jsz") as answer:
        assert json.load(answer)["config"]["sync_always"] is True
    with urllib.request.urlopen(f"http://{LOOPBACK}:{http_port}/healthz") as answer:
        assert answer.status == 200


@pytest.fixture
def small_store(tmp_path: Path) -> Iterator[SmallDisk]:
    """The volume of nats-server, on a disk of its own."""
    (tmp_path / "data").mkdir()
    with small_disk(tmp_path / "data", 24) as disk:
        yield disk


@pytest.fixture
def image_tools(tmp_path: Path) -> Path:
    """The programs of the image nats:alpine, which are busybox, that its health check calls."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox, of which the image's programs are, is not installed")
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("sh", "wget", "nc", "grep", "dd", "printf", "rm"):
        (folder / name).symlink_to(busybox)
    return folder


def test_the_health_check_ends_a_nats_that_is_stuck_after_a_full_disk(
    small_store: SmallDisk, image_tools: Path, composed_nats: ComposedNats
) -> None:
    async def publish(count: int) -> None:
        login = NatsLogin(composed_nats.url, str(composed_nats.access.seed_file(NatsRole.OPERATOR)))
        client = await nats.connect(composed_nats.url, **login.options())
        try:
            js = client.jetstream()
            await js.add_stream(name="REPORTS", subjects=["reports"])
            for _ in range(count):
                await js.publish("reports", bytes(100_000), timeout=0.5)
        finally:
            await client.close()

    asyncio.run(publish(1))
    assert composed_nats.check(image_tools) == 0
    small_store.fill()
    with pytest.raises(nats.errors.Error):
        asyncio.run(publish(20))
    assert composed_nats.check(image_tools) == 1
    assert composed_nats.process.poll() is None, "a restart does not help while the disk is full"
    small_store.free()
    assert composed_nats.check(image_tools) == 1
    assert composed_nats.process.wait(HANG_SECONDS) in (0, 1)
    assert SERVICES["nats"]["restart"] == "unless-stopped"
    assert not (composed_nats.data / "trial").exists()


def image_files() -> list[Path]:
    """What .dockerignore lets into the image's build; it denies all and then names what may."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line]
    assert "*" in lines
    named = [line.removeprefix("!") for line in lines if line.startswith("!")]
    return [path for name in named for path in ([*ROOT.glob(name)] or [ROOT / name])]


def test_the_package_that_the_image_installs_is_whole(tmp_path: Path) -> None:
    """Built as the Dockerfile builds it: every module of ours, and every file they read."""
    source = tmp_path / "source"
    source.mkdir()
    for path in image_files():
        target = source / path.relative_to(ROOT)
        target.parent.mkdir(exist_ok=True)
        if path.is_dir():
            shutil.copytree(
                path, target, ignore=shutil.ignore_patterns("__pycache__", "_generated")
            )
        else:
            shutil.copy(path, target)
    generate = [sys.executable, "-m", "scripts.generate_client"]
    subprocess.run(generate, cwd=source, check=True)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps",
             "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]  # fmt: skip
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("stemma-*.whl")
    installed = set(zipfile.ZipFile(wheel).namelist())
    needed = {
        str(path.relative_to(ROOT))
        for folder in image_files()
        if folder.is_dir() and folder.parent == ROOT
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in NOT_AT_RUN_TIME and path.name[0] != "."
    }
    assert needed - installed == set()


def test_the_dockerfile_copies_what_there_is() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+)", text, flags=re.MULTILINE)
    locks = [f"requirements-{part}.lock" for part in PARTS]
    assert sorted(copied) == sorted([*locks, "."])
    stages = dict(re.findall(r"^FROM (\S+) AS (\S+)", text, flags=re.MULTILINE)[::-1])
    assert set(stages) == {"python:3.12-slim", "base"}
    assert set(IMAGES.values()) <= set(re.findall(r"^FROM base AS (\S+)", text, re.MULTILINE))
    assert {ROOT / lock for lock in locks} <= set(image_files())
    assert all("/" + volume in text for volume in ("blobs", "var/lib/stemma"))
    assert all(path.exists() for path in image_files()), "the image's build would fail"


def pins(lock: str) -> dict[str, set[str]]:
    """The lines of each package and version of a lock: its hashes."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = [entry.replace("\\\n", " ") for entry in re.split(r"\n(?=\S)", text.strip())]
    return {entry.partition(" ")[0]: set(re.findall(r"--hash=(\S+)", entry)) for entry in entries}


@pytest.mark.parametrize("part", PARTS)
def test_the_images_have_the_packages_that_the_tests_have(part: str) -> None:
    whole = pins("requirements.lock")
    assert all(
        whole[package] == hashes for package, hashes in pins(f"requirements-{part}.lock").items()
    )
    asked = {re.split(r"[^\w-]", name)[0] for name in requirements(part)}
    assert asked <= {package.split("==")[0] for package in pins(f"requirements-{part}.lock")}


def worker_only() -> set[str]:
    """The packages of the worker's image that the backend's has not."""
    backend, worker = pins("requirements-backend.lock"), pins("requirements-worker.lock")
    return {package.split("==")[0].replace("-", "_") for package in worker.keys() - backend.keys()}


# Imports every module of the backend, and those of the worker's own process.
IMPORTS = """
import sys
from importlib import import_module
from pathlib import Path

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"{name} is of the worker alone", name=name)

sys.meta_path.insert(0, Absent())
folders = ("domain", "application", "projections", "adapters", "api", "cli", "stemma_client")
for folder in folders:
    for path in sorted(Path(folder).rglob("*.py")):
        if "versions" not in path.parts and path.name not in ("__main__.py", "env.py"):
            import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
import_module("gpu_worker.worker")
"""


def test_the_backend_imports_nothing_of_the_worker_alone() -> None:
    absent = worker_only()
    assert {"torch", "torchvision", "timm", "onnx"} <= absent
    argv = [sys.executable, "-c", IMPORTS, *absent]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "model", "image"],
        ["onnx", "model", "file"],
        ["reproduce", "version"],
        ["weights", "fetch", "resnet18"],
        ["worker"],
    ],
)
def test_a_command_that_needs_torch_says_where_to_run_it(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli import torch_here
    from cli.main import main

    monkeypatch.setattr(torch_here, "find_spec", lambda _: None)
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 2
    (line,) = refused.stderr.splitlines()
    assert "needs torch: it is not installed here" in line
    assert "use the image `stemma-worker`" in line
