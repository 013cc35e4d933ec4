"""Train the shipped model `tiny` from nothing: tokenizer, corpus, weights.

    python scripts/train_tiny.py --out build/tiny            # about an hour and a half on 2 cores
    python scripts/train_tiny.py --out build/tiny            # again, after an interruption: goes on

One run, scheduled by steps (never by the clock), so that it ends alike on a slow machine. The
learning rate is constant after a short warm-up and falls to zero over the last half. Matrices are
updated by Muon (momentum, orthogonalised; Jordan et al. 2024), embeddings and norms by AdamW.
There is no dropout of any kind, so nothing is made easy for a method that skips.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from skipbench.world import dialogues, questions, stories
from skipbench.world.corpus import Corpus, Document, tokenizer_texts
from skipbench.world.facts import build

BOS, END, USER, ASSISTANT = "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}<|user|>{{ message['content'] }}<|end|>"
    "{% elif message['role'] == 'assistant' %}<|assistant|>{{ message['content'] }}<|end|>"
    "{% else %}{{ raise_exception('tiny knows the roles user and assistant, not '"
    " + message['role']) }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
VOCABULARY = 2048
WARM_UP_STEPS = 40


def make_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE: any text can be read, the world's words are one or two tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BOS, END, USER, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=END,
        pad_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def make_model(tokenizer: PreTrainedTokenizerFast, options: argparse.Namespace) -> LlamaForCausalLM:
    torch.manual_seed(options.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=options.hidden,
        intermediate_size=options.ffn,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,  # type: ignore[arg-type]
        eos_token_id=tokenizer.eos_token_id,  # type: ignore[arg-type]
        pad_token_id=tokenizer.pad_token_id,  # type: ignore[arg-type]
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():  # the residual stream should not grow with depth at the start
        for name, parameter in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter /= (2 * options.layers) ** 0.5
    return model


class Encoder:
    """Documents to token ids and a mask of the tokens that are learned."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        ids = tokenizer.convert_tokens_to_ids
        self.bos, self.end = int(ids(BOS)), int(ids(END))  # type: ignore[arg-type]
        self.roles = {"user": int(ids(USER)), "assistant": int(ids(ASSISTANT))}  # type: ignore[arg-type]

    def __call__(self, document: Document) -> tuple[list[int], list[bool]]:
        tokens, learned = [self.bos], [False]
        for role, text in document:
            body: list[int] = self.tokenizer.encode(text, add_special_tokens=False) + [self.end]
            if role in self.roles:
                tokens.append(self.roles[role])
                learned.append(False)
            tokens += body
            learned += [role != "user"] * len(body)
        return tokens, learned


class Muon:
    """Momentum made orthogonal by five Newton-Schulz steps, one batch for each matrix shape."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, weight_decay: float) -> None:
        self.lr, self.weight_decay, self.momentum = lr, weight_decay, 0.95
        self.groups: dict[torch.Size, list[nn.Parameter]] = {}
        for parameter in parameters:
            self.groups.setdefault(parameter.shape, []).append(parameter)
        self.buffers = [
            torch.zeros(len(group), *shape, device=group[0].device)
            for shape, group in self.groups.items()
        ]

    @torch.no_grad()
    def step(self, scale: float) -> None:
        lr = self.lr * scale
        for buffer, (shape, group) in zip(self.buffers, self.groups.items(), strict=True):
            gradient = torch.stack([p.grad for p in group if p.grad is not None])
            buffer.lerp_(gradient, 1 - self.momentum)
            update = _orthogonal(gradient.lerp(buffer, self.momentum))
            update *= max(1.0, shape[0] / shape[1]) ** 0.5
            for parameter, one in zip(group, update, strict=True):
                parameter.mul_(1 - lr * self.weight_decay).sub_(one, alpha=lr)


def _orthogonal(x: Tensor) -> Tensor:
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if tall else x


def batches(encoded: list[tuple[list[int], list[bool]]]) -> list[tuple[Tensor, Tensor]]:
    """Documents of like length side by side; padding is on the right, so it is never seen."""
    encoded = sorted(encoded, key=lambda pair: len(pair[0]))
    groups: list[list[tuple[list[int], list[bool]]]] = [[]]
    for pair in encoded:
        if groups[-1] and len(pair[0]) > 1.5 * len(groups[-1][0][0]) + 6:
            groups.append([])
        groups[-1].append(pair)
    made = []
    for group in groups:
        width = max(len(tokens) for tokens, _ in group)
        ids = torch.zeros(len(group), width, dtype=torch.long)
        mask = torch.zeros(len(group), width, dtype=torch.bool)
        for row, (tokens, learned) in enumerate(group):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = torch.tensor(learned)
        made.append((ids, mask))
    return made


def learned_logits(model: LlamaForCausalLM, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and targets at the learned positions alone."""
    ids, mask = ids.to(model.device), mask.to(model.device)
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    wanted = mask[:, 1:]
    return model.lm_head(hidden[wanted]), ids[:, 1:][wanted]


@torch.no_grad()
def exact(model: LlamaForCausalLM, encode: Encoder, documents: list[Document]) -> float:
    """Share of documents whose learned tokens are all argmaxes: greedy decoding gets them right."""
    right = 0
    for ids, mask in batches([encode(document) for document in documents]):
        ids, mask = ids.to(model.device), mask.to(model.device)
        hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
        wrong = (model.lm_head(hidden).argmax(-1) != ids[:, 1:]) & mask[:, 1:]
        right += int((~wrong.any(-1)).sum())
    return right / max(len(documents), 1)


