"""Masking of secrets in log lines."""

import re

HIDDEN = "[hidden]"

_SEPARATOR = r"(?:\\?[\"'])?\s*[:=,]\s*(?:b?\\?[\"'])?"
"""The text between a name and its value in headers, settings, JSON and Python reprs."""
_VALUE = r"[^\s\"'\\,;)\]}]+"

_SECRETS = (
    # Stemma's own API keys: an id, then 256 random bits.
    r"(\bstemma_[0-9A-Za-z-]+_)[0-9A-Za-z_-]{32,}",
    # The password of an URL, and the token of an URL of NATS.
    r"(://[^\s/?#:@\"']*:)[^\s/?#\"']+(?=@)",
    r"(\b(?:nats|tls|wss?)://)[^\s/?#:@\"']+(?=@)",
    rf"(?i)(\bauthorization{_SEPARATOR}(?:(?:bearer|basic|digest)\s+)?){_VALUE}",
    r"(\b[Bb]earer\s+)[0-9A-Za-z._~+/=-]{16,}",
    r"(?i)(\b(?:set-)?cookie" + _SEPARATOR + r")[^\r\n\"'\\]+",
    rf"(?i)(\b\w*(?:password|passwd|secret|access_key|api[_-]key|token|x-amz-signature){_SEPARATOR})"
    rf"{_VALUE}",
    # Standard Webhooks' secrets, seeds of nkeys, signing keys of the log, PEM, JSON Web Tokens.
    r"(\bwhsec_)[0-9A-Za-z+/=_-]+",
    r"(\bS)[A-Z2-7]{57}\b",
    r"(\bPRIVATE\+KEY\+)[^\s\"'\\]+",
    r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|$)",
    r"(\beyJ)[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]*",
)
_ANY = [re.compile(secret, re.DOTALL) for secret in _SECRETS]


def masked(text: str) -> str:
    """The text with each secret replaced; the name or prefix before it stays visible."""
    for secret in _ANY:
        text = secret.sub(rf"\g<1>{HIDDEN}", text)
    return text
