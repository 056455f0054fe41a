"""Try `make demo` in fresh clones, in the places where people start, and print what came of each.

Each row is a clone of this repository's HEAD: another folder, user, set of capabilities, Python or
limit. Rows that this machine cannot try are skipped by name. `--only WORD …` takes the rows whose
name holds one of the words, `--list` prints their names. `--wheels FOLDER` is a folder with all
locked packages (`make wheels`), for the rows without a network.

Needs Linux; most rows need root. Run it by `make fresh`.
"""

import argparse
import contextlib
import http.server
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ["make", "demo", "ARGS=--epochs 2 --json result.json"]
SETUP = ["make", "setup"]
SECONDS = 900
KILLS = 20
USER = "daemon"
CERTIFICATES = frozenset({"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"})
DOCKER = (
    "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,"
    "sys_chroot,mknod,audit_write,setfcap"
)  # what Docker leaves to the root of a container


class Skip(Exception):
    """This machine cannot try a row; the message says what it lacks."""


class Failed(Exception):
    """A row went wrong; the message is the end of what was printed."""


@dataclass
class Place:
    """A clone, and how programs are run in it."""

    clone: Path
    output: Path
    prefix: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    umask: int = 0o022

    def start(self, argv: list[str]) -> "subprocess.Popen[str]":
        with self.output.open("a") as output:
            return subprocess.Popen(
                [*self.prefix, *argv],
                cwd=self.clone,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=self.umask,
                text=True,
            )

    def run(self, argv: list[str]) -> None:
        self.expect(self.start(argv))

    def expect(self, process: "subprocess.Popen[str]") -> None:
        """Wait for a good end."""
        try:
            status = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Failed(f"not ended after {SECONDS} s: {self.printed()[-800:]}") from None
        if status != 0:
            raise Failed(f"exit status {status}: {self.printed()[-800:]}")

    def printed(self) -> str:
        return self.output.read_text(errors="replace")

    def accuracy(self) -> float:
        return float(
            json.loads((self.clone / "result.json").read_text(encoding="utf-8"))["accuracy"]
        )


def demo(place: Place) -> str:
    place.run(DEMO)
    return f"accuracy {place.accuracy():.3f}"


@dataclass
class Row:
    """One line of the table."""

    name: str
    folder: str = "clone"
    mode: int = 0o755
    user: str = "root"
    capabilities: str = "all"
    python: str = ""
    memory: int = 0
    umask: int = 0o022
    environment: dict[str, str] = field(default_factory=dict)
    inherit: bool = True
    prefix: list[str] = field(default_factory=list)
    work: Callable[[Place], str] = demo


def interrupted(number: signal.Signals) -> Callable[[Place], str]:
    """A demo that is ended while it trains, and another one."""

    def work(place: Place) -> str:
        first = place.start(DEMO)
        await_line(place, first, "Watch it live")
        os.killpg(first.pid, number)
        first.wait(SECONDS)
        return demo(place)

    return work


def killed_setups(place: Place) -> str:
    """Kills of set-up at random instants, each followed by one that must complete."""
    chance = random.Random(1)
    longest = 5.0
    for _ in range(KILLS):
        began = time.monotonic()
        process = place.start(SETUP)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.05, longest))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        place.run(SETUP)
        check_installed(place)
        longest = max(5.0, time.monotonic() - began)
        shutil.rmtree(place.clone / ".venv")
    return f"{KILLS} kills"


def full_disk(place: Place) -> str:
    """Set-up on a disk that is full, then on one that no longer is."""
    image, disk = place.clone.parent / "image", place.clone.parent / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(10 << 30)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, disk], check=False).returncode != 0:
        raise Skip("mounting a file system is not allowed")
    try:
        shutil.copytree(place.clone, disk / "clone", symlinks=True)
        place.clone = disk / "clone"
        filler = disk / "filler"
        subprocess.run(["fallocate", "-l", "9G", filler], check=True)
        if place.start(SETUP).wait(SECONDS) == 0:
            raise Failed("set-up ended well on a full disk")
        filler.unlink()
        place.run(SETUP)
        check_installed(place)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
    return "completed"


def refused(place: Place) -> str:
    """One sentence says why it cannot be."""
    if place.start(DEMO).wait(SECONDS) == 0:
        raise Failed("the demo ended well")
    if "lacks what it takes here" not in place.printed():
        raise Failed(place.printed()[-800:])
    return "refused, with the reason"


