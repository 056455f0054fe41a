"""The `stemma` command: a subcommand for each part, and others that run and inspect the system."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from adapters.processes.loading import collect_rarely, without_web_sockets
from adapters.shortage import shortage
from cli.later import LaterGroup
from cli.run import PROCESSES, hidden

SHORT_OF_SOMETHING = 74  # EX_IOERR of sysexits.h

LATER = {
    "accounts": "cli.access.accounts:accounts",
    "audit": "cli.audit.audit:audit",
    "blobs": "cli.operations.blobs:blobs",
    "cancel": "cli.training.control:cancel_command",
    "compare": "cli.library.compare:compare_command",
    "download": "cli.training.take_away:download_command",
    "erase": "cli.dataset.erase:erase",
    "experiment": "cli.experiments.experiments:experiment",
    "events": "cli.subscriptions.events:events",
    "export": "cli.dataset.imports:export_command",
    "flip-book": "cli.flip_book.flip_book:flip_book_command",
    "form": "cli.training.training:form_command",
    "groups": "cli.dataset.groups:groups",
    "images": "cli.dataset.images:images",
    "import": "cli.dataset.imports:import_command",
    "keys": "cli.access.keys:keys",
    "nats": "cli.operations.nats:nats",
    "login": "cli.access.login:login_command",
    "models": "cli.library.models:models",
    "manifest": "cli.dataset.manifest:manifest_command",
    "onnx": "cli.training.take_away:onnx_command",
    "predict": "cli.training.take_away:predict_command",
    "projects": "cli.library.projects:projects",
    "rebuild": "cli.operations.rebuild:rebuild_command",
    "reproduce": "cli.training.reproduce:reproduce_command",
    "retry": "cli.training.control:retry_command",
    "run": "cli.run:run_group",
    "snapshots": "cli.dataset.snapshots:snapshots",
    "stop": "cli.training.control:stop_command",
    "suggestions": "cli.library.suggestions:suggestions",
    "suspects": "cli.flip_book.suspects:suspects_command",
    "trainers": "cli.training.trainers:trainers",
    "train": "cli.training.training:train_command",
    "versions": "cli.library.versions:versions",
    "views": "cli.library.views:views",
    "webhooks": "cli.subscriptions.webhooks:webhooks",
    "weights": "cli.operations.weights:weights",
}

SECTIONS = {
    "Work": (
        "projects",
        "images",
        "import",
        "export",
        "groups",
        "snapshots",
        "views",
        "suggestions",
        "form",
        "train",
        "trainers",
        "stop",
        "cancel",
        "retry",
    ),
    "Library": (
        "models",
        "versions",
        "compare",
        "flip-book",
        "suspects",
        "download",
        "predict",
        "onnx",
    ),
    "Experiments": ("experiment",),
    "Audit": ("audit", "manifest", "reproduce"),
    "Access": ("login", "accounts", "keys", "erase"),
    "Operate": (
        "demo",
        "up",
        "down",
        "status",
        "run",
        "migrate",
        "rebuild",
        "blobs",
        "weights",
        "nats",
        "events",
        "webhooks",
    ),
}
"""The commands of the help; all others are hidden."""


@click.group(
    cls=LaterGroup,
    commands_later=LATER,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="stemma", message="stemma %(version)s")
@click.option("--verbose", is_flag=True, help="Log debug messages, too.")
def main(verbose: bool) -> None:
    """Train computer-vision models, with a verifiable history of each.

    Settings come from STEMMA_* variables; see docs/operator/settings.md. The exit status is 1 if
    something was refused or failed, and 2 for wrong usage.
    """
    from adapters.observability import logs, tracing
    from adapters.settings import load_settings

    part = click.get_current_context().invoked_subcommand or ""
    if part == "run":
        part = next((name for name in sys.argv[1:] if name in PROCESSES), part)
    logs.set_up(part, load_settings().log_format, verbose=verbose)
    tracing.set_up(part)


@main.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="The API's port; by default 8300, or a free port if it is in use.",
)
@click.option("--separate", is_flag=True, help="Run each service in its own process.")
@click.option("--echo", is_flag=True, help="Also print the logs of the services.")
@click.option("--until-demos-end", is_flag=True, hidden=True)
def up(port: int | None, separate: bool, echo: bool, until_demos_end: bool) -> None:
    """Run everything on this machine: servers, API, services and a worker."""
    from adapters.processes.signals import stopping_on_signals
    from cli.operations.up import run_all

    with stopping_on_signals() as stop:
        run_all(port=port, separate=separate, echo=echo, stop=stop, until_demos_end=until_demos_end)


@main.command()
def down() -> None:
    """Stop the `stemma up` of this data folder."""
    from adapters.settings import load_settings
    from cli.operations.up import stop_running

    stop_running(load_settings().data)


for _name in PROCESSES:
    # The names of earlier releases: `stemma relay` is `stemma run relay`.
    main.add_command(hidden(_name))


@main.command("carry-out-import", hidden=True)
@click.argument("import_id")
def carry_out_import(import_id: str) -> None:
    """What `stemma run importer` starts for each import."""
    from adapters.dataset.imports.process import carry_out
    from adapters.settings import load_settings

    sys.exit(carry_out(load_settings(), import_id))


@main.command()
def migrate() -> None:
    """Create or update the database's tables and roles."""
    from adapters.postgres.migrate import migrate as run
    from adapters.settings import load_settings
    from cli.operations.building import watched

    settings = load_settings()
    with watched() as watch:
        run(settings.require("database_admin_url"), settings.require("database_url"), watch)
    click.echo("the database is up to date")


