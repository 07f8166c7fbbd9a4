"""Names that systems and programs leave in folders of images: no image and no class, ever."""

import re

# Folders and files of macOS, Windows, NAS systems, file synchronisers, editors and version control.
# Names that begin with a dot (`._photo.jpg`, `.DS_Store`, `.ipynb_checkpoints`) are not listed.
_TRACES = {
    "__macosx",
    "icon\r",
    "network trash folder",
    "temporary items",
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "system volume information",
    "recycler",
    "recycled",
    "$recycle.bin",
    "found.000",
    "@eadir",
    "@tmp",
    "@sharebin",
    "@recycle",
    "@recently-snapshot",
    "@__thumb",
    "#recycle",
    "#snapshot",
    "lost+found",
    "picasa.ini",
    "zbthumbnail.info",
    "__pycache__",
    "cvs",
}
_PATTERNS = re.compile(
    r"""\..*                      # hidden, such as ._photo.jpg and .ipynb_checkpoints
    |~\$.*                        # opened in an office program
    |.*~                          # an editor's copy of the old state
    |.*\.(swp|swo|lnk|url)        # an open editor; links of Windows
    """,
    re.VERBOSE | re.IGNORECASE,
)


def is_trace(name: str) -> bool:
    """Returns whether a file or folder is of no data set.

    Args:
        name: without the folders above it.
    """
    return name.lower() in _TRACES or bool(_PATTERNS.fullmatch(name))


def has_trace(path: str) -> bool:
    """Returns whether a file, or any folder on its way, is of no data set; `path` has slashes."""
    return any(map(is_trace, path.split("/")))
