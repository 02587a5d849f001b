"""Mistakes, suspected annotations, figures and the page that shows them."""
