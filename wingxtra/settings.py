"""All settings, from the environment. docs/operations.md explains each.

Outside production a setting that is not given has a working default. In production the system
checks in `wingxtra/checks.py` refuse weak or missing ones.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import environ
from corsheaders.defaults import default_headers
from django.core.exceptions import ImproperlyConfigured

from wingxtra.database.postgresql.impatient import ImpatientConnection
from wingxtra.observability import logs, sentry

BASE_DIR = Path(__file__).resolve().parent.parent


class Env(environ.FileAwareEnv):
    """NAME, or NAME_FILE with a file that holds the value, as containers hand over secrets."""

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        value = super().get_value(var, *args, **kwargs)
        # Editors end a file with a line break; no setting of ours ends with one.
        return value.rstrip("\r\n") if isinstance(value, str) else value


env = Env()

ENVIRONMENTS = ("production", "development", "demo", "test")
ENVIRONMENT = env.str("ENVIRONMENT", default="development")
if ENVIRONMENT not in ENVIRONMENTS:
    raise ImproperlyConfigured(f"ENVIRONMENT is {ENVIRONMENT!r}; it must be one of {ENVIRONMENTS}.")
IS_PRODUCTION = ENVIRONMENT == "production"

# --- secrets and hosts ---------------------------------------------------------------------------
# The development key is public, so wingxtra.E001 refuses it in production.
DEVELOPMENT_SECRET_KEY = "development-only-secret-key-that-production-refuses-to-start-with"  # noqa: S105
SECRET_KEY = env.str("SECRET_KEY", default="" if IS_PRODUCTION else DEVELOPMENT_SECRET_KEY)
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])  # former ones, newest first
DEBUG = env.bool("DEBUG", default=ENVIRONMENT == "development")
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS",
    default=[] if IS_PRODUCTION else ["localhost", "127.0.0.1", "[::1]", "testserver"],
)
PUBLIC_BASE_URL = env.str("PUBLIC_BASE_URL", default="http://127.0.0.1:8000").rstrip("/")
CSRF_FAILURE_VIEW = "wingxtra.console.entry.lost_forms.csrf_failed"
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Where vulnerabilities are reported (`/.well-known/security.txt`): URIs, the preferred one first.
SECURITY_CONTACT = env.list("SECURITY_CONTACT", default=[])
TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", default=0)

# --- external systems ----------------------------------------------------------------------------
FLEET_API_URL = env.str("FLEET_API_URL", default="").rstrip("/")
FLEET_API_KEY = env.str("FLEET_API_KEY", default="")
FLEET_API_TIMEOUT_S = env.float("FLEET_API_TIMEOUT_S", default=5.0)
# Wind measurements: a file or an http(s) address (fleet/live/weather.py); empty: none.
WEATHER_SOURCE = env.str("WEATHER_SOURCE", default="")
WEATHER_TIMEOUT_S = env.float("WEATHER_TIMEOUT_S", default=5.0)
GCS_BRIDGE_URL = env.str("GCS_BRIDGE_URL", default="").rstrip("/")
GCS_BRIDGE_KEY = env.str("GCS_BRIDGE_KEY", default="")
GCS_BRIDGE_TIMEOUT_S = env.float("GCS_BRIDGE_TIMEOUT_S", default=10.0)
# The service that clears each flight before its mission is published (docs/clearance.md).
CLEARANCES = ("none", "flight_blender")
CLEARANCE = env.str("CLEARANCE", default="none")
if CLEARANCE not in CLEARANCES:
    raise ImproperlyConfigured(f"CLEARANCE is {CLEARANCE!r}; it must be one of {CLEARANCES}.")
CLEARANCE_URL = env.str("CLEARANCE_URL", default="").rstrip("/")
CLEARANCE_TIMEOUT_S = env.float("CLEARANCE_TIMEOUT_S", default=5.0)
# A fixed bearer token, or OAuth 2.0 client credentials.
CLEARANCE_TOKEN = env.str("CLEARANCE_TOKEN", default="")
CLEARANCE_TOKEN_URL = env.str("CLEARANCE_TOKEN_URL", default="")
CLEARANCE_CLIENT_ID = env.str("CLEARANCE_CLIENT_ID", default="")
CLEARANCE_CLIENT_SECRET = env.str("CLEARANCE_CLIENT_SECRET", default="")
CLEARANCE_SCOPE = env.str("CLEARANCE_SCOPE", default="flightblender.read flightblender.write")
CLEARANCE_AUDIENCE = env.str("CLEARANCE_AUDIENCE", default="")
# The lowest and the highest ground of the flights, in metres above the WGS 84 ellipsoid. Empty:
# heights are sent above ground.
CLEARANCE_GROUND_M = env.list("CLEARANCE_GROUND_M", cast=float, default=[])
if CLEARANCE_GROUND_M and (
    len(CLEARANCE_GROUND_M) != 2 or sorted(CLEARANCE_GROUND_M) != CLEARANCE_GROUND_M
):
    raise ImproperlyConfigured(
        f"CLEARANCE_GROUND_M is {CLEARANCE_GROUND_M}; it must be two numbers, the lower first."
    )
CLEARANCE_SUBMITTED_BY = env.str("CLEARANCE_SUBMITTED_BY", default="")
# 1: the members that every ground control reads. 2: more members (docs/mission-intent.md).
GCS_INTENT_VERSION = env.int("GCS_INTENT_VERSION", default=1)
# The operator's registration number, as the authority gave it; in each flight record.
OPERATOR_ID = env.str("OPERATOR_ID", default="")

# Timeout of a whole try; maximum of concurrent tries of all processes, at most half of them to
# endpoints that are not quick; and hosts, as in URLs, that may have private addresses and use plain
# http.
WEBHOOK_TIMEOUT_S = env.float("WEBHOOK_TIMEOUT_S", default=10.0)
WEBHOOK_AT_ONCE = env.int("WEBHOOK_AT_ONCE", default=64)
WEBHOOK_TRUSTED_HOSTS = env.list(
    "WEBHOOK_TRUSTED_HOSTS",
    default=["127.0.0.1", "localhost"] if ENVIRONMENT in ("development", "demo") else [],
)
WEBHOOK_DELIVERIES_KEPT_DAYS = env.int("WEBHOOK_DELIVERIES_KEPT_DAYS", default=30)

# Any of sms, whatsapp, email and console (a terminal). A customer gets each message on all channels
# that the order has an address for, but no SMS besides WhatsApp. A mail server is written like smtp+tls://user:password@host:587.
MESSAGE_CHANNELS = env.list(
    "MESSAGE_CHANNELS",
    default=["console"] if ENVIRONMENT in ("development", "demo") else [],
)
MESSAGE_LANGUAGE = env.str("MESSAGE_LANGUAGE", default="en")
vars().update(env.email_url("EMAIL_URL", default="dummymail://"))
EMAIL_TIMEOUT = env.int("EMAIL_TIMEOUT_S", default=10)
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="Wingxtra Delivery <delivery@localhost>")
SMS_GATEWAY_URL = env.str("SMS_GATEWAY_URL", default="")
SMS_GATEWAY_METHOD = env.str("SMS_GATEWAY_METHOD", default="POST")
SMS_GATEWAY_HEADERS = env.json("SMS_GATEWAY_HEADERS", default={"Content-Type": "application/json"})
SMS_GATEWAY_BODY = env.str(
    "SMS_GATEWAY_BODY", default='{"to": "{to}", "text": "{text}", "id": "{id}"}'
)
SMS_GATEWAY_TIMEOUT_S = env.float("SMS_GATEWAY_TIMEOUT_S", default=10.0)
# WhatsApp Cloud API of Meta. App secret and verify token are for the receipts that Meta sends us.
WHATSAPP_API_URL = env.str("WHATSAPP_API_URL", default="https://graph.facebook.com")
WHATSAPP_API_VERSION = env.str("WHATSAPP_API_VERSION", default="v23.0")
WHATSAPP_PHONE_NUMBER_ID = env.str("WHATSAPP_PHONE_NUMBER_ID", default="")
WHATSAPP_TOKEN = env.str("WHATSAPP_TOKEN", default="")
WHATSAPP_TEMPLATE = env.str("WHATSAPP_TEMPLATE", default="delivery_update")
WHATSAPP_APP_SECRET = env.str("WHATSAPP_APP_SECRET", default="")
WHATSAPP_VERIFY_TOKEN = env.str("WHATSAPP_VERIFY_TOKEN", default="")
WHATSAPP_TIMEOUT_S = env.float("WHATSAPP_TIMEOUT_S", default=10.0)

# --- applications --------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "wingxtra.console.apps.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "corsheaders",
    "django_dramatiq",
    "wingxtra",
    "wingxtra.accounts",
    "wingxtra.guide",
    "wingxtra.api",
    "wingxtra.console.apps.ConsoleConfig",
    "wingxtra.escalation",
    "fleet",
    "orders",
    "dispatch",
    "pod",
    "tracking",
]

MIDDLEWARE = [
    "wingxtra.api.request_id.RequestIdMiddleware",
    "wingxtra.redis_client.WaitsLittle",
    "wingxtra.observability.metrics.HttpMetrics",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "wingxtra.middleware.page_policy.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "wingxtra.api.errors.ApiErrorMiddleware",
    "wingxtra.middleware.sessions.Session",
    "django.middleware.common.CommonMiddleware",
    "wingxtra.middleware.sessions.FormTokens",
    "wingxtra.middleware.sessions.SessionUser",
    "wingxtra.accounts.login_form.StrangersFormsAreSmall",
    "wingxtra.accounts.acting.ActingMiddleware",
    "wingxtra.middleware.sessions.SecondFactor",
    "wingxtra.middleware.sessions.Notices",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
# Django looks for its own class by name; middleware.sessions.FormTokens is a subclass of it.
SILENCED_SYSTEM_CHECKS = ["security.W003"]

ROOT_URLCONF = "wingxtra.urls"
WSGI_APPLICATION = "wingxtra.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- database and Redis --------------------------------------------------------------------------


def _database(url: str, pool_timeout_s: float) -> dict[str, object]:
    """Django's dictionary for this URL; `?host=/folder` names a Unix socket folder."""
    config = env.db_url_config(url)
    options = dict(config.get("OPTIONS", {}))
    socket_folder = parse_qs(urlsplit(url).query).get("host")
    if socket_folder:
        options.pop("host", None)
        config["HOST"] = socket_folder[0]
    options["pool"] = {
        "min_size": env.int("DATABASE_POOL_MIN", default=1),
        "max_size": env.int("DATABASE_POOL_MAX", default=10),
        "timeout": pool_timeout_s,
        # While the database is down, the pool's pauses grow to minutes. After this, a new request
        # for a connection tries at once.
        "reconnect_timeout": 3.0,
        "connection_class": ImpatientConnection,
    }
    options["connect_timeout"] = 5
    if DATABASE_ANSWER_WITHIN_S and not DATABASE_POOLER:  # PgBouncer refuses it
        options["options"] = f"-c statement_timeout={1000 * DATABASE_ANSWER_WITHIN_S:.0f}"
    return {
        **config,
        # Django's own, except that the check of a pooled connection costs no round trip.
        "ENGINE": "wingxtra.database.postgresql",
        # A cursor of the server lives on one connection, and the next statement may use another.
        "DISABLE_SERVER_SIDE_CURSORS": bool(DATABASE_POOLER),
        "OPTIONS": options,
    }


