# The BFF's image. The first stage builds the wheel, the second installs it with the locked dependencies, and the third
# contains Python and the result, without build tools and installers. The image runs as an unprivileged user on a
# read-only root file system and writes only to /var/lib/bff (SQLite).

ARG PYTHON=python:3.13.9-slim

FROM ${PYTHON} AS wheel
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements-build.lock ./
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes --only-binary :all: -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY bff ./bff
COPY docs ./docs
RUN /opt/build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels .

FROM ${PYTHON} AS install
# With requirements-otel.lock the image can export traces (BFF_TRACING=otlp). This is not the default, because the
# exporter depends on an HTTP client that reads proxy variables and netrc.
ARG LOCK=requirements.lock
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY ${LOCK} ./requirements.lock
# Only wheels, verified by hash, so no code of a dependency runs during its installation.
RUN python3 -m venv /opt/bff \
 && /opt/bff/bin/pip install --require-hashes --only-binary :all: -r requirements.lock
COPY --from=wheel /wheels /wheels
RUN /opt/bff/bin/pip install --no-index --no-deps /wheels/*.whl \
 && site=$(/opt/bff/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
 && /opt/bff/bin/python -m compileall -q "$site" \
 && rm -rf "$site"/pip "$site"/pip-* /opt/bff/bin/pip* /opt/bff/bin/activate* /opt/bff/bin/Activate*

FROM ${PYTHON}
# `--build-arg VERSION=$(bff version | cut -d' ' -f2)`; the version is defined in bff/__init__.py.
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="okta-bff" \
      org.opencontainers.image.description="The backend-for-frontend for single-page apps that sign people in at Okta" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin bff \
 && install -d -o bff -g bff -m 0700 /var/lib/bff \
 && rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/lib/python3/dist-packages/pip* /usr/local/bin/pip*
COPY --from=install /opt/bff /opt/bff
ENV PATH=/opt/bff/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BFF_LISTEN=0.0.0.0:8080 \
    BFF_LISTEN_BEYOND_LOOPBACK=true \
    BFF_MANAGEMENT_LISTEN=0.0.0.0:9090
USER 10001:10001
# The default store is relative to this directory: sqlite:///var/bff.db is /var/lib/bff/var/bff.db.
WORKDIR /var/lib/bff
VOLUME /var/lib/bff
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 9090, timeout=2); c.request('GET', '/livez'); raise SystemExit(c.getresponse().status != 200)"]
# `bff serve` runs as PID 1: it handles SIGTERM and starts no other process.
ENTRYPOINT ["bff"]
CMD ["serve"]
