"""Tells what the run of a config will need: `FILE` for the answer, then flags as of main.py.

Nothing is trained, downloaded or decoded.
"""

from __future__ import annotations

import sys
from typing import Any

from common.download import no_downloads
from common.errors import UserError
from program import command_line, paddle_setup
from program.config import config_fields, config_validation
from tools.diagnosis.probes.telling import Teller

_MOST_SEGMENTS = 2  # batches that each worker prepares


def main() -> None:
    """Tells the needs of each stage, or in `refused` why the command line can't be used."""
    teller = Teller(sys.argv[1])
    teller.stage("reading the config")
    try:
        command_line.define_row()
        command_line.parse(["main.py", *sys.argv[2:]])
        stages = command_line.stages(command_line.FLAGS.row)
        for config in stages.values():
            config_validation.validate(config)
            config_validation.validate_length(config)
    except UserError as error:
        teller.tell(refused=str(error), stage="done")
        return
    paddle_setup.load_paddle()
    teller.stage("planning")
    with no_downloads():
        found = {name: _needs(config, teller) for name, config in stages.items()}
    teller.tell(stages=found, stage="done")


def _needs(config: Any, teller: Teller) -> dict[str, Any]:
    """Returns what a stage needs, as far as it can be told."""
    from engine.plan import recipe, resolve_config

    facts = {"data": _data(config), "weights": [], "root": config.data.root}
    try:
        config = recipe.resolve(config, download=False)
        facts["weights"] = list(_weights(config))
        if any(one["address"] for one in facts["weights"]):
            config = config_fields.changed(config, {"model.pretrained": ""})
        config = resolve_config.with_input(config)
        counts = (facts["data"].get(one, 0) for one in ("train", "classes"))
        facts.update(_sizes(config, *counts, teller))
    except UserError as error:
        facts["error"] = str(error)
    return facts


def _data(config: Any) -> dict[str, Any]:
    """Returns how many images and classes there are, or why the data can't be used."""
    from data.build import load_source
    from data.files.open_tree import reused

    try:
        with reused():
            train, test = (load_source(config, one, as_files=True) for one in ("train", "test"))
    except UserError as error:
        missing = "nothing is downloaded" in str(error)
        return {"error": str(error), "downloads": missing}
    counts = {"train": len(train.labels), "test": len(test.labels)}
    return {**counts, "classes": len(train.classes)}


def _weights(config: Any) -> Any:
    """Yields the weights that a config names, with the address of those that are not here."""
    import models
    from models.weights.sources import hugging_face_hub, locations

    for source in filter(None, (config.model.pretrained, config.distill.weights)):
        try:
            address = ""
            if models.needs_download(source):
                found = locations.address_of(source.partition("#")[0])
                url = getattr(found, "url", "")
                if not url:
                    url = (
                        f"https://huggingface.co/{found.name}/resolve/{found.revision}/config.json"
                    )
                address = url.replace("https://huggingface.co", hugging_face_hub.endpoint(), 1)
            elif not locations.locate(source).exists():
                raise UserError(f"{source}: no such weights")
            yield {"source": source, "address": address, "error": ""}
        except UserError as error:
            yield {"source": source, "address": "", "error": str(error)}


def _sizes(config: Any, images: int, classes: int, teller: Teller) -> dict[str, Any]:
    """Returns the bytes of a step, of the run's files, and of the workers' shared memory."""
    import paddle

    import data
    from engine.model_setup import build_model
    from engine.plan import free_memory, memory_estimate, memory_rules, resolve_config, run_plan
    from engine.step.objective import make_objective
    from engine.watch import start_checks
    from models import flops

    if not images:
        images, classes = data.facts(config)
    config = resolve_config.with_classes(config, classes)
    run_plan.make(config, images)
    make_objective(config)
    on_cpu = paddle.device.get_device() == "cpu"
    room = free_memory.of_machine() if on_cpu else None
    teller.stage(f"building {config.model.name}")
    model = build_model(config)
    start_checks.check_noise(model, config)
    teller.stage("estimating memory")
    needed, train = memory_estimate.estimate(model, config), config.train
    batch = train.batch_size + config.rdrop.unlabelled_batch_size
    weights = flops.parameters(model), flops.parameters(model, trainable=True)
    item = 3 * config.model.image_size**2
    return {
        "model": f"{config.model.name} at {config.model.image_size} px",
        "batch": train.batch_size,
        "accumulation": train.accumulation_steps,
        "splits": bool(train.micro_batch),
        "needed": needed.constant + needed.image * batch,
        "constant": needed.constant,
        "image": needed.image,
        "room": room,
        "on_cpu": on_cpu,
        "checkpoint": memory_rules.checkpoint_bytes(config, *weights),
        "disk": memory_rules.run_bytes(config, *weights) + int(train.cache_disk_gb * 2**30),
        "workers": config.data.workers,
        "shared": config.data.workers * batch * item * _MOST_SEGMENTS,
    }


if __name__ == "__main__":
    main()
