"""`/docs`: the merchants' guide and every member of the API, as pages of the running server."""
