#!/usr/bin/env python3
"""Writes the golden files of segmentation: what the official RMT under Semantic FPN and UperNet computes in f64, for the C++ models to repeat.

    make_dense_golden.py --official DIR [--only TEXT] [--out FOLDER] [--threads 2]

DIR is the folder segmentation of github: qhfan/RMT (mmsegmentation 0.13 with the RMT of the paper's Table 5). Needs torch, numpy, mmcv 1.3.18 (the pure
Python one is enough), timm 0.9.10, fvcore, prettytable, terminaltables, matplotlib, opencv-python.

No weights are shipped. With the hash of make_golden.py, u_i in [0, 1) of (name, index) and r_i = 2 u_i - 1, in the official layout:

    name                          value                          name                          value
    input                         r                              *.bias                        0.1 r
    *.running_mean                0.1 r                          *.weight of one dimension     1 + 0.2 r
    *.running_var                 0.75 + 0.5 u                   *.weight, all others          r sqrt(1.5 / fan_in), fan_in = numel / shape[0]
    *.gamma_*                     0.5 + 0.25 r                   *.num_batches_tracked         0
    *.Relpos.angle                theta_j = 10000^(-j / (D/2 - 1)), each twice          (the official constants are rounded to f32, and differ in their
    *.Relpos.decay                log(1 - 2^(-2 - range i / N))                          last place between builds of PyTorch; these are exact in f64)

Drop path and dropout are off. A tensor is kept as its norm and one projection, sum_i r_i x_i, with the r of "probe." + name.

dense_<case>_train.json: two images of 128 x 160; the labels are blocks of 16 x 16 pixels of the class int(150 u), u of "label", and a border of 5 pixels is
ignored.
    losses      decode.loss_seg, decode.acc_seg (percent), aux.*; the auxiliary loss with its weight
    total       their sum, of which the gradient is taken
    taps        maps inside, each with its name and shape
    grads       norm and projection of the gradient of every parameter, and of "input"
    running     of the statistics of the heads behind the step
dense_<case>_eval.json: one image of 127 x 170 with statistics from the hash; logits are resized to the image and then to 90 x 121.
    probabilities, prediction (90 rows of 121 classes), smallest_margin (between the two likeliest classes of a pixel), taps
dense_segmentation_names.json: of each of the seven configurations the number of parameters and of entries of the state_dict, the hash of its list, lines
"P name [2, 3]" (parameters) and "B name []" (buffers) in its order, and of two of them the lines that are not the backbone's.
"""
import argparse, contextlib, importlib.machinery, json, os, sys, types
import numpy as np, torch
from make_golden import hashes

CASES = {'fpn_t': ('RMT_FPN_t_1x', ('train', 'eval')), 'uper_s': ('RMT_Uper_s_2x', ('train',))}
CONFIGS = [f'RMT_FPN_{size}_1x' for size in 'tsml'] + [f'RMT_Uper_{size}_2x' for size in 'sml']
WITH_LINES = ('RMT_FPN_t_1x', 'RMT_Uper_s_2x')
CLASSES, IGNORED = 150, 255
DECAY_RANGES = {'t': (4, 4, 6, 6), 's': (4, 4, 6, 6), 'm': (5, 5, 6, 6), 'l': (6, 6, 6, 6)}
TAPS = ['backbone', 'neck', 'decode_head.psp_modules', 'decode_head.bottleneck', 'decode_head.fpn_bottleneck'] + \
       [f'decode_head.scale_heads.{i}' for i in range(4)]


class BatchNorm(torch.nn.modules.batchnorm._BatchNorm):
    """What SyncBatchNorm is on one device. It is no BatchNorm2d, which the backbone would switch to evaluation."""
    def _check_input_dim(self, x):
        assert x.dim() >= 2


