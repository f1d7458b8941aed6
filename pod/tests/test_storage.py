"""One setting chooses the file storage: a folder or a private bucket."""

import json
import os
import subprocess
import sys

from django.conf import settings
from django.core.files.storage import FileSystemStorage, storages

ASK = """
import django, json
django.setup()
from django.core.files.storage import default_storage as storage
print(json.dumps({
    "kind": f"{type(storage._wrapped).__module__}.{type(storage._wrapped).__name__}"
    if storage.bucket_name else "", "bucket": storage.bucket_name, "acl": storage.default_acl,
    "overwrites": storage.file_overwrite, "url": storage.url("proofs/a.png"),
}))
"""


def test_without_a_bucket_files_are_in_a_folder():
    assert isinstance(storages["default"], FileSystemStorage)


def test_with_a_bucket_files_are_private_in_s3():
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "wingxtra.settings",
        "S3_BUCKET": "proofs-of-delivery",
        "S3_FOLDER": "media",
        "S3_ENDPOINT_URL": "https://s3.example",
        "S3_REGION": "eu-west-1",
        "S3_ACCESS_KEY": "AKIAEXAMPLE",
        "S3_SECRET_KEY": "a-secret-key",
    }
    result = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = json.loads(result.stdout)
    assert found["kind"] == "storages.backends.s3.S3Storage"
    assert (found["bucket"], found["acl"], found["overwrites"]) == (
        "proofs-of-delivery",
        None,
        False,
    )
    assert found["url"].startswith("https://s3.example/proofs-of-delivery/media/proofs/a.png?")
    assert "X-Amz-Signature=" in found["url"]
