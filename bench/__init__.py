"""Measurements. `translate` comes first: it keeps ONNX Runtime from reporting to its maker, if nothing has imported that yet."""

import translate  # noqa: F401
