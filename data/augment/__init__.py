"""What training does to images: crops, flips, colours, erasing, mixing."""
