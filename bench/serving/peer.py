"""LitServe with the same model: `python -m bench.serving.peer MODEL FORMAT PORT WORKERS THREADS`, a picture at a time in each."""

import sys
from pathlib import Path

import litserve
import numpy as np
from fastapi import Request, Response
from PIL import Image

from bench.serving.bare import Pixels, decoded, encoded, opened


class Translator(litserve.LitAPI):
    def __init__(self, model: Path, format: str, threads: int) -> None:
        super().__init__(api_path="/translate")
        self.model, self.format, self.threads = model, format, threads

    def setup(self, device: str) -> None:
        self.network = opened(self.model, self.threads)

    def decode_request(self, request: Request) -> Image.Image:
        return decoded(request["file"].file.read())

    def predict(self, image: Image.Image) -> tuple[Image.Image, Pixels]:
        return image, self.network(np.array(image))

    def encode_response(self, output: tuple[Image.Image, Pixels]) -> Response:
        return Response(encoded(*output, self.format), media_type=f"image/{self.format}")


if __name__ == "__main__":
    model, format, port, workers, threads = sys.argv[1:]
    server = litserve.LitServer(Translator(Path(model), format, int(threads)), accelerator="cpu", workers_per_device=int(workers))
    server.run(host="127.0.0.1", port=int(port), log_level="error", generate_client_file=False)
