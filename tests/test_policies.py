"""Decision traces against the rules of the papers, and what the policies refuse."""

import math

import pytest
import torch

from skipbench.policies.base import Policy, Site, Start, Sublayer
from skipbench.policies.earlyexit import EarlyExit
from skipbench.policies.ffnskip import FFNSkip, RandomWindow
from skipbench.policies.skipdecode import SkipDecode
from skipbench.policies.static import LayerDrop, ShortGPT
from skipbench.records import BadInput


def start(num_layers=12, rows=1, new=64, readout=lambda x: x) -> Start:
    return Start(
        num_layers=num_layers,
        rows=rows,
        limits=(new,) * rows,
        device=torch.device("cpu"),
        sample_ids=tuple(map(str, range(rows))),
        seeds=tuple(range(rows)),
        turn=0,
        readout=readout,
    )


def with_cosine(value: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Two vectors [1, 1, 2] of a given cosine."""
    angle = math.acos(value)
    return torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[math.cos(angle), math.sin(angle)]]])


def trace(policy: FFNSkip, similarities: list[float], step: int) -> list[int]:
    """Blocks whose FFN a token skips that has these cosines where the FFN runs."""
    state = policy.begin(start(len(similarities)))
    state.start(step, torch.zeros(1, 1, 2))
    skipped = []
    for layer, value in enumerate(similarities):
        assert state.skip(Site(layer, Sublayer.ATTN, step), torch.zeros(1, 1, 2)) is False
        answer = state.skip(Site(layer, Sublayer.FFN, step), torch.zeros(1, 1, 2))
        if bool(torch.as_tensor(answer).any()):
            skipped.append(layer)
            x = y = with_cosine(1.0)[0]
        else:
            x, y = with_cosine(value)
        state.observe(Site(layer, Sublayer.FFN, step), x, y)
    return skipped


def authors(similarities, budget, cold, threshold=0.95) -> list[int]:
    """The rule restated from model_ffn_cosine.py, as a plain loop over blocks."""
    layers, skipped, layer = len(similarities), [], 0
    before = None
    while layer < layers:
        inside = cold <= layer < layers - cold
        if inside and budget > 0 and before is not None and before > threshold:
            run, budget = budget, 0
            while run and layer < layers - cold:
                skipped.append(layer)
                layer, run = layer + 1, run - 1
            before = 1.0
            continue
        before = similarities[layer]
        layer += 1
    return skipped


def test_trigger_is_read_from_the_block_before():
    policy = FFNSkip(threshold=0.95, cold_start=3, cold_end=3, budget=2)
    low = [0.5] * 12
    assert trace(policy, low, 1) == []
    assert trace(policy, [*low[:5], 0.96, *low[6:]], 1) == [6, 7]
    assert trace(policy, [*low[:2], 0.96, *low[3:]], 1) == [3, 4]  # last block of the cold start
    assert trace(policy, [*low[:1], 0.96, *low[2:]], 1) == []  # deeper in the cold start
    assert trace(policy, [*low[:8], 0.96, *low[9:]], 1) == []  # the next block is in the cold end
    assert trace(policy, [*low[:7], 0.96, *low[8:]], 1) == [8]  # the rest of the budget is lost
    assert trace(policy, [0.99] * 12, 1) == [3, 4]  # once a token, then every block runs again


def test_threshold_is_strict():
    x, y = with_cosine(0.8)
    exact = float(torch.cosine_similarity(y, x, dim=-1))
    for threshold, wanted in ((exact, []), (math.nextafter(exact, 0) - 1e-7, [3, 4])):
        policy = FFNSkip(threshold=threshold, cold_start=3, cold_end=3, budget=2)
        assert trace(policy, [0.1, 0.1, 0.8] + [0.1] * 9, 1) == wanted


def test_random_similarities_follow_the_authors_rule():
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        values = (0.9 + 0.099 * torch.rand(16, generator=generator)).tolist()
        budget = int(torch.randint(1, 9, (1,), generator=generator))
        cold = int(torch.randint(1, 6, (1,), generator=generator))
        policy = FFNSkip(threshold=0.95, cold_start=cold, cold_end=cold, budget=budget)
        assert trace(policy, values, 1) == authors(values, budget, cold)


def test_without_budget_skipping_goes_on_to_the_cold_end():
    policy = FFNSkip(threshold=0.95, cold_start=2, cold_end=3)
    assert trace(policy, [0.5] * 4 + [0.99] + [0.5] * 7, 1) == [5, 6, 7, 8]


def test_authors_schedule_of_budgets():
    """1,024 tokens: prefill and 14 decode steps in full, then five budgets and a full token."""
    policy = FFNSkip(
        cold_start=5, cold_end=5, warmup_tokens=15, budget=[12, 12, 11, 12, 12], refresh_every=6
    )
    budgets = [policy.budget_at(step, 40) for step in range(1, 28)]
    assert budgets == [0] * 14 + [12, 12, 11, 12, 12, 0] * 2 + [12]


def test_warm_up_counts_the_token_of_the_prefill():
    policy = FFNSkip(cold_start=1, cold_end=1, warmup_tokens=1)
    assert trace(policy, [0.99] * 12, 1) == list(range(1, 11))
    later = FFNSkip(cold_start=1, cold_end=1, warmup_tokens=3)
    assert trace(later, [0.99] * 12, 2) == []
    assert trace(later, [0.99] * 12, 3) == list(range(1, 11))


def test_random_window_is_contiguous_inside_its_window_and_uniform():
    policy = RandomWindow(budget=3, cold_start=4, cold_end=2)
    state = policy.begin(start(16, rows=400))
    firsts = []
    state.start(1, torch.zeros(400, 1, 2))
    asked = [state.skip(Site(b, Sublayer.FFN, 1), torch.zeros(400, 1, 2)) for b in range(16)]
    bits = torch.stack([torch.as_tensor(a).expand(400, 1) for a in asked])[:, :, 0]
    assert (bits.sum(0) == 3).all()
    firsts = bits.int().argmax(0)
    assert firsts.min() == 4
    assert firsts.max() == 11
    assert torch.bincount(firsts, minlength=12)[4:].min() > 25  # 400 draws over 8 starts


def test_calm_threshold_decay():
    """The values of CALM's schedule for λ 0.6, tau 4, N 64."""
    policy = EarlyExit(exit_rule="softmax", threshold=0.6, decay=4.0)
    values = [round(float(policy.threshold_at(t, torch.tensor([64]))), 4) for t in (1, 16, 64)]
    assert values == [0.5964, 0.5621, 0.5411]


def test_softmax_gap_is_strict_and_starts_at_the_floor():
    x = torch.tensor([[[2.0, 0.0]]])
    gap = float(x.softmax(-1)[0, 0, 0] - x.softmax(-1)[0, 0, 1])
    for threshold, exits in ((gap, False), (gap - 1e-6, True)):
        policy = EarlyExit(exit_rule="softmax", threshold=threshold, decay=0.0, exit_layer=4)
        state = policy.begin(start(8))
        state.start(1, x)
        assert state.skip(Site(3, Sublayer.ATTN, 1), x) is False
        assert bool(torch.as_tensor(state.skip(Site(4, Sublayer.ATTN, 1), x)).all()) == exits


def test_skipdecode_falls_linearly_and_keeps_the_top():
    policy = SkipDecode(min_blocks=4, bottom=2)
    assert [policy.blocks_at(t, 12, 8) for t in range(9)] == [12, 11, 10, 9, 8, 7, 6, 5, 4]
    state = policy.begin(start(12, new=8))
    state.start(8, torch.zeros(1, 1, 2))
    ran = [b for b in range(12) if not state.skip(Site(b, Sublayer.FFN, 8), torch.zeros(1))]
    assert ran == [0, 1, 10, 11]


def test_orders_of_layer_drop():
    chosen = {
        order: LayerDrop(blocks=4, order=order).chosen(16)
        for order in ("last", "middle", "uniform")
    }
    assert chosen["last"] == {12, 13, 14, 15}
    assert chosen["middle"] == {6, 7, 8, 9}
    assert chosen["uniform"] == {2, 6, 10, 14}
    assert len(LayerDrop(blocks=4, order="random", seed=3).chosen(16)) == 4


def test_shortgpt_drops_the_least_influential():
    assert ShortGPT(blocks=2, influence=[0.9, 0.1, 0.5, 0.2]).chosen(4) == {1, 3}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FFNSkip(threshold=1.5), "threshold=1.5"),
        (lambda: FFNSkip(threshold="high"), "threshold='high'"),
        (lambda: FFNSkip(cold_start=8, cold_end=8).check(16), "cover all 16 blocks"),
        (lambda: FFNSkip(cold_start=1.5).check(16), "cold_start=1.5"),
        (lambda: FFNSkip(warmup_tokens=0), "warmup_tokens=0"),
        (lambda: FFNSkip(budget=[]), "budget"),
        (lambda: Policy(kv="banana"), "method.kv='banana' is not one of full, project"),  # type: ignore[arg-type]
        (lambda: FFNSkip(phase="sometimes"), "phase='sometimes'"),
        (lambda: RandomWindow(budget=12).check(16), "budget=12"),
        (lambda: EarlyExit(exit_layer=40).check(16), "exit_layer=40"),
        (lambda: EarlyExit(kv="borrow"), "kv='borrow'"),
        (lambda: EarlyExit(phase="both"), "phase='both'"),
        (lambda: SkipDecode(min_blocks=1, bottom=4).check(16), "min_blocks=1"),
        (lambda: LayerDrop(blocks=[3, 99], order="given").check(16), "99"),
        (lambda: LayerDrop(blocks=3, order="given"), "order=given"),
        (lambda: LayerDrop(blocks=2, phase="prefill", kv="none"), "leaves holes"),
    ],
)
def test_bad_values_are_named(make, message):
    with pytest.raises(BadInput, match=message):
        make()
