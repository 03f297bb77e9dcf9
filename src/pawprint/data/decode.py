"""From a picture file to pixels: whatever cameras, phones and web pages write, as upright square RGB.

The content of a file decides how it is read, not its suffix: among the pictures of real data sets are GIFs
and PNGs named .jpg. Only the six common formats are tried, because every further decoder is one more
way for a strange file to do harm; and a file's size, in bytes and in pixels, is judged before any of it is decoded.
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from pawprint.data.faults import readable, size_fault
from pawprint.errors import DataError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
MAX_MEGAPIXELS = 50.0  # a phone's largest pictures have 48; RGB of this size takes 150 MB
MIN_SIDE = 8  # pixels; what is narrower is a line or a tracking dot of a web page, no picture of anything

RESIZE = "shorter side to size, bilinear with antialiasing; center crop"  # what `square` does; change both together

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


class Unusable(ValueError):
    """A file is no picture that can be used; the message is the reason, in words."""


def read_picture(file: Path | bytes, pixels: int, channels: int = 3) -> np.ndarray:
    """The picture in a file, given by its path or its content: its first frame, upright, (pixels, pixels, C) uint8.

    The shorter side is scaled to `pixels` and the longer one cropped around the centre. Transparent
    parts become white. It is RGB, or for one channel the luma of that. Raises Unusable if the file cannot be read.
    """
    try:
        reason = size_fault(len(file) if isinstance(file, bytes) else file.stat().st_size)
        if reason:
            raise Unusable(reason)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's name no file, and what makes a picture unusable raises
            picture = _decode(io.BytesIO(file) if isinstance(file, bytes) else file, pixels)
            return picture if channels == 3 else np.asarray(Image.fromarray(picture).convert("L"))[:, :, None]
    except Image.UnidentifiedImageError:
        raise Unusable(f"not a picture of a known format ({', '.join(FORMATS)}), or cut short") from None
    except Image.DecompressionBombError:
        raise Unusable(f"too large: several times the {MAX_MEGAPIXELS:g} megapixels expected at most") from None
    except Unusable:
        raise
    except Exception as error:  # what a decoder raises at broken bytes is not documented
        if isinstance(error, OSError) and error.strerror:
            raise Unusable(f"cannot be read: {error.strerror}") from error
        raise Unusable(f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}") from error


def read_pictures(files: Sequence[Path], pixels: int, channels: int = 3) -> np.ndarray:
    """All of them, (N, pixels, pixels, C) uint8; DataError names every one that cannot be used."""
    images, faults = [np.empty((0, pixels, pixels, channels), dtype=np.uint8)], []
    for file in files:
        try:
            images.append(read_picture(file, pixels, channels)[None])
        except Unusable as error:
            faults.append(f"{readable(str(file))}: {error}")
    if len(faults) > 1:
        faults = [f"{len(faults)} of {len(files)} pictures cannot be used", *(f"  {fault}" for fault in faults)]
    if faults:
        raise DataError("\n".join(faults))
    return np.concatenate(images)


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
    if image.mode in ("I", "F"):
        kind = {"I": "of 32 bits", "F": "that are floating-point numbers"}[image.mode]
        raise Unusable(f"pixels {kind}; expected 8 or 16 bits a channel")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        image = Image.alpha_composite(white, picture)
    return image.convert("RGB")


def square(image: Image.Image, pixels: int) -> np.ndarray:
    """Shorter side scaled to `pixels` (bilinear, antialiased), centre crop: (pixels, pixels[, C]) uint8."""
    return np.asarray(ImageOps.fit(image, (pixels, pixels), method=Image.Resampling.BILINEAR))


def _decode(source: io.BytesIO | Path, pixels: int) -> np.ndarray:
    with Image.open(source, formats=FORMATS) as image:
        if image.width * image.height > MAX_MEGAPIXELS * 1e6:
            found = f"{image.width} x {image.height} pixels"
            raise Unusable(f"too large: {found}; expected at most {MAX_MEGAPIXELS:g} megapixels: scale it down")
        if min(image.size) < MIN_SIDE:
            found = f"{image.width} x {image.height} pixels"
            raise Unusable(f"too small: {found}; expected {MIN_SIDE} or more on each side")
        image.load()
        return square(as_rgb(upright(image)), pixels)
