# The image of any worker without Django. Built from the root of the repository:
# docker build -f infra/images/worker.Dockerfile --build-arg SERVICE=mailer .
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS build
ARG UV_VERSION=0.13.9
ARG SERVICE
ENV UV_PROJECT_ENVIRONMENT=/opt/venv UV_PYTHON_DOWNLOADS=never \
    UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
RUN --mount=type=cache,target=/root/.cache/pip pip install "uv==${UV_VERSION}"
WORKDIR /src
COPY pyproject.toml uv.lock ./
COPY packages/contracts/pyproject.toml packages/contracts/
COPY packages/runtime/pyproject.toml packages/runtime/
COPY packages/worker/pyproject.toml packages/worker/
COPY services/${SERVICE}/pyproject.toml services/${SERVICE}/
# Dependencies before code: a change of code leaves this layer as it is.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-install-workspace --package "$SERVICE"
COPY packages packages
COPY services/${SERVICE} services/${SERVICE}
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-editable --package "$SERVICE"

FROM python:${PYTHON_VERSION}-slim
RUN groupadd --gid 10001 warren \
 && useradd --uid 10001 --gid warren --no-create-home --shell /usr/sbin/nologin warren
COPY --link --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ARG SERVICE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="warren-${SERVICE}" \
      org.opencontainers.image.description="The worker ${SERVICE} of Warren" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER warren
ENV SERVICE=${SERVICE}
CMD exec python -m "$SERVICE"
