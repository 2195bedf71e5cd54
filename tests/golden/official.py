"""The official RMT (github: qhfan/RMT, classfication_release/RMT.py) as the oracle of our tests.

The code is imported from a folder that the caller names; none of it is kept here. It needs only PyTorch: the few names that it takes from timm,
fvcore and einops are supplied below.

    import official
    official.load('/path/to/classfication_release')
    model = official.build('rmt_t')            # rmt_n, rmt_t, rmt_s, rmt_b, rmt_l
"""
import contextlib, importlib.util, os, sys, types
import torch

FACTORY = {'rmt_t': 'RMT_T3', 'rmt_s': 'RMT_S', 'rmt_b': 'RMT_M2', 'rmt_l': 'RMT_L6'}
code = None                                                   # the imported module, once load() has run


class DropPath(torch.nn.Module):
    """Stochastic depth: a sample's branch is dropped with probability p, and the others are divided by 1 - p."""
    def __init__(self, p=0.):
        super().__init__()
        self.p = float(p)

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        kept = torch.rand(x.shape[0], *[1] * (x.ndim - 1), device=x.device) >= self.p
        return x * kept.to(x.dtype) / (1 - self.p)


SUPPLIED = {
    'timm': {}, 'timm.models': {}, 'fvcore': {},
    'timm.models.layers': {'DropPath': DropPath, 'trunc_normal_': torch.nn.init.trunc_normal_, 'to_2tuple': lambda x: (x, x)},
    'timm.models.vision_transformer': {'VisionTransformer': None, '_cfg': dict},
    'timm.models.registry': {'register_model': lambda f: f},
    'fvcore.nn': {'FlopCountAnalysis': None, 'flop_count_table': None},
    'einops': {'einsum': None},
}


@contextlib.contextmanager
def supplied_modules():
    """For the length of one import only, so that a real timm stays usable afterwards."""
    before = {name: sys.modules.get(name) for name in SUPPLIED}
    for name, names in SUPPLIED.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(names)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def load(folder):
    global code
    spec = importlib.util.spec_from_file_location('official_rmt', os.path.join(folder, 'RMT.py'))
    code = importlib.util.module_from_spec(spec)
    with supplied_modules():
        spec.loader.exec_module(code)


def build(name, num_classes=1000, drop_path=0.):
    """drop_path is the rate of the last block. The official rates are hard-coded, so for the published models only 0 is on offer."""
    if name == 'rmt_n':                                       # our own small one
        return code.VisRetNet(embed_dims=[32, 64, 128, 256], depths=[1, 1, 4, 1], num_heads=[2, 2, 4, 8], init_values=[2] * 4, heads_ranges=[4, 4, 6, 6],
                              mlp_ratios=[3] * 4, drop_path_rate=drop_path, chunkwise_recurrents=[True, True, False, False], num_classes=num_classes)
    if num_classes != 1000 or drop_path != 0:
        raise ValueError(f'{name}: num_classes and drop_path can be chosen for rmt_n only')
    model = getattr(code, FACTORY[name])(None)
    for m in model.modules():
        if isinstance(m, DropPath):
            m.p = 0.
    return model
