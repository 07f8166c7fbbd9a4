"""What all rooms share: user errors, safe reading, atomic writing, downloads and threads."""
