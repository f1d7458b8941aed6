"""The description as it is served: the whole one, and what a merchant may call."""

import json
import re
from typing import Any, ClassVar

import yaml
from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from wingxtra.accounts.identity import Role
from wingxtra.api.contracts import Schema
from wingxtra.api.schema.document import without_unused

# Text that YAML 1.2 takes for a number. PyYAML writes YAML 1.1, in which 042917 is none.
LOOKS_LIKE_A_NUMBER = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|0o[0-7]+|0x[0-9a-fA-F]+")


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Any, text: str) -> Any:
    style = "|" if "\n" in text else "'" if LOOKS_LIKE_A_NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


class Yaml(OpenApiYamlRenderer):
    """YAML 1.1 and 1.2 alike."""

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        plain = json.loads(JSONRenderer().render(data))
        written: str = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        return written.encode()


class YamlToo(Yaml):
    media_type = OpenApiYamlRenderer2.media_type


class MerchantReference(SchemaGenerator):
    """What a key of role MERCHANT may call."""

    def get_schema(self, *args: Any, **kwargs: Any) -> Schema:
        result: Schema = super().get_schema(*args, **kwargs)
        for path, calls in list(result["paths"].items()):
            mine = {method: call for method, call in calls.items() if _is_for_merchants(call)}
            result["paths"][path] = mine
            if not mine:
                del result["paths"][path]
        for call in (call for calls in result["paths"].values() for call in calls.values()):
            _keep_links(call, result)
        return without_unused(result)


def _is_for_merchants(call: Schema) -> bool:
    return Role.MERCHANT in call.get("x-roles", [Role.MERCHANT])


def _keep_links(call: Schema, result: Schema) -> None:
    """Leave no link to a call that is not here."""
    here = {one["operationId"] for calls in result["paths"].values() for one in calls.values()}
    for answer in call["responses"].values():
        if "links" in answer:
            answer["links"] = {name: to for name, to in answer["links"].items() if name in here}


class Description(SpectacularAPIView):
    """`/api/schema`. It changes only with the program, so each process makes it once per format."""

    renderer_classes = [Yaml, YamlToo, OpenApiJsonRenderer, OpenApiJsonRenderer2]
    made: ClassVar[dict[tuple[type, str, str], tuple[bytes, dict[str, str]]]] = {}

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        key = (type(self), request.accepted_media_type or "", settings.PUBLIC_BASE_URL)
        if key not in self.made:
            answer = super().get(request, *args, **kwargs)
            answer = self.finalize_response(request, answer, *args, **kwargs).render()
            self.made[key] = (answer.content, dict(answer.headers))
        content, headers = self.made[key]
        return HttpResponse(content, headers=headers)


class MerchantDescription(Description):
    """`/api/schema/merchant`"""

    generator_class = MerchantReference
