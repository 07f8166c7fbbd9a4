"""The names of arrays in each library, written down by hand: theirs, and timm's.

`{}` is the number of a block. A layer has a weight and a bias, but for `NO_LEAF`; `+` joins the
parts that timm keeps as one array.
"""

from __future__ import annotations

import numpy as np

NO_LEAF = ("_token", "pos_embed", ".gamma", "_table", "q_bias", "v_bias")

# Library as it is called: what stands between theirs and timm's, one layer a line.
VITS = {
    "Hugging Face's ViT": """
        vit.embeddings.cls_token = cls_token
        vit.embeddings.position_embeddings = pos_embed
        vit.embeddings.patch_embeddings.projection = patch_embed.proj
        vit.encoder.layer.{}.layernorm_before = blocks.{}.norm1
        vit.encoder.layer.{}.attention.attention.query + key + value = blocks.{}.attn.qkv
        vit.encoder.layer.{}.attention.output.dense = blocks.{}.attn.proj
        vit.encoder.layer.{}.layernorm_after = blocks.{}.norm2
        vit.encoder.layer.{}.intermediate.dense = blocks.{}.mlp.fc1
        vit.encoder.layer.{}.output.dense = blocks.{}.mlp.fc2
        vit.layernorm = norm
        classifier = head
    """,
    "Hugging Face's ViT of version 5, in memory": """
        vit.embeddings.cls_token = cls_token
        vit.embeddings.position_embeddings = pos_embed
        vit.embeddings.patch_embeddings.projection = patch_embed.proj
        vit.layers.{}.layernorm_before = blocks.{}.norm1
        vit.layers.{}.attention.q_proj + k_proj + v_proj = blocks.{}.attn.qkv
        vit.layers.{}.attention.o_proj = blocks.{}.attn.proj
        vit.layers.{}.layernorm_after = blocks.{}.norm2
        vit.layers.{}.mlp.fc1 = blocks.{}.mlp.fc1
        vit.layers.{}.mlp.fc2 = blocks.{}.mlp.fc2
        vit.layernorm = norm
        classifier = head
    """,
    "Hugging Face's ViT-MSN, which has lost its prefix in places": """
        vit.embeddings.cls_token = cls_token
        vit.embeddings.position_embeddings = pos_embed
        vit.embeddings.patch_embeddings.projection = patch_embed.proj
        encoder.layer.{}.layernorm_before = blocks.{}.norm1
        encoder.layer.{}.attention.attention.query + key + value = blocks.{}.attn.qkv
        encoder.layer.{}.attention.output.dense = blocks.{}.attn.proj
        encoder.layer.{}.layernorm_after = blocks.{}.norm2
        encoder.layer.{}.intermediate.dense = blocks.{}.mlp.fc1
        encoder.layer.{}.output.dense = blocks.{}.mlp.fc2
        vit.layernorm = norm
        classifier = head
    """,
    "Hugging Face's DeiT with a teacher": """
        deit.embeddings.cls_token = cls_token
        deit.embeddings.distillation_token = dist_token
        deit.embeddings.position_embeddings = pos_embed
        deit.embeddings.patch_embeddings.projection = patch_embed.proj
        deit.encoder.layer.{}.layernorm_before = blocks.{}.norm1
        deit.encoder.layer.{}.attention.attention.query + key + value = blocks.{}.attn.qkv
        deit.encoder.layer.{}.attention.output.dense = blocks.{}.attn.proj
        deit.encoder.layer.{}.layernorm_after = blocks.{}.norm2
        deit.encoder.layer.{}.intermediate.dense = blocks.{}.mlp.fc1
        deit.encoder.layer.{}.output.dense = blocks.{}.mlp.fc2
        deit.layernorm = norm
        cls_classifier = head
        distillation_classifier = head_dist
    """,
    "the official R-Drop code": """
        transformer.embeddings.cls_token = cls_token
        transformer.embeddings.position_embeddings = pos_embed
        transformer.embeddings.patch_embeddings = patch_embed.proj
        transformer.encoder.layer.{}.attention_norm = blocks.{}.norm1
        transformer.encoder.layer.{}.attn.query + key + value = blocks.{}.attn.qkv
        transformer.encoder.layer.{}.attn.out = blocks.{}.attn.proj
        transformer.encoder.layer.{}.ffn_norm = blocks.{}.norm2
        transformer.encoder.layer.{}.ffn.fc1 = blocks.{}.mlp.fc1
        transformer.encoder.layer.{}.ffn.fc2 = blocks.{}.mlp.fc2
        transformer.encoder.encoder_norm = norm
        head = head
    """,
    "PaddleViT": """
        cls_token = cls_token
        dist_token = dist_token
        position_embedding = pos_embed
        patch_embedding.patch_embedding = patch_embed.proj
        encoder.layers.{}.attn_norm = blocks.{}.norm1
        encoder.layers.{}.attn.qkv = blocks.{}.attn.qkv
        encoder.layers.{}.attn.out = blocks.{}.attn.proj
        encoder.layers.{}.mlp_norm = blocks.{}.norm2
        encoder.layers.{}.mlp.fc1 = blocks.{}.mlp.fc1
        encoder.layers.{}.mlp.fc2 = blocks.{}.mlp.fc2
        encoder.encoder_norm = norm
        classifier = head
        classifier_dist = head_dist
    """,
    "PaddleViT in 2021": """
        patch_embedding.cls_token = cls_token
        patch_embedding.position_embeddings = pos_embed
        patch_embedding.patch_embeddings = patch_embed.proj
        encoder.layers.{}.attn_norm = blocks.{}.norm1
        encoder.layers.{}.attn.qkv = blocks.{}.attn.qkv
        encoder.layers.{}.attn.out = blocks.{}.attn.proj
        encoder.layers.{}.mlp_norm = blocks.{}.norm2
        encoder.layers.{}.mlp.fc1 = blocks.{}.mlp.fc1
        encoder.layers.{}.mlp.fc2 = blocks.{}.mlp.fc2
        encoder.encoder_norm = norm
        classifier = head
    """,
    "PaddleViT's DeiT of 2021": """
        class_token = cls_token
        distill_token = dist_token
        pos_embed = pos_embed
        patch_embed.proj = patch_embed.proj
        layers.{}.norm1 = blocks.{}.norm1
        layers.{}.attn.qkv = blocks.{}.attn.qkv
        layers.{}.attn.proj = blocks.{}.attn.proj
        layers.{}.norm2 = blocks.{}.norm2
        layers.{}.mlp.fc1 = blocks.{}.mlp.fc1
        layers.{}.mlp.fc2 = blocks.{}.mlp.fc2
        norm = norm
        head = head
        head_distill = head_dist
    """,
    "torchvision's ViT": """
        class_token = cls_token
        encoder.pos_embedding = pos_embed
        conv_proj = patch_embed.proj
        encoder.layers.encoder_layer_{}.ln_1 = blocks.{}.norm1
        encoder.layers.encoder_layer_{}.self_attention.in_proj_ = blocks.{}.attn.qkv
        encoder.layers.encoder_layer_{}.self_attention.out_proj = blocks.{}.attn.proj
        encoder.layers.encoder_layer_{}.ln_2 = blocks.{}.norm2
        encoder.layers.encoder_layer_{}.mlp.0 = blocks.{}.mlp.fc1
        encoder.layers.encoder_layer_{}.mlp.3 = blocks.{}.mlp.fc2
        encoder.ln = norm
        heads.head = head
    """,
    "torchvision's ViT of version 0.12": """
        class_token = cls_token
        encoder.pos_embedding = pos_embed
        conv_proj = patch_embed.proj
        encoder.layers.encoder_layer_{}.ln_1 = blocks.{}.norm1
        encoder.layers.encoder_layer_{}.self_attention.in_proj_ = blocks.{}.attn.qkv
        encoder.layers.encoder_layer_{}.self_attention.out_proj = blocks.{}.attn.proj
        encoder.layers.encoder_layer_{}.ln_2 = blocks.{}.norm2
        encoder.layers.encoder_layer_{}.mlp.linear_1 = blocks.{}.mlp.fc1
        encoder.layers.encoder_layer_{}.mlp.linear_2 = blocks.{}.mlp.fc2
        encoder.ln = norm
        heads.head = head
    """,
    "mmpretrain's ViT": """
        backbone.cls_token = cls_token
        backbone.pos_embed = pos_embed
        backbone.patch_embed.projection = patch_embed.proj
        backbone.layers.{}.ln1 = blocks.{}.norm1
        backbone.layers.{}.attn.qkv = blocks.{}.attn.qkv
        backbone.layers.{}.attn.proj = blocks.{}.attn.proj
        backbone.layers.{}.ln2 = blocks.{}.norm2
        backbone.layers.{}.ffn.layers.0.0 = blocks.{}.mlp.fc1
        backbone.layers.{}.ffn.layers.1 = blocks.{}.mlp.fc2
        backbone.ln1 = norm
        head.layers.head = head
    """,
    "mmpretrain's DeiT": """
        backbone.cls_token = cls_token
        backbone.dist_token = dist_token
        backbone.pos_embed = pos_embed
        backbone.patch_embed.projection = patch_embed.proj
        backbone.layers.{}.ln1 = blocks.{}.norm1
        backbone.layers.{}.attn.qkv = blocks.{}.attn.qkv
        backbone.layers.{}.attn.proj = blocks.{}.attn.proj
        backbone.layers.{}.ln2 = blocks.{}.norm2
        backbone.layers.{}.ffn.layers.0.0 = blocks.{}.mlp.fc1
        backbone.layers.{}.ffn.layers.1 = blocks.{}.mlp.fc2
        backbone.ln1 = norm
        head.layers.head = head
        head.layers.head_dist = head_dist
    """,
}
# Stages of one block; the second begins with the merging of patches.
SWINS = {
    "Hugging Face's Swin": """
        swin.embeddings.patch_embeddings.projection = patch_embed.proj
        swin.embeddings.norm = patch_embed.norm
        swin.encoder.layers.{}.blocks.0.layernorm_before = layers.{}.blocks.0.norm1
        swin.encoder.layers.{}.blocks.0.attention.self.query + key + value = \
layers.{}.blocks.0.attn.qkv
        swin.encoder.layers.{}.blocks.0.attention.self.relative_position_bias_table = \
layers.{}.blocks.0.attn.relative_position_bias_table
        swin.encoder.layers.{}.blocks.0.attention.output.dense = layers.{}.blocks.0.attn.proj
        swin.encoder.layers.{}.blocks.0.layernorm_after = layers.{}.blocks.0.norm2
        swin.encoder.layers.{}.blocks.0.intermediate.dense = layers.{}.blocks.0.mlp.fc1
        swin.encoder.layers.{}.blocks.0.output.dense = layers.{}.blocks.0.mlp.fc2
        swin.encoder.layers.0.downsample.norm = layers.1.downsample.norm
        swin.encoder.layers.0.downsample.reduction = layers.1.downsample.reduction
        swin.layernorm = norm
        classifier = head.fc
    """,
    "Hugging Face's Swin of version 5, in memory": """
        swin.embeddings.patch_embeddings.projection = patch_embed.proj
        swin.embeddings.norm = patch_embed.norm
        swin.encoder.layers.{}.blocks.0.layernorm_before = layers.{}.blocks.0.norm1
        swin.encoder.layers.{}.blocks.0.attention.q_proj + k_proj + v_proj = \
layers.{}.blocks.0.attn.qkv
        swin.encoder.layers.{}.blocks.0.attention.relative_position_bias.\
relative_position_bias_table = layers.{}.blocks.0.attn.relative_position_bias_table
        swin.encoder.layers.{}.blocks.0.attention.o_proj = layers.{}.blocks.0.attn.proj
        swin.encoder.layers.{}.blocks.0.layernorm_after = layers.{}.blocks.0.norm2
        swin.encoder.layers.{}.blocks.0.mlp.fc1 = layers.{}.blocks.0.mlp.fc1
        swin.encoder.layers.{}.blocks.0.mlp.fc2 = layers.{}.blocks.0.mlp.fc2
        swin.encoder.layers.0.downsample.norm = layers.1.downsample.norm
        swin.encoder.layers.0.downsample.reduction = layers.1.downsample.reduction
        swin.layernorm = norm
        classifier = head.fc
    """,
    "PaddleViT's Swin": """
        patch_embedding.patch_embed = patch_embed.proj
        patch_embedding.norm = patch_embed.norm
        stages.{}.blocks.0.norm1 = layers.{}.blocks.0.norm1
        stages.{}.blocks.0.attn.qkv = layers.{}.blocks.0.attn.qkv
        stages.{}.blocks.0.attn.relative_position_bias_table = \
layers.{}.blocks.0.attn.relative_position_bias_table
        stages.{}.blocks.0.attn.proj = layers.{}.blocks.0.attn.proj
        stages.{}.blocks.0.norm2 = layers.{}.blocks.0.norm2
        stages.{}.blocks.0.mlp.fc1 = layers.{}.blocks.0.mlp.fc1
        stages.{}.blocks.0.mlp.fc2 = layers.{}.blocks.0.mlp.fc2
        stages.0.downsample.norm = layers.1.downsample.norm
        stages.0.downsample.reduction = layers.1.downsample.reduction
        norm = norm
        fc = head.fc
    """,
    "torchvision's Swin": """
        features.0.0 = patch_embed.proj
        features.0.2 = patch_embed.norm
        features.1.0.norm1 = layers.0.blocks.0.norm1
        features.1.0.attn.qkv = layers.0.blocks.0.attn.qkv
        features.1.0.attn.relative_position_bias_table = \
layers.0.blocks.0.attn.relative_position_bias_table
        features.1.0.attn.proj = layers.0.blocks.0.attn.proj
        features.1.0.norm2 = layers.0.blocks.0.norm2
        features.1.0.mlp.0 = layers.0.blocks.0.mlp.fc1
        features.1.0.mlp.3 = layers.0.blocks.0.mlp.fc2
        features.2.norm = layers.1.downsample.norm
        features.2.reduction = layers.1.downsample.reduction
        features.3.0.norm1 = layers.1.blocks.0.norm1
        features.3.0.attn.qkv = layers.1.blocks.0.attn.qkv
        features.3.0.attn.relative_position_bias_table = \
layers.1.blocks.0.attn.relative_position_bias_table
        features.3.0.attn.proj = layers.1.blocks.0.attn.proj
        features.3.0.norm2 = layers.1.blocks.0.norm2
        features.3.0.mlp.0 = layers.1.blocks.0.mlp.fc1
        features.3.0.mlp.3 = layers.1.blocks.0.mlp.fc2
        norm = norm
        head = head.fc
    """,
    "mmpretrain's Swin": """
        backbone.patch_embed.projection = patch_embed.proj
        backbone.patch_embed.norm = patch_embed.norm
        backbone.stages.{}.blocks.0.norm1 = layers.{}.blocks.0.norm1
        backbone.stages.{}.blocks.0.attn.w_msa.qkv = layers.{}.blocks.0.attn.qkv
        backbone.stages.{}.blocks.0.attn.w_msa.relative_position_bias_table = \
layers.{}.blocks.0.attn.relative_position_bias_table
        backbone.stages.{}.blocks.0.attn.w_msa.proj = layers.{}.blocks.0.attn.proj
        backbone.stages.{}.blocks.0.norm2 = layers.{}.blocks.0.norm2
        backbone.stages.{}.blocks.0.ffn.layers.0.0 = layers.{}.blocks.0.mlp.fc1
        backbone.stages.{}.blocks.0.ffn.layers.1 = layers.{}.blocks.0.mlp.fc2
        backbone.stages.0.downsample.norm = layers.1.downsample.norm
        backbone.stages.0.downsample.reduction = layers.1.downsample.reduction
        backbone.norm3 = norm
        head.fc = head.fc
    """,
}


def theirs(table: str, arrays: dict[str, np.ndarray], axis: int = 0) -> dict[str, np.ndarray]:
    """Returns arrays with timm's names under the names of a library.

    Args:
        table: of this file.
        arrays: with timm's names.
        axis: of the outputs in the matrices.
    """
    rows = [line.strip().split(" = ") for line in table.strip().splitlines()]
    found = {}
    for name, array in arrays.items():
        bare = name.endswith(NO_LEAF)
        layer, leaf = (name, "") if bare else name.rsplit(".", 1)
        place = [(row, number) for row in rows for number in range(4) if _fits(row, layer, number)]
        (row, number), *_ = place
        parts = row[0].replace("{}", str(number)).split(" + ")
        stem = parts[0].rpartition(".")[0]
        names = [parts[0], *(f"{stem}.{part}" for part in parts[1:])]
        pieces = np.split(array, len(names), axis if array.ndim > 1 else 0)
        dot = "" if bare or names[0].endswith("_") else "."
        found.update((f"{one}{dot}{leaf}", piece) for one, piece in zip(names, pieces))
    return found


def _fits(row: list[str], layer: str, number: int) -> bool:
    return row[1].replace("{}", str(number)) == layer