def supply():
    """What the official code imports and never uses here: mmcv's compiled ops, and two backbones that were not published."""
    torch.nn.SyncBatchNorm = BatchNorm
    for name, kind in (('int', int), ('float', float), ('bool', bool)):
        if name not in np.__dict__: setattr(np, name, kind)
    absent = types.ModuleType('mmcv.ops')
    absent.__path__, absent.__spec__ = [], importlib.machinery.ModuleSpec('mmcv.ops', None, is_package=True)

    def __getattr__(name):
        if name.startswith('__'): raise AttributeError(name)
        return type(name, (torch.nn.Module,), {})

    absent.__getattr__ = __getattr__
    sys.modules['mmcv.ops'] = absent
    for leaf, kind in (('efficientvit', 'EfficientViT'), ('FAT', 'FAT')):
        module = types.ModuleType(f'mmseg.models.backbones.{leaf}')
        setattr(module, kind, type(kind, (torch.nn.Module,), {}))
        sys.modules[module.__name__] = module
    import mmcv, mmcv.cnn.bricks.norm as norm
    from mmcv.cnn.bricks import NORM_LAYERS
    mmcv.ops = absent
    NORM_LAYERS._module_dict['SyncBN'] = norm.SyncBatchNorm = BatchNorm
    norm._BatchNorm = torch.nn.modules.batchnorm._BatchNorm


def build(official, config):
    from mmcv import Config
    path = os.path.join(official, 'configs', 'RMT', config + '.py')
    copy = path[:-3] + '_copy.py'              # beside it, for its _base_ is a relative path
    with open(path) as file: text = file.read().replace('//(gpu_multipliers//2)', '//gpu_multipliers')      # published as a division by zero
    try:
        with open(copy, 'w') as file: file.write(text)
        settings = Config.fromfile(copy)
    finally:
        os.remove(copy)
    settings.model.pretrained = None
    from mmseg.models import build_segmentor
    torch.set_default_dtype(torch.float64)
    model = build_segmentor(settings.model)
    for module in model.modules():
        if type(module).__name__ == 'DropPath': module.drop_prob = 0.
        if isinstance(module, torch.nn.Dropout2d): module.p = 0.
    return model.double()       # the decay is made in f32 whatever the default is


def uniform(name, n):
    return (hashes(name, 0, n) >> np.uint64(40)).astype(np.float64) / 2 ** 24


def signed(name, n):
    return 2 * uniform(name, n) - 1


