"""The views of the Explain page, one module each; see `netloom.ui.explain.view`."""
