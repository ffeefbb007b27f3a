"""Model: exact pixels, tiles equal to the whole, and a clear word for everything that cannot work."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import MakeModel
from tests.tiny_models import Graph, build, to_bytes
from translate.runtime import model as model_module
from translate.runtime.errors import DeviceUnavailable, InvalidModel, PictureTooLarge, TranslationFailed
from translate.runtime.model import Model, read_card
from translate.runtime.picture import Picture
from translate.runtime.tiles import Grid

Pixels = np.ndarray


def random_picture(height: int, width: int, *, channels: int = 3, bits: int = 8, alpha: bool = False, seed: int = 0) -> Picture:
    random, dtype = np.random.default_rng(seed), np.dtype(f"uint{bits}")
    draw = lambda *shape: random.integers(0, 2**bits, shape, dtype=dtype)  # noqa: E731
    return Picture(draw(height, width, channels), draw(height, width) if alpha else None)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "SIDE", 24)


# Exactness


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_identity_returns_every_value_bit_for_bit(make_model: MakeModel, bits: int, channels: int) -> None:
    values = np.arange(2**bits, dtype=f"uint{bits}").reshape(16, -1, 1).repeat(channels, axis=2)
    result = Model.open(make_model("identity"))(Picture(values))
    assert result.pixels.dtype == values.dtype
    np.testing.assert_array_equal(result.pixels, values)


@pytest.mark.parametrize("bits", [8, 16])
def test_invert_is_exact(make_model: MakeModel, bits: int) -> None:
    picture = random_picture(30, 20, bits=bits)
    np.testing.assert_array_equal(Model.open(make_model("invert"))(picture).pixels, 2**bits - 1 - picture.pixels)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    height=st.integers(1, 120),
    width=st.integers(1, 120),
    kind=st.sampled_from(["blur", "pool"]),
    size=st.sampled_from([3, 5]),
    channels=st.sampled_from([1, 3]),
    bits=st.sampled_from([8, 16]),
    seed=st.integers(0, 99),
)
def test_tiles_equal_the_whole(
    make_model: MakeModel, small_tiles: None, height: int, width: int, kind: str, size: int, channels: int, bits: int, seed: int
) -> None:
    picture = random_picture(height, width, channels=channels, bits=bits, seed=seed)
    model = Model.open(make_model(kind, size=size), threads=1)
    assert height * width < 60 * 60 or len(model._grid(height, width)) > 1
    difference = model(picture).pixels.astype(int) - whole(model, picture)
    assert np.abs(difference).max() <= (1 if bits == 8 else 3)  # 3 of 65535: 1/85 of the 1/255 promised


def whole(model: Model, picture: Picture) -> Pixels:
    """The network's answer in one piece, quantised independently of `Model`."""
    peak = 2**picture.bits - 1
    image = (picture.pixels / peak).astype(np.float32).repeat(3 // picture.pixels.shape[2], axis=2)
    (translated,) = model._session.run(None, {"image": image[None]})
    return np.floor(np.clip(translated[0, :, :, : picture.pixels.shape[2]].astype(float), 0, 1) * peak + 0.5).astype(int)


@pytest.mark.parametrize("kind", ["blur", "pool"])
def test_too_short_a_reach_would_show(make_model: MakeModel, small_tiles: None, kind: str) -> None:
    """The test above can fail: with a card that promises too short a reach, tiles differ from the whole."""
    picture = random_picture(100, 100)
    model = Model.open(make_model(kind, size=5, reach=1))
    assert np.abs(model(picture).pixels.astype(int) - whole(model, picture)).max() > 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 5), (3, 3)])
@pytest.mark.parametrize("kind", ["blur", "pool", "double"])
def test_pictures_below_the_reach(make_model: MakeModel, small_tiles: None, kind: str, shape: tuple[int, int]) -> None:
    result = Model.open(make_model(kind))(random_picture(*shape))
    scale = 2 if kind == "double" else 1
    assert (result.height, result.width) == (shape[0] * scale, shape[1] * scale)


