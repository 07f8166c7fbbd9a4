"""The ground floor that models, data and engine share."""
