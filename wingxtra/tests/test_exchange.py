"""Requests to other systems."""

from pathlib import Path

import pytest

from wingxtra import exchange


def test_the_authorities_are_read_again_only_when_their_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "authorities.pem"
    file.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    first = exchange.tls_context()
    assert exchange.tls_context() is first
    file.write_text("\n")
    assert exchange.tls_context() is not first
