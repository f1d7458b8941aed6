from django.urls import path

from wingxtra.guide import views

urlpatterns = [
    path("docs", views.guide, name="guide"),
    path("docs/fields", views.all_fields, name="guide-fields"),
    path("docs/<slug:path>", views.guide, name="guide-page"),
]
