"""Job tokens: proof that the worker of a report has received the job.

NATS identifies the publisher of a report, but not the receiver of a job: a worker of another queue,
or one without a job, could report on any version. So a job has a token that only its receiver sees,
and its reports carry the same token.
"""

import hashlib
import hmac

import msgspec

from domain.training.messages import Purpose, Report


class JobTokens(msgspec.Struct, frozen=True):
    """Creates and verifies tokens: keyed hashes (HMAC, RFC 2104), none of which is stored.

    An attempt requested at the log's position `since` or before needs none: its job may have been
    sent before the key existed, or with an earlier key that was lost.
    """

    key: bytes
    since: int

    def of(
        self,
        version_id: str,
        attempt: int,
        correlation_id: str,
        purpose: Purpose = Purpose.TRAINING,
    ) -> str:
        other = () if purpose == Purpose.TRAINING else (purpose,)
        job = msgspec.json.encode((version_id, attempt, correlation_id, *other))
        return hmac.new(self.key, job, hashlib.sha256).hexdigest()

    def fits(self, report: Report) -> bool:
        """Whether the sender of the report has received its job."""
        token = self.of(report.version_id, report.attempt, report.correlation_id, report.purpose)
        return hmac.compare_digest(report.token.encode(), token.encode())
