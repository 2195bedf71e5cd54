#!/usr/bin/env python3
"""Writes labels.rmtlabels beside this script, for tests/data/labels/label_file_test.cpp: the format of data/labels/label_format.h,
written without the library. Needs numpy.

    make_labels.py [--out FOLDER]
"""
import argparse, os, struct
import numpy

H, W, T, CLASSES = 2, 3, 2, ['ant', 'bee', 'caf\u00e9', 'dog']
TEACHER, NAMES = 'rmt_n 64', ['ant/1.jpg', 'bee/2.png', 'dog/10.jpeg']


def crc32c(data):
    """Bit by bit: the polynomial 0x1edc6f41, reflected."""
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def fnv1a(data):
    total = 0xcbf29ce484222325
    for byte in data:
        total = (total ^ byte) * 0x100000001b3 % 2**64
    return total


def key(name):
    return struct.pack('<Q', fnv1a(name.encode() + bytes(8)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--out', default=os.path.dirname(os.path.abspath(__file__)))
    out = p.parse_args().out
    texts = ''.join(line + '\n' for line in [TEACHER] + CLASSES).encode()
    tables = texts + b''.join(key(name) for name in NAMES)
    header = b'RMTLBL\r\n' + struct.pack('<6IQI', 1, H, W, T, len(CLASSES), len(texts), len(NAMES), crc32c(tables))
    data = header + struct.pack('<I', crc32c(header)) + tables
    for image, name in enumerate(NAMES):
        i = numpy.arange(H * W * T) + 100 * image
        values = ((i * 7919 % 1000).astype(numpy.float32) / numpy.float32(37) - numpy.float32(13)).astype('<f2')
        body = values.tobytes() + (i * 31 % len(CLASSES)).astype('<u2').tobytes()
        if image == 1:
            body = b'\xff' * len(body)    # an image without a map
        data += struct.pack('<I', crc32c(key(name) + body)) + body
    with open(os.path.join(out, 'labels.rmtlabels'), 'wb') as f:
        f.write(data)


if __name__ == '__main__':
    main()
