"""Where weights come from: names, addresses, folders, and the caches of other programs."""
