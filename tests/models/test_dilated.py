"""Folded depthwise convolutions: the sums, gradients and state of torch's own."""

import pytest
import torch
from torch import nn

from marsnb.models._dilated import DilatedDepthwise, fold_dilated
from marsnb.models.backbones import LITE
from marsnb.models.segmenter import build_segmenter

CHANNELS = 6


def taken(net, x):
    """Output and gradients."""
    net.zero_grad()
    x = x.clone().requires_grad_(True)
    out = net(x)
    (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
    return [out.detach(), x.grad, *(p.grad.clone() for p in net.parameters())]


@pytest.mark.parametrize("size", [(16, 16), (16, 24), (17, 13), (6, 6), (1, 1), (13, 40)])
@pytest.mark.parametrize("rate", [2, 3, 6, 12, 18])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("bias", [False, True])
def test_it_is_torchs_convolution(size, rate, kernel, bias):
    torch.manual_seed(0)
    padding = rate * (kernel // 2)
    conv = nn.Conv2d(CHANNELS, CHANNELS, kernel, padding=padding, dilation=rate, groups=CHANNELS, bias=bias).double()
    net, x = nn.Sequential(conv), torch.randn(3, CHANNELS, *size, dtype=torch.float64)
    before, state = taken(net, x), {k: v.clone() for k, v in net.state_dict().items()}
    fold_dilated(net)
    assert type(net[0]) is DilatedDepthwise and net[0].weight is conv.weight
    for a, b in zip(before, taken(net, x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    assert list(state) == list(net.state_dict()) and all(torch.equal(v, net.state_dict()[k]) for k, v in state.items())


@pytest.mark.parametrize(
    "other",
    [
        {"groups": 1, "dilation": 2, "padding": 2},
        {"groups": 3, "dilation": 2, "padding": 2},
        {"groups": CHANNELS, "dilation": 1, "padding": 1},
        {"groups": CHANNELS, "dilation": 2, "padding": 1},
        {"groups": CHANNELS, "dilation": 2, "padding": 2, "stride": 2},
        {"groups": CHANNELS, "dilation": 2, "padding": 2, "padding_mode": "reflect"},
    ],
)
def test_other_convolutions_stay(other):
    net = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3, **other))
    fold_dilated(net)
    assert type(net[0]) is nn.Conv2d


def test_a_segmenter_folds_what_is_dilated_in_encoder_and_decoders(monkeypatch):
    model = build_segmenter(LITE, 4, seed=0, decoder_channels=16).eval()
    folded = [name for name, layer in model.named_modules() if isinstance(layer, DilatedDepthwise)]
    dilated = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.dilation != (1, 1)]
    assert folded == dilated and {name.split(".")[0] for name in folded} == {"encoder", "decoder", "decoder_s"}
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        quick = model(x)
        monkeypatch.setattr(DilatedDepthwise, "_conv_forward", nn.Conv2d._conv_forward)
        torch.testing.assert_close(quick, model(x), rtol=1e-4, atol=1e-5)