def check_installed(place: Place) -> None:
    """Every file of every installed package is there, and the command answers."""
    code = (
        "import importlib.metadata as m;"
        "print(*[f for d in m.distributions() for f in d.files or [] if not f.locate().exists()])"
    )
    python = place.clone / ".venv/bin/python"
    missing = subprocess.run(
        [*place.prefix, python, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    gone = [name for name in missing if not name.endswith(".pyc")]
    if gone:
        raise Failed(f"files are missing: {gone[:5]}")
    place.run([".venv/bin/stemma", "--help"])


def twice(place: Place) -> str:
    """Two demos at once in one folder."""
    both = [place.start(DEMO), place.start(DEMO)]
    for process in both:
        place.expect(process)
    return f"both ready, accuracy {place.accuracy():.3f}"


def taken_port(place: Place) -> str:
    with socket.create_server(("127.0.0.1", 8300)):
        return demo(place)


def await_line(place: Place, process: "subprocess.Popen[str]", text: str) -> None:
    deadline = time.monotonic() + SECONDS
    while text not in place.printed():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed(f"{text!r} was not printed: {place.printed()[-800:]}")
        time.sleep(0.1)


def no_network(wheels: Path) -> Row:
    environment = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_CONFIG_FILE": "/dev/null",
    }
    return Row(
        "no network, a folder of wheels",
        environment=environment,
        prefix=["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"],
    )


def company_network(wheels: Path) -> Row:
    """An index of its own, with a certificate signed by the company's own authority."""

    def work(place: Place) -> str:
        with served(wheels, place.clone.parent) as (address, authority):
            file = place.clone.parent / "pip.conf"
            file.write_text(f"[global]\nindex-url = {address}\ncert = {authority}\n")
            place.environment["PIP_CONFIG_FILE"] = str(file)
            # A cache of its own, so that all packages come from there.
            place.environment["UV_CACHE_DIR"] = str(place.clone.parent / "cache")
            # What the machine's own environment says would come before the file.
            for name in [n for n in place.environment if n.startswith("PIP_") or n in CERTIFICATES]:
                if name != "PIP_CONFIG_FILE":
                    del place.environment[name]
            return demo(place)

    return Row("an index of the company's, its own certificate", work=work)


@contextlib.contextmanager
def served(wheels: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """A package index over TLS on loopback; its address, and the authority to trust."""
    authority, certificate, key = (
        folder / "authority.pem",
        folder / "server.pem",
        folder / "key.pem",
    )
    make: list[str | Path] = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-keyout",
    ]
    by_authority: list[str | Path] = ["-CA", authority, "-CAkey", folder / "authority-key.pem"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE"]
    for arguments in (
        [folder / "authority-key.pem", "-out", authority, "-subj", "/CN=The company"],
        [key, "-out", certificate, "-subj", "/CN=localhost", *names, *by_authority],
    ):
        subprocess.run([*make, *arguments], check=True, capture_output=True)
    index = folder / "index" / "simple"
    for wheel in wheels.iterdir():
        name = wheel.name.split("-")[0].lower().replace("_", "-").replace(".", "-")
        package = index / name
        package.mkdir(parents=True, exist_ok=True)
        (package / wheel.name).symlink_to(wheel)
        with (package / "index.html").open("a") as page:
            page.write(f'<a href="{wheel.name}">{wheel.name}</a><br>\n')

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder / "index"))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://localhost:{server.server_port}/simple", authority
    finally:
        server.shutdown()
        server.server_close()


def rows(wheels: Path | None) -> list[Row]:
    mount = ["unshare", "--mount", "sh", "-c"]
    table = [
        Row("open folder"),
        Row("closed folder, as root", mode=0o700),
        Row("closed folder, root of a container", mode=0o700, capabilities=DOCKER),
        Row("root without capabilities", capabilities="", work=refused),
        Row("umask 077", umask=0o077),
        Row("umask 077, root of a container", umask=0o077, capabilities=DOCKER),
        Row("ordinary user", user=USER),
        Row("ordinary user, umask 077", mode=0o700, user=USER, umask=0o077),
        Row("blanks in the path", folder="a folder with blanks/my clone"),
        Row("deep path", folder="/".join(["a-folder-of-thirty-characters-"] * 5 + ["clone"])),
        Row("empty environment", inherit=False),
        Row("Python 3.12", python="3.12"),
        Row("Python 3.13", python="3.13"),
        Row("2 GiB of memory", memory=2 << 30),
        Row(
            "64 MB of shared memory",
            prefix=[*mount, 'mount -t tmpfs -o size=64m none /dev/shm; exec "$@"', "sh"],
        ),
        Row(
            "a TMPDIR that may not execute",
            prefix=[*mount, 'mount -t tmpfs -o noexec none /tmp; exec "$@"', "sh"],
            environment={"TMPDIR": "/tmp"},
        ),
        Row("port 8300 taken", work=taken_port),
        Row("Ctrl-C, then again", work=interrupted(signal.SIGINT)),
        Row("kill -9, then again", work=interrupted(signal.SIGKILL)),
        Row("two demos at once in one folder", work=twice),
        Row(f"set-up killed {KILLS} times", work=killed_setups),
        Row("set-up on a full disk", work=full_disk),
    ]
    if wheels is not None:
        table += [no_network(wheels), company_network(wheels)]
    return table


