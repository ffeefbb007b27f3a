# The server on an NVIDIA GPU, without PyTorch: a driver for CUDA 13 and the NVIDIA Container Toolkit are needed on the host.
#   docker build -f docker/cuda.Dockerfile -t translate:cuda .
#   docker run --rm --gpus all -p 127.0.0.1:8000:8000 translate:cuda

FROM nvidia/cuda:13.0.2-cudnn-runtime-ubuntu24.04
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
# The two builds of ONNX Runtime overwrite one another: that for CUDA takes the other's place, in the same version
RUN /venv/bin/pip install --no-cache-dir --constraint constraints.txt '.[heif,otel]' \
    && /venv/bin/pip uninstall --yes onnxruntime \
    && /venv/bin/pip install --no-cache-dir --constraint constraints.txt \
        "onnxruntime-gpu==$(sed -n 's/^onnxruntime==//p' constraints.txt)" \
    && /venv/bin/pip uninstall --yes pip
ARG REVISION=unknown
LABEL org.opencontainers.image.title="translate" \
      org.opencontainers.image.description="Image-to-image translators over HTTP, with a web page, on a GPU" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --no-create-home --uid 10001 translate
ENV PATH="/venv/bin:$PATH" \
    TRANSLATE_DEVICE="cuda" \
    TRANSLATE_HOST="0.0.0.0" \
    TRANSLATE_PORT="8000"
WORKDIR /
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python3", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['TRANSLATE_PORT']), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
CMD ["translate-serve"]
