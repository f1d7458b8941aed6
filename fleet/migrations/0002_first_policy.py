"""The policy row and its first version: everything else may count on their being there."""

from django.db import migrations


def make_first_policy(apps, schema_editor):
    # The model of today would ask for columns of tomorrow: the row is made by the historical one,
    # and its first version remembers that row's plain values.
    Policy = apps.get_model("fleet", "Policy")
    policy = Policy.objects.create(id=1)
    plain = {
        field.name: getattr(policy, field.name)
        for field in Policy._meta.concrete_fields
        if field.name not in ("id", "version", "updated_at")
    }
    apps.get_model("fleet", "PolicyVersion").objects.create(
        version=1, rules=plain, changes={}, changed_by="system"
    )


class Migration(migrations.Migration):
    dependencies = [("fleet", "0001_initial")]

    operations = [migrations.RunPython(make_first_policy, migrations.RunPython.noop)]
