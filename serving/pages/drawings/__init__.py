"""Coordinates of the drawings on the pages; `templates/charts.jinja` draws them."""
