"""Packages what is deployed: the template, the zip for Lambda, the runner's image."""
