import cProfile, pstats, time, gc, statistics
import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory
from orders.states import Status
from tracking.tests.deliveries import secret_order
pytestmark = pytest.mark.django_db(transaction=True)

def test_prof(settings):
    import logging, structlog
    logging.disable(logging.INFO)
    order = secret_order(Status.ENROUTE)
    h = WSGIHandler()
    make = RequestFactory(SERVER_NAME="127.0.0.1")
    def call(path):
        env = make.get(path, headers={"Accept-Language": "en-GB,en"}).environ
        st = []
        s = time.thread_time()
        r = h(env, lambda a, b: st.append(a)); b"".join(r); r.close()
        took = time.thread_time() - s
        assert st[0].startswith("200"), st
        return took
    P = f"/track/{order.public_tracking_id}/position"
    paths = {"health": "/health", "position": P, "api": f"/api/v1/tracking/{order.public_tracking_id}", "page": f"/track/{order.public_tracking_id}/"}
    gc.collect(); gc.freeze()
    for n in range(3):
        for name, p in paths.items():
            ts = [call(p) for _ in range(300)]
            print(name, "median ms", round(1000*statistics.median(ts), 3), "min", round(1000*min(ts),3))
    pr = cProfile.Profile()
    envs = [make.get(P, headers={"Accept-Language": "en-GB,en"}).environ for _ in range(500)]
    pr.enable()
    for e in envs:
        r = h(e, lambda a, b: None); b"".join(r); r.close()
    pr.disable()
    pstats.Stats(pr).sort_stats("tottime").print_stats(45)
    pstats.Stats(pr).sort_stats("cumtime").print_stats(60)
    logging.disable(logging.NOTSET)
