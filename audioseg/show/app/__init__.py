"""The segmenter for people without Jupyter: a page in the browser, and a button in a notebook."""
