"""What strangers send costs a bounded number of times the processor time of the constant view.

At most 20 times, with these exceptions, each of which is counted:

- hashing a password, which has places of its own (wingxtra/accounts/lockout.py; tests hash with
  MD5, so the rest of a login is measured here)
- a change with a tracking link: at most 20 a minute and link (tracking/page/limits.py)
- a picture: a signature is drawn once per delivery, a case's photo is read only after it
"""

import hashlib
import hmac
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image
from pytest_django import Settings

from orders.models import Order
from orders.states import PodRequirement, Status
from orders.tests.factories import order_in
from pod import images
from pod.serializers import MAX_POINTS, MAX_STROKES
from tracking.page.pages import FORM_MAX_BYTES, token_of
from wingxtra.accounts.tests.factories import PASSWORD, MerchantFactory, UserFactory
from wingxtra.api.views import PublicView

pytestmark = pytest.mark.django_db

AT_MOST, A_LOGIN, A_CHANGE, A_PICTURE = 20, 50, 100, 400
CALLS = 9
JSON: dict[str, Any] = {"content_type": "application/json"}


@dataclass
class Call:
    """`at_most`: times the constant view."""

    send: Callable[[], Any]
    at_most: int = AT_MOST


@pytest.fixture
def visitor() -> Client:
    return Client(raise_request_exception=False)


def spent_s(send: Callable[[], Any]) -> float:
    start_s = time.thread_time()
    answer = send()
    if answer.streaming:
        b"".join(answer.streaming_content)
    assert answer.status_code < 500
    return time.thread_time() - start_s


def cost_of(call: Call, visitor: Client) -> float:
    """The least of three when it is over: another process may disturb the caches."""
    spent_s(call.send)  # fills ours
    cost = times_constant(call, visitor)
    for _ in range(2):
        if cost > call.at_most:
            cost = min(cost, times_constant(call, visitor))
    return cost


def times_constant(call: Call, visitor: Client) -> float:
    """The median of several, beside the constant view at the same moment."""
    pairs = [(spent_s(call.send), spent_s(lambda: visitor.get("/health"))) for _ in range(CALLS)]
    cost_s, constant_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    return cost_s / constant_s


@pytest.fixture(autouse=True)
def _whatsapp(settings: Settings) -> None:
    settings.WHATSAPP_APP_SECRET = settings.WHATSAPP_VERIFY_TOKEN = "secret"