@main.command()
def status() -> None:
    """Show the status of services and workers."""
    from adapters.settings import load_settings
    from cli.operations.status import print_status

    print_status(load_settings())


@main.command()
@click.option("--keep", is_flag=True, help="Leave everything running.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the result to this file."
)
@click.option(
    "--kind",
    type=click.Choice(["classification", "tagging", "detection", "suspects"]),
    default="classification",
    show_default=True,
    help="The kind of the view; `suspects` corrects wrong labels and trains again.",
)
@click.option("--epochs", type=float, help="The default depends on the kind.")
@click.option(
    "--images",
    type=click.IntRange(50),
    help="The number of images of single digits; by default all.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--experiment", is_flag=True, help="Search for the best training of single digits.")
@click.option("--trials", type=int, help="The number of trials for --experiment; by default 12.")
def demo(
    kind: str,
    keep: bool,
    json_file: Path | None,
    epochs: float | None,
    images: int | None,
    seed: int,
    experiment: bool,
    trials: int | None,
) -> None:
    """Run the end-to-end demo on real images: handwritten digits in, a trained version out.

    With the default epochs and images, the exit status is 1 if the version is not good enough:
    accuracy below 0.95, for tagging mAP below 0.9, for detection mAP at IoU 0.50 below 0.7, and for
    --experiment accuracy below 0.99 with the default trials.
    """
    from cli.demo.demo import run_demo, run_experiment_demo

    if images is not None and kind != "classification":
        raise click.UsageError(f"--images is for classification; a demo of {kind} uses all images")
    if experiment:
        sys.exit(
            run_experiment_demo(
                keep=keep,
                json_file=json_file,
                epochs=epochs,
                images=images,
                trials=trials,
                seed=seed,
            )
        )
    if kind == "suspects":
        from cli.demo.suspects import run_suspects_demo

        sys.exit(run_suspects_demo(keep=keep, json_file=json_file, epochs=epochs, seed=seed))
    sys.exit(
        run_demo(kind=kind, keep=keep, json_file=json_file, epochs=epochs, images=images, seed=seed)
    )


def refuse_other_encodings(arguments: Sequence[str]) -> None:
    """Raise `SettingsError` for an argument that is not UTF-8; Python has it as half surrogates."""
    from adapters.settings import SettingsError

    for number, argument in enumerate(arguments, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise SettingsError(
                f"argument {number} is not UTF-8: {os.fsencode(argument)!r}; rename the file, or"
                " give the text as UTF-8"
            ) from None


def in_utf8() -> None:
    """Begin again in Python's UTF-8 mode (PEP 540), unless all text is UTF-8 already.

    In a locale with another encoding, Python would read names of files by that: one that the locale
    has no letters for could not be opened, or be given to a process.
    """
    encodings = {sys.getfilesystemencoding(), sys.stdout.encoding, sys.stderr.encoding}
    if sys.flags.utf8_mode or {encoding.lower() for encoding in encodings} == {"utf-8"}:
        return
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def run() -> None:
    """The entry point: errors that a user can fix are reported in a line, without a traceback."""
    in_utf8()
    collect_rarely()
    without_web_sockets()
    from adapters.servers.embedded import EmbeddedServerError
    from adapters.settings import SettingsError

    try:
        refuse_other_encodings(sys.argv[1:])
        main()
    except (SettingsError, EmbeddedServerError) as error:
        click.echo(f"stemma: {error}", err=True)
        sys.exit(error.exit_status)
    except OSError as error:
        short = shortage(error)
        if short is None:
            raise
        click.echo(f"stemma: {short} ({error.filename or error.strerror})", err=True)
        sys.exit(SHORT_OF_SOMETHING)


if __name__ == "__main__":
    run()
