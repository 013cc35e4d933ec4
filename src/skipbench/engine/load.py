"""From a model directory or hub id to weights, tokenizer, and what the engine must know of them.

Everything a checkpoint asks for in its configuration is either handled or refused by name.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from skipbench.provenance import model_digest, model_directory
from skipbench.records import BadInput

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# generation settings that would change greedy tokens, with the value that means "off"
_REFUSED = {
    "num_beams": 1,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "min_length": 0,
    "min_new_tokens": None,
    "bad_words_ids": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "sequence_bias": None,
    "guidance_scale": None,
    "exponential_decay_length_penalty": None,
    "watermarking_config": None,
    "diversity_penalty": 0.0,
    "encoder_repetition_penalty": 1.0,
    "stop_strings": None,
}


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What the config says of a model. `template`: a chat template, for models without their own.

    `revision` pins a hub model.
    """

    path: str
    revision: str | None = None
    template: str | None = None
    dtype: str = "float32"
    device: str = "cpu"


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model ready for the engine. `windows[l]`: sliding window of block l in tokens, or None."""

    model: Any
    tokenizer: Any
    eos_ids: frozenset[int]
    repetition_penalty: float
    windows: tuple[int | None, ...]
    digest: str

    @property
    def num_layers(self) -> int:
        return len(self.windows)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device


def load(spec: ModelSpec) -> Loaded:
    """Load weights (safetensors only, no remote code) in the dtype asked for.

    Raises BadInput for missing, pickled or corrupt weights, an unsupported family, or generation
    settings that the engine does not implement.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    directory = model_directory(spec.path, spec.revision)
    _check_files(directory, spec)
    device = _device(spec.device)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=DTYPES[spec.dtype],
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            attn_implementation="sdpa",
        )
        tokenizer = AutoTokenizer.from_pretrained(
            directory, trust_remote_code=False, local_files_only=True
        )
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().split("\n", 1)[0][:160]
        raise BadInput(
            f"model.path={spec.path!r} cannot be loaded ({type(error).__name__}: {reason})"
        ) from None
    if spec.template:
        tokenizer.chat_template = spec.template
    model.eval().requires_grad_(False)
    torch.nn.Module.to(model, device)
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        _one_thread_if_small(model)
    settings = model.generation_config
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        eos_ids=_eos_ids(settings, tokenizer),
        repetition_penalty=_checked_penalty(settings, spec),
        windows=_windows(model.config),
        digest=model_digest(directory),
    )


def _one_thread_if_small(model: Any) -> None:
    """Threads cost a small model more than they give, and ten times that on a busy machine."""
    if sum(p.numel() for p in model.parameters()) < 100_000_000:
        torch.set_num_threads(1)


def _check_files(directory: Path, spec: ModelSpec) -> None:
    if spec.dtype not in DTYPES:
        raise BadInput(f"dtype={spec.dtype!r} is not one of {', '.join(DTYPES)}")
    config_path = directory / "config.json"
    try:
        config = json.loads(config_path.read_text())
    except FileNotFoundError:
        raise BadInput(f"model.path={spec.path!r} holds no config.json") from None
    except ValueError:
        raise BadInput(f"{config_path} is not valid JSON") from None
    family = config.get("model_type")
    if family not in FAMILIES:
        raise BadInput(
            f"model.path={spec.path!r} is of the family {family!r}; supported: {', '.join(FAMILIES)}"
        )
    if config.get("quantization_config"):
        raise BadInput(f"model.path={spec.path!r} is quantised; give an unquantised checkpoint")
    if not list(directory.glob("*.safetensors")):
        pickled = [path.name for path in directory.glob("*.bin")]
        found = f"only pickled weights ({pickled[0]})" if pickled else "no weights"
        raise BadInput(f"model.path={spec.path!r} holds {found}; *.safetensors is needed")


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise BadInput(f"device={name!r} is not usable on this machine; try cpu") from None
    return device


def _eos_ids(settings: Any, tokenizer: Any) -> frozenset[int]:
    eos = settings.eos_token_id
    if eos is None:
        eos = tokenizer.eos_token_id
    if eos is None:
        return frozenset()
    return frozenset([eos] if isinstance(eos, int) else eos)


def _checked_penalty(settings: Any, spec: ModelSpec) -> float:
    for name, off in _REFUSED.items():
        value = getattr(settings, name, off)
        if value not in (off, None, [], 0, 1) or (value in (0, 1) and off not in (0, 1, None)):
            raise BadInput(
                f"model.path={spec.path!r} sets {name}={value!r} in its generation config, "
                "which the engine does not implement; remove it from generation_config.json"
            )
    penalty = getattr(settings, "repetition_penalty", None)
    return 1.0 if penalty is None else float(penalty)


def _windows(config: Any) -> tuple[int | None, ...]:
    """Sliding windows: all blocks of Mistral where set; of Qwen those whose type says so."""
    window = getattr(config, "sliding_window", None)
    types = (
        getattr(config, "layer_types", None)
        or ["sliding_attention" if config.model_type == "mistral" else "full_attention"]
        * config.num_hidden_layers
    )
    return tuple(window if kind == "sliding_attention" else None for kind in types)


def chat_ids(loaded: Loaded, messages: list[dict[str, str]]) -> list[int]:
    """Token ids of a conversation in the model's own template, ready for the next reply.

    Raises BadInput where the model has no template.
    """
    if not loaded.tokenizer.chat_template:
        raise BadInput(
            "the model has no chat template; set model.template to one, or task.chat=false"
        )
    encoded = loaded.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True
    )
    return list(encoded["input_ids"])


def half_bytes(loaded: Loaded) -> dict[str, float]:
    """Weight bytes of the attention and the FFN of a block (the mean over blocks), and of the head."""
    blocks = loaded.model.model.layers
    return {
        "attn": sum(weight_bytes(block.self_attn) for block in blocks) / len(blocks),
        "ffn": sum(weight_bytes(block.mlp) for block in blocks) / len(blocks),
        "head": weight_bytes(loaded.model.lm_head),
        "kv": kv_bytes(loaded),
    }


def kv_bytes(loaded: Loaded) -> float:
    """Weight bytes of the key and value projections of a block (the mean over blocks)."""
    blocks = [block.self_attn for block in loaded.model.model.layers]
    return sum(weight_bytes(a.k_proj) + weight_bytes(a.v_proj) for a in blocks) / len(blocks)


def weight_bytes(module: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())
