#!/usr/bin/env python3
"""Writes the small .pth files of tests/train/weights/pth_test.cpp, beside this script. Needs PyTorch and numpy; the committed ones are of PyTorch 2.15.

    make_pth.py [--out FOLDER]
"""
import argparse, collections, io, os, pickle, zipfile
import numpy, torch


def ramp(n, dtype=torch.float32, scale=.25):
    """scale * (0, 1, ..., n - 1) - 1: exact in every float."""
    return (torch.arange(n, dtype=torch.float64) * scale - 1).to(dtype)


def types():
    """A bare state dict with a tensor of every type and kind of view."""
    base = ramp(24).reshape(4, 6)
    d = collections.OrderedDict()
    for name in ('float32', 'float16', 'bfloat16', 'float64'):
        d[name] = ramp(6, getattr(torch, name)).reshape(2, 3)
    for name in ('int64', 'int32', 'int16', 'int8'):
        d[name] = torch.arange(-2, 3, dtype=getattr(torch, name))
    d['uint8'] = torch.tensor([0, 1, 255], dtype=torch.uint8)
    d['bool'] = torch.tensor([True, False, True])
    d['half_extremes'] = torch.tensor([6e-8, -6.1e-5, 65504, float('inf'), -0., float('nan')], dtype=torch.float16)
    d['scalar'] = torch.tensor(7)
    d['empty'] = torch.empty(0, 4)
    d['whole'], d['transposed'], d['row'], d['column'] = base, base.t(), base[2], base[:, 1]           # one storage
    d['stepped'], d['expanded'] = base[1:, ::2], ramp(3).expand(2, 3)
    d['channels_last'] = ramp(24).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    d['parameter'] = torch.nn.Parameter(ramp(2))
    return d


def checkpoint():
    """As the official main.py saves it: model, optimizer, schedule, EMA, scaler, Namespace; names with DistributedDataParallel's prefix."""
    net = torch.nn.Sequential(collections.OrderedDict(fc=torch.nn.Linear(2, 3), bn=torch.nn.BatchNorm1d(3)))
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(ramp(p.numel()).reshape(p.shape) + i)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    net(ramp(8).reshape(4, 2)).sum().backward()
    model = {'module.' + k: v.clone() for k, v in net.state_dict().items()}
    optimizer.step()
    schedule.step()
    ema = collections.OrderedDict((k, v + 10) for k, v in model.items())
    return {'model': model, 'optimizer': optimizer.state_dict(), 'lr_scheduler': schedule.state_dict(), 'epoch': 3, 'model_ema': ema,
            'scaler': {'scale': 65536., 'growth_factor': 2., '_growth_tracker': 2**40}, 'max_accuracy': numpy.float64(82.5), 'none': None, 'big': 2**100,
            'args': argparse.Namespace(lr=1e-3, betas=None, model='RMT_T3', scale=(.08, 1.), device=torch.device('cpu'), counts=numpy.arange(3)),
            'rng': {1, 2}, 'state': collections.defaultdict(dict, a={'b': [1, (2, 3)]})}


def labels():
    """A label map as generate_label.py of LV-ViT saves it: cells (2, H, W, T) seen as planes (2, T, H, W)."""
    values = torch.arange(2 * 3 * 4).reshape(2, 3, 4)
    return torch.stack([(10 - values * .37).half(), (values * 7 % 50).half()]).permute(0, 3, 1, 2)


class Evil:
    def __reduce__(self):
        return os.system, ('echo this must never be printed',)


def deflated(path):
    """The same entries, compressed: no torch.save writes this, but zip does."""
    source = zipfile.ZipFile(path)
    with zipfile.ZipFile(path.replace('types', 'deflated'), 'w', zipfile.ZIP_DEFLATED) as out:
        for name in source.namelist():
            out.writestr(name, source.read(name))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--out', default=os.path.dirname(os.path.abspath(__file__)))
    out = p.parse_args().out
    save = lambda value, name, **options: torch.save(value, os.path.join(out, f'pth_{name}.pth'), **options)
    torch.manual_seed(0)
    save(types(), 'types')
    save(checkpoint(), 'checkpoint')
    save({'model': {'a.b': ramp(2), 'c': {'d': ramp(3)}}, 'net': {'w': ramp(4)}}, 'protocol4', pickle_protocol=4)
    save({'model': {'w': ramp(2)}, 'extra': Evil()}, 'evil')
    save({'w': ramp(2)}, 'legacy', _use_new_zipfile_serialization=False)
    save({'w': torch.zeros(2, dtype=torch.uint16)}, 'uint16')
    save({'w': ramp(2), 'epoch': 3}, 'mixed')
    save(labels(), 'labels')
    deflated(os.path.join(out, 'pth_types.pth'))


if __name__ == '__main__':
    main()
