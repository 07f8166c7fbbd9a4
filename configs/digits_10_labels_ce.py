"""Cross-entropy with 10 labelled digits a class."""

from configs import digits_10_labels_rdrop


def get_config():
    config = digits_10_labels_rdrop.get_config()
    config.rdrop.copies = 1
    return config
