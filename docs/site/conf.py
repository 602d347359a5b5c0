"""What Sphinx builds the site from: `make site` takes the project's folder as its source."""

project = "Audio segmentation"
author = "the authors of the course"
language = "en"
html_title = "Model-based audio segmentation, hands on"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # it would fetch the pages found, which fails from the disk
html_domain_indices = False

# the course's pages and nothing of a reader's own, nor what stands in .venv or data
root_doc = "docs/index"
include_patterns = [
    "01-data-acquisition-analysis-splitting.ipynb",
    "03-training-00-keras_2mlp_clsw0.ipynb",
    "03-training-9?-*.ipynb",
    "04-testing-and-application.ipynb",
    "05-your-own-problem.ipynb",
    "README.md",
    "WORKSHOP.md",
    "data/README.md",
    "vggish/README.md",
    "docs/**",
]
exclude_patterns = [
    "*-Copy*",
    ".*",
    "data/*/**",
    "executed",
    "labels",
    "node_modules",
    "runs",
    "segmented",
    "site",
    "tests",
    "weights",
    "work",
    "docs/site",
]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "docs.site.course_pages",
]

# -- pages
myst_heading_anchors = 4
myst_links_external_new_tab = False
nb_execution_mode = "off"  # `make tutorial` runs them
nb_merge_streams = True
nb_ipywidgets_js = {}  # widgets do nothing without a kernel, and their scripts lie elsewhere
nb_render_markdown_format = "gfm"

# -- reference
autosummary_generate = True
autodoc_default_options = {"members": True, "member-order": "bysource", "ignore-module-all": True}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!vggish|feat_ext|audioseg).*")]  # what is others'

# -- look
html_theme = "pydata_sphinx_theme"
html_static_path = ["static"]
html_css_files = ["course.css"]
templates_path = ["templates"]
html_additional_pages = {"index": "to_the_start.html"}
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": project},
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "collapse_navigation": True,
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": [],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {
    "docs/index": [],
    "docs/glossary": [],
    "docs/figures/index": [],
    "docs/run-it-yourself": [],
    "WORKSHOP": [],
}
