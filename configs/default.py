"""Every field of a config, with its default and its meaning.

An experiment imports this file and changes what differs. A config is locked: a field that is not
named here is an error. Counts and sizes are integers, rates are floats. A name or a path that is
not set is an empty string. What a field may be, and where it may differ, is in `allowed_values.py`.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Returns the default of every field."""
    config = ConfigDict()
    config.seed = 0  # of the initial weights, the order of the data, augmentation and dropout

    config.data = data = ConfigDict()
    data.name = "digits"  # digits | cifar10 | cifar100 | tiny_imagenet | imagenet | folder
    # Archive or folder of the data. Empty: CIFAR is read where AI Studio mounts it, or downloaded.
    data.root = ""
    # Folder for what is decoded or unpacked once (tiny_imagenet, .tar.gz, parquet); empty:
    # ~/.cache/rdrop.
    data.cache_dir = ""
    # folder: lists of paths and labels, below the root or anywhere; empty: those that lie at the
    # root (train_list.txt, val_list.txt, test_list.txt and label_list.txt), if any.
    data.train_list = ""
    data.val_list = ""
    data.test_list = ""
    data.label_list = ""  # names of the classes, with or without their numbers
    # folder: columns of a table (.csv, .jsonl, .parquet); empty: they are told from the content.
    data.image_column = ""
    data.label_column = ""
    # Turn images upright by their EXIF orientation: apply | ignore | auto (people's own images
    # are turned, those of ImageNet are not, as for its published figures).
    data.exif_orientation = "auto"
    # Share of the training images that is held out for validation, which picks the best weights.
    data.holdout = 0.0
    # Train on this many images only, the same for every seed; held-out images do not count. 0: all.
    data.max_images = 0
    data.labels_per_class = 0  # train on this many labelled images of each class only; 0: on all
    # Share of the training labels that are replaced by another class, drawn evenly by the seed: an
    # experiment. Those of held-out and of test images stay.
    data.label_noise = 0.0
    # Images for rdrop.unlabelled_batch_size; empty: those that labels_per_class leaves out.
    data.unlabelled_root = ""
    # Crop of a training image:
    #   random_resized: a random part, resized
    #   simple: shorter side resized, 4 pixels reflected at each edge, random square (DeiT III)
    #   none: shorter side resized, central square
    #   padded: as none, then crop_padding black pixels at each edge, random square
    #   test: as in evaluation (FixRes, arXiv:1906.06423)
    data.crop = "random_resized"
    data.crop_scale = (0.05, 1.0)  # random_resized: smallest and largest share of the area
    data.crop_ratio = (0.75, 4 / 3)  # random_resized: smallest and largest width over height
    data.crop_padding = 4  # padded: black pixels at each edge
    data.flip = 0.5  # probability of a horizontal flip in training
    data.vertical_flip = 0.0  # probability of a vertical flip in training
    # randaugment | randaugment_torchvision | autoaugment_imagenet | autoaugment_cifar10 |
    # three_augment, as described in data/augment/auto_augment.py; empty: off.
    data.auto_augment = ""
    # Number of operations drawn for an image. randaugment: each is applied with probability 0.5;
    # randaugment_torchvision: always.
    data.randaugment_layers = 2
    # Strength of the operations; at 0 some of them still change the image. randaugment: 0 to 10;
    # randaugment_torchvision: 0 to 30, without a fraction.
    data.randaugment_magnitude = 9.0
    data.randaugment_std = 0.5  # randaugment: standard deviation of noise on the magnitude
    # Brightness, contrast and saturation change by factors of up to 1 -/+ this; 0: off.
    data.color_jitter = 0.0
    # The hue turns by up to this share of the colour circle, at most 0.5; 0: off.
    data.hue_jitter = 0.0
    # Probability that boxes of an image are erased, after it is normalised; 0: off.
    data.erase_probability = 0.0
    # before_mixing: as timm and DeiT, the boxes of a mixed image may come from both | after_mixing.
    data.erase_order = "before_mixing"
    # What fills the boxes: const (0) | rand (one normal colour) | pixel (normal noise).
    data.erase_mode = "pixel"
    data.erase_count = 1  # largest number of boxes in an image; together 2 to 33 % of its area
    # MixUp: mix pairs of images of a micro-batch, by a share from Beta(alpha, alpha); 0: off.
    data.mixup_alpha = 0.0
    # CutMix: the same, but the second image covers a box of the first one; 0: off.
    data.cutmix_alpha = 0.0
    data.mix_mode = "batch"  # one mix for each: batch (micro-batch) | elem (image) | pair
    data.mix_probability = 1.0  # probability that anything is mixed
    data.mix_switch_probability = 0.5  # when both are on: share of CutMix
    # Repeated augmentation: how often an image comes in a global batch, augmented anew each time.
    # An epoch stays as many images, so it shows 1 / repeats of the different ones. Images without
    # labels come once.
    data.repeats = 1
    # How many augmentations an image has: epoch e shows that of number e modulo this. 0: each epoch
    # has its own.
    data.views = 0
    data.interpolation = ""  # bicubic | bilinear; empty: what the model's weights expect
    # Where images are enlarged: host (when they are read) | device (in the step, to the same bits).
    # device needs images of one size, and auto_augment and the jitters off.
    data.resize_on = "host"
    # Side of the evaluation crop over the side of the resized image; 0: what the weights expect.
    data.eval_crop = 0.0
    data.on_corrupt = "error"  # a damaged image: error | skip (it is named and counted)
    # Processes that read and transform images for each card; 0: the trainer does it itself.
    data.workers = 0

    config.model = model = ConfigDict()
    # A key of models.MODELS; auto: the model that the weights are of.
    model.name = "vit_b_16_384"
    # What a ViT has beside what its name says (models/families/parts.py). auto: what the weights
    # tell; NAME=VALUE,...: these parts; auto,NAME=VALUE,...: these, and the others as they tell.
    model.parts = "auto"
    model.num_classes = 0  # 0: as many as the data set has
    model.image_size = 0  # side of the square input in pixels; 0: the model's own
    # Dropout at three places: after the position embedding, after the attention's projection, and
    # in the MLP.
    model.drop_rate = 0.0
    model.embed_drop_rate = -1.0  # after the position embedding; negative: drop_rate
    model.proj_drop_rate = -1.0  # after the attention's projection; negative: drop_rate
    model.mlp_drop_rate = -1.0  # in the MLP; negative: drop_rate
    model.attn_drop_rate = 0.0  # dropout of the attention weights
    # Stochastic depth of the last block; it grows from 0 in the first block. CaiT: of all blocks.
    model.drop_path_rate = 0.0
    # auto: compiled operators on a CPU, Paddle's elsewhere | plain: Paddle's everywhere.
    model.operators = "auto"
    # Of a new head: normal (as the model's own code) | zero | normal_0.01 (weights from N(0, 0.01),
    # biases 0; arXiv:1706.02677).
    model.head_init = "normal"
    # The scale of each residual block's last batch norm begins at 0, so that the block begins as
    # the identity (ResNet, RedNet, DLA, ReXNet; arXiv:1706.02677).
    model.zero_gamma = False
    # What the loss of a distilled model is computed from: each of its two heads | their average |
    # class or distillation (one head alone; the other is frozen). PPIM averages. Other models have
    # one head.
    model.train_head = "each"
    # Which head evaluation uses: average | class | distillation; empty: what fits train_head.
    model.eval_head = ""
    # What is trained: all | head | head_and_norm (also the last norm before the head) | attention
    # (attention layers, positions and the head). The rest keeps its weights and the statistics of
    # its batch norms.
    model.trainable = "all"
    # Weights to begin with: a file, a folder, an https address, a name of PPIM, timm/NAME.TAG,
    # hf/OWNER/NAME, google/PATH; FILE#KEY takes one of several models in a file.
    model.pretrained = ""
    # auto: the weights' own head when it has as many classes | new | imagenet: from a head of
    # ImageNet's 1000 classes the rows of the data's classes, which must be WordNet ids
    # (tiny_imagenet).
    model.pretrained_head = "auto"
    model.mean = ()  # of the pixels, 0 to 1, for each channel; (): what the weights expect
    model.std = ()  # standard deviation of the pixels, in the same form

    config.rdrop = rdrop = ConfigDict()
    rdrop.copies = 2  # number of forward passes of each image; 1: plain cross-entropy
    rdrop.alpha = 1.0  # weight of the KL term, as the preset defines it
    # per_sample | paper | official_code | paddle_2021 (see losses/rdrop.py).
    rdrop.preset = "per_sample"
    rdrop.alpha_warmup_steps = 0  # number of steps in which the weight grows linearly from 0
    # R-Drop in every k-th step; one pass with cross-entropy in the others. Images without labels
    # are read in each step, and used in the R-Drop steps.
    rdrop.every_steps = 1
    # symmetric_kl (the paper's) | kl (one direction) | js | mse | cosine.
    rdrop.consistency = "symmetric_kl"
    # Temperature of the predictions in the consistency term, which is multiplied by its square.
    rdrop.temperature = 1.0
    # No gradient through the target of each comparison (cosub, arXiv:2212.04884).
    rdrop.stop_gradient = False
    # One dropout rate for each copy, which replaces model.drop_rate; (): model.drop_rate for all.
    # A single pass has the first one.
    rdrop.drop_rates = ()
    # Number of leading blocks without dropout; they run once for all copies.
    rdrop.shared_blocks = 0
    # Images without labels in one forward pass of a card, for the consistency term alone.
    rdrop.unlabelled_batch_size = 0
    # Weight of their consistency, which is a mean over samples with any preset.
    rdrop.unlabelled_alpha = 1.0

    config.loss = loss = ConfigDict()
    # softmax: cross-entropy | sigmoid: binary cross-entropy of each class, averaged over classes.
    # Evaluation reports the loss and the calibration of the softmax in both cases.
    loss.form = "softmax"
    loss.label_smoothing = 0.0  # share of the probability that is spread evenly over the classes

    config.distill = distill = ConfigDict()
    # A key of models.MODELS; the student learns its predictions in addition to the labels. Empty:
    # no teacher.
    distill.teacher = ""
    distill.weights = ""  # of the teacher: a file, an address or a name, as in model.pretrained
    # soft: KL from the teacher's probabilities | hard: cross-entropy with its most likely class.
    distill.kind = "soft"
    # The loss is (1 - alpha) * (cross-entropy and R-Drop) + alpha * distillation.
    distill.alpha = 0.5
    # soft: divides the logits of both models; the term is multiplied by its square.
    distill.temperature = 3.0
    # Side in pixels of the teacher's input; the student's images are resized to it. 0: its own.
    distill.image_size = 0
    # auto: the weights' own head, for the data's classes | imagenet: as in model.pretrained_head.
    distill.head = "auto"

    config.optim = optim = ConfigDict()
    optim.name = "adamw"  # adamw | momentum | sgd | lamb | lars
    optim.lr = 1e-3  # peak learning rate
    # Multiply lr and final_lr by the global batch over train.reference_batch_size.
    optim.scale_lr = False
    # Learning rate of each block over that of the next one; the head has the whole rate.
    optim.layer_decay = 1.0
    optim.momentum = 0.9  # momentum, lars: the coefficient
    optim.nesterov = False  # momentum: look one step ahead
    # lars: the rate of a layer is this times the norm of its weights over that of its gradient.
    optim.lars_coefficient = 0.001
    optim.beta1 = 0.9  # adamw, lamb
    optim.beta2 = 0.999  # adamw, lamb
    # adamw: decoupled; lamb: before the trust ratio; others: added to the gradient.
    optim.weight_decay = 0.0
    # What decays: matrices (also convolutions, but not biases, norms, tokens and positions) | all.
    optim.decay = "matrices"
    optim.clip_norm = 0.0  # largest norm of the whole gradient; 0: not clipped
    # After the warm-up: cosine | linear | polynomial | constant | multi_step.
    optim.schedule = "cosine"
    optim.warmup_steps = 0  # steps of linear warm-up to the peak
    optim.final_lr = 0.0  # the rate at the end (cosine, linear, polynomial)
    optim.power = 1.0  # polynomial: its exponent
    # multi_step: the steps at which the rate falls, counted from the start of the run.
    optim.milestones = ()
    optim.gamma = 0.1  # multi_step: factor of the rate at each of them

    config.average = average = ConfigDict()
    # Decay of an exponential moving average of the weights, such as 0.9999; 0: no average.
    average.ema_decay = 0.0
    average.ema_warmup = True  # after t steps the decay is at most (1 + t) / (10 + t)
    # Share of the run after which SWA begins to collect weights, such as 0.75; 0: no SWA.
    average.swa_start = 0.0
    average.swa_every_steps = 0  # steps between two collections; 0: an epoch
    average.swa_lr = 0.0  # learning rate from swa_start on; 0: the schedule's
    # Cyclic: between two collections the rate falls linearly from swa_lr to this; 0: constant.
    average.swa_lowest_lr = 0.0
    # Batches of each card for exact batch-norm statistics at an evaluation; 0: running statistics.
    average.precise_bn_batches = 0

    config.train = train = ConfigDict()
    # fine_tune: at the start, each field that is -1 (data.crop_scale: ()) is chosen for the data,
    # the weights and the machine, and printed with the reason (see engine/plan/fine_tuning.py).
    # model.name may be auto, and an empty model.pretrained means the model's published weights.
    # Empty: every field says what it is.
    train.recipe = ""
    # Length of the run in passes over the training images; used when steps is 0.
    train.epochs = 0.0
    train.steps = 0  # length of the run in optimiser steps
    train.batch_size = 128  # images of a card in one forward pass; each passes rdrop.copies times
    train.accumulation_steps = 1  # micro-batches of one optimiser step
    # auto: at the start, the images of a card and step are split into the largest micro-batches
    # that fit into its memory by the estimate (see engine/plan/micro_batch_size.py); empty: as
    # batch_size and accumulation_steps say.
    train.micro_batch = ""
    # The global batch that optim.lr was chosen for. Another one gives a warning, or another rate
    # (optim.scale_lr). 0: any.
    train.reference_batch_size = 0
    # Run each block again in the backward pass: less memory for one more forward pass.
    train.recompute = False
    # With model.trainable=head or head_and_norm, the frozen part in front of the first noise runs
    # once for each image and view, and its output is kept: auto (where it can be, and fits) | off.
    train.cache_features = "auto"
    # The most memory that this output may take in each process, in GB; 0: half of what is free.
    train.cache_gb = 0.0
    # The most room in the run's folder for what memory has no room for, in GB; the end of the run
    # removes it. 0: none.
    train.cache_disk_gb = 0.0
    # Half precision. O1 (matrix products and convolutions) | O2 (nearly everything): on a GPU, with
    # amp_dtype. bf16: O1 with bfloat16; on a CPU that has it the matrix products of blocks.
    train.amp = ""
    train.amp_dtype = "float16"  # float16 | bfloat16
    # float16: the first loss scale. It is halved when gradients are too large, and grows again.
    train.loss_scale = 65536.0
    # When a loss or a gradient is not finite: stop | skip (leave the step out) | rollback (go back
    # to the newest checkpoint, with a lower rate). What float16's loss scale skips does not count.
    train.nonfinite = "stop"
    train.nonfinite_limit = 10  # skip, rollback: how many such steps a run may have
    train.rollback_lr_factor = 0.5  # rollback: factor of the learning rate at each
    # Steps between two comparisons of the weights and moments of all cards, which are also compared
    # at each checkpoint and validation; 0: never.
    train.check_ranks_every_steps = 500
    train.log_every_steps = 20  # steps between two records of the training metrics
    # Steps between two histograms of all weights and gradients in VisualDL, in addition to those of
    # the last step; 0: none.
    train.histogram_every_steps = 0
    # Steps between two checkpoints; a new best score is always kept.
    train.checkpoint_every_steps = 500
    train.keep_checkpoints = 2  # how many of the newest are kept, in addition to the best
    # When a checkpoint can't be written (disk full): True: the run stops | False: it goes on, and
    # says so.
    train.stop_unless_saved = True

    config.eval = evaluation = ConfigDict()
    evaluation.batch_size = 128  # images of a card
    # Steps between two validations on the held-out images; 0: once an epoch.
    evaluation.every_steps = 0

    return config.lock()
