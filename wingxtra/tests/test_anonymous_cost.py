"""What strangers send costs a bounded number of times the processor time of the constant view.

At most 20 times, with these exceptions:

- hashing a password, which has places of its own (wingxtra/accounts/lockout.py; tests hash with
  MD5, so the rest of a login is measured here)
- a signature of 10,000 points, and a form with a photo of 4 MB: see A_LARGE
"""

import gc
import hashlib
import hmac
import itertools
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
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from PIL import Image
from pytest_django import Settings

from orders.models import Order
from orders.states import PodRequirement, Status
from orders.tests.factories import order_in
from pod import codes
from pod.models import ProofOfDelivery
from pod.pictures import images
from pod.proofs import image_token
from pod.serializers import MAX_POINTS, MAX_STROKES
from tracking.page.pages import FORM_MAX_BYTES, token_of
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.tests.factories import PASSWORD, MerchantFactory, UserFactory
from wingxtra.api.views import PublicView
from wingxtra.escalation.tests.support import PagerDutyFactory

# With real commits: within a transaction of its own, a test would read rules and zones each time.
pytestmark = pytest.mark.django_db(transaction=True)

AT_MOST = 20
# Measured at 20 to 29 beside other processes: 20,000 numbers read or written, a form of 4 MB.
A_LARGE = 40
CALLS = 9
AT_MOST_CALLS = 1 + 3 * CALLS
JSON: dict[str, Any] = {"content_type": "application/json"}


@dataclass
class Call:
    """`at_most`: times the constant view."""

    send: Callable[[], Any]
    at_most: int = AT_MOST


@pytest.fixture
def visitor() -> Client:
    return Client(raise_request_exception=False)


def request_is_a_probe(answer: Any) -> bool:
    """A probe says that it is not ready: there is no worker."""
    return bool(answer.wsgi_request.path == "/ready/dispatch" and answer.status_code == 503)


def spent_s(send: Callable[[], Any]) -> float:
    start_s = time.thread_time()
    answer = send()
    if answer.streaming:
        b"".join(answer.streaming_content)
    assert answer.status_code < 500 or request_is_a_probe(answer)
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
    # With a session's cookie, so that all middleware works, as for most of these calls.
    of_a_page = {"cookie": f"{settings.SESSION_COOKIE_NAME}=none"}

    def constant() -> Any:
        return visitor.get("/health", headers=of_a_page)

    pairs = [(spent_s(call.send), spent_s(constant)) for _ in range(CALLS)]
    cost_s, constant_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    return cost_s / constant_s


