"""The engine against Hugging Face: same tokens, real skipping, exact caches."""

from dataclasses import replace

import pytest
import torch

from conftest import FAMILIES, LAYERS, random_model
from skipbench.engine import decode
from skipbench.engine.decode import Decoding, Engine, Request, SampleTimeout
from skipbench.engine.forward import modules_of
from skipbench.engine.load import ModelSpec, kv_bytes, load, weight_bytes
from skipbench.policies.base import Dense, Policy, State, Sublayer
from skipbench.policies.earlyexit import KV_RULES, RULES, EarlyExit
from skipbench.policies.ffnskip import FFNSkip, RandomWindow
from skipbench.policies.replay import Replay, StaticMatched
from skipbench.policies.skipdecode import SkipDecode
from skipbench.policies.static import LayerDrop, ShortGPT
from skipbench.records import BadInput, unpack_map

GREEDY = Decoding()
NEW = 16

SKIPPING = {
    "ffnskip": FFNSkip(threshold=0.4, cold_start=1, cold_end=1),
    "ffnskip_budget": FFNSkip(
        threshold=0.2, cold_start=1, cold_end=1, budget=2, warmup_tokens=3, refresh_every=4
    ),
    "ffnskip_both": FFNSkip(threshold=0.4, cold_start=1, cold_end=1, phase="both"),
    "random": RandomWindow(budget=2, cold_start=0, cold_end=0, phase="both"),
    "noadapt": RandomWindow(budget=2, cold_start=1, cold_end=1),
    "skipdecode": SkipDecode(min_blocks=3, bottom=1),
    "drop_middle": LayerDrop(blocks=2),
    "drop_last_decode": LayerDrop(blocks=2, order="last", phase="decode"),
    "drop_attn_prefill": LayerDrop(blocks=2, order="uniform", part="attn", phase="prefill"),
    "drop_ffn": LayerDrop(blocks=2, order="random", part="ffn"),
    "shortgpt": ShortGPT(blocks=2, influence=[0.5, 0.1, 0.4, 0.2, 0.6, 0.9]),
} | {
    f"exit_{rule}_{kv}": EarlyExit(
        exit_rule=rule, kv=kv, exit_layer=2, threshold=0.7 if rule == "state" else 0.15
    )
    for rule in RULES
    for kv in KV_RULES
}
ZERO = {
    "ffnskip": FFNSkip(threshold=1.0),
    "ffnskip_budget": FFNSkip(threshold=-1.0, budget=0),
    "noadapt": RandomWindow(budget=0),
    "exit_fixed": EarlyExit(exit_rule="fixed", exit_layer=LAYERS),
    "exit_softmax": EarlyExit(exit_rule="softmax", exit_layer=1, threshold=1.0, decay=0.0),
    "exit_random": EarlyExit(exit_rule="random", exit_layer=1, depth=1.0, kv="mask"),
    "skipdecode": SkipDecode(min_blocks=LAYERS),
    "layerdrop": LayerDrop(blocks=0),
    "shortgpt": ShortGPT(blocks=0, influence=[0.0] * LAYERS),
}


def requests(loaded, lengths=(5, 9, 12, 7)) -> list[Request]:
    generator = torch.Generator().manual_seed(3)
    size = loaded.model.config.vocab_size
    return [
        Request(
            sample_id=f"s{i}",
            turn=0,
            prompt_ids=tuple(torch.randint(3, size, (n,), generator=generator).tolist()),
            max_new_tokens=NEW,
        )
        for i, n in enumerate(lengths)
    ]


def tokens(generations) -> list[list[int]]:
    return [list(g.token_ids) for g in generations]


def hf_greedy(loaded, asked, eos=True) -> list[list[int]]:
    found = []
    for request in asked:
        ids = torch.tensor([request.prompt_ids])
        out = loaded.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=NEW,
            do_sample=False,
            eos_token_id=list(loaded.eos_ids) if eos else None,
            pad_token_id=0,
        )
        found.append(out[0, ids.shape[1] :].tolist())
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_dense_equals_generate(loaded_models, family):
    loaded = loaded_models[family]
    asked = requests(loaded)
    wanted = hf_greedy(loaded, asked)
    engine = Engine(loaded, Dense())
    assert tokens(engine.generate(asked, GREEDY)) == wanted
    assert tokens([engine.generate([r], GREEDY)[0] for r in asked]) == wanted


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["ffnskip", "exit_softmax_recompute", "drop_attn_prefill"])
def test_batched_equals_single_in_every_family(loaded_models, family, name):
    _same_in_any_batch(loaded_models[family], SKIPPING[name])


