"""The port of the API, chosen so that no two systems on a machine choose the same."""

import errno
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import click

from adapters.servers.embedded import LOOPBACK

DEFAULT_PORT = 8300
TRIES = 20


@contextmanager
def claimed_port(host: str, wanted: int | None) -> Iterator[int]:
    """The port that is wanted, or else 8300, or else any that is free. While this lasts, no other
    system chooses it, though the API listens only seconds later.

    The claim is UDP's port of the same number: were TCP's bound here, the API could not have it.
    """
    for port in [wanted] if wanted else [DEFAULT_PORT, *[0] * TRIES]:
        try:
            family, free = _free_port(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise click.ClickException(
                    f"the API cannot listen on {host} port {port}: {error}. STEMMA_API_HOST must"
                    " be an address of this machine, such as 127.0.0.1, and --port a port that"
                    " you may use"
                ) from error
            if wanted:
                raise click.ClickException(
                    f"port {wanted} is in use: stop the program that uses it, or choose another"
                    " port with --port"
                ) from error
            continue
        with closing(socket.socket(family, socket.SOCK_DGRAM)) as claim:
            try:
                claim.bind(("::1" if family == socket.AF_INET6 else LOOPBACK, free))
            except OSError as error:
                if error.errno == errno.EADDRINUSE and not wanted:
                    continue
            yield free
            return
    raise click.ClickException(f"{host} has no free port")


def _free_port(host: str, port: int) -> tuple[socket.AddressFamily, int]:
    """The host's family, and the port, or any that is free if it is 0.

    Raises `OSError` if it is taken, or if the host is no address of this machine.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        return family, int(probe.getsockname()[1])
