"""Recipes: pieces of code as people write them, each with its adapter, and the page that shows them."""
