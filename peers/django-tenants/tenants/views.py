import json

from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_GET, require_POST

from .models import Note, User


@require_GET
def users(request, tenant):
    found = User.objects.order_by("id")
    return JsonResponse([{"id": user.id, "username": user.username} for user in found], safe=False)


@require_POST
def notes(request, tenant):
    Note.objects.create(text=json.loads(request.body)["text"])
    return HttpResponse(status=201)
