"""Everything that answers HTTP: the owner's page, the admin, the runners' API, the console's widget."""
