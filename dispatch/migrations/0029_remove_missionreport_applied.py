from django.db import migrations


class Migration(migrations.Migration):
    """It was written and never read: the events of an order say what a report caused."""

    dependencies = [("dispatch", "0028_mission_of_drone")]

    operations = [migrations.RemoveField(model_name="missionreport", name="applied")]