@pytest.mark.parametrize("channels", [1, 3])
def test_enlarging_in_tiles(make_model: MakeModel, small_tiles: None, channels: int) -> None:
    picture = random_picture(61, 90, channels=channels, bits=16)
    result = Model.open(make_model("double"))(picture, consume=True)
    np.testing.assert_array_equal(result.pixels, picture.pixels.repeat(2, axis=0).repeat(2, axis=1))


def test_values_beyond_the_range_are_clipped(make_model: MakeModel) -> None:
    black_and_white = Picture(np.tile(np.array([0, 255], dtype=np.uint8), (40, 20))[:, :, None])
    pixels = Model.open(make_model("noisy"))(black_and_white, seed=1).pixels.astype(int)
    assert np.abs(pixels - black_and_white.pixels).max() < 128
    assert (pixels[:, ::2] == 0).mean() > 0.3
    assert (pixels[:, 1::2] == 255).mean() > 0.3


# What the caller may ask for


def test_the_picture_given_stays_as_it_was(make_model: MakeModel, small_tiles: None) -> None:
    picture = random_picture(50, 60)
    before = picture.pixels.copy()
    result = Model.open(make_model("invert"))(picture)
    np.testing.assert_array_equal(picture.pixels, before)
    assert not np.shares_memory(result.pixels, picture.pixels)


@pytest.mark.parametrize("kind", ["blur", "pool"])
def test_a_consumed_picture_gives_its_memory(make_model: MakeModel, small_tiles: None, kind: str) -> None:
    picture, model = random_picture(90, 130, bits=16), Model.open(make_model(kind))
    expected = model(picture).pixels
    result = model(picture, consume=True)
    assert np.shares_memory(result.pixels, picture.pixels)
    np.testing.assert_array_equal(result.pixels, expected)


