"""From a picture file to pixels: whatever cameras, phones and web pages write, as upright square RGB.

The content of a file decides how it is read, not its suffix: among the pictures of real data sets are GIFs
and PNGs named .jpg. Only the six common formats are tried, because every further decoder is one more
way for a strange file to do harm; and a file's size in pixels is judged by its header, before any is decoded.
"""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
MAX_MEGAPIXELS = 50.0  # a phone's largest pictures have 48; RGB of this size takes 150 MB

Transpose = Image.Transpose
TURNS = {  # EXIF orientation → what makes the picture upright
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def read_picture(path: Path, pixels: int) -> np.ndarray:
    """The picture in `path`, its first frame, upright: (pixels, pixels, 3) uint8 RGB.

    The shorter side is scaled to `pixels` and the longer one cropped around the centre. Transparent
    parts become white. Raises ValueError with the reason in words if the file cannot be read.
    """
    if path.is_file() and path.stat().st_size == 0:
        raise ValueError("empty file")
    try:
        with Image.open(path, formats=FORMATS) as image:
            _refuse_huge(image)
            image.load()
            return square(as_rgb(upright(image)), pixels)
    except Image.UnidentifiedImageError:
        raise ValueError(f"not a picture of a known format ({', '.join(FORMATS)})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"expected at most {MAX_MEGAPIXELS:g} megapixels: scale it down") from None
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    except Exception as error:  # what a decoder raises at broken bytes is not documented, and must name the file
        raise ValueError(str(error) or type(error).__name__) from error


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF orientation asks.

    Not ImageOps.exif_transpose: that also writes the other EXIF fields anew and fails at some of them.
    """
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 (damaged EXIF beside sound pixels: nothing asks for a turn)
        orientation = 1
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def as_rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: transparency laid on white, 16-bit grey scaled (not clipped) to 8 bits."""
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("pixels of 32 bits; expected 8 or 16 bits a channel")
        image = Image.fromarray((values / 257).round().astype(np.uint8))
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers; expected 8 or 16 bits a channel")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        image = Image.alpha_composite(white, picture)
    return image.convert("RGB")


def square(image: Image.Image, pixels: int) -> np.ndarray:
    """Shorter side scaled to `pixels` (bilinear, antialiased), centre crop: (pixels, pixels[, C]) uint8."""
    return np.asarray(ImageOps.fit(image, (pixels, pixels), method=Image.Resampling.BILINEAR))


def _refuse_huge(image: Image.Image) -> None:
    megapixels = image.width * image.height / 1e6
    if megapixels > MAX_MEGAPIXELS:
        raise ValueError(
            f"{image.width} x {image.height} pixels; expected at most {MAX_MEGAPIXELS:g} megapixels: scale it down"
        )
