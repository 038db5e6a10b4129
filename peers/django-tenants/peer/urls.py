from django.urls import path

from tenants.views import notes, users

# The tenant is known by the host; the address is that of all peers.
urlpatterns = [
    path("t/<slug:tenant>/users", users),
    path("t/<slug:tenant>/notes", notes),
]
