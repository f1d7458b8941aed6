from django.urls import path

from wingxtra.guide import views
from wingxtra.guide.security_txt import security_txt

urlpatterns = [
    path("docs", views.guide, name="guide"),
    path("docs/fields", views.all_fields, name="guide-fields"),
    path("docs/<slug:path>", views.guide, name="guide-page"),
    path(".well-known/security.txt", security_txt, name="security-txt"),
]
