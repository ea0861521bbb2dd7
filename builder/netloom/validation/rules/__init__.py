"""The rules, by concern: each class looks at one thing and registers itself (see `netloom.validation.rule`)."""