@pytest.mark.parametrize("name", SKIPPING)
def test_batched_equals_single(llama, name):
    _same_in_any_batch(llama, SKIPPING[name])


def _same_in_any_batch(loaded, policy):
    asked = requests(loaded)
    engine = Engine(loaded, policy)
    batched = engine.generate(asked, GREEDY)
    single = [engine.generate([r], GREEDY)[0] for r in asked]
    assert tokens(batched) == tokens(single)
    assert [g.skip_map for g in batched] == [g.skip_map for g in single]
    for key in ("ffn_run", "attn_run", "prefill_ffn_run", "prefill_attn_run"):
        assert [g.counts[key] for g in batched] == [g.counts[key] for g in single]


@pytest.mark.parametrize("name", ZERO)
def test_zero_request_is_dense(llama, name):
    asked = requests(llama)
    dense = Engine(llama, Dense()).generate(asked, GREEDY)
    zero = Engine(llama, ZERO[name]).generate(asked, GREEDY)
    assert tokens(zero) == tokens(dense)
    for generation in zero:
        assert generation.counts["ffn_run"] == generation.counts["decode_forwards"] * LAYERS
        assert generation.counts["attn_run"] == generation.counts["decode_forwards"] * LAYERS


class Calls:
    """Counts rows that go through the modules, by hooks of their own: independent of the engine."""

    def __init__(self, loaded):
        self.rows = {}
        self.handles = []
        for layer, half, module in modules_of(loaded):
            leaf = module.o_proj if half is Sublayer.ATTN else module
            self.handles.append(leaf.register_forward_hook(self._hook(layer, half)))

    def _hook(self, layer, half):
        def hook(module, inputs, output):
            rows = inputs[0].reshape(-1, inputs[0].shape[-1]).shape[0]
            self.rows[layer, half] = self.rows.get((layer, half), 0) + rows

        return hook

    def total(self, half) -> int:
        return sum(rows for (_, which), rows in self.rows.items() if which is half)

    def close(self):
        for handle in self.handles:
            handle.remove()


@pytest.mark.parametrize("name", SKIPPING)
def test_skipped_modules_are_not_called(llama, name):
    request = requests(llama)[1]
    engine = Engine(llama, SKIPPING[name])
    calls = Calls(llama)
    try:
        generation = engine.generate([request], GREEDY)[0]
    finally:
        calls.close()
    counts = generation.counts
    assert calls.total(Sublayer.FFN) == counts["ffn_run"] + counts["prefill_ffn_run"]
    assert calls.total(Sublayer.ATTN) == counts["attn_run"] + counts["prefill_attn_run"]
    bits = unpack_map(generation.skip_map)
    decode_sites = counts["decode_forwards"] * LAYERS
    skipped = sum(pair[1] for step in bits for pair in step)
    assert counts["ffn_run"] == decode_sites - skipped + counts["caught_up"]
    prefill_saved = counts["prefill_sites"] * 2 - sum(
        counts[f"prefill_{half}_run"] for half in ("ffn", "attn")
    )
    assert skipped + sum(pair[0] for step in bits for pair in step) + prefill_saved > 0


@pytest.mark.parametrize("kv", KV_RULES)
def test_fixed_exit_does_not_depend_on_the_kv_rule(llama, kv):
    asked = requests(llama)
    last = LayerDrop(blocks=3, order="last", phase="decode")
    found = Engine(llama, EarlyExit(exit_rule="fixed", exit_layer=3, kv=kv)).generate(asked, GREEDY)
    assert tokens(found) == tokens(Engine(llama, last).generate(asked, GREEDY))


def logits_of(loaded, policy, request, monkeypatch) -> tuple[list, list[torch.Tensor]]:
    seen = []
    choose = decode._Batch._choose

    def spy(batch, logits):
        seen.append(logits[0].clone())
        return choose(batch, logits)

    monkeypatch.setattr(decode._Batch, "_choose", spy)
    generation = Engine(loaded, policy).generate([request], GREEDY)[0]
    monkeypatch.setattr(decode._Batch, "_choose", choose)
    return generation, seen


