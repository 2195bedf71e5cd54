"""Writes label_pngs.txt: small label files of every kind, and what Pillow reads from them, to which data/images/label_png.cpp must be equal.

Run: python tests/golden/label_pngs.py (needs pillow and numpy). A line: name, width, height, the pixels' numbers in hexadecimal, the file in hexadecimal; for files that
must be refused "-" in the place of the numbers. Pillow cannot write interlaced files: that one is put together here and read by Pillow.
"""
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image

W, H = 13, 9
y, x = np.mgrid[:H, :W]
number = (x * 7 + y * 3) % 19
COLOURS = [(37 * i) % 256 for i in range(768)]


def palette(bits, **more):
    image = Image.fromarray((number % (1 << bits)).astype(np.uint8), "P")
    image.putpalette(COLOURS[:3 << bits])
    return saved(image, bits=bits, **more)


def saved(image, **more):
    out = io.BytesIO()
    image.save(out, "PNG", **more)
    return out.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def interlaced():
    """Adam7: seven passes, each a sparser grid of pixels; filter type 0 before each row."""
    rows = b""
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        part = number[y0::dy, x0::dx].astype(np.uint8)
        if part.size:
            rows += b"".join(b"\0" + row.tobytes() for row in part)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, 8, 3, 0, 0, 1)) + chunk(b"PLTE", bytes(COLOURS))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


good = {
    "grey8": saved(Image.fromarray((number * 13).astype(np.uint8))),
    "grey1": saved(Image.fromarray(number % 2 == 1)),
    "palette8": palette(8), "palette4": palette(4), "palette2": palette(2), "palette1": palette(1),
    "palette8-transparent": palette(8, transparency=bytes(range(0, 40))),
    "palette8-interlaced": interlaced(),
    "grey8-transparent": saved(Image.fromarray(number.astype(np.uint8)), transparency=3),
    "palette8-text": palette(8, dpi=(72, 72)),
}
bad = {
    "rgb": saved(Image.fromarray(np.stack([number] * 3, -1).astype(np.uint8))),
    "rgba": saved(Image.fromarray(np.stack([number] * 4, -1).astype(np.uint8))),
    "grey-alpha": saved(Image.fromarray(np.stack([number] * 2, -1).astype(np.uint8), "LA")),
    "grey16": saved(Image.fromarray(number.astype(np.uint16))),
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "label_pngs.txt"), "w") as out:
    for name, data in good.items():
        image = Image.open(io.BytesIO(data))
        values = np.asarray(image).astype(np.uint8) * (255 if image.mode == "1" else 1)
        assert image.mode != "P" or (values == number % (1 << int(name[7]))).all()
        out.write(f"{name} {W} {H} {values.astype(np.uint8).tobytes().hex()} {data.hex()}\n")
    for name, data in bad.items():
        out.write(f"{name} {W} {H} - {data.hex()}\n")
