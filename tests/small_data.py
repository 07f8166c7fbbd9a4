"""Small configs of each data set."""

from configs import default


def small_config(name: str, root="", **fields):
    """Returns a config for images of 8 pixels.

    Args:
        name: of the data set.
        root: of its files.
        fields: others of the `data` part.
    """
    config = default.get_config()
    config.model.image_size = 8
    config.data.eval_crop = 1.0
    config.data.update(name=name, root=str(root), **fields)
    return config
