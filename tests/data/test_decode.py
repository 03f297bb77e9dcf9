"""Pictures of every kind come out upright, in RGB, with the right colours in the right places."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pawprint.data.decode import FORMATS, MAX_MEGAPIXELS, MIN_SIDE, Unusable, read_picture, read_pictures
from pawprint.data.faults import MAX_FILE_MB
from pawprint.errors import DataError
from tests.data import bad_files

ODD_ORIGINALS = Path(__file__).parents[3] / "shared/data/pets/odd-originals"
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
TOLERANCE = 8  # of JPEG


def quarters(mode: str = "RGB", side: int = 32) -> Image.Image:
    """Red and green above blue and white."""
    picture = Image.new("RGB", (side, side))
    half = side // 2
    for colour, place in ((RED, (0, 0)), (GREEN, (half, 0)), (BLUE, (0, half)), (WHITE, (half, half))):
        picture.paste(colour, (*place, place[0] + half, place[1] + half))
    return picture.convert(mode)


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """Colours in the quarters' middles: top left, top right, bottom left, bottom right."""
    low, high = len(pixels) // 4, 3 * len(pixels) // 4
    return [tuple(map(int, pixels[y, x])) for y in (low, high) for x in (low, high)]


def assert_colours(found: list[tuple[int, ...]], expected: Sequence[tuple[int, ...]]) -> None:
    assert np.abs(np.array(found) - np.array(expected)).max() <= TOLERANCE, found


