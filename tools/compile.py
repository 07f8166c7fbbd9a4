"""Compile the operators that training and evaluation use on a CPU, ahead of the first run.

    python -m tools.compile

It takes about ten seconds, or none when it is done already. The machine code is kept in
the folders `__pycache__` of models/fast, or in NUMBA_CACHE_DIR, for this kind of processor.
"""

from program import exits, paddle_setup, tool_arguments

_FAMILIES = {"vit_n_2": 8, "cait_xxs_24": 32, "swin_ti": 224}  # a model of each: pixels


def main() -> int:
    """Takes a step of a small model of each family; returns the exit code."""
    tool_arguments.ArgumentParser("tools.compile", __doc__).parse_args()
    paddle_setup.load_paddle()
    import paddle

    import models
    from configs import default
    from engine.step.optimizer import Optimizer
    from models.layers import operators

    if not operators.compiled_operators(paddle.ones([1])):
        print("nothing to compile: this machine computes with Paddle's own operators")
        return exits.DONE
    pixels = paddle.zeros([1, 3, 8, 8], "uint8")
    operators.normalise(pixels, [0.0] * 3, [1.0] * 3)
    for name, size in _FAMILIES.items():
        model = models.create(name, 10, size, drop_rate=0.1)
        optimizer = Optimizer(model, default.get_config().optim, total_steps=1)
        optimizer.accumulate(model(paddle.randn([1, 3, size, size]), copies=2).sum())
        optimizer.step()
        print(f"compiled: {name.partition('_')[0]}", flush=True)
    return exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
