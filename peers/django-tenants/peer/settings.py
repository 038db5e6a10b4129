"""As the installation page of django-tenants has it; UNTENANTED=1 is the same project on Django's own backend."""

import os
from urllib.parse import urlsplit

UNTENANTED = os.environ.get("UNTENANTED") == "1"
url = urlsplit(os.environ["DATABASE_URL"])

# Nothing here is signed.
SECRET_KEY = "the comparison"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "peer.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql" if UNTENANTED else "django_tenants.postgresql_backend",
        "NAME": url.path.lstrip("/"),
        "USER": url.username,
        "PASSWORD": url.password,
        "HOST": url.hostname,
        "PORT": url.port,
        # A connection a thread, for as long as that lives.
        "CONN_MAX_AGE": None,
    }
}

if UNTENANTED:
    INSTALLED_APPS = ["django.contrib.contenttypes", "tenants"]
    MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
else:
    SHARED_APPS = ["django_tenants", "customers", "django.contrib.contenttypes"]
    TENANT_APPS = ["tenants"]
    INSTALLED_APPS = SHARED_APPS + TENANT_APPS
    MIDDLEWARE = [
        "django_tenants.middleware.main.TenantMainMiddleware",
        "django.middleware.common.CommonMiddleware",
    ]
    DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
    TENANT_MODEL = "customers.Client"
    TENANT_DOMAIN_MODEL = "customers.Domain"
    # From its "Performance considerations": the search path is set when the tenant changes, and not before each query.
    TENANT_LIMIT_SET_CALLS = True