@pytest.fixture(autouse=True)
def _frozen() -> Iterator[None]:
    """As wingxtra/wsgi.py does: else the collector walks through all loaded code now and then."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


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

    def post(path: str, body: Any) -> Call:
        return Call(lambda: visitor.post(f"/api/v1/auth/{path}", body, **JSON))

    def refresh() -> Any:
        body = {"refresh": current["refresh"]}
        answer = visitor.post("/api/v1/auth/token/refresh", body, **JSON)
        current.update(answer.json())
        return answer

    yield "refresh", Call(refresh)
    yield "token", post("token", WRONG)
    yield "token of a user", Call(lambda: visitor.post("/api/v1/auth/token", body, **JSON))
    yield "verify", post("token/verify", {"token": pair["access"]})
    yield "verify nonsense", post("token/verify", {"token": "a." * 2500})
    for path in ("token", "token/refresh", "token/verify"):
        for name, size_bytes in SIZES.items():
            yield f"{name} body to {path}", post(path, filled(size_bytes))


def of_pages(visitor: Client) -> Iterator[tuple[str, Call]]:
    paths = ["/api/docs", "/api/docs/merchant", "/api/schema", "/api/schema/merchant"]
    paths += ["/api/schema?format=json", "/docs", "/docs/fields", "/merchant/", "/load/"]
    paths += ["/ready", "/ready/dispatch"]
    for path in [*paths, "/api/v1/nothing", *DOORS]:
        yield path, Call(lambda path=path: visitor.get(path))  # type: ignore[misc]
    for door in DOORS:
        for name, form in {"login": urlencode(WRONG), "many fields": MANY_FIELDS}.items():
            yield (
                f"{name} {door}",
                Call(
                    lambda door=door, form=form: visitor.post(door, form, **FORM),  # type: ignore[misc]
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

    alerts = f"/hooks/escalation/{PagerDutyFactory().pk}"
    headers = {"X-PagerDuty-Signature": "v1=" + "0" * 64}
    answer = filled(256 * 1024)
    yield "escalation", Call(lambda: visitor.post(alerts, answer, headers=headers, **JSON))
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
    yield "position", Call(lambda: visitor.get(f"/track/{on_the_way}/position"))
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
            ),
        )


def of_changes(visitor: Client) -> Iterator[tuple[str, Call]]:
    """Calls that do change something, each time: of the page, which also shows the delivery."""

    def post(tracking_id: str, **form: Any) -> Any:
        answer = visitor.post(f"/track/{tracking_id}/", {"token": token_of(tracking_id), **form})
        assert answer.status_code == 303
        return answer

    here = [link(Status.ARRIVED) for _ in range(AT_MOST_CALLS)]
    # A customer may change each link's order 20 times.
    links = itertools.cycle([link(Status.QUEUED), link(Status.QUEUED)])
    places = itertools.cycle([5.6151, 5.61515, 5.6152])
    texts = (f"Ring {n} times." for n in itertools.count())
    yield (
        "moved",
        Call(lambda: post(next(links), do="dropoff", lat=next(places), lng=-0.1751)),
    )
    yield (
        "instructed",
        Call(lambda: post(next(links), do="instructions", instructions=next(texts))),
    )
    yield "confirmed", Call(lambda: post(here.pop(), do="confirm"))
    asked = {"pod_requirement": PodRequirement.OTP}
    with_codes = []
    for _ in range(AT_MOST_CALLS):
        tracking_id = link(Status.ARRIVED, **asked)
        order = Order.objects.get(public_tracking_id=tracking_id)
        with_codes.append((tracking_id, codes.renew(order.pk, by=SYSTEM)))

    def enter() -> Any:
        tracking_id, code = with_codes.pop()
        return post(tracking_id, do="otp", otp_code=code)

    yield "received with a code", Call(enter)


def of_pictures(visitor: Client) -> Iterator[tuple[str, Call]]:
    per_stroke = MAX_POINTS // MAX_STROKES
    stroke = [[index * 7 % 1000, index * 3 % 400] for index in range(per_stroke)]
    drawn = json.dumps({"signature": [stroke] * MAX_STROKES})

    def sign(tracking_id: str) -> Any:
        return visitor.post(f"/api/v1/tracking/{tracking_id}/signature", drawn, **JSON)

    asked: dict[str, Any] = {"pod_requirement": PodRequirement.SIGNATURE}
    early, ready = (
        link(Status.QUEUED, **asked),
        [link(Status.ARRIVED, **asked) for _ in range(AT_MOST_CALLS)],
    )
    yield "signature too early", Call(lambda: sign(early))
    yield "signature", Call(lambda: sign(ready.pop()), A_LARGE)

    proof = ProofOfDelivery.objects.exclude(strokes=None).first()
    assert proof
    shown = f"/api/v1/pod-images/{image_token(proof)}"
    yield "signature shown", Call(lambda: visitor.get(shown), A_LARGE)

    def complaint(tracking_id: str, photo: bytes) -> dict[str, Any]:
        """Encoded here: that is the browser's work."""
        form = {"do": "case", "token": token_of(tracking_id), "kind": "DAMAGED"}
        body = encode_multipart(BOUNDARY, {**form, "photo": SimpleUploadedFile("a.jpg", photo)})
        return {"path": f"/track/{tracking_id}/", "data": body}

    def complain(complaint: dict[str, Any], status: int) -> Any:
        answer = visitor.generic("POST", content_type=MULTIPART_CONTENT, **complaint)
        assert answer.status_code == status
        return answer

    photo = worst_photo()
    garbage = b"x" * images.STRANGERS_MAX_BYTES
    too_large = complaint(link(Status.DELIVERED), 2 * garbage)
    refused = [complaint(link(Status.DELIVERED), garbage) for _ in range(AT_MOST_CALLS)]
    taken = [complaint(link(Status.DELIVERED), photo) for _ in range(AT_MOST_CALLS)]
    yield "case with a large file", Call(lambda: complain(too_large, 400))
    yield "case with garbage", Call(lambda: complain(refused.pop(), 400), A_LARGE)
    yield "case with a photo", Call(lambda: complain(taken.pop(), 303), A_LARGE)


def worst_photo() -> bytes:
    """As many pixels and bytes as are accepted."""
    out = BytesIO()
    side = (images.MAX_SIDE_PX, images.MAX_SIDE_PX)
    Image.effect_noise(side, 30).convert("RGB").save(out, "JPEG", quality=30)
    assert out.tell() < images.STRANGERS_MAX_BYTES
    return out.getvalue().ljust(images.STRANGERS_MAX_BYTES, b"x")


def huge_form(size: str) -> str:
    return f"x={'%41' * (FORM_SIZES[size] // 3 - 10)}"


@pytest.mark.parametrize(
    "calls",
    [of_tokens, of_pages, of_the_hook, of_tracking, of_changes, of_pictures],
    ids=lambda c: c.__name__,
)
def test_each_call_of_a_stranger_is_bounded(
    calls: Callable[[Client], Iterator[tuple[str, Call]]], visitor: Client
) -> None:
    costs = {name: (cost_of(call, visitor), call.at_most) for name, call in calls(visitor)}
    over = {name: cost for name, cost in costs.items() if cost[0] > cost[1]}
    assert not over, sorted(costs.items(), key=lambda one: -one[1][0])
