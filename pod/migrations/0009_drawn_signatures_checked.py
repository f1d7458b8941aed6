from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """In a transaction of its own, so that the check of all rows blocks no writer."""

    dependencies = [("pod", "0008_drawn_signatures")]

    operations = [
        ValidateConstraint(model_name="proofofdelivery", name="proof_signature_is_kept"),
    ]
