"""How deep in a model each parameter is, for rates that fall layer by layer towards the input."""

from __future__ import annotations

from common.errors import UserError
from models.multipass import MultiPass

_EMBEDDING = ("patch_embed.", "cls_token", "dist_token", "pos_embed")


def layer_numbers(model: MultiPass) -> dict[str, int]:
    """The layer of each parameter by its name: the embedding is 0, blocks count from 1, the heads
    are the last.

    As in timm: what comes behind the blocks and is no head (the last norm, CaiT's class attention)
    belongs to the last block, and the merging of patches between two blocks to the later one.

    Raises:
        UserError: for a model that is not made of blocks.
    """
    stages = model.block_groups()
    if len(stages) == 1:
        raise UserError(
            "optim.layer_decay needs a model that is made of blocks (ViT, DeiT, CaiT, Swin): set it to 1"
        )
    last = len(stages) - 1
    in_blocks = {
        id(parameter): number + place
        for number, stage in enumerate(stages)
        for place, layer in enumerate(stage)
        for parameter in layer.parameters()
    }
    numbers = {}
    for name, parameter in model.named_parameters():
        numbers[name] = in_blocks.get(id(parameter), 0 if name.startswith(_EMBEDDING) else last)
        if name.startswith(tuple(f"{head}." for head in model.heads)):
            numbers[name] = last + 1
    return numbers
