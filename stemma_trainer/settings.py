"""What the environment sets, checked before a worker starts."""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import urlsplit

import nkeys

API, NATS, SEED = "STEMMA_API_URL", "STEMMA_NATS_URL", "STEMMA_NATS_SEED"


class Settings(NamedTuple):
    """The servers, the worker's name and seed, and the folder of its cache."""

    api_url: str
    nats_url: str
    worker: str
    seed: str
    cache: str

    @property
    def nats_address(self) -> str:
        """The URL without a password that may be in it."""
        return re.sub(r"[^/,@]*@", "", self.nats_url)


def read_settings() -> Settings:
    """Ends the process with a line that names the wrong setting and what to do."""
    default = Path(tempfile.gettempdir()) / "stemma-trainer"
    return Settings(
        _url(API, "Stemma", "https://stemma.example.com", ("http", "https")),
        _url(NATS, "NATS", "nats://nats.example.com:4222", ("nats", "tls", "ws", "wss")),
        os.environ.get("STEMMA_WORKER_NAME", "trainer"),
        _seed(),
        os.environ.get("STEMMA_TRAINER_CACHE", str(default)),
    )


def refuse(problem: str) -> NoReturn:
    """End the process before it has begun, as for a wrong command line."""
    sys.stderr.write(f"{problem}\n")
    raise SystemExit(2)


def _url(name: str, what: str, example: str, schemes: tuple[str, ...]) -> str:
    advice = f"set it to the address of {what}, such as {example}"
    url = os.environ.get(name, "")
    if not url:
        refuse(f"{name} is not set: {advice}")
    if not all(_is_url(one.strip(), schemes) for one in url.split(",")):
        refuse(f"{name} is not an address that begins with {schemes[0]}://; {advice}")
    return url


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # for example, a port that is not a number
        return False


def _seed() -> str:
    """The seed that is given, or is in the file that is given; empty if none is."""
    given = os.environ.get(SEED, "")
    if not given or _is_seed(given):
        return given
    advice = f"issue one by `stemma trainers issue-seed`, and set {SEED} to the path of its file"
    try:
        seed = Path(given).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a text"
        shown = f"the file {given}" if "/" in given or "." in given else "a file of that name"
        refuse(f"{SEED} is no seed, and {shown} cannot be read ({why}): {advice}")
    if not _is_seed(seed):
        refuse(f"the file {given} of {SEED} has no seed in it: {advice}")
    return seed


def _is_seed(text: str) -> bool:
    try:
        nkeys.from_seed(bytearray(text.encode())).wipe()
    except (nkeys.NkeysError, ValueError):
        return False
    return True
