"""How well is it judged? Resolution, campaigns over right layers, cost, and other arithmetic."""
