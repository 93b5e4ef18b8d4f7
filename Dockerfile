# The tap, its mapper and Meltano, for a user without rights and a file system that is read only:
#
#   docker build --build-arg VERSION="$(git describe --tags --always)" --tag tap-mixpanel-export .
#   docker run --read-only --volume spool:/spool --env TAP_MIXPANEL_EXPORT_PROJECT_ID … tap-mixpanel-export
#   docker run --read-only --volume spool:/spool --volume "$PWD:/project" tap-mixpanel-export \
#       meltano run tap-mixpanel-export target-jsonl
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /source
# Versions that were tested last; dependencies change less often than the source.
COPY constraints.txt ./
RUN python3 -m venv /opt/meltano \
    && /opt/meltano/bin/pip install --no-cache-dir --constraint constraints.txt meltano
COPY . .
# There is no git history in an image's context to take the version from.
ARG VERSION=0.0.0
RUN python3 -m venv /opt/tap \
    && SETUPTOOLS_SCM_PRETEND_VERSION="${VERSION}" /opt/tap/bin/pip install --no-cache-dir \
        --constraint constraints.txt ".[parquet]" \
    && mkdir /opt/bin \
    && for command in tap-mixpanel-export map-mixpanel-xdm mixpanel-xdm mixpanel-export mixpanel-sandbox; do \
        ln -s "/opt/tap/bin/${command}" /opt/bin/; done \
    && ln -s /opt/meltano/bin/meltano /opt/bin/

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="tap-mixpanel-export" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt /opt
RUN useradd --uid 10001 --create-home --home-dir /spool --shell /usr/sbin/nologin exporter \
    && mkdir /project && chown exporter /project
USER 10001
# Windows wait in TMPDIR until they are verified: a volume, not the memory of a container.
ENV PATH=/opt/bin:$PATH \
    HOME=/spool \
    TMPDIR=/spool \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
VOLUME /spool
WORKDIR /project
CMD ["tap-mixpanel-export"]
