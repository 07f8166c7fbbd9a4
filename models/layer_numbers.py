"""Numbers the layers of a model, for learning rates that fall layer by layer towards the input."""

from common.errors import UserError
from models.multipass import MultiPass

_EMBEDDING = ("patch_embed.", "cls_token", "dist_token", "reg_token", "pos_embed", "norm_pre.")
_CLASS_ATTENTION = "blocks_token_only."
_BELOW_HEAD = ("fc_norm.", "pre_logits.")


def layer_numbers(model: MultiPass) -> dict[str, int]:
    """Returns the layer of each parameter, by the parameter's name.

    The embedding is 0 (with a norm before the blocks), blocks count from 1, and the heads are the
    last. As in timm, what comes behind the blocks and is no head (the last norm) belongs to the
    last block, and what comes behind the pooling to the heads. CaiT's class-attention blocks
    belong to the last blocks one by one: the second of two to the last, the first to the last but
    one. The merging of patches between two blocks belongs to the later block.

    Raises:
        UserError: for a model that is not made of blocks.
    """
    groups = model.block_groups()
    if len(groups) == 1:
        raise UserError(
            "optim.layer_decay needs a model that is made of blocks "
            "(ViT, DeiT, CaiT, Swin): set it to 1"
        )
    last = len(groups) - 1
    in_blocks = {
        id(parameter): number + place
        for number, group in enumerate(groups)
        for place, layer in enumerate(group)
        for parameter in layer.parameters()
    }
    named = model.named_parameters()
    return {name: _number(model, name, last, in_blocks.get(id(one), last)) for name, one in named}


def _number(model: MultiPass, name: str, last: int, in_block: int) -> int:
    if model.is_in_head(name) or name.startswith(_BELOW_HEAD):
        return last + 1
    if name.startswith(_CLASS_ATTENTION):
        place = int(name.removeprefix(_CLASS_ATTENTION).partition(".")[0])
        return last - len(model.blocks_token_only) + 1 + place
    return 0 if name.startswith(_EMBEDDING) else in_block
