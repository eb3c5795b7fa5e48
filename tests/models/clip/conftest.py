import pytest
import torch


class Archive(torch.nn.Module):
    """The parameters of a model, as OpenAI's archives hold them."""

    def __init__(self, state, **scalars):
        super().__init__()
        for name, value in state.items():
            *path, leaf = name.split('.')
            module = self
            for part in path:
                if not hasattr(module, part):
                    module.add_module(part, torch.nn.Module())
                module = getattr(module, part)
            module.register_parameter(leaf, torch.nn.Parameter(value))
        for name, value in scalars.items():
            self.register_buffer(name, torch.tensor(value))


@pytest.fixture(scope='session')
def write_archive():
    """Write a TorchScript archive of weights and of some numbers."""

    def write(path, state, **scalars) -> None:
        torch.jit.script(Archive(state, **scalars)).save(path)

    return write
