"""No-fly zones become geographical zones: with type, heights, hours and source."""

import django.core.validators
import django.db.models
from django.db import migrations, models

import fleet.airspace.areas
import fleet.airspace.zones

DATUM = [
    ("AGL", "Above ground"),
    ("AMSL", "Above mean sea level"),
    ("WGS84", "Above the WGS 84 ellipsoid"),
]


class Migration(migrations.Migration):
    dependencies = [("fleet", "0019_late_normal")]

    operations = [
        migrations.RemoveConstraint("noflyzone", "no_fly_zone_window_in_order"),
        migrations.RenameModel("NoFlyZone", "GeoZone"),
        migrations.AlterModelOptions(
            "geozone",
            {"verbose_name": "geographical zone", "ordering": ["name", "part", "id"]},
        ),
    ]
