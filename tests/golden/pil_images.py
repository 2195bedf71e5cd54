"""Writes pil_images.txt: small image files of the kinds that data/images/image.cpp must read, as Pillow encodes them.

Run: python tests/golden/pil_images.py (needs pillow and numpy).
A line: name, width, height, the pixel values expected at the centre (r g b), the file's bytes in hexadecimal.
"""
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image

W, H = 13, 9
y, x = np.meshgrid(np.arange(H), np.arange(W), indexing="ij")
RGB = np.stack([x * 19, y * 28, (x + y) * 12], axis=-1).astype(np.uint8)
GREY = RGB[..., 0]
ALPHA = np.full_like(GREY, 100)


def png(color_type, depth, rows):
    """A PNG from raw rows: Pillow cannot write all kinds."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", W, H, depth, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def smooth(image):
    return Image.fromarray(image)


wide = lambda a: (a.astype(np.uint16) * 257).astype(">u2")
rgba = np.concatenate([RGB, ALPHA[..., None]], axis=-1)
centre = [int(v) for v in RGB[H // 2, W // 2]]
grey = [int(GREY[H // 2, W // 2])] * 3
palette = smooth(RGB).quantize(256)
FILES = [
    ("png-rgb", centre, saved(smooth(RGB), "PNG")),
    ("png-grey", grey, saved(smooth(GREY), "PNG")),
    ("png-rgba", centre, saved(smooth(rgba), "PNG")),
    ("png-grey-alpha", grey, saved(smooth(np.stack([GREY, ALPHA], axis=-1)), "PNG")),
    ("png-palette", [int(v) for v in palette.convert("RGB").getpixel((W // 2, H // 2))], saved(palette, "PNG")),
    ("png-one-bit", [255] * 3, saved(smooth(np.full_like(GREY, 255)).convert("1"), "PNG")),
    ("png-16-grey", grey, png(0, 16, wide(GREY))),
    ("png-16-rgb", centre, png(2, 16, wide(RGB))),
    ("png-16-rgba", centre, png(6, 16, wide(rgba))),
    ("jpeg-rgb", centre, saved(smooth(RGB), "JPEG", quality=98, subsampling=0)),
    ("jpeg-420", centre, saved(smooth(RGB), "JPEG", quality=98, subsampling=2)),
    ("jpeg-grey", grey, saved(smooth(GREY), "JPEG", quality=98)),
    ("jpeg-progressive", centre, saved(smooth(RGB), "JPEG", quality=98, subsampling=0, progressive=True)),
    ("jpeg-restarts", centre, saved(smooth(RGB), "JPEG", quality=98, subsampling=0, restart_marker_blocks=1)),
    ("jpeg-cmyk", centre, saved(smooth(RGB).convert("CMYK"), "JPEG", quality=98)),
]

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pil_images.txt"), "w") as out:
    for name, (r, g, b), data in FILES:
        print(name, W, H, r, g, b, data.hex(), file=out)
