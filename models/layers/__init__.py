"""The parts of models: dropout and its masks, basic layers, operators."""
