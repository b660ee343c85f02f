"""Docyard: document jobs over one GraphQL API."""