def test_a_consumed_picture_needs_little_more_than_a_band(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "SIDE", 200)
    picture, model = random_picture(1500, 2000, bits=16), Model.open(make_model("invert"))
    tracemalloc.start()
    model(picture, consume=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < picture.pixels.nbytes / 2


def test_memory_that_cannot_be_written_is_not_consumed(make_model: MakeModel) -> None:
    picture = random_picture(9, 9)
    picture.pixels.flags.writeable = False
    result = Model.open(make_model("invert"))(picture, consume=True)
    np.testing.assert_array_equal(result.pixels, 255 - picture.pixels)


@pytest.mark.parametrize("consume", [False, True])
def test_amount_blends_with_the_original(make_model: MakeModel, small_tiles: None, consume: bool) -> None:
    picture, model = random_picture(50, 41), Model.open(make_model("invert"))
    original = picture.pixels.astype(int)
    np.testing.assert_array_equal(model(picture, amount=0).pixels, original)
    quarter = model(picture, amount=0.25, consume=consume).pixels
    np.testing.assert_array_equal(quarter, np.floor(0.75 * original + 0.25 * (255 - original) + 0.5))


def test_amount_zero_is_a_picture_of_its_own(make_model: MakeModel) -> None:
    picture = random_picture(5, 5, bits=16)
    result = Model.open(make_model("invert"))(picture, amount=0)
    assert not np.shares_memory(result.pixels, picture.pixels)


@pytest.mark.parametrize("amount", [-0.1, 1.1, float("nan")])
def test_amount_out_of_range_is_refused(make_model: MakeModel, amount: float) -> None:
    with pytest.raises(ValueError, match="amount"):
        Model.open(make_model("identity"))(random_picture(2, 2), amount=amount)


def test_an_enlarged_picture_cannot_be_blended(make_model: MakeModel) -> None:
    with pytest.raises(ValueError, match="enlarges"):
        Model.open(make_model("double"))(random_picture(2, 2), amount=0.5)


@pytest.mark.parametrize("bits", [8, 16])
def test_alpha_is_carried_over(make_model: MakeModel, bits: int) -> None:
    picture = random_picture(20, 30, bits=bits, alpha=True)
    result = Model.open(make_model("invert"))(picture)
    assert picture.alpha is not None
    assert result.alpha is not None
    np.testing.assert_array_equal(result.alpha, picture.alpha)
    enlarged = Model.open(make_model("double"))(picture)
    assert enlarged.alpha is not None
    assert enlarged.alpha.shape == (40, 60)
    assert enlarged.alpha.dtype == picture.alpha.dtype
    assert abs(enlarged.alpha.mean() - picture.alpha.mean()) < 0.02 * 2**bits


def test_progress_counts_the_tiles(make_model: MakeModel, small_tiles: None) -> None:
    model, calls = Model.open(make_model("blur")), list[tuple[int, int]]()
    model(random_picture(60, 60), progress=lambda done, total: calls.append((done, total)))
    total = len(model._grid(60, 60))
    assert total > 4
    assert calls == [(done, total) for done in range(1, total + 1)]


def test_pil_images_paths_and_bytes(make_model: MakeModel, tmp_path: Path) -> None:
    model, image = Model.open(make_model("invert")), Image.effect_noise((30, 20), 50).convert("RGB")
    expected = 255 - np.asarray(image)
    translated = model(image)
    assert isinstance(translated, Image.Image)
    np.testing.assert_array_equal(np.asarray(translated), expected)
    np.testing.assert_array_equal(255 - expected, np.asarray(image))
    image.save(tmp_path / "a.png")
    for source in (
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        (tmp_path / "a.png").read_bytes(),
        (tmp_path / "a.png").open("rb"),
    ):
        result = model(source)
        assert isinstance(result, Picture)
        assert result.format == "PNG"
        np.testing.assert_array_equal(result.pixels, expected)


# Noise


def test_a_seed_repeats_the_picture_and_no_seed_does_not(make_model: MakeModel) -> None:
    picture, model = random_picture(40, 40), Model.open(make_model("noisy"))
    np.testing.assert_array_equal(model(picture, seed=5).pixels, model(picture, seed=5).pixels)
    assert (model(picture, seed=5).pixels != model(picture, seed=6).pixels).any()
    assert (model(picture).pixels != model(picture).pixels).any()


@pytest.mark.parametrize(("height", "width"), [(70, 45), (45, 70), (3, 200)])
def test_noise_does_not_depend_on_the_tiles(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, height: int, width: int
) -> None:
    picture, model = random_picture(height, width), Model.open(make_model("noisy"))
    in_one_piece = model(picture, seed=3).pixels
    monkeypatch.setattr(model_module, "SIDE", 16)
    assert len(model._grid(height, width)) > 1
    np.testing.assert_array_equal(model(picture, seed=3).pixels, in_one_piece)


def test_a_model_without_noise_ignores_the_seed(make_model: MakeModel) -> None:
    picture, model = random_picture(9, 9), Model.open(make_model("blur"))
    np.testing.assert_array_equal(model(picture, seed=1).pixels, model(picture, seed=2).pixels)


# Limits and faults


def test_a_model_that_needs_the_whole_picture_gets_it(make_model: MakeModel, small_tiles: None) -> None:
    pixels = Model.open(make_model("mean"))(random_picture(60, 60)).pixels
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) == 1


def test_a_model_that_needs_the_whole_picture_refuses_a_huge_one(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "WHOLE_LIMIT", 10_000)
    model = Model.open(make_model("mean"))
    assert model(random_picture(100, 100)).height == 100
    with pytest.raises(PictureTooLarge, match=r"one piece.*101 x 100"):
        model(random_picture(100, 101))


def test_no_numbers_are_an_error_and_no_black_picture(make_model: MakeModel) -> None:
    with pytest.raises(TranslationFailed, match="no numbers"):
        Model.open(make_model("nan"))(random_picture(5, 5))


def test_an_answer_of_another_size_is_an_error(make_model: MakeModel) -> None:
    with pytest.raises(InvalidModel, match="answered 5 x 4 pixels"):
        Model.open(make_model("identity", scale=2))(random_picture(4, 5))


