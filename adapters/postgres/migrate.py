"""`stemma migrate`: the event log's tables (Alembic), the application's role, the read models."""

import psycopg.conninfo
from alembic import command
from alembic.config import Config
from psycopg.sql import SQL, Identifier, Literal
from sqlalchemy import Connection, text

from adapters.postgres.builders import ReportProgress, rebuild_all
from adapters.postgres.postgres import passing_engine
from adapters.settings import SettingsError
from projections.engine.follow import create_tables, positions_of
from projections.engine.read_model import SCHEMA, bookkeeping
from projections.registry import READ_MODELS

OLDEST_SERVER = 170000
_ONE_AT_A_TIME = 7363774


def migrate(
    admin_url: str, app_url: str, report: ReportProgress = lambda _positions, _end: None
) -> None:
    """Create or update the database for this program; running it again changes nothing.

    `admin_url` owns the event log; the services run as `app_url`. If they differ, the login role of
    `app_url` is created if absent, without the right to alter the log. New read models are built up
    to the log's end beside the live ones; `report` receives their progress.
    """
    with passing_engine(admin_url).begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
        _check_server(connection)
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS log"))
        _upgrade(connection)
        # Not in a migration: it is a privilege on the database, which a copy or a dump lacks.
        database = Identifier(str(connection.scalar(text("SELECT current_database()"))))
        connection.execute(text(f"REVOKE TEMPORARY ON DATABASE {database.as_string()} FROM PUBLIC"))
        app_role = _login_role(connection, app_url)
        connection.execute(text(f"GRANT stemma_app TO {app_role}"))
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        connection.execute(text(f"ALTER SCHEMA {SCHEMA} OWNER TO {app_role}"))
    with passing_engine(app_url).connect() as holder:
        # Held until the connection ends, and not in a transaction, since building takes long.
        holder.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ONE_AT_A_TIME})
        holder.commit()
        _grant_to_auditors(holder)
        bookkeeping.create_all(holder)
        live = {name for name, _ in positions_of(holder, READ_MODELS)}
        new = [read_model for read_model in READ_MODELS if read_model.name not in live]
        has_events = holder.scalar(text("SELECT EXISTS (SELECT FROM log.stemma_events)"))
        if not has_events:
            for read_model in new:
                create_tables(holder, read_model)
        holder.commit()
        if has_events and new:
            rebuild_all(app_url, new, report)


def _grant_to_auditors(connection: Connection) -> None:
    """Let auditors read existing read models, and those created later, live or in a scratch schema.

    A table keeps its privileges when it moves to another schema.
    """
    connection.execute(text(f"GRANT USAGE ON SCHEMA {SCHEMA} TO stemma_auditor"))
    connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO stemma_auditor"))
    later = "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO stemma_auditor"
    connection.execute(text(later))


def _check_server(connection: Connection) -> None:
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    if version < OLDEST_SERVER:
        raise SettingsError(f"PostgreSQL {version // 10000} is too old: 17 or newer is required")


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "adapters.postgres:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _login_role(connection: Connection, app_url: str) -> str:
    info = psycopg.conninfo.conninfo_to_dict(app_url)
    name = str(info.get("user", ""))
    quoted = Identifier(name).as_string()
    role = connection.execute(text("SELECT FROM pg_roles WHERE rolname = :name"), {"name": name})
    if role.first() is None:
        create = SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
            Identifier(name), Literal(str(info.get("password", "")))
        )
        connection.exec_driver_sql(create.as_string())
    return quoted
