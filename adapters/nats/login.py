"""The login of this process at NATS: the address, the seed and the TLS files."""

import secrets
import ssl
import stat
from pathlib import Path
from typing import Any

import msgspec
import nkeys

from adapters.settings import Settings, SettingsError


class NatsLogin(msgspec.Struct, frozen=True):
    """An address, and the paths of an nkey's seed and of PEM files; an empty path is not used.

    `ca` signed the server's certificate. `certificate` and `key` are the client's.
    """

    url: str
    seed: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""

    def options(self) -> dict[str, Any]:
        """The options for `nats.connect` besides the address. Raises `SettingsError`."""
        options: dict[str, Any] = {}
        if self.seed:
            options["nkeys_seed_str"] = seed = read_seed(Path(self.seed))
            options["inbox_prefix"] = inbox_of(public_key(seed))
        if self.ca or self.certificate:
            options["tls"] = self._tls()
        return options

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key or None)
        except OSError as error:
            raise SettingsError(
                f"TLS for NATS is not possible with STEMMA_NATS_CA {self.ca!r},"
                f" STEMMA_NATS_CERTIFICATE {self.certificate!r} and STEMMA_NATS_KEY {self.key!r}:"
                f" {error}"
            ) from error
        return context


def nats_login(settings: Settings) -> NatsLogin:
    """The login of the settings. Raises `SettingsError` if no address is set."""
    return NatsLogin(
        settings.require("nats_url"),
        settings.nats_seed,
        settings.nats_ca,
        settings.nats_certificate,
        settings.nats_key,
    )


def read_seed(path: Path) -> str:
    """The seed in a file that only its owner can read. Raises `SettingsError`."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise SettingsError(f"{path} can be read by others: chmod 600 it")
        seed = path.read_text(encoding="utf-8").strip()
        public_key(seed)
    except (OSError, UnicodeDecodeError, nkeys.NkeysError) as error:
        raise SettingsError(
            f"STEMMA_NATS_SEED: no seed can be read from {path}: {str(error) or repr(error)}"
        ) from error
    return seed


def new_seed() -> str:
    """The private half of a new nkey."""
    return str(nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER).decode())


def public_key(seed: str) -> str:
    """The public half of an nkey, by which nats-server identifies the user."""
    return str(nkeys.from_seed(bytearray(seed.encode())).public_key.decode())


def inbox_of(key: str) -> str:
    """The inbox prefix of a user, to which no other user may subscribe."""
    return f"_INBOX_{key}"
