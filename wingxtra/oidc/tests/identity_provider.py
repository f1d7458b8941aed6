"""An OpenID Connect provider over HTTP: discovery, authorization, token, keys and userinfo.

It signs with real RS256 keys, checks the client and PKCE, and gives each code once.
"""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID, CLIENT_SECRET = "wingxtra", "a-secret-of-the-client"
Claims = dict[str, Any]


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


OLD_KEY, NEW_KEY = new_key(), new_key()


@dataclass
class Person:
    """`amr`: how the provider has authenticated them."""

    claims: Claims
    amr: list[str] = field(default_factory=lambda: ["pwd"])


@dataclass
class IdentityProvider:
    """`person` is logged in at the provider. `change` edits the claims of the next ID tokens."""

    issuer: str
    person: Person
    change: Callable[[Claims], None] = lambda claims: None
    key: rsa.RSAPrivateKey = OLD_KEY
    kid: str = "old"
    published: dict[str, rsa.RSAPrivateKey] = field(default_factory=lambda: {"old": OLD_KEY})
    algorithm: str = "RS256"
    is_down: bool = False
    userinfo_sub: str = ""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def discovery(self) -> Claims:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
        }

    def keys(self) -> Claims:
        found = []
        for kid, key in self.published.items():
            jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
            found.append({**jwk, "kid": kid, "use": "sig", "alg": "RS256"})
        return {"keys": found}

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser is sent: back, with a code."""
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        answer = urlencode({"code": code, "state": asked["state"]})
        return f"{asked['redirect_uri']}?{answer}"

    def token(self, form: dict[str, str]) -> Claims | None:
        asked = self.codes.pop(form["code"], None)
        if asked is None or form["redirect_uri"] != asked["redirect_uri"]:
            return None
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        client = (form["client_id"], form["client_secret"])
        if client != (CLIENT_ID, CLIENT_SECRET) or challenge != asked["code_challenge"]:
            return None
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": self.person.claims["sub"],
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "amr": self.person.amr,
        }
        self.change(claims)
        key = CLIENT_SECRET * 2 if self.algorithm == "HS256" else self.key
        signed = jwt.encode(claims, key, self.algorithm, headers={"kid": self.kid})
        return {"access_token": "an-access-token", "token_type": "Bearer", "id_token": signed}

    def userinfo(self) -> Claims:
        sub = {"sub": self.userinfo_sub} if self.userinfo_sub else {}
        return self.person.claims | sub


@contextmanager
def provided(person: Person) -> Iterator[IdentityProvider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/authorize":
                asked = {name: one[0] for name, one in parse_qs(url.query).items()}
                self.send_response(302)
                self.send_header("Location", idp.authorize(asked))
                self.end_headers()
                return
            if url.path == "/userinfo":
                assert self.headers["Authorization"] == "Bearer an-access-token"
            documents = {
                "/.well-known/openid-configuration": idp.discovery,
                "/keys": idp.keys,
                "/userinfo": idp.userinfo,
            }
            self._answer(documents[url.path]())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(idp.token({name: one[0] for name, one in parse_qs(body).items()}))

        def _answer(self, document: Claims | None) -> None:
            self.send_response(503 if idp.is_down else 200 if document else 400)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(document or {"error": "invalid_grant"}).encode())

        def log_message(self, *_: Any) -> None:
            """Do not log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    idp = IdentityProvider(f"http://127.0.0.1:{server.server_port}", person)
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield idp
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