@pytest.mark.parametrize(
    ("file_format", "mode"),
    [
        ("PNG", "RGB"), ("PNG", "P"), ("GIF", "P"), ("BMP", "RGB"), ("WEBP", "RGB"), ("TIFF", "RGB"),
        ("PNG", "RGBA"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("TIFF", "CMYK"),
    ],
)  # fmt: skip
def test_content_decides_not_the_suffix(tmp_path: Path, file_format: str, mode: str) -> None:
    options = {"lossless": True} if file_format == "WEBP" else {}
    quarters(mode).save(tmp_path / "picture.jpg", file_format, **options)
    pixels = read_picture(tmp_path / "picture.jpg", 16)
    assert pixels.shape == (16, 16, 3)
    assert pixels.dtype == np.uint8
    assert_colours(corners(pixels), [RED, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    turned = {  # how a camera holding `orientation` has stored the upright picture
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    stored = quarters() if turned is None else quarters().transpose(turned)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "photo.jpg", quality=95, exif=exif)
    assert_colours(corners(read_picture(tmp_path / "photo.jpg", 16)), [RED, GREEN, BLUE, WHITE])


def test_damaged_exif_leaves_the_picture_readable(tmp_path: Path) -> None:
    quarters().save(tmp_path / "photo.jpg", quality=95, exif=b"Exif\x00\x00XX*\x00broken")
    assert_colours(corners(read_picture(tmp_path / "photo.jpg", 16)), [RED, GREEN, BLUE, WHITE])


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    Image.new("L", (20, 20), 77).save(tmp_path / "grey.png")
    assert np.unique(read_picture(tmp_path / "grey.png", 8)).tolist() == [77]


def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert np.unique(read_picture(tmp_path / "deep.png", 8)).tolist() == [round(40_000 / 257)]


def test_transparent_parts_become_white(tmp_path: Path) -> None:
    picture = quarters("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 16, 16))  # transparent black where red was
    picture.paste((0, 0, 0, 128), (16, 0, 32, 16))  # half black where green was
    picture.save(tmp_path / "rgba.jpg", "PNG")
    expected = [WHITE, (127, 127, 127), BLUE, WHITE]
    assert_colours(corners(read_picture(tmp_path / "rgba.jpg", 16)), expected)


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_transparent_palette_colour_becomes_white(tmp_path: Path, file_format: str) -> None:
    picture = Image.new("P", (32, 32), 0)
    picture.putpalette([*BLUE, *RED])
    picture.paste(1, (16, 0, 32, 32))
    picture.save(tmp_path / "palette.png", file_format, transparency=0)
    assert corners(read_picture(tmp_path / "palette.png", 16)) == [WHITE, RED, WHITE, RED]


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert corners(read_picture(tmp_path / "moving.gif", 8)) == [RED] * 4


@pytest.mark.parametrize("size", [(60, 20), (20, 60)])
def test_longer_side_is_cropped_around_the_centre(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, RED)
    picture.paste(quarters(side=20), ((size[0] - 20) // 2, (size[1] - 20) // 2))
    picture.save(tmp_path / "long.png")
    assert corners(read_picture(tmp_path / "long.png", 20)) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_16_bit_tiff_is_scaled_in_either_byte_order(tmp_path: Path, mode: str) -> None:
    values = np.full((20, 20), 40_000, dtype=">u2" if mode == "I;16B" else "<u2")
    Image.frombytes(mode, (20, 20), values.tobytes()).save(tmp_path / "deep.tif")
    assert np.unique(read_picture(tmp_path / "deep.tif", 8)).tolist() == [round(40_000 / 257)]


@pytest.mark.parametrize("file_format", ["WEBP", "PNG", "TIFF"])
def test_any_animation_gives_its_first_frame(file_format: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN)]
    options = {"lossless": True} if file_format == "WEBP" else {}
    content = bad_files.encoded(file_format, frames[0], save_all=True, append_images=frames[1:], **options)
    assert corners(read_picture(content, 8)) == [RED] * 4


@pytest.mark.parametrize("what", bad_files.bad_pictures())
def test_unusable_file_is_refused_in_words(tmp_path: Path, what: str) -> None:
    content, reason = bad_files.bad_pictures()[what]
    (tmp_path / "picture.jpg").write_bytes(content)
    for file in (tmp_path / "picture.jpg", content):
        with pytest.raises(Unusable, match=f"^{re.escape(reason)}"):
            read_picture(file, 16)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.9, 0.97])
def test_file_cut_short_is_refused_in_every_format(file_format: str, share: float) -> None:
    content = bad_files.encoded(file_format)
    assert read_picture(content, 16).std() > 10
    with pytest.raises(Unusable, match=r"cannot be decoded: |or cut short"):
        read_picture(content[: int(len(content) * share)], 16)


def test_smallest_and_largest_sides_are_read() -> None:
    assert read_picture(bad_files.encoded("PNG", bad_files.noise(MIN_SIDE, 50)), 16).shape == (16, 16, 3)
    with pytest.raises(Unusable, match="too small"):
        read_picture(bad_files.encoded("PNG", bad_files.noise(50, MIN_SIDE - 1)), 16)
    n_rows = int(MAX_MEGAPIXELS * 100)
    assert read_picture(bad_files.encoded("PNG", Image.new("1", (10_000, n_rows), 1)), 16).min() == 255
    with pytest.raises(Unusable, match=f"expected at most {MAX_MEGAPIXELS:g} megapixels"):
        read_picture(bad_files.encoded("PNG", Image.new("1", (10_000, n_rows + 1))), 16)


def test_file_of_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "picture.jpg").open("wb") as file:
        file.write(bad_files.encoded("JPEG"))
        file.truncate(int(MAX_FILE_MB * 1e6))  # sparse; what follows the picture does not matter
    assert read_picture(tmp_path / "picture.jpg", 16).std() > 10
    os.truncate(tmp_path / "picture.jpg", int(MAX_FILE_MB * 1e6) + 1)
    with pytest.raises(Unusable, match=f"expected at most {MAX_FILE_MB:g} MB"):
        read_picture(tmp_path / "picture.jpg", 16)


def test_bombs_are_refused_from_the_header_within_50_ms_and_50_mb(tmp_path: Path) -> None:
    for number, make in enumerate(bad_files.BOMBS.values()):
        (tmp_path / f"{number}.jpg").write_bytes(make())
    assert (tmp_path / "0.jpg").stat().st_size < 600_000
    code = """
import resource, sys, time
from pathlib import Path
from PIL import Image, ImageFile
from pawprint.data.decode import Unusable, read_picture

def load(image):
    raise AssertionError("pixels are decoded")

Image.init()  # the plug-ins are imported once, not for each picture
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ImageFile.ImageFile.load = load
for path in sorted(Path(sys.argv[1]).iterdir()):
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        try:
            read_picture(path, 16)
        except Unusable as reason:
            assert "too large" in str(reason), reason
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.05, (path, seconds)
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path)], capture_output=True, text=True,
                         env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")})  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.skipif(not ODD_ORIGINALS.is_dir(), reason="no ../shared/data/pets/odd-originals here")
def test_odd_originals_look_like_their_conversion() -> None:
    files = sorted(ODD_ORIGINALS.iterdir())
    with Image.open(files[0]) as gif, Image.open(files[1]) as png:
        assert [gif.format, png.format, png.mode] == ["GIF", "PNG", "RGBA"]
    for file in files:
        pixels = read_picture(file, 64)
        with Image.open(file) as image:
            plain = image.convert("RGB").resize((8, 8))  # squashed, not cropped: only broadly the same
        assert pixels.std() > 30
        assert abs(pixels.mean() - np.asarray(plain).mean()) < 15


def test_of_one_channel_a_picture_is_the_luma_of_its_colors(tmp_path: Path) -> None:
    colors = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(colors).save(tmp_path / "a.png")
    grey = read_picture(tmp_path / "a.png", 8, channels=1)
    assert grey.shape == (8, 8, 1)
    luma = colors @ np.array([0.299, 0.587, 0.114])  # ITU-R 601
    assert np.abs(grey[:, :, 0] - luma).max() <= 1


def test_pictures_come_all_together_or_every_fault_is_named(tmp_path: Path) -> None:
    colors = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file, picture in zip(files, colors, strict=True):
        Image.fromarray(picture).save(file)
    assert np.array_equal(read_pictures(files, 8), colors)
    assert read_pictures([], 8, channels=1).shape == (0, 8, 8, 1)
    files[0].write_bytes(b"")
    files[2].unlink()
    with pytest.raises(DataError, match="2 of 3 pictures cannot be used") as refused:
        read_pictures(files, 8)
    assert [line.strip() for line in str(refused.value).splitlines()[1:]] == [
        f"{files[0]}: empty file", f"{files[2]}: cannot be read: No such file or directory",
    ]  # fmt: skip
