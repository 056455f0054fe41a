"""The key of job tokens, in the table `work.job_key`: one for the installation."""

import secrets

from sqlalchemy import text

from adapters.postgres.postgres import engine_for
from application.training.job_tokens import JobTokens

_MAKE = text("""
    INSERT INTO work.job_key (key, since)
    SELECT :key, coalesce(max(notification_id), 0) FROM log.stemma_events
    ON CONFLICT DO NOTHING
""")
_FIND = text("SELECT key, since FROM work.job_key")


def job_tokens(database_url: str) -> JobTokens:
    """The job tokens of the installation. The key has 256 random bits and is created once."""
    with engine_for(database_url).begin() as connection:
        row = connection.execute(_FIND).one_or_none()
        if row is None:
            connection.execute(_MAKE, {"key": secrets.token_bytes(32)})
            row = connection.execute(_FIND).one()
        return JobTokens(bytes(row.key), int(row.since))
