"""No secret is readable in a line of log, whatever it stands in."""

import json

import pytest

from adapters.observability.masking import HIDDEN, masked
from tests.waiting import HANG_SECONDS

KEY = "stemma_k7f3_" + "aB3-_" * 9
SEED = "SU" + "ABCDEFGH234567IJ" * 3 + "KLMNOPQR"
SECRETS = {
    "an API key": (f"refused {KEY} of ada", KEY[12:]),
    "a password in an URL": ("cannot reach postgresql://stemma:p%40s:5@db:5432/stemma", "p%40s:5"),
    "a password that holds an @": ("nats://stemma:pass@word@nats:4222 is down", "pass@word"),
    "a token in an URL": ("nats://tokentoken@nats:4222 is down", "tokentoken"),
    "a password in a conninfo": ("host=db user=stemma password=hunter2 dbname=x", "hunter2"),
    "a field of a struct": ("Settings(host='db', admin_password='hunter2')", "hunter2"),
    "a JSON document": (json.dumps({"client_secret": "hunter2", "a": 1}), "hunter2"),
    "a header of bearers": ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
    "a header of another kind": ("{'authorization': 'Basic YWRhOmh1bnRlcjI='}", "YWRhOm"),
    "a raw header": ("(b'authorization', b'Bearer abcdefghi')", "abcdefghi"),
    "another server's API key": ("sent x-api-key: 0123abcd to it", "0123abcd"),
    "a signed address": ("GET https://s3/b/k?X-Amz-Signature=89abcdef&X-Amz-Date=1", "89abcdef"),
    "a bearer alone": ("sent Bearer abcdefghijklmnopqrstuvwxyz", "abcdefghijkl"),
    "a cookie": ("Cookie: stemma_session=abc123; theme=dark", "abc123"),
    "a cookie that is set": ("('set-cookie', 'stemma_session=abc123; HttpOnly')", "abc123"),
    "a webhook's secret": ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8G"),
    "the seed of an nkey": (f"user {SEED} connects", SEED[1:]),
    "the log's key": ("read PRIVATE+KEY+stemma+a1b2c3d4+AQID/w== from it", "AQID"),
    "a PEM": ("-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----", "MC4CAQAw"),
    "a JSON Web Token": ("id token eyJhbGci.eyJzdWIi.c2lnbmF0 is old", "eyJzdWIi"),
}
HARMLESS = [
    "duplicate key value violates unique constraint stemma_events_notification_id_idx",
    "listening on stemma_events is interrupted",
    "POST /api/v1/views/{view_id}/versions: 201 in 0.012 s",
    "report 018f-aa:1:2:33 is passed over: it is of another run",
    "model SUPERSEDED at http://127.0.0.1:8300/api/v1/status",
    "the reason: basic questions remain, see https://example.com/a@b",
    f"blob {'ab' * 32} is missing",
]


@pytest.mark.parametrize("what", SECRETS)
def test_a_secret_is_hidden(what: str) -> None:
    line, secret = SECRETS[what]
    assert secret in line
    assert secret not in masked(line)
    assert HIDDEN in masked(line)
    # As it stands in a line of JSON, where quotes and ends of lines are escaped.
    in_json = masked(json.dumps({"event": line, "level": "info"}))
    assert secret not in in_json
    assert json.loads(in_json)["level"] == "info"


@pytest.mark.parametrize("line", HARMLESS)
def test_what_is_no_secret_is_left(line: str) -> None:
    assert masked(line) == line


@pytest.mark.timeout(HANG_SECONDS)
def test_a_long_line_is_masked_in_time() -> None:
    """What users send may be logged: no pattern may take for ever."""
    for hostile in ("a." * 200_000, "eyJ" * 100_000, "://" * 100_000, "password" * 50_000):
        masked(hostile)
