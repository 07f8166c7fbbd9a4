"""Numbers the layers of a model, for learning rates that fall layer by layer towards the input."""

from common.errors import UserError
from models.multipass import MultiPass

_EMBEDDING = ("patch_embed.", "cls_token", "dist_token", "pos_embed")


def layer_numbers(model: MultiPass) -> dict[str, int]:
    """Returns the layer of each parameter, by the parameter's name.

    The embedding is 0, blocks count from 1, and the heads are the last. As in timm, what comes
    behind the blocks and is no head (the last norm, CaiT's class attention) belongs to the last
    block. The merging of patches between two blocks belongs to the later block.

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
    return {
        name: last + 1
        if model.is_in_head(name)
        else in_blocks.get(id(parameter), 0 if name.startswith(_EMBEDDING) else last)
        for name, parameter in model.named_parameters()
    }
