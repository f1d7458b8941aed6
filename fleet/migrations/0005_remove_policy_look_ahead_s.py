from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0004_personal_data_days'),
    ]

    operations = [
        migrations.RemoveField(model_name='policy', name='look_ahead_s'),
    ]
