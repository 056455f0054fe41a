"""Masking of secrets in log lines."""

import re

HIDDEN = "[hidden]"

_SEPARATOR = r"(?:\\?[\"'])?\s*[:=,]\s*(?:b?\\?[\"'])?"
"""The text between a name and its value in headers, settings, JSON and Python reprs."""
_VALUE = r"[^\s\"'\\,;)\]}]+"

_NAMES = ("password", "passwd", "secret", "access_key", "api_key", "api-key", "token")

_SECRETS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # Stemma's own API keys: an id, then 256 random bits.
    (r"(\bstemma_[0-9A-Za-z-]+_)[0-9A-Za-z_-]{32,}", ("stemma_",)),
    # The password of an URL, and the token of an URL of NATS.
    (r"(://[^\s/?#:@\"']*:)[^\s/?#\"']+(?=@)", ("://",)),
    (r"(\b(?:nats|tls|wss?)://)[^\s/?#:@\"']+(?=@)", ("://",)),
    (
        rf"(?i)(\bauthorization{_SEPARATOR}(?:(?:bearer|basic|digest)\s+)?){_VALUE}",
        ("authorization",),
    ),
    (r"(\b[Bb]earer\s+)[0-9A-Za-z._~+/=-]{16,}", ("bearer",)),
    (r"(?i)(\b(?:set-)?cookie" + _SEPARATOR + r")[^\r\n\"'\\]+", ("cookie",)),
    (
        rf"(?i)(\b\w*(?:{'|'.join(_NAMES)}|x-amz-signature){_SEPARATOR}){_VALUE}",
        (*_NAMES, "x-amz-signature"),
    ),
    # Standard Webhooks' secrets, seeds of nkeys, signing keys of the log, PEM, JSON Web Tokens.
    (r"(\bwhsec_)[0-9A-Za-z+/=_-]+", ("whsec_",)),
    (r"(\bS)[A-Z2-7]{57}\b", ("",)),
    (r"(\bPRIVATE\+KEY\+)[^\s\"'\\]+", ("private+key+",)),
    (r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|$)", ("-----begin",)),
    (r"(\beyJ)[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]*", ("eyj",)),
)
"""What each secret looks like, and what a text holds of these, whatever its case, if it has one: to
look for that first takes a tenth of the time."""
_ANY = [(re.compile(secret, re.DOTALL), signs) for secret, signs in _SECRETS]


def masked(text: str) -> str:
    """The text with each secret replaced; the name or prefix before it stays visible."""
    folded = text.casefold()
    for secret, signs in _ANY:
        if any(sign in folded for sign in signs):
            text = secret.sub(rf"\g<1>{HIDDEN}", text)
    return text
