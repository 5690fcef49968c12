"""A GPT-2 block in PyTorch eager, nanoGPT's recipe: scaled_dot_product_attention, AdamW, no compilation.

Learned positions, LayerNorm before each part, one projection for queries, keys and values, gelu in the MLP, no biases,
the head tied to the embedding table, clipping by the global norm. torch is needed by this file alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.shapes import Shape


class Block(nn.Module):
    """x + attention(norm x), then x + mlp(norm x); x is [b t d]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.attention_norm = nn.LayerNorm(shape.width, bias=False)
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        self.mlp_norm = nn.LayerNorm(shape.width, bias=False)
        self.up = nn.Linear(shape.width, 4 * shape.width, bias=False)
        self.down = nn.Linear(4 * shape.width, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output, [b t d]."""
        b, t, d = x.shape
        parts = self.qkv(self.attention_norm(x)).split(d, dim=2)
        q, k, v = (part.view(b, t, self.heads, d // self.heads).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).contiguous().view(b, t, d))
        return x + self.down(F.gelu(self.up(self.mlp_norm(x))))


class Decoder(nn.Module):
    """Next-token logits [b t v] of tokens [b t]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocab, shape.width)
        self.positions = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.final_norm = nn.LayerNorm(shape.width, bias=False)
        self.head = nn.Linear(shape.width, shape.vocab, bias=False)
        self.head.weight = self.embedding.weight
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits, [b t v]."""
        x = self.embedding(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.final_norm(x))


def trainer(shape: Shape) -> Callable[[int], float]:
    """A function that trains so many steps and returns the last loss."""
    torch.manual_seed(0)
    torch.set_num_threads(shape.cores)
    model = Decoder(shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    batches = [torch.from_numpy(rows).long() for rows in shape.batches()]

    def train(steps: int) -> float:
        loss = torch.zeros(())
        for i in range(steps):
            rows = batches[i % len(batches)]
            logits = model(rows[:, :-1])
            loss = F.cross_entropy(logits.view(-1, shape.vocab), rows[:, 1:].reshape(-1))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return train
