"""What models are made of: dropout and its masks, basic layers, operators."""
