"""`stemma migrate`: the event log's tables by Alembic, the application's role, the read models."""

import psycopg.conninfo
from alembic import command
from alembic.config import Config
from psycopg.sql import SQL, Identifier, Literal
from sqlalchemy import Connection, text

from adapters.postgres.builders import Watch, rebuild_all
from adapters.postgres.postgres import passing_engine
from adapters.settings import SettingsError
from projections.engine.follow import create_tables, positions_of
from projections.engine.read_model import SCHEMA, bookkeeping
from projections.registry import READ_MODELS

OLDEST_SERVER = 170000
_ONE_AT_A_TIME = 7363774


def migrate(admin_url: str, app_url: str, watch: Watch = lambda _found, _end: None) -> None:
    """Bring the database to what this program needs; running it again changes nothing.

    `admin_url` owns the event log; `app_url` is what the parts run as. When they differ, the
    second's login role is made if absent, with no right to alter the log. Read models that are
    new are built up to the log's end beside what serves now; `watch` is told how far they are.
    """
    with passing_engine(admin_url).begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
        _check_server(connection)
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS log"))
        _upgrade(connection)
        # Not in a migration: it is a right of the database, which a copy or a dump lacks.
        here = Identifier(str(connection.scalar(text("SELECT current_database()")))).as_string()
        connection.execute(text(f"REVOKE TEMPORARY ON DATABASE {here} FROM PUBLIC"))
        app_role = _login_role(connection, app_url)
        connection.execute(text(f"GRANT stemma_app TO {app_role}"))
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        connection.execute(text(f"ALTER SCHEMA {SCHEMA} OWNER TO {app_role}"))
    with passing_engine(app_url).connect() as holder:
        # Until the connection ends, and not in a transaction, since building takes its time.
        holder.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ONE_AT_A_TIME})
        holder.commit()
        _let_auditors_read(holder)
        bookkeeping.create_all(holder)
        known = {name for name, _ in positions_of(holder, READ_MODELS)}
        new = [one for one in READ_MODELS if one.name not in known]
        begun = holder.scalar(text("SELECT EXISTS (SELECT FROM log.stemma_events)"))
        if not begun:
            for read_model in new:
                create_tables(holder, read_model)
        holder.commit()
        if begun and new:
            rebuild_all(app_url, new, watch)


def _let_auditors_read(connection: Connection) -> None:
    """The read models that are there, and those that are made later, live or to take their place.

    A right that a table is made with goes with it to another schema.
    """
    connection.execute(text(f"GRANT USAGE ON SCHEMA {SCHEMA} TO stemma_auditor"))
    connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO stemma_auditor"))
    later = "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO stemma_auditor"
    connection.execute(text(later))


def check_migrated(connection: Connection) -> None:
    """Raise `SettingsError` where `stemma migrate` has not been run on this database."""
    ready = connection.execute(text("SELECT to_regclass('log.schema_version') IS NOT NULL"))
    if not ready.scalar_one():
        raise SettingsError("the database has no event log: run `stemma migrate`")


def _check_server(connection: Connection) -> None:
    found = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    if found < OLDEST_SERVER:
        raise SettingsError(f"PostgreSQL {found // 10000} is too old: 17 is the oldest that works")


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "adapters.postgres:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _login_role(connection: Connection, app_url: str) -> str:
    info = psycopg.conninfo.conninfo_to_dict(app_url)
    name = str(info.get("user", ""))
    quoted = Identifier(name).as_string()
    known = connection.execute(text("SELECT FROM pg_roles WHERE rolname = :name"), {"name": name})
    if known.first() is None:
        create = SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
            Identifier(name), Literal(str(info.get("password", "")))
        )
        connection.exec_driver_sql(create.as_string())
    return quoted
