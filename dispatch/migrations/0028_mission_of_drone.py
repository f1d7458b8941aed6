from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # The foreign key keeps its own index: with db_index=False Django would drop every index on this
    # one column, the unique constraints included.
    atomic = False  # for the index

    dependencies = [("dispatch", "0027_follower_leases")]

    operations = [
        AddIndexConcurrently(
            model_name="mission",
            index=models.Index(fields=["drone", "-created_at"], name="mission_of_drone"),
        ),
    ]
