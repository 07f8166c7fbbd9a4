"""ViT, DeiT and CaiT in plain NumPy, which show their attention weights: a reference for tests."""

from __future__ import annotations

import numpy as np
from scipy.special import erf


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def layer_norm(x, state, name, epsilon=1e-6):
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
    return centred / deviation * state[f"{name}.weight"] + state[f"{name}.bias"]


def linear(x, state, name):
    return x @ state[f"{name}.weight"] + state.get(f"{name}.bias", 0.0)


def mlp(x, state, name):
    hidden = linear(x, state, f"{name}.fc1")
    return linear(0.5 * hidden * (1 + erf(hidden / np.sqrt(2))), state, f"{name}.fc2")


def state_of(model):
    """Returns the parameters in float64."""
    return {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}


def patches(images, state):
    """Projects the patches of one image `(3, H, W)`: `(N, D)`."""
    kernel = state["patch_embed.proj.weight"]  # (D, 3, P, P)
    side = kernel.shape[-1]
    found = [
        (kernel * images[:, row : row + side, column : column + side]).sum((1, 2, 3))
        for row in range(0, images.shape[1], side)
        for column in range(0, images.shape[2], side)
    ]
    return np.stack(found) + state.get("patch_embed.proj.bias", 0.0)


def heads_of(x, count):
    """Splits `(N, D)` into `(heads, N, D / heads)`."""
    return x.reshape(len(x), count, -1).transpose(1, 0, 2)


def vit(model, image, heads, turn=None):
    """Returns the attention weights of each block, `(heads, N, N)`, and the last tokens.

    Args:
        model: of ViT or DeiT.
        image: normalised, `(3, H, W)`.
        heads: how many.
        turn: what is done to queries and keys of all heads; None: nothing.
    """
    state, found = state_of(model), []
    x = patches(image, state)
    positions = state.get("pos_embed", np.zeros((1, 0, 0)))[0]
    x = x + positions if len(positions) == len(x) else x
    tokens = [state[name][0] for name in ("cls_token", "dist_token", "reg_token") if name in state]
    x = np.concatenate([*tokens, x])
    if tokens and len(positions) == len(x):
        x = x + positions
    for block in (f"blocks.{i}" for i in range(len(model.blocks))):
        qkv = linear(layer_norm(x, state, f"{block}.norm1"), state, f"{block}.attn.qkv")
        q, k, v = (heads_of(part, heads) for part in np.split(qkv, 3, axis=-1))
        if f"{block}.attn.q_norm.weight" in state:
            q, k = (
                layer_norm(part, state, f"{block}.attn.{name}_norm")
                for part, name in ((q, "q"), (k, "k"))
            )
        q, k = (q, k) if turn is None else (turn(q), turn(k))
        found.append(softmax(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])))
        mixed = (found[-1] @ v).transpose(1, 0, 2).reshape(x.shape)
        x = x + linear(mixed, state, f"{block}.attn.proj")
        x = x + mlp(layer_norm(x, state, f"{block}.norm2"), state, f"{block}.mlp")
    return found, layer_norm(x, state, "norm") if "norm.weight" in state else x


def cait(model, image, heads):
    """Returns the talking heads' weights, those of the class attention, and the class token."""
    state, talking, classes = state_of(model), [], []
    x = patches(image, state) + state["pos_embed"][0]
    for block in (f"blocks.{i}" for i in range(len(model.blocks))):
        qkv = linear(layer_norm(x, state, f"{block}.norm1"), state, f"{block}.attn.qkv")
        q, k, v = (heads_of(part, heads) for part in np.split(qkv, 3, axis=-1))
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        for step in ("proj_l", "proj_w"):
            scores = linear(scores.transpose(1, 2, 0), state, f"{block}.attn.{step}")
            scores = scores.transpose(2, 0, 1)
            scores = softmax(scores) if step == "proj_l" else scores
        talking.append(scores)
        mixed = (scores @ v).transpose(1, 0, 2).reshape(x.shape)
        x = x + state[f"{block}.gamma_1"] * linear(mixed, state, f"{block}.attn.proj")
        x = x + state[f"{block}.gamma_2"] * mlp(
            layer_norm(x, state, f"{block}.norm2"), state, f"{block}.mlp"
        )
    token = state["cls_token"][0]
    for block in (f"blocks_token_only.{i}" for i in range(len(model.blocks_token_only))):
        both = layer_norm(np.concatenate([token, x]), state, f"{block}.norm1")
        q = heads_of(linear(both[:1], state, f"{block}.attn.q"), heads)
        k, v = (heads_of(linear(both, state, f"{block}.attn.{name}"), heads) for name in "kv")
        classes.append(softmax(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])))
        mixed = (classes[-1] @ v).transpose(1, 0, 2).reshape(token.shape)
        token = token + state[f"{block}.gamma_1"] * linear(mixed, state, f"{block}.attn.proj")
        token = token + state[f"{block}.gamma_2"] * mlp(
            layer_norm(token, state, f"{block}.norm2"), state, f"{block}.mlp"
        )
    return talking, classes, layer_norm(np.concatenate([token, x]), state, "norm")[0]
