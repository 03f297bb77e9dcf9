"""Files that are no usable pictures, as they come in real folders and from people who mean harm."""

import io
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image

BLOCK = 1_000_000  # bytes that are compressed once and repeated


def encoded(file_format: str, picture: Image.Image | None = None, **options: object) -> bytes:
    content = io.BytesIO()
    (picture or noise()).save(content, file_format, **options)
    return content.getvalue()


def noise(width: int = 40, height: int = 30, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


@cache
def huge_png(side: int = 13_377) -> bytes:
    """A complete 179-megapixel PNG of about half a megabyte: just below the size that Pillow itself refuses."""
    n_blocks, rest = divmod(side * (1 + 3 * side), BLOCK)  # of zeros: black pixels, and rows without a filter
    deflate = zlib.compressobj()
    start, block = (deflate.compress(bytes(BLOCK)) + deflate.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    end = deflate.compress(bytes(rest)) + deflate.flush()
    checksum = struct.pack(">HH", side * (1 + 3 * side) % 65_521, 1)  # Adler-32 of as many zeros
    pixels = start + block * (n_blocks - 1) + end[:-4] + checksum
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", pixels) + _png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def jpeg_claiming(width: int, height: int) -> bytes:
    content = bytearray(encoded("JPEG"))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def gif_claiming(width: int, height: int) -> bytes:
    """A GIF whose screen is small and whose frame is not."""
    content = bytearray(encoded("GIF"))
    frame = content.index(b"\x2c\x00\x00\x00\x00")
    content[frame + 5 : frame + 9] = struct.pack("<HH", width, height)
    return bytes(content)


def gif_screen_claiming(width: int, height: int) -> bytes:
    content = bytearray(encoded("GIF"))
    content[6:10] = struct.pack("<HH", width, height)
    return bytes(content)


def webp_claiming(width: int, height: int) -> bytes:
    """An animated WebP with a huge canvas."""
    content = bytearray(encoded("WEBP", save_all=True, append_images=[noise(seed=1)]))
    canvas = content.index(b"VP8X") + 12
    content[canvas : canvas + 6] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(content)


def tiff_claiming(width: int, height: int) -> bytes:
    content = bytearray(encoded("TIFF"))
    for tag, value in ((256, width), (257, height)):
        entry = content.index(struct.pack("<H", tag), 8)
        content[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, value)
    return bytes(content)


def bmp_claiming(width: int, height: int) -> bytes:
    content = bytearray(encoded("BMP"))
    content[18:26] = struct.pack("<ii", width, height)
    return bytes(content)


BOMBS = {
    "a real PNG of 179 megapixels": huge_png,
    "a JPEG that claims 60000 x 60000": lambda: jpeg_claiming(60_000, 60_000),
    "a JPEG that claims 9000 x 9000": lambda: jpeg_claiming(9_000, 9_000),
    "a GIF with a huge screen": lambda: gif_screen_claiming(9_000, 9_000),
    "a GIF with a huge frame": lambda: gif_claiming(9_000, 9_000),
    "an animated WebP with a huge canvas": lambda: webp_claiming(9_000, 9_000),
    "a TIFF with a huge canvas": lambda: tiff_claiming(1_000_000, 1_000_000),
    "a BMP that claims 9000 x 9000": lambda: bmp_claiming(9_000, 9_000),
}


def bad_pictures() -> dict[str, tuple[bytes, str]]:
    """What it is → its content, and how the reason for refusing it begins."""
    unknown = "not a picture of a known format"
    rgb, whole = noise(), encoded("JPEG")
    return {
        **{what: (make(), "too large") for what, make in BOMBS.items()},
        "empty": (b"", "empty file"),
        "truncated JPEG": (whole[: len(whole) // 2], "cannot be decoded: image file is truncated"),
        "truncated PNG": (encoded("PNG")[:1000], "cannot be decoded: image file is truncated"),
        "a JPEG's first bytes": (whole[:20], unknown),
        "text": (b"a letter, not a picture", unknown),
        "a web page": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", unknown),
        "one pixel wide": (encoded("PNG", noise(1, 50)), "too small: 1 x 50"),
        "one pixel": (encoded("GIF", noise(1, 1)), "too small: 1 x 1"),
        "floating point": (encoded("TIFF", Image.new("F", (20, 20))), "pixels that are floating-point numbers"),
        "32 bits": (encoded("TIFF", Image.new("I", (20, 20))), "pixels of 32 bits"),
        "EPS": (encoded("EPS", rgb), unknown),
        "PCX": (encoded("PCX", rgb), unknown),
        "ICO": (encoded("ICO", rgb), unknown),
        "PPM": (encoded("PPM", rgb), unknown),
        "TGA": (encoded("TGA", rgb), unknown),
        "JPEG 2000": (encoded("JPEG2000", rgb), unknown),
        "ICNS": (encoded("ICNS", rgb.resize((64, 64))), unknown),
        "PSD": (b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 20, 20, 8, 3) + bytes(2000), unknown),
    }


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
