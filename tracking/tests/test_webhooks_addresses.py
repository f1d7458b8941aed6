"""Webhooks never reach private addresses: checks of URLs, names, TLS and answers."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from fleet.tests.raw_server import answering, http
from tracking.tests.receiver import Receiver, port_of, receiving
from wingxtra.webhooks import sender
from wingxtra.webhooks.sender import BadUrl, check_url, is_public

NAME = "hooks.shop.test"
Resolve = Callable[..., None]


@pytest.fixture(autouse=True)
def _no_trusted_hosts(settings: Settings) -> None:
    settings.WEBHOOK_TRUSTED_HOSTS = []
    settings.WEBHOOK_TIMEOUT_S = 20.0


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """A fake name server: each lookup of NAME takes the next of these answers; the last repeats."""
    ask = socket.getaddrinfo

    def set_to(*answers: list[str]) -> None:
        left = list(answers)

        def getaddrinfo(host: str, port: Any, *rest: Any, **options: Any) -> Any:
            if host != NAME:
                return ask(host, port, *rest, **options)
            if options.get("flags", 0) & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "It is a name.")
            found = left.pop(0) if len(left) > 1 else left[0]
            return [one for address in found for one in ask(address, port, *rest, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return set_to


def post(url: str) -> sender.Answer:
    return sender.post(url, b"{}", {"webhook-id": "1"})


# --- which addresses -----------------------------------------------------------------------------

NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::10.0.0.1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::5"],
)
def test_internet_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses())
def test_no_address_that_python_calls_special_is_public(address: Any) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast


# --- which URLs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "10.1",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "169.254.169.254",
        "localhost",
        "LocalHost.",
        "shop.localhost",
    ],
)
def test_a_private_address_is_refused_in_every_spelling(host: str) -> None:
    for url in (f"https://{host}/", f"https://{host}:8443/hooks"):
        with pytest.raises(BadUrl) as refused:
            check_url(url)
        assert refused.value.code == "private_address"
        answer = post(url)
        assert (answer.status, answer.took_ms < 500) == (None, True)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "invalid"),
        ("shop.example/hooks", "invalid"),
        ("ftp://shop.example/", "invalid"),
        ("file:///etc/passwd", "invalid"),
        ("https:///hooks", "invalid"),
        ("https://shop.example:0/", "invalid"),
        ("https://shop.example:99999/", "invalid"),
        ("https://shop.example:x/", "invalid"),
        ("https://[::1/", "invalid"),
        ("https://shop.example/ hooks", "invalid"),
        ("https://shop.example/\r\nX-Evil: 1", "invalid"),
        ("https://shöp.example/", "invalid"),
        ("https://①②⑦.⓪.⓪.①/", "invalid"),
        ("https://user:secret@shop.example/", "invalid"),
        ("https://shop.example@127.0.0.1/", "invalid"),
        ("https://shop.example/#top", "invalid"),
        ("http://shop.example/hooks", "https_required"),
        ("http://127.0.0.1/", "https_required"),
    ],
)
def test_a_bad_url_is_refused(url: str, code: str) -> None:
    with pytest.raises(BadUrl) as refused:
        check_url(url)
    assert refused.value.code == code


def test_checking_a_url_makes_no_dns_lookup(resolve: Resolve) -> None:
    resolve(["127.0.0.1"])
    assert check_url(f"https://{NAME}:8443/hooks?shop=7").hostname == NAME


def test_a_trusted_host_may_be_private_and_plain(settings: Settings) -> None:
    settings.WEBHOOK_TRUSTED_HOSTS = ["127.0.0.1"]
    assert check_url("http://127.0.0.1:8001/hooks")
    with pytest.raises(BadUrl):
        check_url("http://127.0.0.2:8001/hooks")


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["::1"], ["8.8.8.8", "10.0.0.1"], ["169.254.169.254"]]
)
def test_a_name_with_a_private_address_is_refused_at_sending(
    resolve: Resolve, addresses: list[str]
) -> None:
    with receiving() as receiver:
        resolve(addresses)
        answer = post(f"https://{NAME}:{port_of(receiver)}/")
        assert not receiver.received
    assert answer.status is None
    assert answer.text == (
        f"{NAME} leads to a private, local or otherwise special address."  # without the address
    )


def test_dns_rebinding_has_no_effect(resolve: Resolve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is public at the check and private afterwards."""
    connected: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        connected.append(address[0])
        raise ConnectionRefusedError(111, "Connection refused")

    resolve(["8.8.8.8"], ["127.0.0.1"])
    monkeypatch.setattr(socket.socket, "connect", connect)
    answer = post(f"https://{NAME}/")
    assert connected == ["8.8.8.8"]
    assert answer.text == "No connection: Connection refused."


def test_an_unknown_name_is_reported() -> None:
    assert post("https://unknown.invalid/").text == "The address of unknown.invalid was not found."


