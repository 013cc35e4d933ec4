"""Shared fixtures: one thread, no network, tiny random models of every family, the command line."""

import os

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import sys
from dataclasses import dataclass
from pathlib import Path

import absl.logging
import pytest
import torch

from skipbench.engine.load import Loaded, ModelSpec, load

torch.set_num_threads(1)

# rouge_score brings absl, whose handler closes the stream it was made with when Hydra sets logging
# up; pytest's captured stderr must not be that stream
absl.logging.get_absl_handler().python_handler.setStream(sys.__stderr__)

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
LAYERS = 6
VOCABULARY = 260


def random_model(family: str, directory: Path, **changes) -> Path:
    """A random model of a family, with a tokenizer of bytes and a chat template, on disk."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        LlamaConfig,
        LlamaForCausalLM,
        MistralConfig,
        MistralForCausalLM,
        PreTrainedTokenizerFast,
        Qwen2Config,
        Qwen2ForCausalLM,
        Qwen3Config,
        Qwen3ForCausalLM,
    )

    kinds = {
        "llama": (LlamaConfig, LlamaForCausalLM, {}),
        "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": 8}),
        "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
        "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 24}),
    }
    config_kind, model_kind, extra = kinds[family]
    shape = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": 0.3,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    torch.manual_seed(7)
    model = model_kind(config_kind(**{**shape, **extra, **changes}))
    with torch.no_grad():  # fresh norms are all ones and would hide mistakes about them
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.4, 1.6)
    model.save_pretrained(directory)
    octets = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {"<s>": 0, "</s>": 1} | {octet: i for i, octet in enumerate(octets, 2)}
    tokenizer = Tokenizer(models.BPE(words, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.chat_template = "<s>{% for m in messages %}{{ m['content'] }} {% endfor %}"
    fast.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def model_dirs(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {family: random_model(family, root / family) for family in FAMILIES}


@pytest.fixture(scope="session")
def loaded_models(model_dirs) -> dict[str, Loaded]:
    return {family: load(ModelSpec(path=str(path))) for family, path in model_dirs.items()}


@pytest.fixture(scope="session")
def llama(loaded_models) -> Loaded:
    return loaded_models["llama"]


@pytest.fixture(scope="session")
def tiny() -> Loaded:
    from skipbench.paths import tiny_dir

    return load(ModelSpec(path=str(tiny_dir())))


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        return self.out.strip().split("\n")[-1]


@pytest.fixture(autouse=True)
def own_device_locks(monkeypatch, tmp_path_factory):
    """What else runs on this machine must not hold tests up."""
    folder = tmp_path_factory.getbasetemp() / "locks"
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr("skipbench.device._LOCKS", folder)


@pytest.fixture
def cli(monkeypatch, capsys, tmp_path):
    """Run the command line in this process, results under tmp_path/results."""
    from skipbench import __main__ as entry

    def run(*arguments: str) -> Outcome:
        where = (
            []
            if any("results_dir" in a for a in arguments)
            else [f"results_dir={tmp_path / 'results'}"]
        )
        monkeypatch.setattr(sys, "argv", ["skipbench", *arguments, *where])
        monkeypatch.setattr(entry, "_codes", [])
        monkeypatch.setattr(entry, "_directories", [])
        with pytest.raises(SystemExit) as stop:
            entry.main()
        captured = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), captured.out, captured.err)

    return run
