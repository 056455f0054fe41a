"""No URL leads into the operator's own network, however it is spelt and whatever a name says."""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.settings import SettingsError
from adapters.subscriptions.webhooks import sending
from adapters.subscriptions.webhooks.addresses import (
    Allowed,
    Gate,
    Refused,
    Resolve,
    allowed_in,
    parsed,
)
from adapters.subscriptions.webhooks.sending import DeliveryResult, Message, Sender
from application.webhooks import new_secret
from tests.adapters.subscriptions.webhooks.receiver import receiving

PUBLIC, PUBLIC_6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
MESSAGE = Message("1", b"{}")


def resolving(*answers: Sequence[str]) -> Resolve:
    """A name server that gives these answers in turn, and goes on with the last."""
    left = list(answers)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


def addresses(url: str, found: Sequence[str] | None = None, allowed: str = "") -> list[str]:
    """Where a URL leads; by this machine's own resolver where no answer is given."""
    gate = (
        Gate(allowed_in(allowed)) if found is None else Gate(allowed_in(allowed), resolving(found))
    )
    return asyncio.run(gate.addresses(parsed(url)))


@pytest.mark.parametrize("found", [[PUBLIC], [PUBLIC_6], [PUBLIC, PUBLIC_6], ["8.8.8.8"]])
def test_public_addresses_may_be_called(found: list[str]) -> None:
    assert addresses("https://hooks.example.com/in", found) == found


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.1.1",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:a9fe:a9fe",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::a00:1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "4000::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_other_addresses_are_refused_alone_and_beside_a_public_one(address: str) -> None:
    for found in ([address], [PUBLIC, address]):
        with pytest.raises(Refused, match="not a public address"):
            addresses("https://hooks.example.com/in", found)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "2130706433",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:ffff:7f00:1]",
        "[fe80::1]",
        "LOCALHOST",
    ],
)
def test_odd_spellings_lead_where_they_lead(host: str) -> None:
    """As this machine's resolver reads them; what it does not read is refused as well."""
    with pytest.raises(Refused, match=r"not a public address|cannot be resolved|is not valid"):
        addresses(f"https://{host}/in")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("hooks.example.com", "neither with https"),
        ("ftp://hooks.example.com", "neither with https"),
        ("file:///etc/passwd", "neither with https"),
        ("https://ada:secret@hooks.example.com", "user name"),
        ("https://ada@hooks.example.com", "user name"),
        (r"https://hooks.example.com\@10.0.0.1/", "user name"),
        ("https:///in", "no host"),
        ("https://a b/", "no host"),
        ("https://hooks.example.com:99999/", "port"),
        ("https://hooks.example.com/#top", "fragment"),
        ("https://①②⑦.0.0.1/", "is not valid"),
        ("https://hooks.example.com/\n", "is not valid"),
    ],
)
def test_what_is_no_url_of_a_web_server_is_refused(url: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        parsed(url)


@pytest.mark.parametrize(
    ("allowed", "url", "found"),
    [
        ("10.1.0.0/16", "https://in.example/", ["10.1.2.3"]),
        ("10.1.0.0/16", "http://in.example/", ["10.1.2.3"]),
        ("10.1.0.0/16", "http://in.example/", ["::ffff:10.1.2.3"]),
        ("10.1.0.0/16, fd12::/16", "https://in.example/", ["10.1.2.3", "fd12::1", PUBLIC]),
        ("In.Example", "http://in.example./", ["10.1.2.3"]),
        ("64:ff9b::/96", "https://in.example/", ["64:ff9b::808:808"]),
        ("127.0.0.1", "http://127.0.0.1:8000/", ["127.0.0.1"]),
    ],
)
def test_an_operator_may_allow_hosts_and_networks(allowed: str, url: str, found: list[str]) -> None:
    assert addresses(url, found, allowed) == found


@pytest.mark.parametrize(
    ("allowed", "url", "found", "says"),
    [
        ("10.1.0.0/16", "https://in.example/", ["10.2.0.1"], "10.2.0.1"),
        ("10.1.0.0/16", "https://in.example/", ["10.1.0.1", "10.2.0.1"], "10.2.0.1"),
        ("10.1.0.0/16", "http://in.example/", ["10.1.0.1", PUBLIC], "use https"),
        ("in.example", "https://not.in.example/", ["10.1.2.3"], "10.1.2.3"),
        ("", "http://hooks.example.com/", [PUBLIC], "use https"),
        ("", "https://hooks.example.com/", [], "no address"),
    ],
)
def test_what_is_allowed_allows_nothing_else(
    allowed: str, url: str, found: list[str], says: str
) -> None:
    with pytest.raises(Refused, match=says):
        addresses(url, found, allowed)


@pytest.mark.parametrize("entry", ["10.1.0.1/16", "10.1.0", "in example", "https://in.example"])
def test_a_wrong_setting_is_named(entry: str) -> None:
    with pytest.raises(SettingsError, match="STEMMA_WEBHOOK_ALLOW"):
        allowed_in(f"127.0.0.1,{entry}")


def send(url: str, resolve: Resolve, allowed: str = "127.0.0.1") -> DeliveryResult:
    async def sent() -> DeliveryResult:
        async with Sender(Gate(allowed_in(allowed), resolve), 5) as sender:
            return await sender.send(url, MESSAGE, [new_secret()])

    return asyncio.run(sent())


def test_the_connection_goes_to_the_address_that_was_judged() -> None:
    """No name server knows the host, and one that changes its mind is asked once for a try."""
    with receiving() as receiver:
        url = receiver.url("in", host="hooks.invalid")
        assert send(url, resolving(["127.0.0.1"], ["10.0.0.1"])) == DeliveryResult(status=204)
        [got] = receiver.got
        assert got.headers["Host"] == f"hooks.invalid:{receiver.port}"


def test_urls_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("httpx").setLevel(logging.INFO)
    with receiving() as receiver, caplog.at_level(logging.INFO):
        assert send(receiver.url("in?token=hidden"), resolving(["127.0.0.1"])).status == 204
    assert "hidden" not in caplog.text


def test_a_name_that_leads_elsewhere_by_then_is_refused() -> None:
    with receiving() as receiver:
        url = receiver.url("in", host="hooks.invalid")
        resolve = resolving([PUBLIC], ["127.0.0.1"])
        asyncio.run(Gate(Allowed(), resolve).addresses(parsed("https://hooks.invalid/in")))
        answer = send(url.replace("http:", "https:"), resolve, allowed="")
        assert answer.trouble is not None
        assert "127.0.0.1, which is not a public address" in answer.trouble
        assert receiver.got == []


def test_of_several_addresses_one_that_answers_is_found() -> None:
    with receiving() as receiver:
        url = receiver.url("in", host="hooks.invalid")
        resolve = resolving(["127.0.0.9", "127.0.0.1"])
        assert send(url, resolve, "127.0.0.0/8") == DeliveryResult(status=204)


@pytest.mark.parametrize(("host", "taken"), [("hooks.invalid", True), ("other.invalid", False)])
def test_the_certificate_must_be_for_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, taken: bool
) -> None:
    certificate = certificate_for("hooks.invalid", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    sending._tls.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    try:
        with receiving(context) as receiver:
            url = receiver.url("in", host=host).replace("http:", "https:")
            answer = send(url, resolving(["127.0.0.1"]))
            assert (answer.status == 204) is taken
            assert taken or "CERTIFICATE_VERIFY_FAILED" in str(answer.trouble)
    finally:
        sending._tls.cache_clear()


def certificate_for(host: str, folder: Path) -> Path:
    """A key, and a certificate for a host that it signs itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