def _pooler(name: str) -> str:
    known = ("", "transaction", "transaction-prepared")
    if name not in known:
        raise ImproperlyConfigured(f"DATABASE_POOLER must be one of {known}, not {name!r}.")
    return name


# manage.py, make and the test run start real servers and set both URLs if they are not given
# (wingxtra/embedded/launcher.py); importing settings never starts a server.
DATABASE_URL = env.str("DATABASE_URL", default="")
# How long one statement may take; 0 is without limit. Web processes have one (wingxtra/wsgi.py).
DATABASE_ANSWER_WITHIN_S = env.float("DATABASE_ANSWER_WITHIN_S", default=0.0)
# A PgBouncer in transaction mode in front of PostgreSQL; "transaction-prepared" with
# max_prepared_statements.
DATABASE_POOLER = _pooler(env.str("DATABASE_POOLER", default=""))
REDIS_URL = env.str("REDIS_URL", default="")
DATABASE_POOL_TIMEOUT_S = env.float("DATABASE_POOL_TIMEOUT_S", default=5.0)
DATABASES = {"default": _database(DATABASE_URL, DATABASE_POOL_TIMEOUT_S)} if DATABASE_URL else {}
# A streaming standby that lists, reports and /metrics are read from; empty: none. What it does not
# answer soon is read from the primary.
REPLICA_DATABASE_URL = env.str("REPLICA_DATABASE_URL", default="")
if REPLICA_DATABASE_URL:
    DATABASES["replica"] = _database(REPLICA_DATABASE_URL, 1.0) | {"TEST": {"MIRROR": "default"}}
    DATABASE_ROUTERS = ["wingxtra.database.router.ReplicaRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Without a URL, an invalid host fails clearly; Dramatiq's default is a Redis on localhost.
DRAMATIQ_BROKER = {
    "BROKER": "wingxtra.broker.redis_broker",
    "OPTIONS": {"url": REDIS_URL or "redis://redis-url-is-not-set.invalid"},
}

# --- accounts ------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
if ENVIRONMENT == "test":  # the suite logs in hundreds of times, and argon2 is slow on purpose
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"

# --- API -----------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "wingxtra.accounts.authentication.ApiKeyAuthentication",
        "wingxtra.accounts.authentication.JwtAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["wingxtra.api.permissions.DenyByDefault"],
    "DEFAULT_RENDERER_CLASSES": ["wingxtra.api.renderers.JsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["wingxtra.api.parsers.StrictJsonParser"],
    "DEFAULT_PAGINATION_CLASS": "wingxtra.api.pagination.Envelope",
    "DEFAULT_SCHEMA_CLASS": "wingxtra.api.schema.operations.ApiSchema",
    "EXCEPTION_HANDLER": "wingxtra.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "DEFAULT_VERSIONING_CLASS": None,
}
# How many requests each web process works on at the same time: wingxtra/middleware/slow_clients.py.
REQUESTS_AT_ONCE = env.int("REQUESTS_AT_ONCE", default=4)
# How many open tracking pages each process of `manage.py streams` serves.
STREAMS_AT_ONCE = env.int("STREAMS_AT_ONCE", default=5000)
API_MAX_BODY_BYTES = env.int("API_MAX_BODY_BYTES", default=1_000_000)


def _rate(usual: str) -> str:
    """Tests run without limits; the tests of the limits set their own."""
    return "1000000000/minute" if ENVIRONMENT == "test" else usual


# "<calls>/<second|minute|hour|day>": per authenticated caller, and per client address of anonymous
# ones.
API_RATE_AUTHENTICATED = env.str("API_RATE_AUTHENTICATED", default=_rate("6000/minute"))
API_RATE_PUBLIC = env.str("API_RATE_PUBLIC", default=_rate("300/minute"))
# Calls with a tracking link: all of one address, many phones; and of one link.
API_RATE_LINKS = env.str("API_RATE_LINKS", default=_rate("3000/minute"))
API_RATE_LINK_READS = env.str("API_RATE_LINK_READS", default=_rate("120/minute"))
# A page in flight asks for the position once a second: ten phones at once, and 250 of an address.
API_RATE_POSITIONS = env.str("API_RATE_POSITIONS", default=_rate("15000/minute"))
API_RATE_LINK_POSITIONS = env.str("API_RATE_LINK_POSITIONS", default=_rate("660/minute"))
API_RATE_LINK_WRITES = env.str("API_RATE_LINK_WRITES", default=_rate("20/minute"))
API_RATE_LINK_CODES = env.str("API_RATE_LINK_CODES", default=_rate("10/minute"))
# Origins (scheme and host) whose pages may call us from a browser, like the GCS page. They
# authenticate by a key or a token, never by our cookies.
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/(gcs|api)/"
CORS_ALLOW_HEADERS = [
    *default_headers,
    "x-api-key",
    "x-de-api-key",
    "x-request-id",
    "idempotency-key",
    "if-none-match",
]
CORS_EXPOSE_HEADERS = [
    "x-request-id",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "location",
    "idempotency-replayed",
    "etag",
]
DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000_000
# Up to a customer's photo: to a temporary file and back costs as much as all the rest of the form.
FILE_UPLOAD_MAX_MEMORY_SIZE = 5_000_000

SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.int("JWT_ACCESS_MINUTES", default=30)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.int("JWT_REFRESH_DAYS", default=7)),
    "USER_ID_CLAIM": "sub",
    "ALGORITHM": "HS256",
    "AUTH_HEADER_TYPES": ("Bearer", "bearer"),
}

