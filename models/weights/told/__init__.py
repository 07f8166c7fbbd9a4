"""What the arrays of weights tell: of which model they are, and of which parts."""