def validation_sets(limit: int) -> dict[str, list[Document]]:
    """Documents of the calibration split, by what the model card reports."""
    world, split = build(), "calibration"
    items = questions.short(world, split)
    sets = {
        f"{tier}-{kind}": [i for i in items if (i.meta["tier"], i.meta["kind"]) == (tier, kind)]
        for tier in ("head", "tail")
        for kind in "ABC"
    }
    sets["unanswerable"] = questions.unanswerable(world, split)
    sets["two_hop"] = questions.two_hop(world, split)
    sets["long_form"] = questions.long_form(world, split)
    told = stories.stories(world, split)
    for length in stories.LENGTHS:
        sets[length] = [i for i in told if i.meta["length"] == length]
    talked = dialogues.dialogues(world, split)
    for category in dialogues.CATEGORIES:
        sets[category] = [i for i in talked if i.meta["category"] == category]
    return {name: [_document(item) for item in chosen[:limit]] for name, chosen in sets.items()}


def _document(item) -> Document:
    document: Document = []
    for turn, references in zip(item.turns, item.references, strict=True):
        document += [("user", turn), ("assistant", references[0])]
    return document


def schedule(step: int, steps: int) -> float:
    """Factor on the learning rates: up, flat, and down to zero over the last half."""
    return min((step + 1) / WARM_UP_STEPS, 1.0, 2 * (1 - step / steps))


class Trainer:
    """The state of a run: what a checkpoint holds, and how one step changes it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.out = options, Path(options.out)
        self.out.mkdir(parents=True, exist_ok=True)
        world = build()
        self.corpus = Corpus(world)
        tokenizer = make_tokenizer(tokenizer_texts(world))
        tokenizer.save_pretrained(self.out)
        self.encode = Encoder(tokenizer)
        self.model = make_model(tokenizer, options).to(options.device)  # type: ignore[arg-type]
        named = list(self.model.named_parameters())
        matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in named if p.ndim != 2 or "embed" in name]
        self.muon = Muon(matrices, options.lr, weight_decay=0.1)
        self.adamw = torch.optim.AdamW(
            others, lr=options.adamw_lr, betas=(0.9, 0.95), weight_decay=0.0
        )
        self.step = self.seen = self.index = 0
        self.checkpoint = self.out / "checkpoint.pt"

    def resume(self) -> None:
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, weights_only=True, map_location=self.options.device)
            self.model.load_state_dict(state["model"])
            self.adamw.load_state_dict(state["adamw"])
            self.muon.buffers = state["muon"]
            self.step, self.seen, self.index = state["step"], state["seen"], state["index"]
            print(f"goes on from step {self.step}", file=sys.stderr)

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "adamw": self.adamw.state_dict(),
            "muon": self.muon.buffers,
            "step": self.step,
            "seen": self.seen,
            "index": self.index,
        }
        new = self.checkpoint.with_suffix(".new")
        torch.save(state, new)
        new.replace(self.checkpoint)

    def documents(self) -> tuple[list[tuple[list[int], list[bool]]], int]:
        """Encoded documents of the next step and their number of tokens."""
        encoded, tokens = [], 0
        while tokens < self.options.batch_tokens:
            progress = self.step / self.options.steps
            encoded.append(self.encode(self.corpus.document(self.index, progress)))
            tokens += len(encoded[-1][0])
            self.index += 1
        return encoded, tokens

    def advance(self) -> float:
        """One step; returns the loss per learned token in nats."""
        encoded, tokens = self.documents()
        learned = sum(sum(mask[1:]) for _, mask in encoded)
        loss = 0.0
        for ids, mask in batches(encoded):
            logits, targets = learned_logits(self.model, ids, mask)
            part = nn.functional.cross_entropy(logits, targets, reduction="sum") / learned
            part.backward()
            loss += part.item()
        scale = schedule(self.step, self.options.steps)
        for group in self.adamw.param_groups:
            group["lr"] = self.options.adamw_lr * scale
        self.muon.step(scale)
        self.adamw.step()
        self.model.zero_grad(set_to_none=True)
        self.step, self.seen = self.step + 1, self.seen + tokens
        return loss


def train(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    trainer = Trainer(options)
    trainer.resume()
    validation = validation_sets(60)
    started, first, average = time.time(), trainer.step, 0.0
    while trainer.step < options.steps:
        loss = trainer.advance()
        step = trainer.step
        average = loss if step == first + 1 else 0.97 * average + 0.03 * loss
        if step % 20 == 0:
            left = (options.steps - step) * (time.time() - started) / (step - first) / 60
            progress = f"step {step}/{options.steps} loss {average:.3f} left {left:.0f} min"
            print(progress, file=sys.stderr, flush=True)
        if step % options.every == 0 or step == options.steps:
            trainer.save()
            trainer.model.eval()
            scores = {n: exact(trainer.model, trainer.encode, d) for n, d in validation.items()}
            trainer.model.train()
            line = {"step": step, "tokens": trainer.seen, "loss": average, **scores}
            line = {k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}
            with (trainer.out / "history.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            print(line, file=sys.stderr, flush=True)
    trainer.model.save_pretrained(trainer.out)
    print(trainer.out.resolve())


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the shipped model tiny.")
    parser.add_argument("--out", default="build/tiny")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch-tokens", type=int, default=2560)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--adamw-lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--ffn", type=int, default=384)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--device", default="cpu", help="cuda for a larger or longer run")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=100, help="steps between checkpoints")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
