"""Card: what is accepted, what is refused, and that it survives the ONNX metadata."""

import pytest
from pydantic import ValidationError

from translate.runtime.card import METADATA_KEY, Card
from translate.runtime.errors import InvalidModel

FIELDS = {"name": "restore", "task": "restoration", "source": "damaged", "target": "clean", "size": 128}


def test_round_trip_through_metadata() -> None:
    card = Card.model_validate(
        FIELDS
        | {
            "reach": 130,
            "stride": 16,
            "tiling": "exact",
            "metrics": {"psnr": 30.25},
            "recipe": {"steps": 10, "data": {"size": 128}},
        }
        | {"noise": {"distribution": "uniform", "channels": 3, "every": 8}}
    )
    assert Card.from_metadata({METADATA_KEY: card.model_dump_json()}, "x.onnx") == card


@pytest.mark.parametrize("name", ["a", "restore", "restore-crisp", "v1.2_x", "9lives", "x" * 64])
def test_plain_names(name: str) -> None:
    assert Card.model_validate(FIELDS | {"name": name}).name == name


@pytest.mark.parametrize("name", ["", "Restore", "a b", "a/b", "../a", ".a", "-a", "a\n", "é", "x" * 65])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="a name holds"):
        Card.model_validate(FIELDS | {"name": name})


@pytest.mark.parametrize(
    "wrong",
    [{"scale": 0}, {"scale": 9}, {"reach": -1}, {"stride": 0}, {"tiling": "some"}, {"size": 0}, {"format": 2}, {"unheard": 1}],
)
def test_values_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Card.model_validate(FIELDS | wrong)


def test_noise_that_tiles_would_shift_is_refused() -> None:
    noise = {"distribution": "normal", "channels": 1, "every": 8}
    with pytest.raises(ValidationError, match=r"stride 12 is no multiple of noise\.every 8"):
        Card.model_validate(FIELDS | {"noise": noise, "stride": 12})


def test_a_file_without_a_readable_card_is_named() -> None:
    with pytest.raises(InvalidModel, match=r"x\.onnx holds no"):
        Card.from_metadata({}, "x.onnx")
    for text in ("", "{}", "[]", "no json"):
        with pytest.raises(InvalidModel, match=r"x\.onnx holds a card that this version cannot read"):
            Card.from_metadata({METADATA_KEY: text}, "x.onnx")
