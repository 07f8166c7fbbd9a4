"""Fine-tuning on your own images, set up for what they, the weights and the machine are.

The images are in `ROOT/<class>/*` or `ROOT/train/<class>/*`. The start prints what was chosen, and
why (also with --dry_run); `config.json` in the run's folder has it. What you set yourself stays.

Commands:
    python main.py --config=configs/folder.py --config.data.root=ROOT
    python main.py --config=configs/folder.py --config.data.root=ROOT \\
        --config.model.pretrained=FILE [--config.model.name=NAME]
Hardware:
    Any. On a CPU the model and the images are smaller; docs/recipes.md has times and accuracies.
"""

from ml_collections import ConfigDict

from configs import default
from configs.allowed_values import AUTO, TO_CHOOSE


def get_config() -> ConfigDict:
    config = default.get_config()
    config.data.name = "folder"
    config.data.holdout = TO_CHOOSE
    config.data.crop_scale = ()
    config.data.workers = TO_CHOOSE

    config.model.name = AUTO
    config.model.image_size = TO_CHOOSE
    config.model.drop_rate = TO_CHOOSE
    config.model.attn_drop_rate = TO_CHOOSE
    config.model.head_init = "zero"

    config.loss.label_smoothing = TO_CHOOSE

    config.optim.lr = TO_CHOOSE
    config.optim.layer_decay = TO_CHOOSE
    config.optim.weight_decay = TO_CHOOSE
    config.optim.clip_norm = TO_CHOOSE
    config.optim.warmup_steps = TO_CHOOSE

    config.train.recipe = "fine_tune"
    config.train.epochs = TO_CHOOSE
    config.train.batch_size = TO_CHOOSE
    config.train.reference_batch_size = TO_CHOOSE
    config.train.micro_batch = "auto"
    return config
