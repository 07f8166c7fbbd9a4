"""Reads pickles that strangers wrote, without running code from them."""
