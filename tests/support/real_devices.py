"""Devices for tests of many iterations.

The pretended device takes ten times as long as the CPU, and a loop over the
same step shows no more on it than one step, which other tests take.
"""

import pytest
import torch

DEVICES = ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']
on_real_devices = pytest.mark.parametrize('device', DEVICES, indirect=True)
