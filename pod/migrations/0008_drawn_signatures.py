import django.contrib.postgres.operations
from django.db import migrations, models
from django.db.models import Q

import pod.models


class Migration(migrations.Migration):
    """A drawn signature is kept as strokes only. Former ones keep their picture as well."""

    dependencies = [("pod", "0007_cases")]

    operations = [
        migrations.RemoveConstraint("proofofdelivery", "proof_signature_is_there"),
        django.contrib.postgres.operations.AddConstraintNotValid(
            model_name="proofofdelivery",
            constraint=models.CheckConstraint(
                name="proof_signature_is_kept",
                condition=(
                    ~Q(method="SIGNATURE")
                    | ~Q(image="")
                    | Q(strokes__isnull=False)
                    | Q(is_forgotten=True)
                ),
            ),
        ),
        migrations.AlterField(
            model_name="proofofdelivery",
            name="image",
            field=models.FileField(
                blank=True,
                help_text="The uploaded picture, as we encoded it.",
                upload_to="proofs",
            ),
        ),
        migrations.AlterField(
            model_name="proofofdelivery",
            name="strokes",
            field=models.JSONField(
                blank=True,
                encoder=pod.models.NumbersEncoder,
                help_text="A drawn signature: strokes of [x, y] points.",
                null=True,
            ),
        ),
    ]
