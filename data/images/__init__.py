"""Images as every data set returns them: read by position, decoded, listed from folders."""
