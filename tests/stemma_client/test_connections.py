"""How a client's connections are made."""

import ssl

from stemma_client.connections import authorities


def test_a_server_with_tls_is_checked_by_the_usual_authorities() -> None:
    assert authorities("https://stemma.example") is True
    assert authorities("") is True


def test_without_tls_no_authority_is_loaded_and_no_certificate_would_do() -> None:
    context = authorities("http://127.0.0.1:8300")
    assert isinstance(context, ssl.SSLContext)
    assert context.cert_store_stats()["x509_ca"] == 0
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
