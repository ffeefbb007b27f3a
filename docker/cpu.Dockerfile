# The server on processors, without PyTorch. From the root of the checkout:
#   docker build -f docker/cpu.Dockerfile -t translate .
#   docker run --rm -p 127.0.0.1:8000:8000 translate

FROM debian:trixie-slim AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /venv
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY translate translate
COPY server server
COPY weights weights
RUN /venv/bin/pip install --no-cache-dir --constraint constraints.txt '.[heif,otel]' \
    && /venv/bin/pip uninstall --yes pip

FROM debian:trixie-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --no-create-home --uid 10001 translate
COPY --from=build /venv /venv
ARG REVISION=unknown
LABEL org.opencontainers.image.title="translate" \
      org.opencontainers.image.description="Image-to-image translators over HTTP, with a web page" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH="/venv/bin:$PATH" \
    TRANSLATE_HOST="0.0.0.0" \
    TRANSLATE_PORT="8000"
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python3", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['TRANSLATE_PORT']), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
CMD ["translate-serve"]
