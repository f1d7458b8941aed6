"""Writes method and time of the proofs that exist onto their orders."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import F, OuterRef, Subquery


def copy_to_the_orders(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    orders = apps.get_model("orders", "Order").objects
    proof = apps.get_model("pod", "ProofOfDelivery").objects.filter(order=OuterRef("pk"))
    orders.filter(proof__isnull=False).update(
        proof_method=Subquery(proof.values("method")), proof_at=Subquery(proof.values("created_at"))
    )
    # Merchants are not told now of proofs that have been missing for long.
    orders.filter(proof_missing=True).update(proof_missed_at=F("delivered_at"))


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0019_proof_told"),
        ("pod", "0005_methods_from_the_requirements"),
    ]

    operations = [migrations.RunPython(copy_to_the_orders, migrations.RunPython.noop)]