def test_threads_share_a_model(make_model: MakeModel, small_tiles: None) -> None:
    model = Model.open(make_model("blur"), threads=1)
    pictures = [random_picture(40 + index, 50, seed=index) for index in range(12)]
    expected = [model(picture).pixels for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        for result, pixels in zip(pool.map(model, pictures), expected, strict=True):
            np.testing.assert_array_equal(result.pixels, pixels)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_files_that_are_no_models(tmp_path: Path, make_model: MakeModel) -> None:
    good = make_model("blur").read_bytes()
    for content in (b"", b"no onnx at all", good[: len(good) // 2], good[:200], b"\x00" * 1000):
        with pytest.raises(InvalidModel, match=r"bad\.onnx"):
            Model.open(written(tmp_path / "bad.onnx", content))
        with pytest.raises(InvalidModel, match=r"bad\.onnx"):
            read_card(tmp_path / "bad.onnx")
    for absent in (tmp_path, tmp_path / "absent.onnx"):
        with pytest.raises(InvalidModel, match="not a file"):
            Model.open(absent)


def identity_with(inputs: list[tuple[str, int]], card: str | None, output_sum: bool = False) -> bytes:
    graph = Graph()
    graph.add(
        "Sum" if output_sum else "Identity",
        *[name for name, _ in inputs][: len(inputs) if output_sum else 1],
        output="translated",
    )
    return to_bytes(graph, inputs, card)


def test_models_that_are_not_what_their_card_says(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    plain = read_card(written(path, build("identity"))).model_dump_json()
    noisy = read_card(written(path, build("noisy"))).model_dump_json()
    cases = {
        "translate-export": identity_with([("image", 3)], None),
        "cannot read": identity_with([("image", 3)], plain.replace('"format":1', '"format":9')),
        "inputs are picture": identity_with([("picture", 3)], plain),
        "inputs are image, noise": identity_with([("image", 3), ("noise", 3)], plain, output_sum=True),
        "promises image, noise": identity_with([("image", 3)], noisy),
        "input noise is": identity_with([("image", 3), ("noise", 1)], noisy, output_sum=True),
        "H and W free": fixed_size(identity_with([("image", 3)], plain)),
    }
    for message, content in cases.items():
        with pytest.raises(InvalidModel, match=message):
            Model.open(written(path, content))


def fixed_size(content: bytes) -> bytes:
    model = onnx.load_from_string(content)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 256
    return bytes(model.SerializeToString())


def test_the_card_without_the_model(make_model: MakeModel) -> None:
    path = make_model("pool", metrics={"psnr": 31.5}, licence="CC0-1.0")
    assert read_card(path) == Model.open(path).card
    assert read_card(path).metrics == {"psnr": 31.5}


# Devices


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "cpu:1", ""])
def test_unknown_devices(make_model: MakeModel, device: str) -> None:
    with pytest.raises(DeviceUnavailable, match="unknown device"):
        Model.open(make_model("identity"), device=device)


def test_cuda_that_is_not_installed_is_an_error(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceUnavailable, match="onnxruntime-gpu"):
        Model.open(make_model("identity"), device="cuda")


def test_cuda_that_does_not_start_is_an_error(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    start = onnxruntime.InferenceSession

    def without_cuda(path: str, options: object, providers: list[object], **others: object) -> onnxruntime.InferenceSession:
        assert others == {"enable_fallback": 0}
        assert providers[0] == ("CUDAExecutionProvider", {"device_id": "1", "cudnn_conv_algo_search": "HEURISTIC"})
        return start(path, options, providers=providers[1:])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", without_cuda)
    with pytest.raises(DeviceUnavailable, match="did not start"):
        Model.open(make_model("identity"), device="cuda:1")


def test_two_runtimes_at_once_are_refused(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "distributions", lambda name: [name] if name != "onnxruntime-openvino" else [])
    with pytest.raises(DeviceUnavailable, match="onnxruntime and onnxruntime-gpu overwrite"):
        Model.open(make_model("identity"))


def test_the_number_of_threads(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "usable_cpus", lambda: 3)
    path = make_model("identity")
    assert Model.open(path)._session.get_session_options().intra_op_num_threads == 3
    assert Model.open(path, threads=2)._session.get_session_options().intra_op_num_threads == 2


def test_grid_of_a_small_picture_is_one_tile(make_model: MakeModel) -> None:
    assert Model.open(make_model("pool"))._grid(640, 480) == Grid.whole(640, 480)