@torch.no_grad()
def uncached(
    loaded, ids: list[int], skipped: dict[int, list[list[int]]], holes: bool = False
) -> torch.Tensor:
    """Logits of the last token in one pass without any cache: token i leaves out skipped[i].

    Keys and values of a token that left a block out are those of its passing state (`project`), or
    with `holes` nobody sees them (`mask`).
    """
    model = loaded.model.model
    x = model.embed_tokens(torch.tensor([ids]))
    positions = torch.arange(len(ids))[None]
    rotary = model.rotary_emb(x, positions)
    sees = positions[0][None, :] <= positions[0][:, None]
    run = torch.ones(len(ids), LAYERS, 2)
    for i, bits in skipped.items():
        run[i] -= torch.tensor(bits)
    for layer, block in enumerate(model.layers):
        mask = torch.zeros(1, 1, len(ids), len(ids))
        window = loaded.windows[layer]
        ok = (
            sees
            if window is None
            else sees & (positions[0][None, :] > positions[0][:, None] - window)
        )
        mask = mask.masked_fill(~ok, torch.finfo(torch.float32).min)
        if holes:
            gone = run[:, layer, 0] == 0
            mask = mask.masked_fill(gone[None, None, None, :], torch.finfo(torch.float32).min)
        attended, _ = block.self_attn(
            block.input_layernorm(x), position_embeddings=rotary, attention_mask=mask
        )
        x = x + run[None, :, layer, :1] * attended
        x = x + run[None, :, layer, 1:] * block.mlp(block.post_attention_layernorm(x))
    return loaded.model.lm_head(model.norm(x[:, -1]))[0]


