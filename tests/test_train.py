"""The trainer stops and goes on anywhere and ends the same."""

import argparse
import importlib.util
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "scripts" / "train_tiny.py"


@pytest.fixture(scope="module")
def trainer_module():
    spec = importlib.util.spec_from_file_location("train_tiny", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_resuming_ends_like_an_uninterrupted_run(trainer_module, tmp_path):
    def options(name):
        return argparse.Namespace(
            out=tmp_path / name, steps=10, batch_tokens=200, lr=0.02, adamw_lr=3e-3, seed=0,
            hidden=128, ffn=384, layers=16, heads=4, device="cpu",
        )  # fmt: skip

    whole = trainer_module.Trainer(options("whole"))
    losses = [whole.advance() for _ in range(4)]
    assert losses[-1] < losses[0]
    one = trainer_module.Trainer(options("parts"))
    one.advance()
    one.advance()
    one.save()
    two = trainer_module.Trainer(options("parts"))
    two.resume()
    assert [two.advance(), two.advance()] == losses[2:]
    for a, b in zip(whole.model.parameters(), two.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_orthogonal_updates(trainer_module):
    x = torch.randn(3, 16, 40, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(trainer_module._orthogonal(x))
    assert values.min() > 0.6
    assert values.max() < 1.3
