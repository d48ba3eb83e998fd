# The simulated Okta and the sample API of the demo. Never deploy this image.
ARG PYTHON=python:3.13.9-slim
FROM ${PYTHON}
COPY requirements.lock ./
RUN python3 -m venv /opt/demo \
 && /opt/demo/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
COPY demo /srv/demo
# Also from a clone under umask 077.
RUN chmod -R a+rX /srv /opt/demo
ENV PATH=/opt/demo/bin:$PATH PYTHONPATH=/srv PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /srv
