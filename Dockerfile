# One image for every part of Stemma; the command says which. Versions and hashes are those of
# requirements.lock.
FROM python:3.12-slim AS build
RUN python -m venv /opt/stemma
WORKDIR /build
COPY requirements.lock .
RUN /opt/stemma/bin/pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes --no-deps --requirement requirements.lock
COPY . .
RUN /opt/stemma/bin/pip install --no-cache-dir --disable-pip-version-check \
    --no-index --no-deps --no-build-isolation .

FROM python:3.12-slim
# A volume takes its owner from the folder it first covers.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin stemma \
    && install --directory --owner=stemma --group=stemma /blobs /var/lib/stemma \
        /var/lib/stemma/weights /var/lib/stemma/audit /var/lib/stemma/nats \
    && for volume in . server backend api worker; do \
        install --directory --owner=stemma --group=stemma /var/lib/stemma/nats/access/$volume; \
    done
COPY --from=build /opt/stemma /opt/stemma
ENV PATH=/opt/stemma/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STEMMA_DATA=/var/lib/stemma
USER stemma
WORKDIR /var/lib/stemma
CMD ["stemma", "--help"]
