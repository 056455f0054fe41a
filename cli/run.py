"""`stemma run`: the system's processes, each of which runs until it is stopped."""

import click

from adapters.services import SERVICES

API, WORKER, PARTS = "api", "worker", "parts"
PROCESSES = (API, WORKER, PARTS, *SERVICES)


@click.group("run")
def run_group() -> None:
    """Run a process of the system until it is stopped: the API, a worker, a service."""


@run_group.command(API)
def api() -> None:
    """Serve the HTTP API and the pages."""
    import gc

    import uvicorn

    from adapters.processes.file_limit import raise_file_limit
    from adapters.settings import load_settings
    from api.app import create_app
    from api.http.connections import server_options

    settings = load_settings()
    settings.require("database_url")
    settings.require("blobs_url")
    uvicorn.run(
        # A look through all that the application is made of would hold requests up.
        create_app(settings, made=gc.freeze),
        host=settings.api_host,
        port=settings.api_port,
        **server_options(settings, raise_file_limit()),
        log_config=None,
        log_level="warning",
        server_header=False,
        # Otherwise uvicorn would trust the headers of any client on loopback.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        ssl_certfile=settings.api_tls_cert or None,
        ssl_keyfile=settings.api_tls_key or None,
        timeout_graceful_shutdown=3,
    )


@run_group.command(PARTS)
@click.argument("names", nargs=-1, required=True, type=click.Choice(list(SERVICES)))
def parts(names: tuple[str, ...]) -> None:
    """Run several services in one process."""
    import gc

    from adapters.parts import load_parts, run_parts
    from adapters.processes.signals import stopping_on_signals
    from adapters.settings import load_settings

    load_parts(names)
    gc.freeze()
    with stopping_on_signals() as stop:
        run_parts(names, load_settings(), stop)


@run_group.command(WORKER)
def worker() -> None:
    """Take training jobs, one at a time."""
    import asyncio

    from adapters.processes.signals import STOP_SIGNALS
    from adapters.settings import load_settings
    from cli.torch_here import require_torch
    from gpu_worker.worker import run_worker

    require_torch()

    async def work() -> None:
        stop = asyncio.Event()
        for number in STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await run_worker(load_settings(), stop)

    asyncio.run(work())


def _service(name: str) -> click.Command:
    @click.pass_context
    def command(context: click.Context) -> None:
        context.invoke(parts, names=(name,))

    return click.Command(name, callback=command, help=SERVICES[name].summary)


for _name in SERVICES:
    run_group.add_command(_service(_name))


def hidden(name: str) -> click.Command:
    """The command of a process, for the top level, where it is not listed."""
    command = run_group.commands[name]
    return click.Command(
        name, callback=command.callback, params=command.params, help=command.help, hidden=True
    )
