"""The pixel limit, checked from a file's header before any pixel is decoded."""

from translate.runtime.errors import CorruptPicture, PictureTooLarge


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raises `PictureTooLarge` for more than `max_pixels`, `CorruptPicture` for none."""
    if width < 1 or height < 1:
        raise CorruptPicture(f"its header says {width} × {height} pixels")
    if width * height > max_pixels:
        raise PictureTooLarge(
            f"{width} × {height} = {width * height / 1e6:.1f} megapixels are more than the limit of {max_pixels / 1e6:.1f}"
        )
