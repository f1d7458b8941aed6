"""The optimal set of pairs for an objective, with its proof. Pure."""
