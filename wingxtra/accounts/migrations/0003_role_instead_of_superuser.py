from django.db import migrations


def make_administrators(apps, schema_editor):
    """Where nobody is an administrator, the superusers of role OPS become it.

    createsuperuser made its users so, and without them nobody could administer. Where somebody is one,
    nobody rises: a superuser of role OPS may have been an administrator who no longer is to be one.
    """
    users = apps.get_model("accounts", "User").objects.using(schema_editor.connection.alias)
    if not users.filter(role="ADMIN", is_active=True, is_staff=True).exists():
        users.filter(role="OPS", is_superuser=True).update(role="ADMIN", is_staff=True)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_customer_page'),
    ]

    operations = [
        migrations.RunPython(make_administrators, migrations.RunPython.noop),
        migrations.AlterModelManagers(
            name='user',
            managers=[
            ],
        ),
        migrations.RemoveField(
            model_name='user',
            name='is_superuser',
        ),
    ]
