# syntax=docker/dockerfile:1
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY requirements requirements
# Two environments: what builds stays here, what serves moves on.
RUN python -m venv /opt/build && python -m venv /opt/auth-service \
 && /opt/build/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/build.txt \
 && /opt/auth-service/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/runtime.txt
COPY LICENSE README.md pyproject.toml ./
COPY protos protos
COPY clients/python clients/python
COPY auth_service auth_service
# Wheels, not editable installs: the last stage holds no sources of ours.
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation -w /wheels ./protos ./clients/python . \
 && /opt/auth-service/bin/pip install --no-cache-dir --no-deps --no-index /wheels/*.whl

FROM python:3.12-slim-bookworm
ARG BUILD=unknown
LABEL org.opencontainers.image.title="auth-service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${BUILD}"
RUN useradd --system --uid 10001 --home-dir /var/lib/auth-service --create-home --shell /usr/sbin/nologin auth
COPY --from=build /opt/auth-service /opt/auth-service
ENV PATH=/opt/auth-service/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    AUTH_BUILD=${BUILD} \
    AUTH_PROFILE=production \
    AUTH_DATA_DIR=/var/lib/auth-service \
    AUTH_GRPC_ADDRESS=0.0.0.0:50051 \
    AUTH_HTTP_ADDRESS=0.0.0.0:8080
USER 10001
WORKDIR /var/lib/auth-service
EXPOSE 50051 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["auth-service", "health"]
ENTRYPOINT ["auth-service"]
CMD ["serve"]
