"""Where images and labels come from: one file for each data set or layout."""
