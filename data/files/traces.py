"""Names that systems and programs leave in folders of images: no image and no class, ever."""

import re

# Folders and files of macOS, Windows, NAS systems, file synchronisers, editors and version control.
# Names that begin with a dot (`._photo.jpg`, `.DS_Store`, `.ipynb_checkpoints`) are not listed.
_TRACES = {
    "__macosx",
    "icon\r",
    "network trash folder",
    "temporary items",
    "desktop.ini",
    "system volume information",
    "$recycle.bin",
    "@eadir",
    "@tmp",
    "@sharebin",
    "@recycle",
    "@recently-snapshot",
    "@__thumb",
    "@transcode",
    "@synoresource",
    "@synoeastream",
    "~snapshot",
    "_gsdata_",
    "#recycle",
    "#snapshot",
    "lost+found",
    "picasa.ini",
    "zbthumbnail.info",
    "__pycache__",
}
_PATTERNS = re.compile(
    r"""\..*                      # hidden, such as ._photo.jpg and .ipynb_checkpoints
    |~\$.*                        # opened in an office program
    |.*~                          # an editor's copy of the old state
    |.*\.(swp|swo|lnk|url|webloc) # an open editor; links of Windows and macOS
    |.*@Syno(EAStream|Resource)   # of a Synology NAS, for each file
    |found\.\d\d\d                # what a check of the disk has found
    |(eh)?thumbs(_vista)?\.db.*   # Windows, also with what a copy adds
    """,
    re.VERBOSE | re.IGNORECASE,
)


def is_trace(name: str) -> bool:
    """Returns whether a file or folder is of no data set.

    Args:
        name: without the folders above it.
    """
    return name.lower() in _TRACES or name == "RECYCLER" or bool(_PATTERNS.fullmatch(name))


def has_trace(path: str) -> bool:
    """Returns whether a file, or any folder on its way, is of no data set; `path` has slashes."""
    return any(map(is_trace, path.split("/")))
