from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # for the index

    dependencies = [("pod", "0009_drawn_signatures_checked")]

    operations = [
        migrations.AddField(
            model_name="case",
            name="upload",
            field=models.FileField(
                blank=True,
                default="",
                db_default="",
                editable=False,
                help_text="The photo as it was sent, until it is encoded. Never shown.",
                upload_to="uploads",
            ),
        ),
        migrations.AddField(
            model_name="case",
            name="photo_problem",
            field=models.CharField(
                blank=True,
                default="",
                db_default="",
                editable=False,
                help_text="Why there is no photo although one was sent.",
                max_length=300,
            ),
        ),
        AddIndexConcurrently(
            model_name="case",
            index=models.Index(
                condition=models.Q(("upload", ""), _negated=True),
                fields=["opened_at"],
                name="case_with_upload",
            ),
        ),
    ]
