"""The dashboard: pages that the server writes, forms that post, a script only where a view is live."""
