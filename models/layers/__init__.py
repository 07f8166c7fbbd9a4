"""The parts of models: dropout and its masks, basic layers, operators, changes for a while."""

from models.layers.basic_layers import LayerNorm, Linear, replace_layers
from models.layers.batch_norms import BATCH_NORMS, batch_norms
from models.layers.dropout import (
    Dropout,
    DropPath,
    DropRates,
    as_on_gpu,
    noise_layers,
    random_layers,
    replace_dropout,
    silence,
)
from models.layers.dropout_masks import Rate, batch_copies, batch_rows, replay
from models.layers.operators import (
    attention_branch,
    compiled_branches,
    compiled_operators,
    describe_operators,
    fuses_attention,
    missing_for_bfloat16,
    mlp_branch,
    plain,
    replaceable,
)
from models.layers.precision import in_bfloat16
from models.layers.temporary_changes import changed, watched

__all__ = [
    "BATCH_NORMS",
    "DropPath",
    "DropRates",
    "Dropout",
    "LayerNorm",
    "Linear",
    "Rate",
    "as_on_gpu",
    "attention_branch",
    "batch_copies",
    "batch_norms",
    "batch_rows",
    "changed",
    "compiled_branches",
    "compiled_operators",
    "describe_operators",
    "fuses_attention",
    "in_bfloat16",
    "missing_for_bfloat16",
    "mlp_branch",
    "noise_layers",
    "plain",
    "random_layers",
    "replace_dropout",
    "replace_layers",
    "replaceable",
    "replay",
    "silence",
    "watched",
]
