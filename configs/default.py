"""Every field of a config with its default and its meaning. Experiments import this file and change what differs.

A config is locked: a field that is not named here is an error. Counts and sizes are integers, rates are floats; a name
or a path that is not set is an empty string.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The default of every field."""
    config = ConfigDict()
    config.seed = (
        0  # decides the initial weights, the order of the data, its augmentation and the dropout
    )

    config.data = data = ConfigDict()
    data.name = "digits"  # digits | cifar10 | cifar100 | tiny_imagenet | imagenet | folder
    data.root = (
        ""  # archive or folder of the data; empty: where AI Studio mounts CIFAR, else its download
    )
    data.cache_dir = ""  # where decoded images are kept (tiny_imagenet); empty: ~/.cache/rdrop
    data.holdout = 0.0  # share of the training images that is kept for validation, which picks the best weights
    data.max_images = 0  # train on so many images only (the same for every seed), without the held-out ones; 0: on all
    data.labels_per_class = 0  # train on that many labelled images of each class only; 0: on all
    data.unlabelled_root = (
        ""  # images for rdrop.unlabelled_batch_size; empty: those that labels_per_class leaves out
    )
    data.crop = "random_resized"  # training crop: random_resized | simple (shorter side resized, 4 pixels reflected at
    # each edge, random square: DeiT III) | padded | none | test (as in evaluation: FixRes, arXiv:1906.06423)
    data.crop_scale = (0.05, 1.0)  # random_resized: smallest and largest share of the area
    data.crop_ratio = (0.75, 4 / 3)  # random_resized: smallest and largest width over height
    data.crop_padding = 4  # padded: pixels of black at each edge
    data.flip = 0.5  # probability of a horizontal flip in training
    data.vertical_flip = 0.0  # probability of a vertical flip in training
    data.auto_augment = (
        ""  # randaugment | autoaugment_imagenet | autoaugment_cifar10 | three_augment (see
    )
    # data/augment/auto_augment.py); empty: off
    data.randaugment_layers = (
        2  # randaugment: operations that are drawn for an image, each done with 0.5
    )
    data.randaugment_magnitude = (
        9.0  # randaugment: their strength, 0 to 10 (at 0 some still change the image)
    )
    data.randaugment_std = 0.5  # randaugment: of the normal noise on the magnitude
    data.color_jitter = (
        0.0  # brightness, contrast and saturation change by factors of up to 1 -/+ this; 0: off
    )
    data.hue_jitter = (
        0.0  # the hue turns by up to this share of the colour circle, at most 0.5; 0: off
    )
    data.erase_probability = 0.0  # of an image to have boxes erased, after it is normalised; 0: off
    data.erase_mode = "pixel"  # what they are filled with: const (0) | rand (a normal colour) | pixel (normal noise)
    data.erase_count = 1  # the most boxes of an image, which share 2 to 33 % of its area
    data.mixup_alpha = (
        0.0  # mix pairs of images of a micro-batch by a share drawn from Beta(alpha, alpha); 0: off
    )
    data.cutmix_alpha = 0.0  # likewise, by pasting a box; 0: off
    data.mix_mode = (
        "batch"  # what has a mix of its own: batch (each micro-batch) | elem (each image) | pair
    )
    data.mix_probability = 1.0  # of a mix to be done at all
    data.mix_switch_probability = 0.5  # with both, the share of CutMix
    data.repeats = 1  # how often an image comes in a global batch, augmented anew each time (repeated augmentation). An
    # epoch stays as many images, so it shows 1 / repeats of the different ones. Images without labels come once
    data.interpolation = ""  # bicubic | bilinear; empty: what the model's weights expect
    data.resize_on = "host"  # where images are enlarged: host, as they are read | device, in the step, to the same bits
    # (all must be of one size, and auto_augment and the jitters off)
    data.eval_crop = 0.0  # side of the evaluation crop over that of the resized image; 0: what the weights expect
    data.on_corrupt = "error"  # a damaged image: error | skip (named and counted)
    data.workers = (
        0  # processes that read and transform images on each card; 0: none but the trainer itself
    )

    config.model = model = ConfigDict()
    model.name = "vit_b_16_384"  # a key of models.MODELS
    model.num_classes = 0  # 0: as many as the data set has
    model.image_size = 0  # side of the square input in pixels; 0: the model's own
    model.drop_rate = (
        0.0  # dropout behind the position embedding, the attention's projection, and in the MLP
    )
    model.embed_drop_rate = -1.0  # in its place behind the position embedding; negative: drop_rate
    model.proj_drop_rate = (
        -1.0
    )  # in its place behind the attention's projection; negative: drop_rate
    model.mlp_drop_rate = -1.0  # in its place in the MLP; negative: drop_rate
    model.attn_drop_rate = 0.0  # dropout of the attention weights
    model.drop_path_rate = (
        0.0  # stochastic depth of the last block, growing from 0 in the first (CaiT: of all)
    )
    model.operators = (
        "auto"  # auto: compiled ones on a CPU, Paddle's elsewhere | plain: Paddle's everywhere
    )
    model.head_init = "normal"  # normal | zero
    model.train_head = "each"  # what the loss of a distilled model is of: each of its two heads | average | class |
    # distillation (one head alone, the other frozen). PPIM averages. Without meaning for other models
    model.eval_head = (
        ""  # what evaluation takes: average | class | distillation; empty: what fits train_head
    )
    model.trainable = "all"  # all | head | head_and_norm (and the last norm in front of it) | attention (attention
    # layers, positions and the head); the rest keeps its weights and the statistics of its batch norms
    model.pretrained = (
        ""  # weights: a file, an https address, a name of PPIM, timm/NAME.TAG, google/PATH
    )
    model.pretrained_head = (
        "auto"  # auto: theirs where it is for as many classes | new | imagenet: of a head for the
    )
    # 1000 classes of ImageNet the rows of the data's classes, which must be WordNet ids (tiny_imagenet)
    model.mean = ()  # of the pixels, in 0 to 1, by channel; empty: what the model's weights expect
    model.std = ()  # likewise

    config.rdrop = rdrop = ConfigDict()
    rdrop.copies = 2  # passes of each image; 1: plain cross-entropy
    rdrop.alpha = 1.0  # weight of the KL term, in the sense of the preset
    rdrop.preset = (
        "per_sample"  # per_sample | paper | official_code | paddle_2021 (see losses/rdrop.py)
    )
    rdrop.alpha_warmup_steps = 0  # steps in which the weight grows linearly from 0
    rdrop.every_steps = 1  # R-Drop in every k-th step, one pass and cross-entropy in the others (images without labels
    # are read in each, and used in the first)
    rdrop.consistency = (
        "symmetric_kl"  # symmetric_kl (the paper's) | kl (one direction) | js | mse | cosine
    )
    rdrop.temperature = (
        1.0  # of the predictions in the consistency term, which is multiplied by its square
    )
    rdrop.stop_gradient = (
        False  # no gradient through the target of each comparison (cosub, arXiv:2212.04884)
    )
    rdrop.drop_rates = ()  # one for each copy in place of model.drop_rate (a single pass takes the first); empty: as is
    rdrop.shared_blocks = 0  # the first so many blocks have no noise, and run once for all copies
    rdrop.unlabelled_batch_size = (
        0  # images without labels a card in one forward pass, for the consistency term alone
    )
    rdrop.unlabelled_alpha = (
        1.0  # weight of their consistency, a mean over samples whatever the preset
    )

    config.loss = loss = ConfigDict()
    loss.form = "softmax"  # softmax: cross-entropy | sigmoid: binary cross-entropy of each class, averaged over classes
    # (the loss and the calibration that evaluation reports are those of the softmax in either case)
    loss.label_smoothing = 0.0  # share of the probability that is spread evenly over the classes

    config.distill = distill = ConfigDict()
    distill.teacher = ""  # a key of models.MODELS, whose predictions the student learns beside the labels; empty: none
    distill.weights = (
        ""  # the teacher's: a file, an https address or a name, as in model.pretrained
    )
    distill.kind = "soft"  # soft: KL from the teacher's probabilities | hard: cross-entropy with its first class
    distill.alpha = 0.5  # share of the distillation: (1 - alpha) * (cross-entropy and R-Drop) + alpha * distillation
    distill.temperature = (
        3.0  # soft: divides the logits of both; the term is multiplied by its square
    )
    distill.image_size = (
        0  # side in pixels that the teacher sees, resized where the student's differs; 0: its own
    )
    distill.head = "auto"  # auto: the weights' own, for the data's classes | imagenet: as in model.pretrained_head

    config.optim = optim = ConfigDict()
    optim.name = "adamw"  # adamw | momentum | sgd | lamb | lars
    optim.lr = 1e-3  # peak learning rate
    optim.scale_lr = (
        False  # multiply lr and final_lr by the global batch over train.reference_batch_size
    )
    optim.layer_decay = (
        1.0  # the rate of each block over that of the next one, up to the head, which has all of lr
    )
    optim.momentum = 0.9  # momentum, lars: the coefficient
    optim.nesterov = False  # momentum: look one step ahead
    optim.lars_coefficient = (
        0.001  # lars: a layer's rate over the norm of its weights, by that of its gradient
    )
    optim.beta1 = 0.9  # adamw, lamb
    optim.beta2 = 0.999  # adamw, lamb
    optim.weight_decay = (
        0.0  # adamw: decoupled, lamb: before the trust ratio, else added to the gradient
    )
    optim.decay = "matrices"  # what decays: matrices (and convolutions; biases, norms, tokens, positions do not) | all
    optim.clip_norm = 0.0  # largest norm of the whole gradient; 0: not clipped
    optim.schedule = (
        "cosine"  # cosine | linear | polynomial | constant | multi_step, after the warm-up
    )
    optim.warmup_steps = 0  # steps of linear warm-up to the peak
    optim.final_lr = 0.0  # the rate at the end (cosine, linear, polynomial)
    optim.power = 1.0  # polynomial: its exponent
    optim.milestones = ()  # multi_step: the steps, counted from the start of the run, at which the rate falls
    optim.gamma = 0.1  # multi_step: what it is multiplied by

    config.average = average = ConfigDict()
    average.ema_decay = (
        0.0  # of an exponential moving average of the weights, such as 0.9999; 0: none
    )
    average.ema_warmup = True  # after t steps its decay is at most (1 + t) / (10 + t)
    average.swa_start = (
        0.0  # share of the run after which SWA begins to take weights, such as 0.75; 0: none
    )
    average.swa_every_steps = 0  # between two of them; 0: an epoch
    average.swa_lr = 0.0  # the rate from there on; 0: the schedule's
    average.swa_lowest_lr = (
        0.0  # cyclic: between two of them the rate falls linearly from swa_lr to this; 0: constant
    )
    average.precise_bn_batches = (
        0  # batches a card for exact batch-norm statistics at each evaluation; 0: running ones
    )

    config.train = train = ConfigDict()
    train.epochs = (
        0.0  # length of the run in passes over the training images; used where steps is 0
    )
    train.steps = 0  # length of the run in optimiser steps
    train.batch_size = 128  # images a card in one forward pass (each passes rdrop.copies times)
    train.accumulation_steps = 1  # micro-batches of one optimiser step
    train.micro_batch = (
        ""  # auto: at the start, the images of a card and step are split anew into the largest
    )
    # micro-batches that fit into its memory by the estimate (see engine/plan/micro_batch_size.py); empty: as the two above say
    train.reference_batch_size = (
        0  # the global batch that optim.lr was chosen for; another one gives a warning, or
    )
    # another rate (optim.scale_lr); 0: any
    train.recompute = (
        False  # run each block again in the backward pass: less memory for one more forward pass
    )
    train.amp = ""  # on a GPU, half precision of matrix products and convolutions: O1 | of nearly everything: O2
    train.amp_dtype = "float16"  # float16 | bfloat16
    train.loss_scale = 65536.0  # float16: the first one; it is halved at gradients that are too large, and grows again
    train.nonfinite = "stop"  # at a loss or a gradient that is not finite: stop | skip (leave the step out) | rollback
    # (go back to the newest checkpoint, with a lower rate). What the loss scale of float16 skips does not count
    train.nonfinite_limit = 10  # skip, rollback: how many of them a run may have
    train.rollback_lr_factor = 0.5  # rollback: what the rate is multiplied by at each
    train.check_ranks_every_steps = (
        500  # between two comparisons of the weights and the moments of all cards, which
    )
    # are also compared at each checkpoint and validation; 0: never
    train.log_every_steps = 20  # between two records of the training metrics
    train.checkpoint_every_steps = 500  # between two checkpoints (a new best score is always kept)
    train.keep_checkpoints = 2  # how many of the newest are kept beside the best
    train.stop_unless_saved = True  # a checkpoint that can't be written (disk full) stops the run; or it goes on and says so

    config.eval = evaluation = ConfigDict()
    evaluation.batch_size = 128  # images a card
    evaluation.every_steps = 0  # between two validations on the held-out images; 0: once an epoch

    return config.lock()