def attempt(row: Row) -> str:
    """Make the row's clone, do its work there, and remove all of it. Raises `Skip`, `Failed`."""
    if row.user != "root" or row.capabilities != "all" or row.prefix:
        require_root()
    # Not in /dev/shm or the like: people clone onto disks.
    folder = Path(tempfile.mkdtemp(prefix="stemma-fresh-", dir="/var/tmp"))
    try:
        clone = folder / row.folder
        clone.parent.mkdir(parents=True, exist_ok=True)
        old = os.umask(row.umask)
        try:
            subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        finally:
            os.umask(old)
        folder.chmod(row.mode)
        output = folder / "output"
        output.touch()
        place = Place(clone, output, prefix_of(row), environment_of(row, folder), row.umask)
        if row.user != "root":
            subprocess.run(["chown", "-R", f"{row.user}:", folder], check=True)
        with limited(row.memory, place):
            return row.work(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prefix_of(row: Row) -> list[str]:
    prefix = list(row.prefix)
    if row.user != "root":
        prefix += ["setpriv", f"--reuid={row.user}", f"--regid={row.user}", "--clear-groups"]
    if row.capabilities != "all":
        kept = ",".join(["-all", *(f"+{name}" for name in row.capabilities.split(",") if name)])
        prefix += ["setpriv", f"--bounding-set={kept}", f"--inh-caps={kept}"]
    return prefix


def environment_of(row: Row, folder: Path) -> dict[str, str]:
    if row.inherit:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("STEMMA_", "MAKE", "MFL"))}
    else:
        kept = {"PATH": "/usr/bin:/bin"}
    if row.user != "root":
        # Another user cannot reach root's home, where a version manager may have put Pythons.
        kept |= {"HOME": str(folder / "home"), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        (folder / "home").mkdir()
    if row.python:
        kept["PYTHON"] = find_python(row.python)
    elif row.user != "root" or not row.inherit:
        find_python("", kept["PATH"])
    return kept | row.environment


def find_python(version: str, path: str | None = None) -> str:
    """A Python of this version, or any that is new enough; it must have venv and ensurepip."""
    names = [f"python{version}"] if version else ["python3", "python3.13", "python3.12"]
    home = Path.home() / ".pyenv/versions"
    places = [shutil.which(name, path=path) for name in names]
    if version and home.exists():
        places += [str(p / "bin/python3") for p in home.glob(f"{version}.*")]
    code = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    for place in places:
        if (
            place
            and subprocess.run([place, "-c", code], check=False, capture_output=True).returncode
            == 0
        ):
            return place
    raise Skip(f"no Python {version or 'with venv that this user can run'} here")


@contextlib.contextmanager
def limited(memory: int, place: Place) -> Iterator[None]:
    """Run the place's programs in a control group that holds so much memory."""
    if not memory:
        yield
        return
    for base, name in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max"),
    ):
        group = Path(base) / f"stemma-fresh-{os.getpid()}"
        with contextlib.suppress(OSError):
            group.mkdir()
            if (group / name).exists():
                (group / name).write_text(str(memory))
                break
            group.rmdir()
    else:
        raise Skip("memory cannot be limited here")
    place.prefix = ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", *place.prefix]
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()


def require_root() -> None:
    if os.geteuid() != 0:
        raise Skip("only root can try it")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    table = rows(options.wheels and options.wheels.resolve())
    for word in options.only:
        if not any(word in row.name for row in table):
            parser.error(f"no row's name holds {word!r}; --list names them (some need --wheels)")
    if options.only:
        table = [row for row in table if any(word in row.name for word in options.only)]
    if options.list:
        print(*[row.name for row in table], sep="\n")
        return 0
    line = "{:<48} {:<8} {:<7} {:<7} {:>7}  {}"
    print(line.format("place", "user", "Python", "memory", "seconds", "result"))
    failures = []
    for row in table:
        began = time.monotonic()
        try:
            result = attempt(row)
        except Skip as skipped:
            result = f"skipped: {skipped}"
        except Failed as error:
            failures.append((row.name, str(error)))
            result = "FAILED"
        memory = f"{row.memory >> 30} GiB" if row.memory else ""
        seconds = round(time.monotonic() - began)
        print(line.format(row.name, row.user, row.python, memory, seconds, result), flush=True)
    for name, reason in failures:
        print(f"\n== {name}\n{reason}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
