"""The views of the explain page, a module each; see `netloom.ui.explain.view`."""
