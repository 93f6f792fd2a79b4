"""The pages and form fields of an assistant."""
