#!/usr/bin/env python3
"""Draws the training curves of the README as SVG, from log.jsonl files of rmt-train and torch_train.py (the same field names).

    plot_curves.py --out tests/golden/curves.svg "rmt=output/run/log.jsonl" "PyTorch=torch.jsonl"
"""
import argparse, json

WIDTH, HEIGHT, LEFT, TOP, PLOT_W, PLOT_H = 860, 330, 56, 34, 330, 240
COLOURS = ['#0b6e99', '#d9730d', '#4d6461', '#6940a5']


def panel(x0, title, series, key):
    """One chart: a line a series over the epochs."""
    values = [v for _, rows in series for v in (r[key] for r in rows)]
    lo, hi, epochs = min(values), max(values), max(len(rows) for _, rows in series)
    pad = .06 * (hi - lo) or 1
    lo, hi = lo - pad, hi + pad
    px = lambda e: x0 + PLOT_W * e / max(epochs - 1, 1)
    py = lambda v: TOP + PLOT_H * (hi - v) / (hi - lo)
    out = [f'<text x="{x0 + PLOT_W / 2:.0f}" y="{TOP - 12}" text-anchor="middle" font-weight="bold">{title}</text>',
           f'<rect x="{x0}" y="{TOP}" width="{PLOT_W}" height="{PLOT_H}" fill="none" stroke="#999"/>']
    for i in range(5):
        v = lo + (hi - lo) * i / 4
        out.append(f'<line x1="{x0}" x2="{x0 + PLOT_W}" y1="{py(v):.1f}" y2="{py(v):.1f}" stroke="#ddd"/>'
                   f'<text x="{x0 - 6}" y="{py(v) + 4:.1f}" text-anchor="end">{v:.3g}</text>')
    for e in range(epochs):
        out.append(f'<text x="{px(e):.1f}" y="{TOP + PLOT_H + 16}" text-anchor="middle">{e + 1}</text>')
    for k, (_, rows) in enumerate(series):
        points = ' '.join(f'{px(e):.1f},{py(r[key]):.1f}' for e, r in enumerate(rows))
        out.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[k]}" stroke-width="2"/>')
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--out', required=True)
    p.add_argument('logs', nargs='+', metavar='NAME=FILE')
    a = p.parse_args()
    series = []
    for word in a.logs:
        name, path = word.split('=', 1)
        series.append((name, [json.loads(line) for line in open(path)]))
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    lines += panel(LEFT, 'training loss, by epoch', series, 'train_loss')
    lines += panel(LEFT + PLOT_W + 90, 'validation top-1 (%), by epoch', series, 'test_acc1')
    for k, (name, rows) in enumerate(series):
        x = LEFT + 260 * k
        lines.append(f'<line x1="{x}" x2="{x + 24}" y1="{HEIGHT - 18}" y2="{HEIGHT - 18}" stroke="{COLOURS[k]}" stroke-width="3"/>'
                     f'<text x="{x + 30}" y="{HEIGHT - 14}">{name}: {rows[-1]["test_acc1"]:.2f} % at the end</text>')
    open(a.out, 'w').write('\n'.join(lines + ['</svg>']) + '\n')


if __name__ == '__main__':
    main()
