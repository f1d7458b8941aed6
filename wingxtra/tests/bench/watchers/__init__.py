"""How fresh a thousand open tracking pages are: the whole stack, measured at the pages."""