# Too many wrong passwords lock out the pair of name and address, and no other user. All three
# limits of logins: wingxtra/accounts/lockout.py.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "wingxtra.console.roles.RoleBackend",
]
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURE_LIMIT", default=5)
AXES_COOLOFF_TIME = timedelta(minutes=env.int("LOGIN_COOLOFF_MINUTES", default=10))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True  # it would create a session for every token
AXES_SENSITIVE_PARAMETERS: list[str] = []  # axes logs user name and address; never passwords
AXES_VERBOSE = False
AXES_HANDLER = "wingxtra.accounts.lockout.WrongPasswords"
AXES_CLIENT_IP_CALLABLE = "wingxtra.accounts.lockout.address_for_axes"
AXES_LOCKOUT_CALLABLE = "wingxtra.accounts.lockout.answer"

# Tries of one user name, by all addresses together from which it has not logged in yet.
LOGIN_RATE_NEW_ADDRESSES = env.str("LOGIN_RATE_NEW_ADDRESSES", default=_rate("5/minute"))
PASSWORDS_AT_ONCE = env.int("PASSWORDS_AT_ONCE", default=2)

# Whether the console asks staff for the code of an authenticator app besides the password.
STAFF_SECOND_FACTOR = env.bool("STAFF_SECOND_FACTOR", default=IS_PRODUCTION)
OTP_TOTP_ISSUER = "Wingxtra Delivery"

