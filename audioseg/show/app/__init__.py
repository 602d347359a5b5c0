"""The segmenter by mouse: a page in the browser, and a button in a notebook."""
