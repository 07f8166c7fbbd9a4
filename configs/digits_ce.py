"""Plain cross-entropy on handwritten digits."""

from configs import digits_rdrop


def get_config():
    config = digits_rdrop.get_config()
    config.rdrop.copies = 1
    return config