# Login of staff by an OpenID Connect provider (wingxtra/oidc); empty: off. OIDC_ROLES: value of the
# claim OIDC_ROLE_CLAIM -> our role. OIDC_SECOND_FACTOR_AMR: what in `amr` is a second factor.
OIDC_ISSUER = env.str("OIDC_ISSUER", default="")
OIDC_NAME = env.str("OIDC_NAME", default="single sign-on")
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", default="")
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", default="")
OIDC_SCOPES = env.str("OIDC_SCOPES", default="openid email profile")
OIDC_ROLE_CLAIM = env.str("OIDC_ROLE_CLAIM", default="roles")
OIDC_ROLES = env.json("OIDC_ROLES", default={})
OIDC_SECOND_FACTOR_AMR = env.list("OIDC_SECOND_FACTOR_AMR", default=["mfa"])
STAFF_PASSWORD_LOGIN = env.bool("STAFF_PASSWORD_LOGIN", default=True)
if OIDC_ISSUER:
    AUTHENTICATION_BACKENDS.append("wingxtra.oidc.backend.OidcBackend")

SPECTACULAR_SETTINGS = {
    "TITLE": "Wingxtra Delivery API",
    "DESCRIPTION": (
        "Deliveries by drone: quotes, orders, where they are, proof, and webhooks. The guide is "
        "docs/api.md. Answers may gain members and lists of codes may gain values at any time."
    ),
    "VERSION": "1",
    "SERVERS": [{"url": PUBLIC_BASE_URL}],
    "TAGS": [
        {"name": "auth", "description": "Tokens for people, who log in with a password."},
        {"name": "quotes", "description": "Whether and when a trip can be flown."},
        {"name": "orders", "description": "Deliveries, from being placed to their proof."},
        {"name": "recurring-orders", "description": "Templates that place orders ahead."},
        {"name": "stores", "description": "Places where parcels are picked up."},
        {"name": "webhooks", "description": "Where to tell of what happens to orders."},
        {"name": "webhook-deliveries", "description": "What was sent there, and its answers."},
        {"name": "webhook-messages", "description": "What your endpoint is sent."},
        {"name": "tracking", "description": "What customers see and do who hold the link."},
        {"name": "pod-images", "description": "Photos and signatures of proofs."},
        {"name": "jobs", "description": "Attempts to deliver an order."},
        {"name": "dispatch", "description": "Runs that decide which drone flies which order."},
        {"name": "airspace", "description": "Service areas and geographical zones."},
        {"name": "drones", "description": "The registry, with live state."},
        {"name": "flight-records", "description": "The log of each flight, for export."},
        {"name": "occurrences", "description": "What went wrong on flights."},
        {"name": "pilots", "description": "Who answers for flights, and when."},
        {"name": "mission-intents", "description": "Missions as ground control was sent them."},
    ],
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "POSTPROCESSING_HOOKS": [
        # Identify an enum by its values only, as the contracts do.
        "drf_spectacular.hooks.postprocess_schema_enum_id_removal",
        "drf_spectacular.hooks.postprocess_schema_enums",
        "wingxtra.api.schema.document.complete",
    ],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_SUFFIX": "",
    "COMPONENT_SPLIT_PATCH": False,  # what PATCH takes has a serializer of its own
    "ENUM_NAME_OVERRIDES": {
        "OrderStatus": "orders.states.Status.values",
        "JobStatus": "orders.states.JobStatus.values",
        "ParcelHolder": "orders.states.Holder.values",
        "EventType": "orders.states.EventType.values",
        "CancelReason": "orders.states.CancelReason.values",
        "ReasonCode": "orders.states.ReasonCode.values",
        # A path here cannot name a nested class.
        "DecisionOutcome": ["ASSIGNED", "WAITING", "UNASSIGNED", "OVERTAKEN"],
        "MissionKind": ["DELIVERY", "RETURN", "REPOSITION"],
        "MissionState": ["HELD", "PENDING", "ACCEPTED", "REJECTED", "WITHDRAWN"],
        "OccurrenceCategory": [
            *("INJURY_RISK", "COLLISION", "LOSS_OF_CONTROL", "LINK", "TECHNICAL", "BATTERY"),
            *("PARCEL", "AIRSPACE", "GROUND", "WEATHER", "SECURITY", "OTHER"),
        ],
        "OccurrenceState": ["OPEN", "REPORTED", "CLOSED"],
        "RunTrigger": ["SCHEDULE", "API", "CONSOLE", "COMMAND"],
        "CorrectedOutcome": "orders.api.parcel_serializers.OUTCOMES",
        "Weekday": "wingxtra.opening_hours.WEEKDAYS",
        "DropoffSource": "orders.states.DropoffSource.values",
        "PodRequirement": "orders.states.PodRequirement.values",
        "TestScenario": "orders.states.Scenario.values",
        "Priority": "fleet.policy.Priority.values",
        "PayloadType": "fleet.models.PayloadType.values",
        "ProofMethod": "pod.models.METHODS",
    },
}