def position(name, n, ranges):
    if name.endswith('angle'): return np.repeat(10000. ** -(np.arange(n // 2) / max(n // 2 - 1, 1)), 2)
    return np.log(1 - 2. ** (-2 - ranges[int(name.split('layers.')[1][0])] * np.arange(n) / n))


def value(name, x, ranges):
    n = x.numel()
    if '.Relpos.' in name: return position(name, n, ranges)
    if name.endswith('num_batches_tracked'): return np.zeros(n)
    if name.endswith('running_mean'): return .1 * signed(name, n)
    if name.endswith('running_var'): return .75 + .5 * uniform(name, n)
    if 'gamma_' in name: return .5 + .25 * signed(name, n)
    if name.endswith('.bias'): return .1 * signed(name, n)
    if x.dim() == 1: return 1 + .2 * signed(name, n)
    return signed(name, n) * (1.5 / x[0].numel()) ** .5


@torch.no_grad()
def fill(model, ranges):
    for name, x in model.state_dict().items(): x.copy_(torch.from_numpy(value(name, x, ranges)).reshape(x.shape))


def probe(name, x):
    x = x.detach().flatten()
    return [float(x.norm()), float(x @ torch.from_numpy(signed('probe.' + name, x.numel())))]


def tensors(x):
    if isinstance(x, torch.Tensor): return [x]
    return [t for part in x for t in tensors(part)] if isinstance(x, (list, tuple)) else []


@contextlib.contextmanager
def tapped(model):
    """The outputs of the modules TAPS, in the order of calls, as "name:0", "name:1", ..."""
    rows, count = [], {}

    def see(name, output):
        for x in tensors(output):
            tap = f'{name}:{count.setdefault(name, 0)}'
            count[name] += 1
            norm, projection = probe(tap, x)
            rows.append({'name': tap, 'shape': list(x.shape), 'norm': norm, 'probe': projection})

    hooks = [module.register_forward_hook(lambda _, inputs, output, name=name: see(name, output))
             for name, module in model.named_modules() if name in TAPS]
    yield rows
    for hook in hooks: hook.remove()


def images(B, H, W):
    return torch.from_numpy(signed('input', B * 3 * H * W)).reshape(B, 3, H, W)


def labels(B, H, W):
    blocks = (uniform('label', B * (H // 16) * (W // 16)) * CLASSES).astype(np.int64).reshape(B, H // 16, W // 16)
    y = blocks.repeat(16, 1).repeat(16, 2)
    inside = np.zeros((H, W), bool)
    inside[5:-5, 5:-5] = True
    return torch.from_numpy(np.where(inside, y, IGNORED))[:, None]


def meta(image, original):
    return dict(img_shape=(*image, 3), pad_shape=(*image, 3), ori_shape=(*original, 3), scale_factor=1., flip=False)


def train(model):
    B, H, W = 2, 128, 160
    model.train()
    x = images(B, H, W).requires_grad_()
    with tapped(model) as taps: parts = model.forward_train(x, [meta((H, W), (H, W))] * B, labels(B, H, W))
    total = sum(v.mean() for name, v in parts.items() if 'loss' in name)
    total.backward()
    gradients = {name: probe(name, p.grad) for name, p in model.named_parameters() if p.grad is not None}
    running = {name: probe(name, v) for name, v in model.state_dict().items() if 'running_' in name and not name.startswith('backbone.')}
    return {'input': [B, 3, H, W], 'losses': {name: float(v.mean()) for name, v in parts.items()}, 'total': float(total), 'taps': taps,
            'grads': {**gradients, 'input': probe('input', x.grad)}, 'running': running}


@torch.no_grad()
def evaluate(model):
    (H, W), original = (127, 170), (90, 121)
    model.eval()
    with tapped(model) as taps: p = model.inference(images(1, H, W), [meta((H, W), original)], True)
    best = p.topk(2, 1)[0]
    norm, projection = probe('probabilities', p)
    return {'input': [1, 3, H, W], 'original': original, 'taps': taps, 'probabilities': {'norm': norm, 'probe': projection},
            'prediction': p.argmax(1)[0].tolist(), 'smallest_margin': float((best[:, 0] - best[:, 1]).min())}


def names(model, with_lines):
    parameters = dict(model.named_parameters())
    lines = [f'{"P" if name in parameters else "B"} {name} {list(x.shape)}' for name, x in model.state_dict().items()]
    h = 0xcbf29ce484222325
    for byte in '\n'.join(lines).encode(): h = (h ^ byte) * 0x100000001b3 % 2**64
    entry = {'parameters': sum(p.numel() for p in parameters.values()), 'entries': len(lines), 'hash': f'{h:016x}'}
    return {**entry, 'heads': [line for line in lines if ' backbone.' not in line]} if with_lines else entry


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--official', required=True, metavar='DIR')
    p.add_argument('--only', default='', metavar='TEXT')
    p.add_argument('--out', default=os.path.dirname(os.path.abspath(__file__)), metavar='FOLDER')
    p.add_argument('--threads', type=int, default=2)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    sys.path.insert(0, a.official)
    supply()

    def write(name, content, **layout):
        if a.only not in name: return
        with open(os.path.join(a.out, name + '.json'), 'w') as file: json.dump(content, file, **layout)
        print(name, {key: content[key] for key in ('losses', 'smallest_margin') if key in content}, flush=True)

    for case, (config, modes) in CASES.items():
        for mode in modes:
            if a.only not in f'dense_{case}_{mode}': continue
            model = build(a.official, config)
            fill(model, DECAY_RANGES[config.split('_')[2]])
            count = sum(x.numel() for x in model.parameters())
            write(f'dense_{case}_{mode}', {'config': config, 'parameters': count, **(train if mode == 'train' else evaluate)(model)}, separators=(',', ':'))
    write('dense_segmentation_names', {config: names(build(a.official, config), config in WITH_LINES) for config in CONFIGS}, indent=1)


if __name__ == '__main__':
    main()