def test_a_silent_name_server_takes_at_most_the_timeout(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOK_TIMEOUT_S = 0.2
    stop = threading.Event()
    numeric = socket.AI_NUMERICHOST

    def getaddrinfo(*_: Any, flags: int = 0, **__: Any) -> Any:
        if not flags & numeric:
            stop.wait(10)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    answer = post(f"https://{NAME}/")
    stop.set()
    assert answer.text == f"The address of {NAME} was not found in time."
    assert answer.took_ms < 2000


def test_one_reachable_address_out_of_several_is_enough(
    settings: Settings, resolve: Resolve
) -> None:
    settings.WEBHOOK_TRUSTED_HOSTS = [NAME]
    with receiving() as receiver:
        resolve(["127.0.0.9", "127.0.0.1"])
        assert post(f"http://{NAME}:{port_of(receiver)}/").status == 204
        assert receiver.received[0].headers["host"] == f"{NAME}:{port_of(receiver)}"


# --- TLS -----------------------------------------------------------------------------------------


def certificate_for(name: str, folder: Path) -> Path:
    """A self-signed certificate and its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(
        certificate.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return certificate_for(NAME, tmp_path)


@pytest.fixture
def tls(certificate: Path, settings: Settings, resolve: Resolve) -> Iterator[Receiver]:
    """A TLS receiver for NAME on the loopback address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    settings.WEBHOOK_TRUSTED_HOSTS = [NAME, "other.test"]
    with receiving(lambda sock: context.wrap_socket(sock, server_side=True)) as receiver:
        resolve(["127.0.0.1"])
        yield receiver


def test_the_certificate_is_checked_against_the_name_and_not_the_address(
    tls: Receiver, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert post(f"https://{NAME}:{port_of(tls)}/hooks").status == 204
    (got,) = tls.received
    assert (got.path, got.body) == ("/hooks", b"{}")
    assert got.headers["host"] == f"{NAME}:{port_of(tls)}"


def test_a_self_signed_certificate_is_refused(tls: Receiver) -> None:
    answer = post(f"https://{NAME}:{port_of(tls)}/hooks")
    assert answer.status is None
    assert answer.text.startswith("Its certificate is not valid: self-signed certificate")
    assert not tls.received


def test_a_certificate_for_another_name_is_refused(
    tls: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.WEBHOOK_TRUSTED_HOSTS = ["localhost"]
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / f"{NAME}.pem"))
    answer = post(f"https://localhost:{port_of(tls)}/hooks")
    assert "certificate is not valid" in answer.text
    assert not tls.received


# --- answers -------------------------------------------------------------------------------------


@pytest.fixture
def _loopback(settings: Settings) -> None:
    settings.WEBHOOK_TRUSTED_HOSTS = ["127.0.0.1"]


@pytest.mark.usefixtures("_loopback")
@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (http(b"fine"), 200, "fine"),
        (http(b"x" * 1_000_000), 200, "x" * 4096),
        (http(b"short", "Content-Length: 500"), 200, "short"),
        (http(b"not chunked", "Transfer-Encoding: chunked"), 200, ""),
        (b"SSH-2.0-OpenSSH_9.2\r\n", None, "The answer is not HTTP."),
        (b"", None, "No connection: Remote end closed connection without response."),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500, None, "The answer is not HTTP."),
    ],
)
def test_each_kind_of_answer_is_reported(answer: bytes, status: int | None, text: str) -> None:
    with answering(answer) as server:
        got = post(server.url)
    assert got.status == status
    assert got.text.startswith(text) if status is None else got.text == text


@pytest.mark.usefixtures("_loopback")
def test_a_trickling_answer_does_not_extend_the_timeout(settings: Settings) -> None:
    settings.WEBHOOK_TIMEOUT_S = 0.5

    def trickle(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(b"H")
        while not stop.wait(0.05):
            connection.sendall(b"a")

    started = time.monotonic()
    with answering(trickle) as server:
        got = post(server.url)
    assert (got.status, got.text) == (None, "No answer within 0.5 s.")
    assert time.monotonic() - started < 20  # and not for ever


@pytest.mark.usefixtures("_loopback")
@pytest.mark.parametrize("rest", [b"", b"A: ", b"\r\n"])
def test_an_endless_body_does_not_matter_after_the_status(settings: Settings, rest: bytes) -> None:
    settings.WEBHOOK_TIMEOUT_S = 0.5

    def trickle(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + rest)
        while not stop.wait(0.05):
            connection.sendall(b"a")

    with answering(trickle) as server:
        got = post(server.url)
    assert got.accepted
    assert got.took_ms < 20_000  # and not for ever


@pytest.mark.usefixtures("_loopback")
def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with receiving() as receiver:
        assert post(receiver.url).status == 204


def test_a_refused_connection_is_reported(settings: Settings) -> None:
    settings.WEBHOOK_TRUSTED_HOSTS = ["127.0.0.1"]
    assert post("http://127.0.0.1:1/").text == "No connection: Connection refused."
