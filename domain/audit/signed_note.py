"""The text format of signed notes and of their keys (C2SP signed-note); Ed25519 keys only.

Signatures are made and verified elsewhere.
"""

import base64
import binascii
from hashlib import sha256

import msgspec

DASH = "\u2014"
ED25519 = b"\x01"
KEY_BYTES, ID_BYTES, SIGNATURE_BYTES = 32, 4, 64
_PRIVATE = "PRIVATE+KEY+"


class Malformed(ValueError):
    """A text is not a note, a key or a checkpoint; the message says why."""


class Signature(msgspec.Struct, frozen=True):
    """A signature line: the signer's name, the key's id and the signature."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        return f"{DASH} {self.name} {encode64(self.key_id + self.value)}\n"


class Note(msgspec.Struct, frozen=True):
    """A text, including its last newline, and the signatures over it."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(signature.line() for signature in self.signatures)


class VerifierKey(msgspec.Struct, frozen=True):
    """A public key and the name that it signs under."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The hash that distinguishes keys of the same name; it is short and proves nothing."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode64(ED25519 + self.public)}"


class SigningKey(msgspec.Struct, frozen=True):
    """A private key's seed (RFC 8032) and its public key, in the file format of
    golang.org/x/mod/sumdb/note."""

    verifier: VerifierKey
    seed: bytes

    def __str__(self) -> str:
        name, key_id, _ = str(self.verifier).split("+", 2)
        return f"{_PRIVATE}{name}+{key_id}+{encode64(ED25519 + self.seed)}"

    def __repr__(self) -> str:
        return f"SigningKey({self.verifier})"


def parse_note(text: str) -> Note:
    """A note as parsed, with its signatures not verified. Raises `Malformed`."""
    if any(char < " " and char != "\n" for char in text):
        raise Malformed("a note has no control characters but line feeds")
    body, blank, lines = text.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise Malformed("a note is a text, an empty line, and signatures")
    return Note(body + "\n", tuple(_parse_signature(line) for line in lines[:-1].split("\n")))


def _parse_signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != DASH:
        raise Malformed(f"{line[:80]!r} is not a signature: a dash, a name and base64")
    content = decode64(parts[2])
    if len(content) <= ID_BYTES:
        raise Malformed(f"the signature by {parts[1]!r} is too short")
    return Signature(checked_name(parts[1]), content[:ID_BYTES], content[ID_BYTES:])


def parse_verifier_key(text: str) -> VerifierKey:
    """A key in the form `name+key id+key`. Raises `Malformed`, also if the id is not the key's."""
    name, key_id, public = _parse_key(text)
    key = VerifierKey(name, public)
    if key.key_id.hex() != key_id:
        raise Malformed(f"{text!r} is not a key: its id should be {key.key_id.hex()}")
    return key


def parse_private_key(text: str) -> tuple[str, str, bytes]:
    """The name, the key id in hexadecimal, and the seed. The message of `Malformed` does not
    contain the text."""
    if not text.startswith(_PRIVATE):
        raise Malformed(f"a private key begins with {_PRIVATE}")
    try:
        return _parse_key(text.removeprefix(_PRIVATE))
    except Malformed:
        raise Malformed("the text is not a private key") from None


def _parse_key(text: str) -> tuple[str, str, bytes]:
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise Malformed(f"{text!r} is not a key of the form name+id+key")
    content = decode64(parts[2])
    if content[:1] != ED25519 or len(content) != 1 + KEY_BYTES:
        raise Malformed(f"{text!r} is not an Ed25519 key")
    return checked_name(parts[0]), parts[1], content[1:]


def checked_name(name: str) -> str:
    """The name, if it is valid for a key. Raises `Malformed`."""
    if not name or not name.isprintable() or "+" in name or any(c.isspace() for c in name):
        raise Malformed(f"{name!r} cannot name a key: spaces and + are not allowed")
    return name


def encode64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def decode64(text: str) -> bytes:
    """The content of canonical base64, which has one text for each content. Raises `Malformed`."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"{text[:80]!r} is not base64") from error
    if encode64(content) != text:
        raise Malformed(f"{text[:80]!r} is not canonical base64")
    return content
