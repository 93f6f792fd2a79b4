# The control plane with its stores, for one machine (`compose.yaml`). The context is the repository's root.
#
# Nothing here needs BuildKit: docker, podman and buildah build it alike. Base images can be given by digest:
# --build-arg PYTHON_IMAGE=docker.io/library/python@sha256:…
ARG NODE_IMAGE=docker.io/library/node:24-bookworm-slim
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm

# -- dynoxide by its lock file -----------------------------------------------------------------------------------------
FROM ${NODE_IMAGE} AS table
WORKDIR /build
COPY infrastructure/local/table/package.json infrastructure/local/table/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

# -- Python's packages; MiniStack's in an environment of its own -------------------------------------------------------
FROM ${PYTHON_IMAGE} AS python
WORKDIR /opt/answerline
COPY chalice_app/requirements.txt chalice_app/
COPY infrastructure/local/requirements.txt infrastructure/local/ministack.txt infrastructure/local/
RUN python -m venv .venv \
 && .venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-compile \
      -r infrastructure/local/requirements.txt \
 && python -m venv .venv-ministack \
 && .venv-ministack/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-compile \
      -r infrastructure/local/ministack.txt

# -- the control plane -------------------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS control
RUN groupadd --gid 10001 answerline \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin answerline \
 && install -d -m 700 -o 10001 -g 10001 /data \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
ENV PATH=/opt/answerline/.venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/answerline:/opt/answerline/chalice_app:/opt/answerline/chalice_app/vendor \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LANG=C.UTF-8 \
    HOME=/data \
    DATA=/data/answerline
WORKDIR /opt/answerline
COPY --from=python /opt/answerline/.venv .venv
COPY --from=python /opt/answerline/.venv-ministack .venv-ministack
COPY --from=table /build/node_modules infrastructure/local/table/node_modules
COPY chalice_app chalice_app
COPY infrastructure infrastructure
COPY runner runner
RUN python -m compileall -q --invalidation-mode unchecked-hash chalice_app infrastructure runner .venv .venv-ministack
USER 10001:10001
# The build fails if a module is missing.
RUN python -m infrastructure.local --help > /dev/null
ARG COMMIT=unknown
ENV COMMIT=${COMMIT}
LABEL org.opencontainers.image.title="Answerline control plane" org.opencontainers.image.revision=${COMMIT}
# The only place that is written, beside /tmp. A restore replaces a directory in it, so it is not the data itself.
VOLUME ["/data"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:4700/api/health', timeout=8)"]
ENTRYPOINT ["python", "-m", "infrastructure.local"]
