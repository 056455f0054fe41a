"""An identity provider on this machine, which says what a test wants it to say."""

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import flask
import httpx
import oidc_provider_mock
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

CLIENT_ID = "stemma"
SECRET = "a secret of the client's"

Forge = Callable[[dict[str, Any]], str]


class IdentityProvider:
    """`oidc-provider-mock`, whose ID tokens are made with `key`, or as `forge` makes them.

    What it publishes of itself is its own, but for what is in `published`.
    """

    def __init__(self, port: int, app: flask.Flask) -> None:
        self.issuer = f"http://localhost:{port}"
        self.key = new_signing_key()
        self.published: dict[str, str] = {}
        self.forge: Forge | None = None
        self.asked = 0
        self.verifier_fits: bool | None = None
        self._challenge = ""
        app.before_request(self._watch)
        app.after_request(self._answer)

    def user(self, subject: str, **claims: object) -> str:
        """Somebody whom it knows."""
        httpx.put(f"{self.issuer}/users/{subject}", json=claims).raise_for_status()
        return subject

    def approve(self, address: str, subject: str) -> str:
        """Where a browser is sent after somebody has signed in at this address of its."""
        answer = httpx.post(address, data={"sub": subject})
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def _watch(self) -> None:
        self.asked += 1
        if flask.request.path == "/oauth2/authorize":
            self._challenge = flask.request.args.get("code_challenge", "")
        if flask.request.path == "/oauth2/token":
            digest = hashlib.sha256(flask.request.form.get("code_verifier", "").encode()).digest()
            sent = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            self.verifier_fits = sent == self._challenge

    def _answer(self, response: flask.Response) -> flask.Response:
        path, content = flask.request.path, response.get_json(silent=True) or {}
        if path == "/jwks":
            response.set_data(flask.json.dumps(KeySet([self.key]).as_dict(private=False)))
        elif path.endswith("openid-configuration"):
            response.set_data(flask.json.dumps(content | self.published))
        elif path == "/oauth2/token" and "id_token" in content:
            claims = _claims(content["id_token"])
            token = (self.forge or self.signed)(claims)
            response.set_data(flask.json.dumps(content | {"id_token": token}))
        return response


def new_signing_key() -> RSAKey:
    return RSAKey.generate_key(2048, auto_kid=True)


def _claims(token: str) -> dict[str, Any]:
    padded = token.split(".")[1] + "=="
    found: dict[str, Any] = flask.json.loads(base64.urlsafe_b64decode(padded))
    return found


@contextmanager
def providing() -> Iterator[IdentityProvider]:
    app = oidc_provider_mock.app()
    server = make_server("localhost", 0, app, threaded=True)
    provider = IdentityProvider(server.server_port, app)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
