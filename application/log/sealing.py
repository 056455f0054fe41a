"""Personal fields encrypted under a key of their subject: AES-256-GCM (NIST SP 800-38D)."""

import base64
import os
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12

Random = Callable[[int], bytes]


def new_key(random: Random = os.urandom) -> bytes:
    return random(KEY_BYTES)


def seal(plain: bytes, key: bytes, place: bytes, random: Random = os.urandom) -> str:
    """Base64 of the nonce and the ciphertext, which opens only at the same `place` of the log."""
    nonce = random(_NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plain, place)).decode()


def unseal(sealed: str, key: bytes, place: bytes) -> bytes:
    """Raises `cryptography.exceptions.InvalidTag` for another key, place or text."""
    data = base64.b64decode(sealed)
    return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place)
