"""The Home page: projects, templates, import and sharing."""