EXACT = [
    "ffnskip",
    "ffnskip_budget",
    "noadapt",
    "drop_middle",
    "drop_ffn",
    "shortgpt",
    "skipdecode",
    "exit_random_project",
    "exit_softmax_project",
    "exit_random_mask",
    "exit_softmax_mask",
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", EXACT)
def test_cached_equals_uncached(loaded_models, family, name, monkeypatch):
    loaded = loaded_models[family]
    policy = SKIPPING[name]
    request = requests(loaded)[0]
    generation, logits = logits_of(loaded, policy, request, monkeypatch)
    prompt = list(request.prompt_ids)
    bits = unpack_map(generation.skip_map)
    everywhere = {}
    if policy.phase == "both":
        everywhere = dict.fromkeys(range(len(prompt)), bits[0])
    skipped = everywhere | {len(prompt) + t: step for t, step in enumerate(bits)}
    for t in range(len(logits)):
        ids = prompt + list(generation.token_ids[:t])
        part = {i: b for i, b in skipped.items() if i < len(ids)}
        wanted = uncached(loaded, ids, part, holes=policy.kv == "mask")
        assert (wanted - logits[t]).abs().max() < 1e-4


def test_copied_keys_and_values_are_those_of_the_block_below(llama):
    """With random depths, every slot of a skipped block equals the highest block that ran."""
    from skipbench.engine.decode import _Batch

    policy = EarlyExit(exit_rule="random", kv="copy", exit_layer=2, depth=0.5)
    with torch.inference_mode():
        batch = _Batch(llama, policy, requests(llama)[:1], [NEW], GREEDY)
        batch.prefill()
        while batch.alive:
            batch.decode()
    depths = [LAYERS - int(bits[:, 0].sum()) for bits in batch.maps[0]]
    cache = batch.forward.cache
    assert len(set(depths)) > 2
    for step, depth in enumerate(depths):
        slot = batch.width + step
        for layer in range(depth, LAYERS):
            for part in (cache.keys, cache.values):
                assert torch.equal(part[layer][:, :, slot], part[depth - 1][:, :, slot])


@pytest.mark.parametrize("family", FAMILIES)
def test_similarity_is_that_of_the_residual_stream(loaded_models, family):
    """cos of the state before and after each FFN, against hooks on Hugging Face's own forward."""
    loaded = loaded_models[family]
    ids = list(requests(loaded)[0].prompt_ids)
    before, after, handles = [], [], []
    for block in loaded.model.model.layers:
        handles.append(
            block.post_attention_layernorm.register_forward_pre_hook(
                lambda m, args: before.append(args[0][0])
            )
        )
        handles.append(block.register_forward_hook(lambda m, a, out: after.append(out[0])))
    with torch.no_grad():
        loaded.model(torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    wanted = [torch.cosine_similarity(a, o, dim=-1) for a, o in zip(before, after, strict=True)]
    seen = []

    class Probe(FFNSkip):
        def begin(self, start):
            state = super().begin(start)
            observe = state.observe

            def spy(site, x, y):
                observe(site, x, y)
                if site.sublayer is Sublayer.FFN and site.step == 0:
                    seen.append(state.similarity[0].clone())

            state.observe = spy
            return state

    probe = Probe(threshold=1.0, cold_start=1, cold_end=0, phase="both")
    Engine(loaded, probe).generate([requests(loaded)[0]], GREEDY)
    for found, right in zip(seen[: LAYERS - 1], wanted, strict=False):
        assert found == pytest.approx(right, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_recompute_is_exact(loaded_models, family, monkeypatch):
    """Every token reads the dense model's cache: its logits are the dense state at its exit."""
    loaded = loaded_models[family]
    policy = EarlyExit(exit_rule="random", kv="recompute", exit_layer=1, depth=0.5)
    request = requests(loaded)[0]
    generation, logits = logits_of(loaded, policy, request, monkeypatch)
    bits = unpack_map(generation.skip_map)
    depths = [sum(not pair[0] for pair in step) for step in bits]
    assert len(set(depths)) > 2
    for t, depth in enumerate(depths, 1):
        ids = list(request.prompt_ids) + list(generation.token_ids[:t])
        above = {len(ids) - 1: [[0, 0]] * depth + [[1, 1]] * (LAYERS - depth)}
        assert (uncached(loaded, ids, above) - logits[t]).abs().max() < 1e-4


def test_skipped_halves_equal_zeroed_weights(model_dirs):
    """Leaving modules out of both phases is the same as zeroing what they write."""
    for part, name in (("ffn", "mlp.down_proj"), ("attn", "self_attn.o_proj")):
        loaded = load(ModelSpec(path=str(model_dirs["qwen3"])))
        asked = requests(loaded)
        skipped = Engine(loaded, LayerDrop(blocks=[1, 4], order="given", part=part))
        found = tokens(skipped.generate(asked, GREEDY))
        with torch.no_grad():
            for layer in (1, 4):
                loaded.model.model.layers[layer].get_submodule(name).weight.zero_()
        assert found == hf_greedy(loaded, asked)


def test_replay_of_the_own_trace(llama):
    asked = requests(llama)
    for name in ("ffnskip", "exit_softmax_copy", "exit_random_mask", "exit_random_recompute"):
        policy = SKIPPING[name]
        source = Engine(llama, policy).generate(asked, GREEDY)
        maps = {r.sample_id: [unpack_map(g.skip_map)] for r, g in zip(asked, source, strict=True)}
        again = Engine(llama, Replay(maps=maps, kv=policy.kv)).generate(asked, GREEDY)
        assert tokens(again) == tokens(source)
        assert [g.skip_map for g in again] == [g.skip_map for g in source]


def test_shuffled_replay_gives_nobody_their_own_map():
    maps = {str(i): [[[[0, 1]] * 3]] for i in range(7)}
    replay = Replay(maps=maps, order="shuffled", seed=4)
    donors = {s: replay.donor(s) for s in maps}
    assert sorted(donors.values()) == sorted(maps)
    assert all(s != d for s, d in donors.items())


def test_static_matched_keeps_the_frequencies(llama):
    asked = requests(llama)
    source = Engine(llama, SKIPPING["ffnskip"]).generate(asked, Decoding(mode="forced_length"))
    maps = {r.sample_id: [unpack_map(g.skip_map)] for r, g in zip(asked, source, strict=True)}
    policy = StaticMatched(maps=maps, kv="full")
    found = Engine(llama, policy).generate(asked, Decoding(mode="forced_length"))
    assert len({str(g.skip_map) for g in found}) == 1  # one pattern for every input
    bits = torch.tensor(unpack_map(found[0].skip_map)).double()
    wanted = torch.tensor(policy.frequencies(LAYERS))
    assert (bits.mean(0) - wanted).abs().max() <= 1 / len(bits)


class EverySecondRow(Policy):
    """Rows 0, 2, … skip attention and FFN of blocks 2 and 3: a policy of a user."""

    def begin(self, start):
        class Rows(State):
            def __init__(self):
                self.odd = torch.arange(start.rows) % 2 == 0

            def skip(self, site, x):
                return self.odd[:, None] if site.layer in (2, 3) else False

        return Rows()


def test_rows_that_finish_leave_and_the_others_go_on(llama):
    asked = [
        Request(sample_id=r.sample_id, turn=0, prompt_ids=r.prompt_ids, max_new_tokens=n)
        for r, n in zip(requests(llama), (3, 9, 5, 12), strict=True)
    ]
    found = Engine(llama, EverySecondRow(kv="project")).generate(asked, GREEDY)
    for row, generation in enumerate(found):
        skips = generation.counts["decode_forwards"] * 2 * (row % 2 == 0)
        assert generation.counts["ffn_run"] == generation.counts["decode_forwards"] * LAYERS - skips
        assert len(generation.token_ids) <= asked[row].max_new_tokens


@pytest.mark.parametrize("name", SKIPPING)
def test_a_row_answers_alike_in_any_company(llama, name):
    """Rows of other limits: a schedule over the reply must be the row's own."""
    asked = [
        replace(request, max_new_tokens=limit)
        for request, limit in zip(requests(llama), (4, 24, 9, 15), strict=True)
    ]
    engine = Engine(llama, SKIPPING[name])
    together = engine.generate(asked, GREEDY)
    for request, generation in zip(asked, together, strict=True):
        alone = engine.generate([request], GREEDY)[0]
        assert alone.token_ids == generation.token_ids
        assert alone.skip_map == generation.skip_map


def test_weight_bytes_are_those_of_the_union_of_rows(llama):
    asked = requests(llama)
    forced = Decoding(mode="forced_length", forced_length=6)
    every = Engine(llama, LayerDrop(blocks=[2, 3], order="given", phase="decode"))
    some = Engine(llama, EverySecondRow(kv="project"))
    counts = every.generate(asked, forced)[0].counts
    left_out = llama.model.model.layers[2:4]
    saved = sum(weight_bytes(b.self_attn) + weight_bytes(b.mlp) for b in left_out)
    assert counts["weight_bytes_dense"] - counts["weight_bytes"] == pytest.approx(5 * saved / 4)
    copied = EarlyExit(exit_rule="fixed", exit_layer=LAYERS - 2, kv="mask")
    projected = EarlyExit(exit_rule="fixed", exit_layer=LAYERS - 2, kv="project")
    two = [Engine(llama, p).generate(asked, forced)[0].counts for p in (copied, projected)]
    assert two[0]["kv_projected"] == 0
    assert two[1]["kv_projected"] == 2 * 5
    extra = two[1]["weight_bytes"] - two[0]["weight_bytes"]
    assert extra == pytest.approx(2 * 5 * kv_bytes(llama) / 4)
    counts = some.generate(asked, forced)[0].counts
    assert counts["weight_bytes"] == counts["weight_bytes_dense"]  # some row always runs


def test_forced_length_and_end_of_sequence(llama):
    asked = requests(llama)
    forced = Engine(llama, Dense()).generate(
        asked, Decoding(mode="forced_length", forced_length=20)
    )
    assert all(len(g.token_ids) == 20 and g.finish_reason == "length" for g in forced)
    assert all(g.counts["decode_forwards"] == 19 for g in forced)


def test_several_end_of_sequence_ids_and_penalty(tmp_path):
    from transformers import GenerationConfig

    path = random_model("qwen2", tmp_path / "m")
    GenerationConfig(eos_token_id=[1, 17, 23, 5], repetition_penalty=1.3).save_pretrained(path)
    loaded = load(ModelSpec(path=str(path)))
    assert loaded.eos_ids == {1, 17, 23, 5}
    assert loaded.repetition_penalty == 1.3
    asked = requests(loaded)
    engine = Engine(loaded, Dense())
    assert tokens(engine.generate(asked, GREEDY)) == hf_greedy(loaded, asked)


def test_sampling_shares_noise_between_twins_and_batches(llama):
    asked = requests(llama)
    sampled = Decoding(mode="sampled", temperature=0.8, top_p=0.9, seed=5)
    engine = Engine(llama, Dense())
    batched = tokens(engine.generate(asked, sampled))
    assert batched == tokens([engine.generate([r], sampled)[0] for r in asked])
    zero = Engine(llama, FFNSkip(threshold=1.0)).generate(asked, sampled)
    assert tokens(zero) == batched
    other = Decoding(mode="sampled", temperature=0.8, top_p=0.9, seed=6)
    assert tokens(engine.generate(asked, other)) != batched


def test_sampling_follows_the_distribution(llama):
    """Frequencies of first tokens against the softmax, chi-square by eye: within 5 sigma."""
    prompt = requests(llama)[0].prompt_ids
    asked = [
        Request(sample_id=f"d{i}", turn=0, prompt_ids=prompt, max_new_tokens=1) for i in range(2000)
    ]
    found = Engine(llama, Dense()).generate(asked, Decoding(mode="sampled", temperature=2.0))
    with torch.no_grad():
        logits = llama.model(torch.tensor([prompt])).logits[0, -1] / 2.0
    wanted = logits.softmax(-1)
    counts = (
        torch.bincount(torch.tensor([g.token_ids[0] for g in found]), minlength=len(wanted)) / 2000
    )
    assert ((counts - wanted).abs() < 5 * (wanted * (1 - wanted) / 2000).sqrt() + 1e-3).all()


def test_prompts_that_do_not_fit_are_named(llama):
    long = Request(sample_id="big", turn=0, prompt_ids=(5,) * 250, max_new_tokens=20)
    with pytest.raises(BadInput, match=r"'big'.*250 prompt tokens.*256 positions"):
        Engine(llama, Dense()).generate([long], GREEDY)


def test_a_batch_that_takes_too_long_is_stopped(llama):
    with pytest.raises(SampleTimeout):
        Engine(llama, Dense()).generate(requests(llama), GREEDY, timeout_s=1e-9)


def test_divergence_of_dense_from_itself_is_none(llama):
    from skipbench.engine.divergence import divergences

    asked = requests(llama)
    dense = Engine(llama, Dense())
    ids = tokens(dense.generate(asked, GREEDY))
    for found in divergences(dense, dense, (asked, asked), (ids, ids)):
        assert max(found.kl) < 1e-6
        assert max(map(abs, found.delta_logp)) < 1e-6


@pytest.mark.parametrize("name", SKIPPING)
def test_the_start_of_a_methods_reply_is_forced_as_it_was_generated(llama, name):
    """Schedules go by the limit that was asked for, not by how long the given reply is."""
    from skipbench.engine.divergence import forced

    asked = requests(llama)
    method = Engine(llama, SKIPPING[name])
    made = method.generate(asked, GREEDY)
    begun = [g.token_ids[:5] for g in made]
    for generation, found in zip(made, forced(method, asked, begun, GREEDY), strict=True):
        assert all(found.greedy)
        assert unpack_map(found.generation.skip_map) == unpack_map(generation.skip_map)[:4]


@pytest.mark.parametrize("name", ["ffnskip_budget", "exit_random_project", "drop_middle"])
def test_divergence_goes_through_the_methods_own_path(llama, name):
    """Against one pass without a cache, with the decisions the method took; batched as alone."""
    from skipbench.engine.divergence import divergences

    asked = requests(llama)
    method, dense = Engine(llama, SKIPPING[name]), Engine(llama, Dense())
    ids = tokens(dense.generate(asked, GREEDY))
    found = divergences(method, dense, (asked, asked), (ids, ids))
    for i, request in enumerate(asked):
        alone = divergences(method, dense, ([request], [request]), ([ids[i]], [ids[i]]))[0]
        assert alone.kl == pytest.approx(found[i].kl, abs=1e-4)
        assert max(found[i].kl) > 1e-4
    with torch.no_grad():
        whole = torch.tensor([list(asked[0].prompt_ids) + ids[0]])
        logp = llama.model(whole).logits[0].log_softmax(-1)
    n = len(asked[0].prompt_ids)
    wanted = [float(logp[n - 1 + t, token]) for t, token in enumerate(ids[0])]
    assert found[0].reply_logp == pytest.approx(wanted, abs=1e-4)
