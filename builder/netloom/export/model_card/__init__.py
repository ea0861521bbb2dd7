"""Model cards: what a trained network is for, how it was made, and how well it works, as Markdown and HTML.

Mitchell et al. 2019, Model cards for model reporting, https://arxiv.org/abs/1810.03993.
"""

from netloom.export.model_card.card import ModelCard, Statement
from netloom.export.model_card.collect import collect, export_card
from netloom.export.model_card.html import html
from netloom.export.model_card.markdown import markdown

__all__ = ["ModelCard", "Statement", "collect", "export_card", "html", "markdown"]
