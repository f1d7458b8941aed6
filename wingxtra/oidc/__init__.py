"""Login of staff by an OpenID Connect provider (OIDC_ISSUER). It is off without one."""
