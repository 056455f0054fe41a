"""The key of the jobs' tokens, in the table `work.job_key`: made once, and the same for all."""

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
    """The installation's, with a key of 256 random bits."""
    with engine_for(database_url).begin() as connection:
        found = connection.execute(_FIND).one_or_none()
        if found is None:
            connection.execute(_MAKE, {"key": secrets.token_bytes(32)})
            found = connection.execute(_FIND).one()
        return JobTokens(bytes(found.key), int(found.since))
