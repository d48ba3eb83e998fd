# The BFF's image. The first stage builds the wheel, the second installs it with the locked dependencies, and the third
# contains Python and the result, without build tools and installers. The image runs as any unprivileged user on a
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
 && chmod -R a+rX /opt/bff \
 && rm -rf "$site"/pip "$site"/pip-* /opt/bff/bin/pip* /opt/bff/bin/activate* /opt/bff/bin/Activate*

FROM ${PYTHON}
# `make images` and docker-compose.yml set these; the version is defined in bff/__init__.py.
ARG VERSION=dev
ARG REVISION=unknown
# Of a release, by deploy/docker-bake.json: the address of the repository, and when the commit was made.
ARG SOURCE=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="okta-bff" \
      org.opencontainers.image.description="The backend-for-frontend for single-page apps that sign people in at Okta" \
      org.opencontainers.image.authors="The okta-bff authors" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin bff \
 && install -d -o bff -g 0 -m 0770 /var/lib/bff \
 && rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/lib/python3/dist-packages/pip* /usr/local/bin/pip*
COPY --from=install /opt/bff /opt/bff
ENV PATH=/opt/bff/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BFF_LISTEN=0.0.0.0:8080 \
    BFF_LISTEN_BEYOND_LOOPBACK=true \
    BFF_MANAGEMENT_LISTEN=0.0.0.0:9090
USER 10001:10001
# The default store is relative to this directory: sqlite:///var/bff.db is /var/lib/bff/var/bff.db. Mount a volume here for
# SQLite; with Redis nothing is written. The group 0 is that of the arbitrary user of OpenShift.
WORKDIR /var/lib/bff
EXPOSE 8080 9090
# Reads the address from the settings; healthy also with the management port off.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=2s --retries=3 CMD ["bff", "health"]
# `bff serve` runs as PID 1: it handles SIGTERM and starts no other process.
ENTRYPOINT ["bff"]
CMD ["serve"]
