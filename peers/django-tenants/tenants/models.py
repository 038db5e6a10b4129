from django.db import models


class User(models.Model):
    username = models.CharField(max_length=80, unique=True)

    class Meta:
        db_table = "users"


class Note(models.Model):
    text = models.TextField()

    class Meta:
        db_table = "notes"
