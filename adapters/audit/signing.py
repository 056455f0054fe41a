"""Ed25519 for signed notes: generation of keys, signing, and verification of signatures."""

import secrets
from collections.abc import Collection, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.audit.signed_note import (
    KEY_BYTES,
    Malformed,
    Note,
    Signature,
    SigningKey,
    VerifierKey,
    checked_name,
    parse_note,
    parse_private_key,
)
from domain.audit.transparency import Checkpoint, parse_checkpoint


class Unsigned(Exception):
    """A note has no signature by a known key, or a wrong one; the message says which."""


def new_key(name: str) -> SigningKey:
    """A new random key."""
    return signing_key(checked_name(name), secrets.token_bytes(KEY_BYTES))


def signing_key(name: str, seed: bytes) -> SigningKey:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return SigningKey(VerifierKey(name, public), seed)


def parse_signing_key(text: str) -> SigningKey:
    """Parse a private key. Raises `Malformed` for an invalid one, without its text."""
    name, key_id, seed = parse_private_key(text)
    key = signing_key(name, seed)
    if key.verifier.key_id.hex() != key_id:
        raise Malformed("the private key has the id of another key")
    return key


def sign(text: str, keys: Sequence[SigningKey]) -> Note:
    """A note of the text, with a signature by each key."""
    return Note(
        text,
        tuple(
            Signature(
                key.verifier.name,
                key.verifier.key_id,
                Ed25519PrivateKey.from_private_bytes(key.seed).sign(text.encode()),
            )
            for key in keys
        ),
    )


def open_note(text: str, verifiers: Collection[VerifierKey]) -> tuple[str, list[VerifierKey]]:
    """A note's text, and the known keys that signed it; signatures by other keys are ignored.

    Raises `Malformed`, or `Unsigned` if no known key signed it or a known key's signature is wrong.
    """
    note = parse_note(text)
    by_id = {(key.name, key.key_id): key for key in verifiers}
    signers = []
    for signature in note.signatures:
        key = by_id.get((signature.name, signature.key_id))
        if key is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(
                signature.value, note.text.encode()
            )
        except InvalidSignature as error:
            raise Unsigned(f"the signature by {signature.name} is wrong") from error
        signers.append(key)
    if not signers:
        names = ", ".join(
            f"{signature.name}+{signature.key_id.hex()}" for signature in note.signatures
        )
        raise Unsigned(f"it was signed by {names}, and not by a known key")
    return note.text, signers


def open_checkpoint(
    text: str, verifiers: Collection[VerifierKey]
) -> tuple[Checkpoint, list[VerifierKey]]:
    """A signed checkpoint, and the known keys that signed it. Raises as `open_note` does."""
    body, signers = open_note(text, verifiers)
    checkpoint = parse_checkpoint(body)
    if any(key.name != checkpoint.origin for key in signers):
        raise Unsigned(f"a checkpoint of {checkpoint.origin} is signed by {signers[0].name}")
    return checkpoint, signers
