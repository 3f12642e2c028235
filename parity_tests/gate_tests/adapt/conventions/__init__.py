"""Recurrent layers in conventions of their own, all of them right."""
