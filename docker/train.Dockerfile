# Training, exporting and measuring, with PyTorch, on a GPU or on processors. From the root of the checkout:
#   docker build -f docker/train.Dockerfile -t translate:train .
#   docker run --rm --gpus all --shm-size 2g --user "$(id -u):$(id -g)" -v "$PWD:/data" translate:train \
#     translate-train restore.toml --data photographs --out runs/mine

FROM debian:trixie-slim
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
RUN /venv/bin/pip install --no-cache-dir --constraint constraints.txt '.[train,heif]'
ARG REVISION=unknown
LABEL org.opencontainers.image.title="translate-train" \
      org.opencontainers.image.description="Training of image-to-image translators" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --no-create-home --uid 10001 translate
# What is downloaded for measures (LPIPS, Inception) goes below HOME, which no user of the host has in here
ENV PATH="/venv/bin:$PATH" \
    HOME="/tmp" \
    NO_ALBUMENTATIONS_UPDATE="1" \
    NVIDIA_VISIBLE_DEVICES="all" \
    NVIDIA_DRIVER_CAPABILITIES="compute,utility"
WORKDIR /data
USER 10001
HEALTHCHECK NONE
CMD ["translate-train", "--help"]
