"""Orders behind keyturn, in Django.

KEYTURN_URL=http://127.0.0.1:8787 KEYTURN_CREDENTIAL_FILE=verifier.key python django_app.py 8000
The same under ASGI: uvicorn --no-proxy-headers django_app:asgi
"""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.http import JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from keyturn.sdk.django import OPEN

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=["keyturn.sdk.django.KeyturnMiddleware"],
    KEYTURN={
        "urls": os.environ["KEYTURN_URL"].split(),
        "credential_file": os.environ["KEYTURN_CREDENTIAL_FILE"],
        "needs": {"/health": OPEN, "/orders": "orders", "DELETE /orders": "orders:admin"},
        "proxies": os.environ.get("PROXIES", "").split(),
    },
)


@csrf_exempt
def orders(request: Any) -> JsonResponse:
    """Answer whose key came; it is None where none was asked for."""
    key = request.keyturn
    return JsonResponse({"orders": [], "key_id": key and key.key_id})


urlpatterns = [path("orders", orders), path("health", orders)]

if __name__ == "__main__":
    execute_from_command_line(["django_app", "runserver", "--noreload", sys.argv[1]])
else:
    asgi = get_asgi_application()
