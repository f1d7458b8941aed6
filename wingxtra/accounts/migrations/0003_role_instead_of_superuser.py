from django.db import migrations


def make_administrators(apps, schema_editor):
    """When there is no administrator, make the superusers of role OPS administrators.

    createsuperuser gave its users the role OPS, and without them there would be no administrator.
    When there is one, no user is promoted: a superuser of role OPS may be a former administrator.
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