def filled(size_bytes: int) -> str:
    """JSON that is slow to read: many small values."""
    return '{"x":[' + ",".join(["[]"] * ((size_bytes - 10) // 3)) + "]}"


def link(status: Status, **attributes: Any) -> str:
    merchant = MerchantFactory(support_contact="+233 30 255 0101", brand_color="#0b7a4b")
    merchant.logo.save("logo.png", ContentFile(picture(192, "PNG")))
    order: Order = order_in(status, merchant=merchant, **attributes)
    return str(order.public_tracking_id)


def picture(side_px: int, kind: str = "JPEG") -> bytes:
    noise = random.Random(1).randbytes(side_px * side_px * 3)
    out = BytesIO()
    Image.frombytes("RGB", (side_px, side_px), noise).save(out, kind)
    return out.getvalue()


# As large as is accepted, and far too large.
SIZES = {"full": PublicView.max_body_bytes, "huge": 1_000_000}
FORM_SIZES = {"full": FORM_MAX_BYTES, "huge": 5_000_000}
FORM: dict[str, Any] = {"content_type": "application/x-www-form-urlencoded"}
WRONG = {"username": "ama" * 50, "password": "x" * 1000}
MANY_FIELDS = "&".join(f"f{n}=%41" for n in range(999))
DOORS = ("/admin/login/", "/merchant/login/")


def of_tokens(visitor: Client) -> Iterator[tuple[str, Call]]:
    user = UserFactory(username="ama")
    body = {"username": user.username, "password": PASSWORD}
    pair = visitor.post("/api/v1/auth/token", body, **JSON).json()
    current = dict(pair)

    def post(path: str, body: Any, at_most: int = AT_MOST) -> Call:
        return Call(lambda: visitor.post(f"/api/v1/auth/{path}", body, **JSON), at_most)

    def refresh() -> Any:
        body = {"refresh": current["refresh"]}
        answer = visitor.post("/api/v1/auth/token/refresh", body, **JSON)
        current.update(answer.json())
        return answer

    yield "refresh", Call(refresh)
    yield "token", post("token", WRONG, A_LOGIN)
    yield "verify", post("token/verify", {"token": pair["access"]})
    yield "verify nonsense", post("token/verify", {"token": "a." * 2500})
    for path in ("token", "token/refresh", "token/verify"):
        for name, size_bytes in SIZES.items():
            yield f"{name} body to {path}", post(path, filled(size_bytes))


def of_pages(visitor: Client) -> Iterator[tuple[str, Call]]:
    paths = ["/api/docs", "/api/docs/merchant", "/api/schema", "/api/schema/merchant"]
    paths += ["/api/schema?format=json", "/docs", "/docs/fields", "/merchant/", "/load/"]
    for path in [*paths, "/api/v1/nothing", *DOORS]:
        yield path, Call(lambda path=path: visitor.get(path))  # type: ignore[misc]
    for door in DOORS:
        for name, form in {"login": urlencode(WRONG), "many fields": MANY_FIELDS}.items():
            yield (
                f"{name} {door}",
                Call(
                    lambda door=door, form=form: visitor.post(door, form, **FORM),  # type: ignore[misc]
                    A_LOGIN,
                ),
            )
        yield (
            f"huge form {door}",
            Call(
                lambda door=door: visitor.post(door, huge_form("huge"), **FORM)  # type: ignore[misc]
            ),
        )


def of_the_hook(visitor: Client) -> Iterator[tuple[str, Call]]:
    notice = filled(1_000_000)
    digest = hmac.new(b"secret", notice.encode(), hashlib.sha256).hexdigest()

    def post(digest: str) -> Call:
        headers = {"X-Hub-Signature-256": f"sha256={digest}"}
        return Call(lambda: visitor.post("/hooks/whatsapp", notice, headers=headers, **JSON))

    yield "signed notice", post(digest)
    yield "notice", post("0" * 64)
    yield "handshake", Call(lambda: visitor.get("/hooks/whatsapp?hub.mode=subscribe"))


def of_tracking(visitor: Client) -> Iterator[tuple[str, Call]]:
    on_the_way, queued = link(Status.ENROUTE), link(Status.QUEUED)
    tracked = f"/api/v1/tracking/{queued}"
    for path in ("/api/v1/tracking/{}", "/track/{}/"):
        for tracking_id in (on_the_way, "7Q2KM9XW4TZ1H"):
            get = path.format(tracking_id)
            yield get, Call(lambda get=get: visitor.get(get))  # type: ignore[misc]
    yield "QR code", Call(lambda: visitor.get(f"/track/{on_the_way}/qr.svg"))
    yield "logo", Call(lambda: visitor.get(f"/track/{on_the_way}/logo"))
    given: dict[str, dict[str, Any]] = {
        "instructions": {"instructions": "ä" * 300},
        "dropoff": {"lat": 5.6151, "lng": -0.1751},
        "otp": {"otp_code": "1" * 20},
        "confirm": {},
    }
    for name, body in given.items():
        form = {"do": name, "token": token_of(queued), **body}
        for path, data, options in (
            (f"{tracked}/{name}", body, JSON),
            (f"/track/{queued}/", form, {}),
        ):
            yield (
                f"{name} {path}",
                Call(
                    lambda path=path, data=data, options=options: visitor.post(
                        path, data, **options
                    ),  # type: ignore[misc]
                    A_CHANGE,
                ),
            )
        for size, size_bytes in SIZES.items():
            yield (
                f"{size} body to {name}",
                Call(
                    lambda name=name, size_bytes=size_bytes: visitor.post(  # type: ignore[misc]
                        f"{tracked}/{name}", filled(size_bytes), **JSON
                    )
                ),
            )
    for size in FORM_SIZES:
        yield (
            f"{size} form",
            Call(
                lambda size=size: visitor.post(f"/track/{queued}/", huge_form(size), **FORM),  # type: ignore[misc]
                A_CHANGE,
            ),
        )


def of_pictures(visitor: Client) -> Iterator[tuple[str, Call]]:
    per_stroke = MAX_POINTS // MAX_STROKES
    stroke = [[index * 7 % 1000, index * 3 % 400] for index in range(per_stroke)]
    drawn = json.dumps({"signature": [stroke] * MAX_STROKES})

    def sign(tracking_id: str) -> Any:
        return visitor.post(f"/api/v1/tracking/{tracking_id}/signature", drawn, **JSON)

    asked: dict[str, Any] = {"pod_requirement": PodRequirement.SIGNATURE}
    early, ready = (
        link(Status.QUEUED, **asked),
        [link(Status.ARRIVED, **asked) for _ in range(1 + 3 * CALLS)],
    )
    yield "signature too early", Call(lambda: sign(early))
    yield "signature", Call(lambda: sign(ready.pop()), A_PICTURE)

    def complain(tracking_id: str, size_bytes: int) -> Any:
        photo = SimpleUploadedFile("a.jpg", b"x" * size_bytes)
        form = {"do": "case", "token": token_of(tracking_id), "kind": "DAMAGED", "photo": photo}
        return visitor.post(f"/track/{tracking_id}/", form)

    delivered = link(Status.DELIVERED)
    yield "case with a photo", Call(lambda: complain(delivered, images.MAX_BYTES), A_PICTURE)


def huge_form(size: str) -> str:
    return f"x={'%41' * (FORM_SIZES[size] // 3 - 10)}"


@pytest.mark.parametrize(
    "calls", [of_tokens, of_pages, of_the_hook, of_tracking, of_pictures], ids=lambda c: c.__name__
)
def test_each_call_of_a_stranger_is_bounded(
    calls: Callable[[Client], Iterator[tuple[str, Call]]], visitor: Client
) -> None:
    costs = {name: (cost_of(call, visitor), call.at_most) for name, call in calls(visitor)}
    over = {name: cost for name, cost in costs.items() if cost[0] > cost[1]}
    assert not over, sorted(costs.items(), key=lambda one: -one[1][0])