# --- pages and files -----------------------------------------------------------------------------
LANGUAGE_CODE = "en"
# Languages of texts for customers; the console and the API are English.
LANGUAGES = [("en", "English"), ("fr", "Français")]
TIME_ZONE = "UTC"
# The time zone of a new service area. Messages to customers have times of their area's zone.
AREA_TIME_ZONE = env.str("AREA_TIME_ZONE", default="UTC")
USE_TZ = True
USE_I18N = True
FORMAT_MODULE_PATH = "wingxtra.formats"

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / ".local" / "static"
STATICFILES_DIRS: list[Path] = []
# With a bucket, files are private objects in S3 (or a compatible store), served only by us.
S3_BUCKET = env.str("S3_BUCKET", default="")
_S3 = {
    "BACKEND": "storages.backends.s3.S3Storage",
    "OPTIONS": {
        "bucket_name": S3_BUCKET,
        "location": env.str("S3_FOLDER", default=""),
        "endpoint_url": env.str("S3_ENDPOINT_URL", default="") or None,
        "region_name": env.str("S3_REGION", default="") or None,
        "access_key": env.str("S3_ACCESS_KEY", default="") or None,
        "secret_key": env.str("S3_SECRET_KEY", default="") or None,
        "default_acl": None,  # the bucket's default, which must not be public
        "file_overwrite": False,
        "querystring_auth": True,
        "signature_version": "s3v4",
    },
}
STORAGES = {
    "default": _S3 if S3_BUCKET else {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if IS_PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not IS_PRODUCTION
MEDIA_ROOT = Path(env.str("MEDIA_ROOT", default=str(BASE_DIR / ".local" / "media")))

UNFOLD = {
    "SITE_TITLE": "Wingxtra Delivery",
    "SITE_HEADER": "Wingxtra Delivery",
    "SITE_SUBHEADER": "Operations",
    "SITE_SYMBOL": "flight_takeoff",
    "SHOW_VIEW_ON_SITE": False,
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": "wingxtra.console.site.favicon"}
    ],
    "ENVIRONMENT": "wingxtra.console.site.environment",
    "STYLES": ["wingxtra.console.site.style_sheet"],
    "SCRIPTS": ["wingxtra.console.site.poll_script", "wingxtra.console.site.keys_script"],
    "LOGIN": {"form": "wingxtra.console.entry.login.LoginForm"},
    "SIDEBAR": {"navigation": "wingxtra.console.navigation.menu"},
}
# The browser fills in {z}, {x} and {y}. If empty, the map shows a grid instead of streets.
MAP_TILE_URL = env.str("MAP_TILE_URL", default="https://tile.openstreetmap.org/{z}/{x}/{y}.png")
MAP_TILE_ATTRIBUTION = env.str("MAP_TILE_ATTRIBUTION", default="© OpenStreetMap contributors")
# The same for the customers' page. Empty by default: public tile servers forbid that much traffic.
PUBLIC_MAP_TILE_URL = env.str("PUBLIC_MAP_TILE_URL", default="")
PUBLIC_MAP_TILE_ATTRIBUTION = env.str("PUBLIC_MAP_TILE_ATTRIBUTION", default="")

# --- what pages may load ---
# Only our own scripts, styles and responses. The console and the API's documentation need more
# (wingxtra/middleware/page_policy.py). The tracking page has its own (tracking/page/headers.py).
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- transport security --------------------------------------------------------------------------
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
if IS_PRODUCTION:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    # Health probes come from the internal network, without TLS.
    SECURE_REDIRECT_EXEMPT = [r"^health$", r"^ready(/dispatch)?$", r"^metrics$"]
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# --- metrics and logs ----------------------------------------------------------------------------
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
ALIVE_PATH = env.str("ALIVE_PATH", default="")
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = logs.config(level=LOG_LEVEL, json_lines=IS_PRODUCTION)
if SENTRY_DSN := env.str("SENTRY_DSN", default=""):
    sentry.start(SENTRY_DSN, ENVIRONMENT)
LOGGING_CONFIG = "logging.config.dictConfig"
