"""Colour models that a Picture does not have: palettes lose nothing, CMYK and Lab are converted to sRGB."""

import io
from collections.abc import Callable

from PIL import Image, ImageCms

from translate.runtime.errors import UnsupportedPicture

Profile = ImageCms.ImageCmsProfile | ImageCms.core.CmsProfile
Convert = Callable[[Image.Image], Image.Image]
DIRECT = ("L", "LA", "RGB", "RGBA")


def conversion(image: Image.Image, icc: bytes) -> tuple[Convert, bytes, list[str]]:
    """How to bring an image, or a band of it, to L, LA, RGB or RGBA; the profile that then holds; warnings."""
    if image.mode in ("CMYK", "LAB"):
        convert, warnings = _colour_managed(image.mode, icc)
        return convert, b"", [f"{'Lab' if image.mode == 'LAB' else image.mode} was converted to sRGB", *warnings]
    mode = _plain_mode(image)
    return (lambda band: band if band.mode == mode else band.convert(mode)), icc, []


def _plain_mode(image: Image.Image) -> str:
    if image.mode in DIRECT:
        return image.mode
    if image.mode == "1":
        return "L"
    if image.mode in ("P", "PA"):
        colours = image.getpalette("RGB") or []
        grey = colours[0::3] == colours[1::3] == colours[2::3]
        return ("L" if grey else "RGB") + "A" * image.has_transparency_data
    if image.mode in ("I", "F", "La"):
        raise UnsupportedPicture(f"a Pillow image of mode {image.mode}: convert it to L, LA, RGB, RGBA or I;16")
    return "RGBA" if image.mode == "RGBa" else "RGB"


def _colour_managed(mode: str, icc: bytes) -> tuple[Convert, list[str]]:
    target = ImageCms.createProfile("sRGB")
    if mode == "LAB":
        return _transform(ImageCms.createProfile("LAB"), target, mode), []
    if not icc:
        return lambda band: band.convert("RGB"), ["it had no CMYK profile: its colours are a guess"]
    try:
        return _transform(ImageCms.ImageCmsProfile(io.BytesIO(icc)), target, mode), []
    except (ImageCms.PyCMSError, OSError) as error:
        return lambda band: band.convert("RGB"), [f"its CMYK profile could not be used ({error}): its colours are a guess"]


def _transform(source: Profile, target: Profile, mode: str) -> Convert:
    transform = ImageCms.buildTransform(
        source,
        target,
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return transform.apply
