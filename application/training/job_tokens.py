"""What a report shows to prove that its worker was given the job.

NATS tells under whose name a report was published, and not whom it has given a job to: a worker of
another queue, or one that has no job, could report on any version. So a job has a token that only
who is given it gets to see, and a report on it has the same.
"""

import hashlib
import hmac

import msgspec

from domain.training.messages import Report


class JobTokens(msgspec.Struct, frozen=True):
    """Makes tokens and looks at them: keyed hashes (HMAC, RFC 2104), of which none is stored.

    An attempt that was asked for at the log's position `since` or before needs none: its job may
    have been sent before there was a key, or by another one that was lost.
    """

    key: bytes
    since: int

    def of(self, version_id: str, attempt: int, correlation_id: str) -> str:
        job = msgspec.json.encode((version_id, attempt, correlation_id))
        return hmac.new(self.key, job, hashlib.sha256).hexdigest()

    def fits(self, report: Report) -> bool:
        """Whether who sent the report was given the job that it is about."""
        token = self.of(report.version_id, report.attempt, report.correlation_id)
        return hmac.compare_digest(report.token.encode(), token.encode())
